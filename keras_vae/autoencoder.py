"""Dense autoencoder: an encoder, a decoder, and Keras's own losses."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_vae")
class Autoencoder(keras.Model):
    """Reconstruct x: x → encoder → code → decoder → reconstruction. Source: A1 §4.1; A4 §3.1.

    Compile it with a Keras loss. `fit(x)` is `fit(x, x)`; under a strategy, write both.

    Args:
        encoder, decoder: Functional or Sequential: x → code, (batch, latent_dim); code → target.

    Raises:
        ValueError: The networks do not fit. From `fit`: the target is of a wrong type or shape.
        tf.errors.InvalidArgumentError: From `fit`: NaN, infinity, or a target that a sigmoid at the
            decoder's end can't reach. No gradient is applied. (XLA drops this check.)
    """

    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self(encoder.inputs[0])  # networks that do not fit raise here
        # By a sigmoid, which saturates at far-off codes, wherever it stands.
        far = decoder(100 * tf.random.stateless_normal((16, *decoder.input_shape[1:]), (0, 0)))
        self.bounded = bool(0 <= tf.reduce_min(far) and 0.9 < tf.reduce_max(far) <= 1)

    def make_train_function(self, force=False):
        # Else the first step makes the optimizer's variables, and may fail half way.
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def fit(self, x=None, y=None, *args, sample_weight=None, class_weight=None, **kwargs):
        """Train as `keras.Model.fit`, which drops weights in silence where there is no y."""
        validation = kwargs.get("validation_data")
        if isinstance(validation, tuple) and len(validation) == 3 and validation[1] is None:
            kwargs["validation_data"] = (validation[0], validation[0], validation[2])
        if class_weight is not None:
            raise ValueError("Autoencoder takes no class_weight: its targets are no classes")
        y = x if y is None and sample_weight is not None else y
        return super().fit(x, y, *args, sample_weight=sample_weight, **kwargs)

    def evaluate(self, x=None, y=None, *args, sample_weight=None, **kwargs):
        """Return the loss of data, as `keras.Model.evaluate` does."""
        y = x if y is None and sample_weight is not None else y
        return super().evaluate(x, y, *args, sample_weight=sample_weight, **kwargs)

    def train_step(self, data):
        return super().train_step(self._check(data))

    def test_step(self, data):
        return super().test_step(self._check(data))

    def call(self, x, training=False):
        x = tf.debugging.check_numerics(x, "x must be finite")
        return self.decoder(self.encoder(x, training=training), training=training)

    def encode(self, x):
        """Return the codes of the array x, (num, latent_dim)."""
        return self.encoder.predict(tf.debugging.check_numerics(x, "x must be finite"), verbose=0)

    def decode(self, code):
        """Return what the decoder makes of an array of codes, (num, latent_dim)."""
        return self.decoder.predict(code, verbose=0)

    def reconstruct(self, x):
        """Return the reconstructions of the array x, in x's shape."""
        return self.decode(self.encode(x))

    def _check(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(x, (dict, tf.RaggedTensor, tf.SparseTensor)):
            raise ValueError(f"x must be one dense array, got {type(x).__name__}")
        y, shape = tf.convert_to_tensor(x if y is None else y), self.decoder.output_shape
        if not y.dtype.is_floating or not y.shape.is_compatible_with(shape):
            raise ValueError(f"target must be floating point {shape}, got {y.dtype.name} {y.shape}")
        y = tf.ensure_shape(y, shape)
        least, greatest = (-1e-3, 1.001) if self.bounded else (y.dtype.min, y.dtype.max)
        if sample_weight is not None:  # one NaN would reach every weight
            weight = tf.cast(sample_weight, self.variable_dtype)
            sample_weight = tf.debugging.check_numerics(weight, "sample_weight must be finite")
        found = [f"target must lie in [{least}, {greatest}]:", tf.reduce_min(y), tf.reduce_max(y)]
        good = (found[1] >= least) & (found[2] <= greatest)  # false for NaN
        with tf.control_dependencies([tf.raw_ops.Assert(condition=good, data=found)]):
            return tf.identity(x), tf.identity(y), sample_weight

    def get_config(self):
        config = {"encoder": self.encoder, "decoder": self.decoder,
                  "name": self.name, "dtype": self.dtype_policy}
        return keras.saving.serialize_keras_object(config)

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))
