"""Dense autoencoder: an encoder, a decoder, and Keras's own losses."""

import keras
import numpy as np
import tensorflow as tf


def check_input(x, shape, bounded, name="x"):
    """Raise ValueError unless `x` is floating point, (batch, *shape), and, if an array, not empty,
    finite and, if `bounded`, within [0, 1]. A symbolic tensor has no values to look at yet."""
    symbolic = tf.is_tensor(x) and not hasattr(x, "numpy")
    x = x if symbolic else np.asarray(x)
    sizes = zip(shape, x.shape[1:])
    if len(x.shape) != 1 + len(shape) or not all(a == b or None in (a, b) for a, b in sizes):
        want = ", ".join(["batch", *map(str, shape)])
        raise ValueError(f"{name} must have shape ({want}), got {tuple(x.shape)}")
    if not symbolic and not len(x):
        raise ValueError(f"{name} must hold at least one example, got shape {x.shape}")
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype)):
        came = f"{keras.backend.standardize_dtype(x.dtype)}"
        came += "" if symbolic else f" from {x.min()} to {x.max()}"
        hint = ": for images of 0 to 255, x.astype('float32') / 255" if "int8" in came else ""
        raise ValueError(f"{name} must be floating point, got {came}{hint}")
    if symbolic:
        return
    low, high = float(x.min()), float(x.max())
    if not np.isfinite([low, high]).all():
        raise ValueError(f"{name} must be finite, it holds NaN or infinity")
    if bounded and (low < 0 or high > 1):
        hint = "divide images by 255"
        if low < 0:
            hint = "for vectors without bounds, a linear output (a VAE's likelihood: gaussian)"
        raise ValueError(f"{name} must lie in [0, 1], got {low:g} to {high:g}: {hint}")


@keras.saving.register_keras_serializable(package="keras_vae")
class Autoencoder(keras.Model):
    """Reconstruct x from a code: x → encoder → code → decoder → reconstruction.

    Compile it with any Keras loss and train it to return what it was given: `fit(x, x)`.

    Args:
        encoder: Functional Keras model, (batch, input_dim) → code, (batch, latent_dim).
        decoder: Functional Keras model, (batch, latent_dim) → (batch, input_dim). Where it ends in
            a sigmoid, `fit` and `evaluate` refuse target arrays outside [0, 1], which it could
            never reach.

    Raises:
        TypeError: A network is no functional Keras model, or the encoder gives two tensors.
        ValueError: The decoder does not take the encoder's code or return what the encoder takes.

    Source: A1 §3.1 and §4.1; A4 §3.1.
    """

    def __init__(self, encoder, decoder, name="autoencoder", **kwargs):
        super().__init__(name=name, **kwargs)
        for role, network in (("encoder", encoder), ("decoder", decoder)):
            if not isinstance(network, keras.Model) or not getattr(network, "inputs", None):
                raise TypeError(f"{role} must be a functional Keras model, got {network!r}")
        if not isinstance(encoder.output, keras.KerasTensor):
            raise TypeError("encoder must return one tensor, the code; for two, see VAE")
        if encoder.output_shape != decoder.input_shape:
            raise ValueError(
                f"decoder must take the encoder's code, {encoder.output_shape}, "
                f"but its input is {decoder.input_shape}"
            )
        if decoder.output_shape != encoder.input_shape:
            raise ValueError(
                f"decoder must return what the encoder takes, {encoder.input_shape}, "
                f"but its output is {decoder.output_shape}"
            )
        self.encoder = encoder
        self.decoder = decoder
        last = decoder.layers[-1]
        self.bounded = getattr(last, "activation", None) is keras.activations.sigmoid
        self.build(encoder.input_shape)

    def build(self, input_shape):
        self.built = True  # both networks came with their weights

    def call(self, x, training=False):
        """Return the reconstruction of x, in x's shape."""
        check_input(x, self.encoder.input_shape[1:], bounded=False)
        return self.decoder(self.encoder(x, training=training), training=training)

    def encode(self, x):
        """Return the codes of the array x, (num, latent_dim)."""
        check_input(x, self.encoder.input_shape[1:], bounded=False)
        return self.encoder.predict(x, verbose=0)

    def decode(self, code):
        """Return the decoder's output for an array of codes, (num, input_dim)."""
        return self.decoder.predict(code, verbose=0)

    def reconstruct(self, x):
        """Return the reconstructions of the array x, in x's shape."""
        return self.decode(self.encode(x))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if y is None:
            raise ValueError("an autoencoder needs its input as its target too: fit(x, x)")
        # A target of another shape would be stretched to fit, and a wrong loss be minimised.
        check_input(y, self.decoder.output_shape[1:], self.bounded, "the target")
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def _check(self, data, name):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        if not hasattr(x, "__array__"):
            return  # a tf.data pipeline: data.check_images looks into those
        if y is None:
            raise ValueError("an autoencoder needs its input as its target too: fit(x, x)")
        check_input(x, self.encoder.input_shape[1:], bounded=self.bounded and y is x, name=name)
        if y is not x:
            check_input(y, self.decoder.output_shape[1:], self.bounded, f"the target of {name}")

    def fit(self, x=None, y=None, *args, validation_data=None, **kwargs):
        """Train as `keras.Model.fit` does, once the arrays have been looked at."""
        self._check((x, y), "x")
        self._check(validation_data, "validation_data")
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # else Keras warns that it does not shuffle those
        return super().fit(x, y, *args, validation_data=validation_data, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Measure as `keras.Model.evaluate` does, once the arrays have been looked at."""
        self._check((x, y), "x")
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """Reconstruct as `keras.Model.predict` does, once the array has been looked at."""
        if hasattr(x, "__array__"):
            check_input(x, self.encoder.input_shape[1:], bounded=False)
        return super().predict(x, *args, **kwargs)

    def get_config(self):
        networks = {"encoder": self.encoder, "decoder": self.decoder}
        networks = {k: keras.saving.serialize_keras_object(v) for k, v in networks.items()}
        return {"name": self.name, **networks}

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))
