import math

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
from conftest import small_vae

from keras_vae import VAE, Sampling, dense_decoder, dense_encoder, gaussian_encoder


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
    kl = float(vae.compute_losses(np.full((5, 4), 0.5, "float32"))[2])
    expected = 0
    for mean, log_var in zip(z_mean, z_log_var):
        q, p = scipy.stats.norm(mean, math.exp(log_var / 2)), scipy.stats.norm(0, 1)
        expected += scipy.integrate.quad(
            lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -15, 15, epsabs=1e-9
        )[0]
    assert kl == pytest.approx(expected, rel=1e-5)


def sure_vae(likelihood, activation):
    """Return a VAE whose z has next to no noise, so that the reconstruction is exact."""
    decoder = dense_decoder(2, (6,), 4, output_activation=activation)
    return VAE(fixed_encoder([0.3, -1.2], [-60.0, -60.0]), decoder, likelihood=likelihood)


def test_bernoulli_term_is_that_of_scipy(x):
    vae = sure_vae("bernoulli", "sigmoid")
    binary = (x[:, :4] > 0.5).astype("float32")
    loss, reconstruction_loss, kl_loss = map(float, vae.compute_losses(binary))
    p = vae.reconstruct(binary).astype("float64")
    expected = -scipy.stats.bernoulli.logpmf(binary, p).sum(axis=1).mean()
    assert reconstruction_loss == pytest.approx(expected, rel=1e-5)
    assert loss == pytest.approx(reconstruction_loss + kl_loss, rel=1e-6)


def test_bernoulli_term_survives_a_saturated_sigmoid():
    vae = sure_vae("bernoulli", "sigmoid")
    kernel, bias = vae.decoder.get_layer("reconstruction").get_weights()
    vae.decoder.get_layer("reconstruction").set_weights([0 * kernel, 0 * bias + 50])
    loss = float(vae.compute_losses(np.zeros((2, 4), "float32"))[1])
    assert loss == pytest.approx(4 * 50)  # −log(1 − sigmoid(50)) = 50, where clipping gives 16


def test_gaussian_term_is_that_of_scipy(x):
    vae = sure_vae("gaussian", None)
    vectors = 6 * x[:, :4] - 3
    reconstruction_loss = float(vae.compute_losses(vectors)[1])
    expected = -scipy.stats.norm.logpdf(vectors, vae.reconstruct(vectors)).sum(axis=1).mean()
    assert reconstruction_loss == pytest.approx(expected, rel=1e-5)


def test_the_elbo_is_below_log_p_of_a_model_known_exactly():
    """x = W z + noise: p(x) is normal, and with the true posterior the bound is tight."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(2, 4)) * 0.5
    precision = np.eye(2) + w @ w.T
    # A diagonal q reaches the bound only where the posterior is diagonal: turn W to make it so.
    w = np.linalg.eigh(precision)[1].T @ w
    variance = 1 / np.diag(np.eye(2) + w @ w.T)
    encoder, decoder = gaussian_encoder(4, (), 2), dense_decoder(2, (), 4, None)
    encoder.get_layer("z_mean").set_weights([(variance[:, None] * w).T, np.zeros(2)])
    encoder.get_layer("z_log_var").set_weights([np.zeros((4, 2)), np.log(variance)])
    decoder.get_layer("reconstruction").set_weights([w, np.zeros(4)])
    vae = VAE(encoder, decoder, likelihood="gaussian", seed=0)
    x = rng.normal(size=(64, 4)).astype("float32")
    log_p = scipy.stats.multivariate_normal.logpdf(x, np.zeros(4), w.T @ w + np.eye(4)).mean()
    elbo = -np.mean([float(vae.compute_losses(x)[0]) for _ in range(300)])
    assert elbo == pytest.approx(log_p, abs=0.02)
    encoder.get_layer("z_mean").set_weights([0 * (variance[:, None] * w).T, np.zeros(2)])
    worse = -np.mean([float(vae.compute_losses(x)[0]) for _ in range(300)])
    assert worse < log_p - 0.1


def test_the_gradient_is_that_of_finite_differences(x):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    vae = small_vae(beta=0.75)  # exact in float32
    state = vae.sampling.seed_generator.state

    def loss():
        state.assign([7, 0])  # the same noise each time
        z_mean, z_log_var = vae.encoder(x)
        noise = tf.cast(vae.sampling.noise(tf.shape(z_mean)), tf.float64)
        z = z_mean + tf.exp(0.5 * z_log_var) * noise
        p = vae.decoder(z)
        bernoulli = tf.reduce_sum(x * tf.math.log(p) + (1 - x) * tf.math.log(1 - p), axis=1)
        kl = 0.5 * tf.reduce_sum(z_mean**2 + tf.exp(z_log_var) - 1 - z_log_var, axis=1)
        return float(tf.reduce_mean(-bernoulli + 0.75 * kl))

    state.assign([7, 0])
    with tf.GradientTape() as tape:
        value = vae.compute_losses(x)[0]
    assert float(value) == pytest.approx(loss(), rel=1e-8)
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


def test_sampling_has_the_mean_and_the_variance_that_it_is_given():
    z_mean = np.tile([0.0, 2.0, -1.0], (100_000, 1)).astype("float32")
    z_log_var = np.tile([0.0, -2.0, 1.0], (100_000, 1)).astype("float32")
    z = Sampling(seed=0)([z_mean, z_log_var]).numpy()
    # Five standard errors of a mean and of a variance over 100 000 draws.
    variance = np.exp(z_log_var[0])
    np.testing.assert_array_less(abs(z.mean(0) - z_mean[0]), 5 * np.sqrt(variance / 1e5))
    np.testing.assert_array_less(abs(z.var(0) - variance), 5 * variance * np.sqrt(2 / 1e5))
    assert abs(np.corrcoef(z.T) - np.eye(3)).max() < 5 / math.sqrt(1e5)


def test_sampling_draws_anew_and_repeats_with_its_seed():
    zeros = [np.zeros((4, 3), "float32")] * 2
    one, other = Sampling(seed=3), Sampling(seed=3)
    first, second = one(zeros).numpy(), one(zeros).numpy()
    assert (first != second).all()
    np.testing.assert_array_equal(first, other(zeros).numpy())
    assert (Sampling(seed=4)(zeros).numpy() != first).all()


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
    identity = dense_decoder(2, (), 2, None)
    identity.get_layer("reconstruction").set_weights([np.eye(2), np.zeros(2)])
    draws = VAE(gaussian_encoder(2, (), 2), identity, likelihood="gaussian").generate(50_000, 0)
    assert scipy.stats.kstest(draws.ravel(), "norm").pvalue > 1e-3


def test_evaluate_is_a_mean_over_examples_whatever_the_batch_size(x):
    vae = VAE(fixed_encoder([0.1, 0.2], [-60.0, -60.0], 12), dense_decoder(2, (6,), 12))
    vae.compile()
    whole = vae.evaluate(x, batch_size=64, verbose=0)
    np.testing.assert_allclose(vae.evaluate(x, batch_size=10, verbose=0), whole, rtol=1e-5)


def test_weight_penalties_of_the_networks_are_in_the_loss(x):
    decoder = dense_decoder(3, (8,), 12, kernel_regularizer=keras.regularizers.L2(0.5))
    vae = VAE(gaussian_encoder(12, (8,), 3), decoder)
    loss, reconstruction_loss, kl_loss = map(float, vae.compute_losses(x))
    penalty = 0.5 * sum(np.sum(w**2) for w in decoder.get_weights() if w.ndim == 2)
    assert loss == pytest.approx(reconstruction_loss + kl_loss + penalty, rel=1e-5)


def test_images_of_any_rank():
    layers = keras.layers
    image = keras.Input((4, 4, 1))
    heads = [layers.Dense(2)(layers.Flatten()(layers.Conv2D(3, 3)(image))) for _ in range(2)]
    z = keras.Input((2,))
    decoded = layers.Reshape((4, 4, 1))(layers.Dense(16, "sigmoid")(z))
    vae = VAE(keras.Model(image, heads), keras.Model(z, decoded))
    vae.compile("adam")
    x = np.random.default_rng(0).uniform(size=(8, 4, 4, 1)).astype("float32")
    logs = vae.evaluate(x, verbose=0, return_dict=True)
    assert logs["reconstruction_loss"] == pytest.approx(16 * math.log(2), rel=0.5)
    vae.fit(x, verbose=0)
    with pytest.raises(ValueError, match=r"\(batch, 4, 4, 1\), got \(8, 16\)"):
        vae.fit(x.reshape(8, 16))


def test_networks_must_fit():
    encoder, decoder = gaussian_encoder(12, (), 3), dense_decoder(3, (), 12)
    with pytest.raises(TypeError, match="decoder must be a functional Keras model"):
        VAE(encoder, None)
    with pytest.raises(TypeError, match="encoder must be a functional Keras model"):
        VAE(small_vae(), decoder)
    with pytest.raises(ValueError, match="sigmoid"):
        VAE(encoder, dense_decoder(3, (), 12, output_activation=None))
    with pytest.raises(TypeError, match="two tensors"):
        VAE(dense_encoder(12, (), 3), decoder)
    with pytest.raises(ValueError, match=r"\(None, 3\).*\(None, 4\)"):
        VAE(encoder, dense_decoder(4, (), 12))
    with pytest.raises(ValueError, match=r"\(None, 12\).*\(None, 13\)"):
        VAE(encoder, dense_decoder(3, (), 13))
    with pytest.raises(ValueError, match="likelihood"):
        VAE(encoder, decoder, likelihood="poisson")
    for beta in (-1, math.nan, math.inf):
        with pytest.raises(ValueError, match="beta"):
            VAE(encoder, decoder, beta=beta)
    vae = VAE(encoder, decoder)
    with pytest.raises(ValueError, match="num_samples"):
        vae.generate(0)
    with pytest.raises(ValueError, match="beta"):
        vae.beta = -0.5


def test_a_pipeline_is_checked_when_traced(x):
    vae = small_vae()
    vae.compile("adam")
    with pytest.raises(ValueError, match="uint8"):
        vae.fit(tf.data.Dataset.from_tensors((255 * x).astype("uint8")), verbose=0)
    with pytest.raises(ValueError, match="shape"):
        vae.fit(tf.data.Dataset.from_tensors(x[:, :5]), verbose=0)


def test_vectors_without_bounds_need_the_gaussian_likelihood(x):
    vectors = 8 * x - 4
    decoder = dense_decoder(3, (8,), 12, output_activation=None)
    vae = VAE(gaussian_encoder(12, (8,), 3), decoder, likelihood="gaussian")
    vae.compile("adam")
    vae.fit(vectors, verbose=0)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        small_vae().encode(vectors)


def test_what_would_be_ignored_is_refused(x):
    vae = small_vae()
    with pytest.raises(ValueError, match="compile"):
        vae.fit(x)
    vae.compile("adam", loss="mse")
    with pytest.raises(ValueError, match="its own loss"):
        vae.fit(x, verbose=0)
    vae.compile("adam", metrics=["mse"])
    with pytest.raises(ValueError, match="without metrics"):
        vae.evaluate(x, verbose=0)
    vae = small_vae()
    vae.compile("adam")
    with pytest.raises(ValueError, match="sample_weight"):
        vae.fit(x, x, sample_weight=np.ones(64), verbose=0)
