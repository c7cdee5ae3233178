"""Variational autoencoder: the sampling layer, the loss and the training step."""

import math

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
class Sampling(keras.layers.Layer):
    """Draw z from N(z_mean, exp(z_log_var)) so that gradients pass: the reparameterisation trick.

    Takes [z_mean, z_log_var], each (batch, latent_dim); returns z of the same shape. The noise
    comes from a generator of the layer's own, saved with it; replicas draw different noise.

    Source: Kingma & Welling 2014, §2.4; A2 §3.2.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def noise(self, shape):
        """Return standard normal noise, float32."""
        replica = tf.distribute.get_replica_context()
        replica = replica.replica_id_in_sync_group if replica else 0
        seed = tf.cast(self.seed_generator.next() % (2**31 - 1), tf.int32)
        seed += tf.stack([1_000_003 * replica, 0])
        return tf.random.stateless_normal(shape, seed)

    def call(self, inputs):
        z_mean, z_log_var = inputs
        epsilon = tf.cast(self.noise(tf.shape(z_mean)), z_mean.dtype)
        return z_mean + tf.exp(0.5 * z_log_var) * epsilon

    def save_own_variables(self, store):
        store["seed_state"] = keras.ops.convert_to_numpy(self.seed_generator.state)

    def load_own_variables(self, store):
        self.seed_generator.state.assign(store["seed_state"])

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_vae")
class VAE(keras.Model):
    """Variational autoencoder, trained to minimise −ELBO = reconstruction_loss + beta * kl_loss.

    Losses are in nats per example: sums over features and latent variables, means over the batch.
    Compile it with an optimizer and no loss; `fit` takes x, (x, y) pairs (y is not used) or a
    `tf.data` pipeline.

    Args:
        encoder: Functional Keras model, x → [z_mean, z_log_var], each (batch, latent_dim).
        decoder: Functional Keras model, z → the mean of p(x | z), in the shape of x.
        beta: Weight of the KL divergence, at least 0; may be set later, also while training.
        likelihood: "bernoulli" for x in [0, 1], with a decoder that ends in a sigmoid; "gaussian"
            (unit variance) for vectors without bounds.
        seed: Of the noise; None for a fresh one.

    Raises:
        TypeError: A network is no functional Keras model, or the encoder gives not two tensors.
        ValueError: Their shapes do not fit each other, beta is negative, the likelihood unknown, or
            Bernoulli with a linear decoder.

    Source: Kingma & Welling 2014, eq. 10; beta: Higgins et al. 2017; A1 §3.2 and §4.2; A0 §3.3.
    """

    def __init__(self, encoder, decoder, beta=1.0, likelihood="bernoulli", seed=None, name="vae",
                 **kwargs):
        super().__init__(name=name, **kwargs)
        for role, network in (("encoder", encoder), ("decoder", decoder)):
            if not isinstance(network, keras.Model) or not getattr(network, "inputs", None):
                raise TypeError(f"{role} must be a functional Keras model, got {network!r}")
        heads = encoder.output
        if not isinstance(heads, (list, tuple)) or len(heads) != 2:
            raise TypeError("encoder must return two tensors, [z_mean, z_log_var]")
        if not heads[0].shape == heads[1].shape == decoder.input_shape:
            raise ValueError(
                f"z_mean, z_log_var and the decoder's input must have one shape, "
                f"got {heads[0].shape}, {heads[1].shape} and {decoder.input_shape}"
            )
        if decoder.output_shape != encoder.input_shape:
            raise ValueError(
                f"decoder must return what the encoder takes, {encoder.input_shape}, "
                f"but its output is {decoder.output_shape}"
            )
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f'likelihood must be "bernoulli" or "gaussian", got {likelihood!r}')
        last = getattr(decoder.layers[-1], "activation", None)
        if likelihood == "bernoulli" and last is keras.activations.linear:
            raise ValueError('decoder must end in a sigmoid, or likelihood be "gaussian"')
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.sampling = Sampling(seed)
        # A variable: a Python number would be frozen into the traced training step.
        self._beta = self.add_weight((), "zeros", trainable=False, name="beta")
        self.beta = beta
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.reconstruction_loss_tracker = keras.metrics.Mean(name="reconstruction_loss")
        self.kl_loss_tracker = keras.metrics.Mean(name="kl_loss")
        self.build(encoder.input_shape)

    def build(self, input_shape):
        self.built = True  # both networks came with their weights

    @property
    def beta(self):
        """Weight of the KL divergence, a float."""
        return float(keras.ops.convert_to_numpy(self._beta))

    @beta.setter
    def beta(self, beta):
        if not 0 <= beta < math.inf:
            raise ValueError(f"beta must be a number of at least 0, got {beta!r}")
        self._beta.assign(beta)

    @property
    def metrics(self):
        return [self.loss_tracker, self.reconstruction_loss_tracker, self.kl_loss_tracker]

    def call(self, x, training=False):
        """Return the reconstruction of x from z_mean, without noise, in x's shape."""
        check_input(x, self.encoder.input_shape[1:], bounded=False)
        z_mean, _ = self.encoder(x, training=training)
        return self.decoder(z_mean, training=training)

    def negative_log_likelihood(self, x, reconstruction):
        """Return −log p(x | z) of each example, in nats, (batch,): a sum over the features."""
        x = tf.cast(x, reconstruction.dtype)
        if self.likelihood == "bernoulli":
            # Keras finds the logits behind the sigmoid and works with them, so no log(0) can occur.
            nats = keras.ops.binary_crossentropy(x, reconstruction)  # (batch, features)
        else:
            nats = 0.5 * (tf.square(x - reconstruction) + math.log(2 * math.pi))
        nats = tf.cast(nats, self.variable_dtype)
        return tf.reduce_sum(nats, axis=range(1, len(nats.shape)))

    def compute_losses(self, x, training=False):
        """Return loss, reconstruction_loss and kl_loss of a batch, in nats per example."""
        heads = self.encoder(x, training=training)
        z_mean, z_log_var = (tf.cast(head, self.variable_dtype) for head in heads)
        z = self.sampling([z_mean, z_log_var])  # (batch, latent_dim)
        reconstruction = self.decoder(z, training=training)
        # Sums over the features and over the latent variables, then means over the batch.
        reconstruction_loss = tf.reduce_mean(self.negative_log_likelihood(x, reconstruction))
        kl = -0.5 * (1 + z_log_var - tf.square(z_mean) - tf.exp(z_log_var))  # (batch, latent_dim)
        kl_loss = tf.reduce_mean(tf.reduce_sum(kl, axis=1))
        # self.losses: the weight penalties of the networks, if they have any.
        loss = reconstruction_loss + self._beta * kl_loss + sum(self.losses)
        return loss, reconstruction_loss, kl_loss

    def train_step(self, data):
        x = self._batch(data)
        with tf.GradientTape() as tape:
            losses = self.compute_losses(x, training=True)
            # Replicas add their gradients up: each gives its share.
            share = losses[0] / tf.distribute.get_strategy().num_replicas_in_sync
            share = self.optimizer.scale_loss(share)  # does nothing outside mixed_float16
        gradients = tape.gradient(share, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return self._track(losses, x)

    def test_step(self, data):
        x = self._batch(data)
        return self._track(self.compute_losses(x), x)

    def _batch(self, data):
        x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            raise ValueError("VAE takes no sample_weight or class_weight")
        check_input(x, self.encoder.input_shape[1:], self.likelihood == "bernoulli")
        return x

    def _track(self, losses, x):
        num = tf.shape(x)[0]  # the last batch is smaller, and on a replica it may be empty
        for tracker, value in zip(self.metrics, losses):
            tracker.update_state(tf.where(num > 0, value, 0.0), sample_weight=num)
        return {tracker.name: tracker.result() for tracker in self.metrics}

    def fit(self, x=None, *args, validation_data=None, **kwargs):
        """Train as `keras.Model.fit` does, once the arrays have been looked at."""
        self._check(x, "x")
        x_validation, _, _ = keras.utils.unpack_x_y_sample_weight(validation_data)
        self._check(x_validation, "validation_data")
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # else Keras warns that it does not shuffle those
        return super().fit(x, *args, validation_data=validation_data, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        """Measure as `keras.Model.evaluate` does, with one draw of z an example."""
        self._check(x, "x")
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """Reconstruct as `keras.Model.predict` does, once the array has been looked at."""
        self._check(x, "x")
        return super().predict(x, *args, **kwargs)

    def _check(self, x, name):
        for key in ("loss", "metrics", "weighted_metrics"):
            if self.get_compile_config().get(key):
                raise ValueError(f"VAE has its own loss and metrics: compile it without {key}")
        if hasattr(x, "__array__"):  # not a tf.data pipeline: data.check_images looks into those
            check_input(x, self.encoder.input_shape[1:], self.likelihood == "bernoulli", name)

    def encode(self, x):
        """Return z_mean and z_log_var of the array x, each (num, latent_dim); checks x as fit."""
        self._check(x, "x")
        return tuple(self.encoder.predict(x, verbose=0))

    def decode(self, z):
        """Return the mean of p(x | z) for the array z, (num, latent_dim)."""
        return self.decoder.predict(z, verbose=0)

    def reconstruct(self, x):
        """Return the array x after encoder and decoder, from z_mean, without noise."""
        return self.decode(self.encode(x)[0])

    def generate(self, num_samples, seed=None):
        """Return new examples, (num_samples, …): decoded draws of z from the prior N(0, I).

        `seed` repeats a draw; None takes the next from the model's own generator.
        """
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples!r}")
        shape = (num_samples, *self.decoder.input_shape[1:])
        generator = self.sampling.seed_generator if seed is None else seed
        return self.decode(keras.random.normal(shape, seed=generator))

    def get_config(self):
        networks = {"encoder": self.encoder, "decoder": self.decoder}
        networks = {k: keras.saving.serialize_keras_object(v) for k, v in networks.items()}
        settings = {"likelihood": self.likelihood, "seed": self.sampling.seed, "name": self.name}
        return {**networks, "beta": self.beta, **settings}

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))
