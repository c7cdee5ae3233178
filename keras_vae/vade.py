"""Variational deep embedding: a VAE whose prior is a mixture of normals, so that it clusters."""

import keras
import numpy as np
import tensorflow as tf

from keras_vae.vae import VAE


@keras.saving.register_keras_serializable(package="keras_vae")
class VaDE(VAE):
    """VAE whose prior is a mixture, p(z) = Σ_c π_c N(z; prior_mean_c, (U_c U_cᵀ)⁻¹), trained too.

    loss = reconstruction_loss + beta * kl_loss, in nats per example. With KL_c the divergence of
    q(z | x) from the normal of cluster c, kl_loss = −log Σ_c π_c exp(−KL_c): what
    Σ_c q(c | x) (KL_c + log q(c | x) − log π_c) is for the best q(c | x) ∝ π_c exp(−KL_c). So −loss
    is a lower bound on log p(x) at beta = 1, and at least the one of Jiang et al., whose q(c | x)
    is p(c | z) at a draw of z.

    From random weights the clusters mean nothing: train an autoencoder of the same networks first,
    fit a mixture to its codes, and hand it to `start_from`.

    Args:
        encoder, decoder: As of `VAE`; z is (batch, latent_dim).
        num_clusters: Normals in the prior.
        covariance_type: "diag", as in the paper, or "full": each normal's latent variables may be
            correlated, as those of an autoencoder are.
        **kwargs: beta, likelihood, learn_variance and seed, as of `VAE`.

    Raises:
        ValueError: num_clusters is no positive integer, z is not flat, or there is no such
            covariance_type. Also what `VAE` raises.

    Source: Jiang et al. 2017 (VaDE), eq. 8 to 16.
    """

    def __init__(self, encoder, decoder, num_clusters=10, covariance_type="diag", **kwargs):
        if not hasattr(num_clusters, "__index__") or num_clusters < 1:
            raise ValueError(f"num_clusters must be 1, 2 …, got {num_clusters!r}")
        if len(decoder.input_shape) != 2:
            raise ValueError(f"z must be (batch, latent_dim), got {decoder.input_shape}")
        if covariance_type not in ("diag", "full"):
            raise ValueError(f'covariance_type must be "diag" or "full", got {covariance_type!r}')
        self.num_clusters = int(num_clusters)  # before the model is built
        self.covariance_type = covariance_type
        super().__init__(encoder, decoder, **kwargs)

    def build(self, input_shape):
        if self.built:  # a loaded model is built by its own constructor, then asked once more
            return
        shape = (self.num_clusters, *self.decoder.input_shape[1:])
        self.prior_logits = self.add_weight(shape[:1], "zeros", name="prior_logits")
        # Apart from the start: equal normals would get equal gradients and stay equal.
        apart = keras.initializers.RandomNormal(1.0, seed=self.given_seed)
        self.prior_mean = self.add_weight(shape, apart, name="prior_mean")
        # U, with the logarithms of its diagonal: so the precision U Uᵀ is positive definite.
        self.prior_factor = self.add_weight((*shape, shape[1]), "zeros", name="prior_factor")

    def precision_factor(self):
        """Return U, upper triangular, (num_clusters, latent_dim, latent_dim), and its log det."""
        logs = tf.linalg.diag_part(self.prior_factor)
        above = 0 if self.covariance_type == "diag" else -1  # how far above the diagonal; −1: all
        factor = tf.linalg.band_part(self.prior_factor, 0, above)
        return tf.linalg.set_diag(factor, tf.exp(logs)), tf.reduce_sum(logs, axis=1)

    def start_from(self, mixture):
        """Take the prior from a fitted `sklearn.mixture.GaussianMixture` of the same shape.

        Raises:
            ValueError: It is not fitted, or not finite, or has other numbers of normals or of
                latent variables, or another covariance_type.
        """
        names = "weights_", "means_", "precisions_cholesky_"
        if not all(np.isfinite(getattr(mixture, name, np.nan)).all() for name in names):
            raise ValueError(f"mixture must be a fitted GaussianMixture, finite, got {mixture}")
        found = mixture.means_.shape, mixture.covariance_type
        must = tuple(self.prior_mean.shape), self.covariance_type
        if found != must:
            raise ValueError(f"mixture must have means and covariance_type {must}, got {found}")
        factor = mixture.precisions_cholesky_.copy()
        if self.covariance_type == "diag":  # 1 / standard deviations, (num_clusters, latent_dim)
            factor = factor[:, None] * np.eye(factor.shape[1])
        for u in factor:
            np.fill_diagonal(u, np.log(np.diag(u)))
        self.prior_logits.assign(np.log(mixture.weights_))
        self.prior_mean.assign(mixture.means_)
        self.prior_factor.assign(factor)

    def log_weights(self, z_mean, z_log_var):
        """Return log π_c − KL(q(z | x) ‖ p(z | c)) for each cluster, (batch, num_clusters)."""
        z_mean, z_log_var = (tf.cast(h, self.variable_dtype) for h in (z_mean, z_log_var))
        factor, log_det = self.precision_factor()
        apart = z_mean[:, None] - self.prior_mean  # (batch, num_clusters, latent_dim)
        squares = tf.square(tf.einsum("bci,cij->bcj", apart, factor))
        precision = tf.reduce_sum(tf.square(factor), axis=2)  # its diagonal, (clusters, latent_dim)
        trace = tf.exp(z_log_var) @ tf.transpose(precision)  # (batch, num_clusters)
        kl = 0.5 * (tf.reduce_sum(squares, axis=2) + trace) - log_det
        kl -= 0.5 * tf.reduce_sum(1 + z_log_var, axis=1, keepdims=True)
        return tf.nn.log_softmax(self.prior_logits) - kl

    def compute_losses(self, x, training=False):
        """Return loss, reconstruction_loss and kl_loss of each example, in nats, (batch,) each."""
        heads = self.encoder(x, training=training)
        z_mean, z_log_var = (tf.cast(head, self.variable_dtype) for head in heads)
        z = z_mean + tf.exp(0.5 * z_log_var) * self.noise(tf.shape(z_mean))  # (batch, latent_dim)
        reconstruction_loss = self.negative_log_likelihood(x, self.decoder(z, training=training))
        kl_loss = -tf.reduce_logsumexp(self.log_weights(z_mean, z_log_var), axis=1)
        loss = reconstruction_loss + self._beta * kl_loss + self._penalty()
        return loss, reconstruction_loss, kl_loss

    def cluster_probabilities(self, x):
        """Return q(c | x) of the array x, (num, num_clusters)."""
        log_weights = tf.debugging.check_numerics(
            self.log_weights(*self.encode(x)), "codes and prior must be finite"
        )
        return tf.nn.softmax(log_weights).numpy()

    def cluster(self, x):
        """Return the most probable cluster of each example of the array x, integers, (num,)."""
        return self.cluster_probabilities(x).argmax(axis=1)

    def prior_sample(self, rng, num_samples, cluster=None):
        """Return draws of z from the prior or from one cluster, (num_samples, latent_dim)."""
        one = hasattr(cluster, "__index__") and np.ndim(cluster) == 0
        if cluster is not None and not (one and 0 <= cluster < self.num_clusters):
            raise ValueError(f"cluster must lie in 0 … {self.num_clusters - 1}, got {cluster!r}")
        weights = tf.nn.softmax(tf.cast(self.prior_logits, tf.float64)).numpy()
        c = rng.choice(self.num_clusters, num_samples, p=weights) if cluster is None else cluster
        epsilon = rng.standard_normal((num_samples, 1, self.prior_mean.shape[1]))
        spread = np.linalg.inv(self.precision_factor()[0].numpy())  # ε U⁻¹ has covariance (U Uᵀ)⁻¹
        return self.prior_mean.numpy()[c] + (epsilon @ spread[c])[:, 0]

    def generate(self, num_samples, cluster=None, seed=None, sample=False):
        """Return means of p(x | z), or with `sample` draws from it, for z of a cluster or of all.

        Raises:
            ValueError: There is no such cluster.
        """
        return super().generate(num_samples, seed, sample, cluster=cluster)

    def get_config(self):
        own = {"num_clusters": self.num_clusters, "covariance_type": self.covariance_type}
        return {**super().get_config(), **own}
