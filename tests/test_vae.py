import math

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import tensorflow as tf
from conftest import small_vae

from keras_vae import IWAE, VAE, dense_decoder, elbo, gaussian_encoder
from keras_vae import log_likelihood

layers = keras.layers


def fixed_encoder(z_mean, z_log_var, input_dim=4):
    """Return an encoder that gives the same mean and log-variance for every x."""
    encoder = gaussian_encoder(input_dim, (), len(z_mean))
    zeros = np.zeros((input_dim, len(z_mean)))
    encoder.get_layer("z_mean").set_weights([zeros, np.array(z_mean)])
    encoder.get_layer("z_log_var").set_weights([zeros, np.array(z_log_var)])
    return encoder


def test_kl_is_the_integral_that_defines_it():
    z_mean, z_log_var = [0.0, 1.5, -0.7], [0.0, -1.0, 0.8]
    vae = VAE(fixed_encoder(z_mean, z_log_var), dense_decoder(3, (), 4))
    kl = vae.compute_losses(np.full((5, 4), 0.5, "float32"))[2]
    expected = 0
    for mean, log_var in zip(z_mean, z_log_var):
        q, p = scipy.stats.norm(mean, math.exp(log_var / 2)), scipy.stats.norm(0, 1)
        expected += scipy.integrate.quad(
            lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -15, 15, epsabs=1e-9
        )[0]
    np.testing.assert_allclose(kl, [expected] * 5, rtol=1e-5)


def sure_vae(likelihood):
    """Return a VAE whose z has next to no noise, so that the reconstruction is exact."""
    encoder = fixed_encoder([0.3, -1.2], [-60.0, -60.0])
    return VAE(encoder, dense_decoder(2, (6,), 4), likelihood=likelihood)


def test_bernoulli_term_is_that_of_scipy(x):
    vae = sure_vae("bernoulli")
    binary = (x[:, :4] > 0.5).astype("float32")
    loss, reconstruction_loss, kl_loss = vae.compute_losses(binary)
    p = vae.reconstruct(binary).astype("float64")
    expected = -scipy.stats.bernoulli.logpmf(binary, p).sum(axis=1)
    np.testing.assert_allclose(reconstruction_loss, expected, rtol=1e-5)
    np.testing.assert_allclose(loss, reconstruction_loss + kl_loss, rtol=1e-6)


def test_bernoulli_term_survives_logits_that_saturate_a_sigmoid():
    """Behind a Reshape, where Keras finds no logits: clipped probabilities would give 16 nats a
    pixel at most, and no gradient."""
    logits = np.array([30.0, -30.0, 100.0, -100.0, 30.0, -30.0, 100.0, -100.0])
    x = np.array([0.0, 1.0, 0.0, 1.0, 0.5, 0.5, 0.25, 0.25])
    image, last = keras.Input((2, 2, 2)), layers.Dense(8)
    heads = [layers.Dense(2)(layers.Flatten()(image)) for _ in range(2)]
    decoder = keras.Sequential([keras.Input((2,)), last, layers.Reshape((2, 2, 2))])
    vae = VAE(keras.Model(image, heads), decoder)
    last.set_weights([np.zeros((2, 8)), logits])
    with tf.GradientTape() as tape:
        nats = vae.compute_losses(x.reshape(1, 2, 2, 2).astype("float32"))[1]
    expected = np.logaddexp(0, logits) - x * logits
    assert float(nats[0]) == pytest.approx(expected.sum(), rel=1e-7)
    gradient = tape.gradient(nats, last.bias.value)
    np.testing.assert_allclose(gradient, scipy.special.expit(logits) - x, rtol=1e-6)
    assert np.abs(gradient).min() >= 0.25


def test_gaussian_term_is_that_of_scipy(x):
    vae = sure_vae("gaussian")
    vectors = 6 * x[:, :4] - 3
    reconstruction_loss = vae.compute_losses(vectors)[1]
    expected = -scipy.stats.norm.logpdf(vectors, vae.reconstruct(vectors)).sum(axis=1)
    np.testing.assert_allclose(reconstruction_loss, expected, rtol=1e-5)


def test_the_elbo_is_below_log_p_of_a_model_known_exactly():
    """x = W z + noise: p(x) is normal, and with the true posterior the bound is tight."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(2, 4)) * 0.5
    precision = np.eye(2) + w @ w.T
    # A diagonal q reaches the bound only where the posterior is diagonal: turn W to make it so.
    w = np.linalg.eigh(precision)[1].T @ w
    variance = 1 / np.diag(np.eye(2) + w @ w.T)
    encoder, decoder = gaussian_encoder(4, (), 2), dense_decoder(2, (), 4)
    encoder.get_layer("z_mean").set_weights([(variance[:, None] * w).T, np.zeros(2)])
    encoder.get_layer("z_log_var").set_weights([np.zeros((4, 2)), np.log(variance)])
    decoder.get_layer("reconstruction").set_weights([w, np.zeros(4)])
    vae = VAE(encoder, decoder, likelihood="gaussian", seed=0)
    x = rng.normal(size=(64, 4)).astype("float32")
    log_p = scipy.stats.multivariate_normal.logpdf(x, np.zeros(4), w.T @ w + np.eye(4)).mean()
    elbo = -np.mean([vae.compute_losses(x)[0] for _ in range(300)])
    assert elbo == pytest.approx(log_p, abs=0.02)
    encoder.get_layer("z_mean").set_weights([0 * (variance[:, None] * w).T, np.zeros(2)])
    worse = -np.mean([vae.compute_losses(x)[0] for _ in range(300)])
    assert worse < log_p - 0.1


def test_the_gradient_is_that_of_finite_differences(x):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    vae, x = small_vae(beta=0.7), x.astype("float64")

    def loss():
        vae.draws.assign(7)  # the same noise each time
        z_mean, z_log_var = (np.array(head) for head in vae.encoder(x))
        z = z_mean + np.exp(0.5 * z_log_var) * vae.noise(z_mean.shape).numpy()
        p = scipy.special.expit(np.array(vae.decoder(z)))
        bernoulli = np.sum(x * np.log(p) + (1 - x) * np.log1p(-p), axis=1)
        kl = 0.5 * np.sum(z_mean**2 + np.exp(z_log_var) - 1 - z_log_var, axis=1)
        return np.mean(-bernoulli + 0.7 * kl)

    vae.draws.assign(7)
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(vae.compute_losses(x)[0])
    assert float(value) == pytest.approx(loss(), rel=1e-12)
    gradients = tape.gradient(value, vae.trainable_variables)
    rng = np.random.default_rng(0)
    for variable, gradient in zip(vae.trainable_variables, gradients):
        start = variable.numpy()
        direction = rng.normal(size=start.shape)
        step = 1e-7 * direction  # small, so that no ReLU changes sides
        variable.assign(start + step)
        above = loss()
        variable.assign(start - step)
        below = loss()
        variable.assign(start)
        expected = (above - below) / 2e-7
        assert float(tf.reduce_sum(gradient * direction)) == pytest.approx(
            expected, rel=1e-5, abs=1e-6
        )


def identity_vae(encoder, **kwargs):
    """Return a VAE whose decoder gives the code itself."""
    width = encoder.output_shape[0][-1]
    decoder = dense_decoder(width, (), width)
    decoder.get_layer("reconstruction").set_weights([np.eye(width), np.zeros(width)])
    return VAE(encoder, decoder, likelihood="gaussian", **kwargs)


def test_z_has_the_mean_and_the_variance_that_it_is_given():
    z_mean, variance = np.array([0.0, 2.0, -1.0]), np.exp([0.0, -2.0, 1.0])
    vae = identity_vae(fixed_encoder(z_mean, np.log(variance), 3), seed=0)
    seen = []
    vae.negative_log_likelihood = lambda x, output: seen.append(output.numpy()) or 0.0
    vae.compute_losses(np.zeros((100_000, 3), "float32"))
    z = seen[0].astype("float64")
    # Five standard errors of a mean and of a variance over 100 000 draws.
    np.testing.assert_array_less(abs(z.mean(0) - z_mean), 5 * np.sqrt(variance / 1e5))
    np.testing.assert_array_less(abs(z.var(0) - variance), 5 * variance * np.sqrt(2 / 1e5))
    assert abs(np.corrcoef(z.T) - np.eye(3)).max() < 5 / math.sqrt(1e5)


def test_noise_is_drawn_anew_and_repeats_with_its_seed():
    one, same, other = (small_vae(seed=seed) for seed in (3, 3, 4))
    first, second = one.noise((4, 3)).numpy(), one.noise((4, 3)).numpy()
    assert (first != second).all() and int(one.draws) == 2
    np.testing.assert_array_equal(first, same.noise((4, 3)))
    assert (other.noise((4, 3)).numpy() != first).all()
    one.draws.assign(1)
    np.testing.assert_array_equal(one.noise((4, 3)), second)
    unseeded = small_vae(), small_vae()
    assert (unseeded[0].noise((4, 3)).numpy() != unseeded[1].noise((4, 3)).numpy()).all()


def test_beta_is_obeyed_while_training(x):
    vae = small_vae(seed=0)
    vae.compile(keras.optimizers.SGD(0.0))
    history = []
    for beta in (0.0, 1.0, 5.0):
        vae.beta = beta
        history.append(vae.fit(x, batch_size=64, verbose=0).history)  # one traced function
    for beta, logs in zip((0.0, 1.0, 5.0), history):
        expected = logs["reconstruction_loss"][0] + beta * logs["kl_loss"][0]
        assert logs["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert history[0]["kl_loss"][0] > 0.01


def test_training_lowers_the_loss_and_a_high_beta_lowers_the_kl(x):
    kl = {}
    for beta in (0.1, 10.0):
        keras.utils.set_random_seed(0)
        vae = small_vae(beta=beta, seed=0)
        vae.compile(keras.optimizers.Adam(0.01))
        history = vae.fit(x, epochs=60, verbose=0).history
        assert history["loss"][-1] < history["loss"][0]
        kl[beta] = history["kl_loss"][-1]
    assert kl[10.0] < 0.1 * kl[0.1]


def test_call_is_without_noise_and_generate_is_from_the_prior(x):
    vae = small_vae(seed=0)
    np.testing.assert_array_equal(vae.predict(x, verbose=0), vae.predict(x, verbose=0))
    z_mean, z_log_var = vae.encode(x)
    np.testing.assert_array_equal(vae.decode(z_mean), vae.reconstruct(x))
    assert z_log_var.shape == z_mean.shape == (64, 3)
    np.testing.assert_array_equal(vae.generate(6, seed=1), vae.generate(6, seed=1))
    assert (vae.generate(6) != vae.generate(6)).any()
    assert vae.generate(6).shape == (6, 12)
    # Decoded by the identity, generated examples are the prior's draws themselves.
    draws = identity_vae(gaussian_encoder(2, (), 2)).generate(50_000, 0)
    assert scipy.stats.kstest(draws.ravel(), "norm").pvalue > 1e-3


def test_evaluate_is_a_mean_over_examples_whatever_the_batch_size(x):
    vae = VAE(fixed_encoder([0.1, 0.2], [-60.0, -60.0], 12), dense_decoder(2, (6,), 12))
    vae.compile()
    whole = vae.evaluate(x, batch_size=64, verbose=0)
    np.testing.assert_allclose(vae.evaluate(x, batch_size=10, verbose=0), whole, rtol=1e-5)


def test_weight_penalties_of_the_networks_are_in_the_loss(x):
    decoder = dense_decoder(3, (8,), 12, kernel_regularizer=keras.regularizers.L2(0.5))
    vae = VAE(gaussian_encoder(12, (8,), 3), decoder)
    loss, reconstruction_loss, kl_loss = vae.compute_losses(x)
    penalty = 0.5 * sum(np.sum(w**2) for w in decoder.get_weights() if w.ndim == 2)
    np.testing.assert_allclose(loss, reconstruction_loss + kl_loss + penalty, rtol=1e-5)


def test_images_of_any_rank():
    image = keras.Input((4, 4, 1))
    heads = [layers.Dense(2)(layers.Flatten()(layers.Conv2D(3, 3)(image))) for _ in range(2)]
    z = keras.Input((2,))
    decoded = layers.Reshape((4, 4, 1))(layers.Dense(16)(z))
    vae = VAE(keras.Model(image, heads), keras.Model(z, decoded))
    vae.compile("adam")
    x = np.random.default_rng(0).uniform(size=(8, 4, 4, 1)).astype("float32")
    with pytest.raises(ValueError, match=r"shape \(None, 4, 4, 1\).*, got .*, 16\)"):
        vae.fit(x.reshape(8, 16))
    logs = vae.evaluate(x, verbose=0, return_dict=True)
    assert logs["reconstruction_loss"] == pytest.approx(16 * math.log(2), rel=0.5)
    vae.fit(x, verbose=0)
    assert vae.reconstruct(x).shape == vae.predict(x, verbose=0).shape == x.shape
    # Keras has traced the step, and once more for a shape left open: the graph refuses.
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="(?i)shape"):
        vae.fit(x.reshape(8, 16))


def latents_of_rank_3(kind, flat=False, **kwargs):
    """Return a model with codes of (4, 4, 2), or its twin with codes of 32, with equal weights."""
    keras.utils.set_random_seed(0)
    x, z = keras.Input((12,)), keras.Input((32,) if flat else (4, 4, 2))
    shape = layers.Reshape((32,) if flat else (4, 4, 2))
    encoder = keras.Model(x, [shape(layers.Dense(32)(x)) for _ in range(2)])
    decoder = keras.Model(z, layers.Dense(12)(layers.Flatten()(z)))
    return kind(encoder, decoder, seed=5, **kwargs)


@pytest.mark.parametrize("kind", [VAE, IWAE])
def test_codes_of_rank_3(kind, x):
    vae, twin = latents_of_rank_3(kind), latents_of_rank_3(kind, flat=True)
    if kind is VAE:
        z_mean, z_log_var = (head.astype("float64") for head in vae.encode(x))
        assert z_mean.shape == (64, 4, 4, 2)
        kl = 0.5 * np.sum(z_mean**2 + np.exp(z_log_var) - 1 - z_log_var, axis=(1, 2, 3))
        np.testing.assert_allclose(vae.compute_losses(x)[2], kl, rtol=1e-5)
        twin.noise((64, 32))  # as often as the other
        # E log p(x | z) over the 4000 draws that `elbo` is to make, less that KL.
        z = np.random.default_rng(0).normal(size=(4000, 1, 4, 4, 2))
        z = (z_mean[:4] + np.exp(0.5 * z_log_var[:4]) * z).reshape(-1, 32)
        kernel, bias = vae.decoder.get_weights()
        logits = (z @ kernel + bias).reshape(4000, 4, 12)
        nats = np.sum(np.logaddexp(0, logits) - x[:4] * logits, axis=2)
        error = nats.std(axis=0) / math.sqrt(4000)
        found = elbo(vae, x[:4], 4000)
        np.testing.assert_array_less(abs(found + nats.mean(axis=0) + kl[:4]), 8 * error)
    for one, other in zip(vae.compute_losses(x), twin.compute_losses(x)):
        assert one.shape == (64,)
        np.testing.assert_allclose(one, other, rtol=1e-5)
    for measure in (elbo, log_likelihood):
        np.testing.assert_allclose(measure(vae, x, 20), measure(twin, x, 20), rtol=1e-5)
    vae.compile("adam")
    assert np.isfinite(vae.fit(x, verbose=0).history["loss"]).all()
    assert vae.generate(3).shape == (3, 12)


def test_beta_is_a_setting_and_no_weight(x, tmp_path):
    vae, other = small_vae(beta=0.3, seed=0), small_vae(beta=2.0, seed=1)
    assert len(vae.weights) == len(vae.encoder.weights + vae.decoder.weights) + 2  # the noise's
    assert [w.name for w in vae.non_trainable_weights] == ["seed", "draws"]
    vae.save_weights(tmp_path / "vae.weights.h5")
    other.load_weights(tmp_path / "vae.weights.h5")
    assert other.beta == 2
    other.set_weights(vae.get_weights())
    assert other.beta == 2
    for a, b in zip(vae.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    other.beta = 0.7  # not what it was made with
    for compiled in (False, True):
        other.save(tmp_path / "vae.keras")
        loaded = keras.saving.load_model(tmp_path / "vae.keras")
        assert loaded.beta == pytest.approx(0.7, rel=1e-6) and loaded.compiled is compiled
        other.compile("adam")
    loss, reconstruction_loss, kl_loss = loaded.compute_losses(x)
    np.testing.assert_allclose(loss, reconstruction_loss + 0.7 * kl_loss, rtol=1e-5)


@pytest.mark.parametrize("size", [3, 64, 1000])
def test_one_nan_is_found_wherever_it_is(size):
    """The check takes the least and the greatest value to be NaN if there is one."""
    rng = np.random.default_rng(0)
    vae = small_vae()
    for place in (0, 12 * size - 1, *rng.integers(12 * size, size=20)):
        x = rng.uniform(size=12 * size).astype("float32")
        x[place] = np.nan
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[nan\] \[nan\]"):
            vae.encode(x.reshape(size, 12))


def test_a_little_way_out_of_range_is_rounding(x):
    vae = small_vae()
    vae.compile("adam")
    vae.fit(x * 1.0018 - 0.0009, verbose=0)
    for far in (x - 0.0012 - x.min(), x + 1.0012 - x.max()):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[0, 1\]"):
            vae.fit(far, verbose=0)


def test_a_pipeline_is_checked_when_traced(x):
    vae = small_vae()
    vae.compile("adam")
    for bad, words in (((255 * x).astype("uint8"), "uint8"), (x[:, :5], "shape")):
        with pytest.raises(ValueError, match=words):
            vae.fit(tf.data.Dataset.from_tensors(bad), shuffle=False, verbose=0)


def test_vectors_without_bounds_need_the_gaussian_likelihood(x):
    vectors = 8 * x - 4
    networks = gaussian_encoder(12, (8,), 3), dense_decoder(3, (8,), 12)
    vae = VAE(*networks, likelihood="gaussian")
    vae.compile("adam")
    vae.fit(vectors, verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="x must be finite"):
        vae.fit(np.where(x > 0.5, np.inf, vectors), verbose=0)
    np.testing.assert_array_equal(  # means, not logits
        vae.decode(np.ones((2, 3), "float32")), vae.decoder.predict(np.ones((2, 3)), verbose=0)
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[0, 1\]"):
        small_vae().encode(vectors)
