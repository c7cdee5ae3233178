import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from conftest import slope_and_gradient

from keras_vae import IWAE, VAE, dense_decoder, gaussian_encoder, log_likelihood


def small_iwae(num=5, **kwargs):
    return IWAE(
        gaussian_encoder(12, (8,), 3), dense_decoder(3, (8,), 12),
        num_importance_samples=num, **kwargs,
    )


def test_the_loss_is_the_bound_computed_with_numpy(x):
    iwae = small_iwae(beta=0.7)
    rng = np.random.default_rng(0)
    epsilon = rng.normal(size=(len(x) * 5, 3)).astype("float32")
    iwae.noise = lambda shape: tf.constant(epsilon)
    z_mean, z_log_var = (np.repeat(h, 5, axis=0).astype("float64") for h in iwae.encode(x))
    sigma = np.exp(0.5 * z_log_var)
    z = z_mean + sigma * epsilon
    p = scipy.special.expit(iwae.decoder(z.astype("float32")).numpy().astype("float64"))
    copies = np.repeat(x, 5, axis=0).astype("float64")
    log_p = np.sum(copies * np.log(p) + (1 - copies) * np.log1p(-p), axis=1)
    log_q = scipy.stats.norm(z_mean, sigma).logpdf(z).sum(axis=1)
    log_prior = scipy.stats.norm.logpdf(z).sum(axis=1)
    weights = np.exp(log_p + 0.7 * (log_prior - log_q)).reshape(-1, 5)
    loss, reconstruction_loss, kl_loss = iwae.compute_losses(tf.constant(x))
    np.testing.assert_allclose(loss, -np.log(weights.mean(axis=1)), rtol=1e-5)
    log_p, kl = log_p.reshape(-1, 5), (log_q - log_prior).reshape(-1, 5)
    np.testing.assert_allclose(reconstruction_loss, -log_p.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(kl_loss, kl.mean(axis=1), rtol=1e-4, atol=1e-5)


def test_the_gradient_is_that_of_finite_differences(x):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    iwae = small_iwae()
    epsilon = tf.constant(np.random.default_rng(0).normal(size=(len(x) * 5, 3)))
    iwae.noise = lambda shape: epsilon
    x = tf.constant(x, "float64")
    slope, gradient = slope_and_gradient(iwae, lambda: iwae.compute_losses(x)[0])
    assert slope == pytest.approx(gradient, rel=1e-6)


def test_evaluate_agrees_with_the_measure_and_lies_below_the_vaes_loss(x):
    iwae = small_iwae(seed=0)
    iwae.compile("adam")
    many = np.tile(x, (300, 1))
    found = iwae.evaluate(many, batch_size=640, verbose=0, return_dict=True)
    measured = -log_likelihood(iwae, many, 5, seed=1)
    assert found["loss"] == pytest.approx(measured.mean(), abs=6 * measured.std() / 19200**0.5)
    assert found["loss"] < found["reconstruction_loss"] + found["kl_loss"]
    one = small_iwae(num=1, seed=0)
    one.set_weights(iwae.get_weights())
    vae = VAE(one.encoder, one.decoder, seed=0)
    vae.compile("adam")
    one.compile("adam")
    assert one.evaluate(many, batch_size=640, verbose=0)[0] == pytest.approx(
        vae.evaluate(many, batch_size=640, verbose=0)[0], rel=5e-3
    )


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_fit_lowers_the_loss_and_saving_keeps_everything(x, tmp_path, policy):
    keras.config.set_dtype_policy(policy)
    iwae = small_iwae(num=3, seed=0)
    iwae.compile(keras.optimizers.Adam(0.01), steps_per_execution=2)
    history = iwae.fit(x, epochs=20, batch_size=16, verbose=0, validation_data=(x, None)).history
    assert history["loss"][-1] < history["loss"][0] - 0.3
    iwae.save(tmp_path / "iwae.keras")
    loaded = keras.saving.load_model(tmp_path / "iwae.keras")
    assert type(loaded).__name__ == "IWAE" and loaded.num_importance_samples == 3
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), iwae.predict(x, verbose=0))
    assert loaded.evaluate(x, verbose=0) == pytest.approx(iwae.evaluate(x, verbose=0), rel=1e-6)


def test_weight_penalties_are_in_the_loss(x):
    found = []
    for penalty in (keras.regularizers.L2(0.5), None):
        keras.utils.set_random_seed(0)
        decoder = dense_decoder(3, (8,), 12, kernel_regularizer=penalty)
        found.append(IWAE(gaussian_encoder(12, (8,), 3), decoder, seed=0).compute_losses(x))
    squares = sum(np.sum(w**2) for w in decoder.get_weights() if w.ndim == 2)
    np.testing.assert_allclose(found[0][0], found[1][0] + 0.5 * squares, rtol=1e-5)
    np.testing.assert_allclose(found[0][1:], found[1][1:], rtol=1e-6)


def test_wrong_numbers_of_draws_are_refused():
    for wrong in (0, -2, 2.5):
        with pytest.raises(ValueError, match="num_importance_samples must be"):
            small_iwae(num=wrong)
