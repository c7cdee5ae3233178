"""VaDE: its losses by NumPy and by integration, its clusters."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.cluster
import sklearn.mixture
import tensorflow as tf
from conftest import slope_and_gradient, small_conditional, small_vade, small_vae

from keras_vae import (
    Autoencoder, VaDE, active_units, cluster_accuracy, dense_decoder, elbo, gaussian_encoder,
    kl_per_latent, log_likelihood, rate_distortion,
)


@pytest.fixture(params=["diag", "full"])
def vade(request):
    """A VaDE whose prior is a mixture like any other."""
    vade = small_vade(beta=0.7, seed=0, covariance_type=request.param)
    rng = np.random.default_rng(3)
    for v in (vade.prior_logits, vade.prior_mean, vade.prior_factor):
        v.assign(rng.normal(size=v.shape))
    return vade


def normals(vade):
    """Return the normals of the prior as SciPy's."""
    found = []
    for mean, u in zip(vade.prior_mean.numpy(), vade.prior_factor.numpy(), strict=True):
        u = np.diag(np.diag(u)) if vade.covariance_type == "diag" else np.triu(u)
        np.fill_diagonal(u, np.exp(np.diag(u)))
        found.append(scipy.stats.multivariate_normal(mean, np.linalg.inv(u @ u.T)))
    return found


def divergences(vade, z_mean, z_log_var):
    """Return KL(q(z | x) ‖ p(z | c)), (num, clusters), from SciPy's entropies and densities."""
    points, weights = np.polynomial.hermite_e.hermegauss(5)  # exact: log p(z | c) is quadratic
    points = np.stack(np.meshgrid(*3 * [points]), axis=-1).reshape(-1, 3)
    weights = np.prod(np.meshgrid(*3 * [weights / weights.sum()]), axis=0).ravel()
    z = z_mean[:, None] + np.exp(0.5 * z_log_var)[:, None] * points  # (num, points, latent)
    entropy = scipy.stats.norm(0, np.exp(0.5 * z_log_var)).entropy().sum(axis=1)
    return np.transpose([-entropy - normal.logpdf(z) @ weights for normal in normals(vade)])


def test_the_losses_are_those_of_numpy(vade, x):
    epsilon = np.random.default_rng(0).normal(size=(64, 3))
    vade.noise = lambda shape: tf.constant(epsilon, "float32")
    z_mean, z_log_var = (head.astype("float64") for head in vade.encode(x))
    z = z_mean + np.exp(0.5 * z_log_var) * epsilon
    logits = vade.decoder(z.astype("float32")).numpy().astype("float64")
    nats = np.sum(np.logaddexp(0, logits) - x * logits, axis=1)
    kl = divergences(vade, z_mean, z_log_var)
    log_pi = scipy.special.log_softmax(vade.prior_logits.numpy().astype("float64"))
    q = scipy.special.softmax(log_pi - kl, axis=1)
    np.testing.assert_allclose(vade.cluster_probabilities(x), q, rtol=1e-4, atol=1e-7)
    of_kl = np.sum(q * (kl + np.log(q) - log_pi), axis=1)
    found = vade.compute_losses(tf.constant(x))
    for value, expected in zip(found, (nats + 0.7 * of_kl, nats, of_kl), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    # Any other q(c | x) costs more: here p(c | z) at the draw, as Jiang et al. have it.
    log_p = [normal.logpdf(z) for normal in normals(vade)]
    other = scipy.special.softmax(log_pi + np.transpose(log_p), axis=1)
    assert (np.sum(other * (kl + np.log(other) - log_pi), axis=1) >= of_kl - 1e-9).all()


MEASURES = [active_units, elbo, kl_per_latent, log_likelihood, rate_distortion]


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_that_take_the_standard_normal_for_granted_refuse_others(measure, x):
    for model in (small_vade(), small_conditional()):
        with pytest.raises(TypeError, match="prior N"):
            measure(model, x)


def test_one_cluster_at_the_standard_normal_is_a_vae(x):
    vade, vae = VaDE(gaussian_encoder(12, (8,), 3), dense_decoder(3, (8,), 12), 1), small_vae()
    vade.prior_mean.assign(tf.zeros((1, 3)))
    for model in (vade, vae):
        model.noise = lambda shape: tf.ones(shape)
    vae.encoder.set_weights(vade.encoder.get_weights())
    vae.decoder.set_weights(vade.decoder.get_weights())
    pairs = zip(vade.compute_losses(tf.constant(x)), vae.compute_losses(tf.constant(x)))
    for value, expected in pairs:
        np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_the_loss_bounds_minus_log_p(x):
    """p(x) by integrating over one latent variable."""
    vade = VaDE(gaussian_encoder(12, (8,), 1), dense_decoder(1, (8,), 12), 3, seed=0)
    x, z = np.round(x[:4]), np.linspace(-12, 12, 4001)
    logits = vade.decoder(z[:, None].astype("float32")).numpy().astype("float64")
    nats = np.sum(np.logaddexp(0, logits) - x[:, None] * logits, axis=2)  # (example, z)
    prior = np.mean([scipy.stats.norm.pdf(z, m) for m in vade.prior_mean.numpy()[:, 0]], axis=0)
    log_p = scipy.special.logsumexp(-nats + np.log(prior), axis=1) + np.log(z[1] - z[0])
    bound = -vade.compute_losses(tf.constant(np.repeat(x, 2000, axis=0)))[0].numpy()
    bound = bound.reshape(4, 2000).mean(axis=1)
    assert (bound < log_p).all() and (bound > log_p - 5).all()


@pytest.mark.parametrize("covariance_type", ["diag", "full"])
def test_the_gradient_is_that_of_finite_differences(covariance_type, x):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    vade = small_vade(seed=0, covariance_type=covariance_type)
    epsilon = tf.constant(np.random.default_rng(0).normal(size=(64, 3)))
    vade.noise = lambda shape: epsilon
    assert len(vade.trainable_variables) == len(small_vae().trainable_variables) + 3
    x = tf.constant(x, "float64")
    slope, gradient = slope_and_gradient(vade, lambda: vade.compute_losses(x)[0])
    assert slope == pytest.approx(gradient, rel=1e-6)


@pytest.mark.parametrize("covariance_type", ["diag", "full"])
def test_it_starts_from_a_mixture_and_clusters_as_that_does(covariance_type, x):
    """With hardly any variance q(z | x) is a point, and q(c | x) the mixture's."""
    encoder = gaussian_encoder(12, (8,), 3)
    encoder.get_layer("z_log_var").set_weights([np.zeros((8, 3)), np.full(3, -20.0)])
    vade = VaDE(encoder, dense_decoder(3, (8,), 12), 4, covariance_type)
    codes = vade.encode(x)[0].astype("float64")

    def fitted(num, kind):
        return sklearn.mixture.GaussianMixture(num, covariance_type=kind, random_state=0).fit(codes)

    mixture = fitted(4, covariance_type)
    vade.start_from(mixture)
    expected = mixture.predict_proba(codes)
    np.testing.assert_allclose(vade.cluster_probabilities(x), expected, atol=1e-3)
    np.testing.assert_array_equal(vade.cluster(x), mixture.predict(codes))
    for wrong in (sklearn.mixture.GaussianMixture(4), sklearn.cluster.KMeans(4).fit(codes)):
        with pytest.raises(ValueError, match="mixture must be a fitted GaussianMixture"):
            vade.start_from(wrong)
    for other in (fitted(2, covariance_type), fitted(4, "spherical")):
        with pytest.raises(ValueError, match=r"means and covariance_type \(\(4, 3\), '"):
            vade.start_from(other)


def test_training_finds_clusters_and_keeps_them_apart():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 1000)
    means = 0.05 + 0.9 * np.repeat(np.eye(3), 4, axis=1)
    x = rng.binomial(1, means[labels]).astype("float32")
    encoder, decoder = gaussian_encoder(12, (16,), 2), dense_decoder(2, (16,), 12)
    autoencoder = Autoencoder(keras.Model(encoder.inputs, encoder.outputs[0]), decoder)
    autoencoder.compile(keras.optimizers.Adam(0.01), keras.losses.BinaryCrossentropy(True))
    autoencoder.fit(x, epochs=10, verbose=0)
    vade = VaDE(encoder, decoder, 3, seed=0)
    mixture = sklearn.mixture.GaussianMixture(3, covariance_type="diag", random_state=0)
    vade.start_from(mixture.fit(vade.encode(x)[0]))
    vade.compile(keras.optimizers.Adam(0.005))
    losses = vade.fit(x, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.3
    assert cluster_accuracy(labels, vade.cluster(x)) > 0.95
    for c in range(3):  # what a cluster draws, the model puts into it
        assert (vade.cluster(vade.generate(50, c, seed=1)) == c).mean() > 0.9


def test_draws_have_the_moments_of_the_prior(vade):
    rng = np.random.default_rng(0)
    z = vade.prior_sample(rng, 100_000, 2)
    normal = normals(vade)[2]
    scale = np.sqrt(np.diag(normal.cov))
    np.testing.assert_allclose((z.mean(axis=0) - normal.mean) / scale, np.zeros(3), atol=0.02)
    np.testing.assert_allclose(np.cov(z.T) / np.outer(scale, scale),
                               normal.cov / np.outer(scale, scale), atol=0.03)
    pi = scipy.special.softmax(vade.prior_logits.numpy())
    z = vade.prior_sample(rng, 100_000)
    np.testing.assert_allclose(z.mean(axis=0), pi @ vade.prior_mean.numpy(), atol=0.03)
    assert vade.generate(5).shape == (5, 12)
    for cluster in (4, -1, "a", 1.0, np.array([0, 1])):
        with pytest.raises(ValueError, match="cluster must lie in 0 … 3, got"):
            vade.generate(5, cluster)
    with pytest.raises(ValueError, match="num_clusters must be"):
        VaDE(vade.encoder, vade.decoder, 0)
    flat = keras.Sequential([keras.Input((2, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match=r"z must be \(batch, latent_dim\), got \(None, 2, 3\)"):
        VaDE(vade.encoder, flat)
    with pytest.raises(ValueError, match="covariance_type must be"):
        VaDE(vade.encoder, vade.decoder, 4, "tied")
    vade.prior_mean.assign(np.nan * vade.prior_mean)
    with pytest.raises(tf.errors.InvalidArgumentError, match="prior must be finite"):
        vade.cluster(np.zeros((2, 12), "float32"))
