"""Importance-weighted autoencoder: a VAE trained on a tighter bound, by several draws of z."""

import keras
import numpy as np
import tensorflow as tf

from keras_vae.vae import VAE


@keras.saving.register_keras_serializable(package="keras_vae")
class IWAE(VAE):
    """VAE trained to raise the importance-weighted bound on log p(x), with K draws of z.

    loss = −E log (1/K) Σ w_k, with log w = log p(x | z) − beta (log q(z | x) − log p(z)): minus the
    bound, at beta = 1. reconstruction_loss and kl_loss, means over the draws, add up to −ELBO.

    Args:
        encoder, decoder: As of `VAE`.
        num_importance_samples: K, draws of z per example; at 1 the loss is on average a VAE's.
        **kwargs: beta, likelihood, learn_variance and seed, as of `VAE`.

    Raises:
        ValueError: num_importance_samples is no positive integer. Also what `VAE` raises.

    Source: Burda et al. 2016, eq. 8 and §3.
    """

    def __init__(self, encoder, decoder, num_importance_samples=5, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        if not hasattr(num_importance_samples, "__index__") or num_importance_samples < 1:
            raise ValueError(f"num_importance_samples must be 1, 2 …: {num_importance_samples!r}")
        self.num_importance_samples = int(num_importance_samples)

    def compute_losses(self, x, training=False):
        """Return loss, reconstruction_loss and kl_loss of each example, in nats, (batch,) each."""
        num, heads = self.num_importance_samples, self.encoder(x, training=training)
        z_mean, z_log_var = (tf.repeat(tf.cast(h, self.variable_dtype), num, axis=0) for h in heads)
        epsilon = self.noise(tf.shape(z_mean))
        z = z_mean + tf.exp(0.5 * z_log_var) * epsilon  # (batch · num, latent_dim)
        output = self.decoder(z, training=training)
        nats = self.negative_log_likelihood(tf.repeat(x, num, axis=0), output)
        # log q(z | x) − log p(z): the constants of the two normal densities cancel.
        kl = 0.5 * (tf.square(z) - tf.square(epsilon) - z_log_var)
        kl = tf.reduce_sum(kl, axis=range(1, len(kl.shape)))
        nats, kl = tf.reshape(nats, (-1, num)), tf.reshape(kl, (-1, num))  # (batch, num)
        bound = tf.reduce_logsumexp(-nats - self._beta * kl, axis=1) - np.log(num)
        return self._penalty() - bound, tf.reduce_mean(nats, 1), tf.reduce_mean(kl, 1)

    def get_config(self):
        return {**super().get_config(), "num_importance_samples": self.num_importance_samples}
