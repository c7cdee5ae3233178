"""Conditional VAE: the label stands beside x and beside z, so a digit can be asked for."""

import keras
import numpy as np
import tensorflow as tf

from keras_vae.vae import VAE


@keras.saving.register_keras_serializable(package="keras_vae")
class ConditionalVAE(VAE):
    """VAE of x given a label y: loss = reconstruction_loss + beta * kl_loss bounds −log p(x | y).

    Both networks see y as a row of zeros with a one at its place (one-hot), joined to what they see
    otherwise; so their inputs are wider by num_classes. `fit` takes x, (batch, input_dim), and y,
    integers from 0 to num_classes − 1, (batch,).

    Args:
        encoder: (batch, input_dim + num_classes) → [z_mean, z_log_var], each (batch, latent_dim).
        decoder: (batch, latent_dim + num_classes) → (batch, input_dim), as of `VAE`.
        num_classes: Different labels, at least 1.
        **kwargs: beta, likelihood, learn_variance and seed, as of `VAE`.

    Raises:
        ValueError: The networks do not fit each other and num_classes. From `fit`: no labels, or
            labels that are no integers. Also what `VAE` raises.
        tf.errors.InvalidArgumentError: From `fit`: a label out of range. Also what `VAE` raises.

    Source: Kingma et al. 2014, eq. 6 without log p(y); Sohn et al. 2015, where x and y change
    places and the prior depends on what is given.
    """

    least_label = 0  # of fit and evaluate

    def __init__(self, encoder, decoder, num_classes=10, **kwargs):
        if not hasattr(num_classes, "__index__") or num_classes < 1:
            raise ValueError(f"num_classes must be 1, 2 …, got {num_classes!r}")
        self.num_classes = int(num_classes)  # before the networks are compared
        super().__init__(encoder, decoder, **kwargs)

    def shapes_for(self, decoder):
        if {len(decoder.output_shape), len(decoder.input_shape)} != {2}:
            raise ValueError("networks must be of flat x and z, (batch, width), labels beside them")
        (_, input_dim), (_, width) = decoder.output_shape, decoder.input_shape
        return [(None, input_dim + self.num_classes), *2 * [(None, width - self.num_classes)]]

    def join(self, x, y, least_label=0):
        """Return x or z with the labels y beside it, one-hot, (batch, width + num_classes)."""
        x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
        if not y.dtype.is_integer or y.shape.rank not in (1, None):
            raise ValueError(f"labels must be integers, (batch,), got {y.dtype.name} {y.shape}")
        if not x.shape[:1].is_compatible_with(y.shape):
            raise ValueError(f"there must be a label for each row, got {y.shape} for {x.shape}")
        y = tf.cast(tf.ensure_shape(y, (None,)), tf.int64)  # narrow types would wrap −1
        low, high = tf.reduce_min(y), tf.reduce_max(y)
        good = (low >= least_label) & (high < self.num_classes)
        words = f"labels must lie in {least_label} … {self.num_classes - 1}. Least, greatest:"
        with tf.control_dependencies([tf.raw_ops.Assert(condition=good, data=[words, low, high])]):
            rows = tf.where(good, tf.one_hot(y, self.num_classes), np.nan)  # XLA drops the Assert
            return tf.concat([x, tf.cast(rows, x.dtype)], axis=1)

    def compute_losses(self, xy, training=False):
        """Return loss, reconstruction_loss and kl_loss of each example, in nats, (batch,) each."""
        x, y = xy[:, : -self.num_classes], xy[:, -self.num_classes :]
        heads = self.encoder(xy, training=training)
        z_mean, z_log_var = (tf.cast(head, self.variable_dtype) for head in heads)
        z = z_mean + tf.exp(0.5 * z_log_var) * self.noise(tf.shape(z_mean))  # (batch, latent_dim)
        output = self.decoder(tf.concat([z, y], axis=1), training=training)
        reconstruction_loss = self.negative_log_likelihood(x, output)
        kl = -0.5 * (1 + z_log_var - tf.square(z_mean) - tf.exp(z_log_var))  # (batch, latent_dim)
        kl_loss = tf.reduce_sum(kl, axis=1)
        loss = reconstruction_loss + self._beta * kl_loss + self._penalty()
        return loss, reconstruction_loss, kl_loss

    def call(self, xy, training=False):
        """Return the reconstruction, from z_mean, of what `join` gives, (batch, input_dim)."""
        xy = self._check((xy,))
        z_mean, _ = self.encoder(xy, training=training)
        zy = tf.concat([z_mean, tf.cast(xy[:, -self.num_classes :], z_mean.dtype)], axis=1)
        return self._mean(self.decoder(zy, training=training))

    def encode(self, x, y):
        """Return z_mean and z_log_var of the array x with labels y, each (num, latent_dim)."""
        return super().encode(self.join(x, y))

    def reconstruct(self, x, y):
        """Return the array x after encoder and decoder, from z_mean, without noise."""
        return self.decode(self.join(self.encode(x, y)[0], y))

    def prior_sample(self, rng, num_samples, labels=None):
        """Return what `decode` takes: draws of z from N(0, I), each joined to its label."""
        labels = np.arange(num_samples) % self.num_classes if labels is None else labels
        z = rng.standard_normal((num_samples, self.encoder.outputs[0].shape[1]))
        return self.join(z, np.broadcast_to(labels, num_samples))

    def generate(self, num_samples, labels=None, seed=None, sample=False):
        """Return means of p(x | z, y), or with `sample` draws from it, (num_samples, input_dim).

        Args:
            labels: One label for all, or one for each; None: each in its turn.
        """
        return super().generate(num_samples, seed, sample, labels=labels)

    def _check(self, data):
        """Return x and y of a batch, joined; x that is joined already comes without y."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if not hasattr(x, "shape") or (y is None and x.shape[-1] == self.decoder.output_shape[-1]):
            name = type(self).__name__
            raise ValueError(f"{name} needs labels: fit(x, y), predict(vae.join(x, y))")
        xy = x if y is None else self.join(x, y, self.least_label)
        return super()._check((xy, None, sample_weight))

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}
