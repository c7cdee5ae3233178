"""Importance-weighted autoencoder: a VAE trained on a tighter bound, by several draws of z."""

import math

import keras
import tensorflow as tf

from keras_vae.vae import VAE


@keras.saving.register_keras_serializable(package="keras_vae")
class IWAE(VAE):
    """VAE trained to raise the importance-weighted bound on log p(x), with K draws of z an example.

    loss = −E log (1/K) Σ w_k, with log w = log p(x | z) − beta (log q(z | x) − log p(z)). At
    beta = 1 that is minus the bound. reconstruction_loss and kl_loss are means over the draws:
    their sum is −ELBO, which lies above the loss. A step decodes K times as many codes.

    Args:
        encoder, decoder: As of `VAE`.
        num_importance_samples: K, draws of z an example, at least 1; at 1 the loss is −ELBO.
        **kwargs: beta, likelihood and seed, as of `VAE`.

    Raises:
        ValueError: num_importance_samples is no positive integer. Also what `VAE` raises.

    Source: Burda et al. 2016, eq. 8 and §3.
    """

    def __init__(self, encoder, decoder, num_importance_samples=5, name="iwae", **kwargs):
        super().__init__(encoder, decoder, name=name, **kwargs)
        if num_importance_samples < 1 or int(num_importance_samples) != num_importance_samples:
            raise ValueError(
                "num_importance_samples must be an integer of at least 1, "
                f"got {num_importance_samples!r}"
            )
        self.num_importance_samples = int(num_importance_samples)

    def compute_losses(self, x, training=False):
        """Return loss, reconstruction_loss and kl_loss of a batch, in nats per example."""
        num = self.num_importance_samples
        heads = self.encoder(x, training=training)
        z_mean, z_log_var = (
            tf.repeat(tf.cast(head, self.variable_dtype), num, axis=0) for head in heads
        )
        z = self.sampling([z_mean, z_log_var])  # (batch · num, latent_dim)
        reconstruction = self.decoder(z, training=training)
        nats = self.negative_log_likelihood(tf.repeat(x, num, axis=0), reconstruction)
        # log q(z | x) − log p(z): the constants of the two normal densities cancel.
        squared_noise = tf.square(z - z_mean) * tf.exp(-z_log_var)
        kl = 0.5 * tf.reduce_sum(tf.square(z) - squared_noise - z_log_var, axis=1)
        log_weights = tf.reshape(-nats - self._beta * kl, (-1, num))  # (batch, num)
        bound = tf.reduce_logsumexp(log_weights, axis=1) - math.log(num)
        loss = -tf.reduce_mean(bound) + sum(self.losses)
        return loss, tf.reduce_mean(nats), tf.reduce_mean(kl)

    def get_config(self):
        return {**super().get_config(), "num_importance_samples": self.num_importance_samples}
