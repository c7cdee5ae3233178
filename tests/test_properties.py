"""The losses against float64 NumPy, over shapes, ranks, saturated logits and extreme variances."""

import math
import types

import hypothesis.extra.numpy as arrays
import numpy as np
import tensorflow as tf
from conftest import small_gan, small_vae
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_vae import GAN, IWAE, VAE

quick = settings(max_examples=60, deadline=None, derandomize=True)


def numbers(shape, least, greatest):
    floats = st.floats(least, greatest, width=32, allow_subnormal=False)
    return arrays.arrays("float32", shape, elements=floats)


shapes = arrays.array_shapes(min_dims=2, max_dims=4, max_side=5)  # (batch, …)


@st.composite
def examples(draw):
    """Return x in [0, 1], a decoder's outputs, and the heads and the noise of as many codes."""
    shape, codes = draw(shapes), draw(arrays.array_shapes(min_dims=1, max_dims=3, max_side=4))
    codes = (shape[0], *codes)
    x, output = draw(numbers(shape, 0, 1)), draw(numbers(shape, -1e4, 1e4))
    z_mean, z_log_var = draw(numbers(codes, -30, 30)), draw(numbers(codes, -80, 40))
    return x, output, z_mean, z_log_var, draw(numbers(codes, -4, 4))


def stand_in(kind, output, z_mean, z_log_var, epsilon, **settings):
    """Return what `compute_losses` sees of a model, with networks that give these numbers."""
    model = types.SimpleNamespace(
        encoder=lambda x, training: (tf.constant(z_mean), tf.constant(z_log_var)),
        decoder=lambda z, training: tf.constant(output),
        noise=lambda shape: tf.constant(epsilon),
        variable_dtype="float32", _penalty=lambda: 0.0, _beta=0.5, likelihood="bernoulli",
        x_log_var=tf.zeros(()),
    )
    vars(model).update(settings)
    model.negative_log_likelihood = lambda *args: VAE.negative_log_likelihood(model, *args)
    return model


def bernoulli(x, output):
    """Return −log p(x | z) of each example, (batch,), in float64."""
    x, output = x.astype("float64"), output.astype("float64")
    return (np.logaddexp(0, output) - x * output).reshape(len(x), -1).sum(axis=1)


@quick
@given(examples())
def test_the_losses_of_a_vae(numbers):
    x, output, z_mean, z_log_var, epsilon = numbers
    seen = []
    model = stand_in(VAE, *numbers[1:])
    model.decoder = lambda z, training: seen.append(z.numpy()) or tf.constant(output)
    found = VAE.compute_losses(model, tf.constant(x))
    z = z_mean + np.exp(0.5 * z_log_var.astype("float64")) * epsilon
    size = np.abs(z_mean) + np.abs(z - z_mean)
    assert (np.abs(seen[0] - z) <= 1e-5 * size + 1e-9).all()
    nats = bernoulli(x, output)
    mean, log_var = z_mean.astype("float64"), z_log_var.astype("float64")
    terms = 0.5 * np.stack([mean**2, np.exp(log_var), -log_var, -np.ones_like(mean)])
    kl = terms.sum(axis=0).reshape(len(x), -1).sum(axis=1)
    size = np.abs(terms).reshape(4, len(x), -1).sum(axis=(0, 2))  # of what cancels
    assert all(loss.shape == (len(x),) for loss in found)
    np.testing.assert_allclose(found[1], nats, rtol=1e-5, atol=1e-3)
    assert (np.abs(found[2] - kl) <= 1e-5 * size).all()
    error = 1e-5 * (size + np.abs(nats)) + 1e-3
    assert (np.abs(found[0] - (nats + 0.5 * kl)) <= error).all()
    assert (kl >= -1e-9).all()


@quick
@given(examples(), st.booleans())
def test_the_gaussian_likelihood(numbers, learned):
    x, output, *_ = numbers
    x, output = 100 * x, output / 100
    log_var = np.linspace(-9, 9, x[0].size, dtype="float32").reshape(x.shape[1:])
    log_var = log_var if learned else np.zeros((), "float32")
    model = stand_in(VAE, *numbers[1:], likelihood="gaussian", x_log_var=tf.constant(log_var))
    found = VAE.negative_log_likelihood(model, tf.constant(x), tf.constant(output))
    variance = np.exp(log_var.astype("float64"))
    distance = (x.astype("float64") - output.astype("float64")) ** 2
    nats = 0.5 * (distance / variance + np.log(2 * math.pi * variance))
    error = 1e-5 * np.abs(nats).reshape(len(x), -1).sum(axis=1) + 1e-4
    assert (np.abs(found - nats.reshape(len(x), -1).sum(axis=1)) <= error).all()


@quick
@given(st.integers(1, 5), st.integers(1, 4), st.data())
def test_the_bound_of_an_iwae(num, batch, data):
    """Against log (1/K) Σ w_k over densities written out, at beta = 1."""
    x, output = data.draw(numbers((batch, 6), 0, 1)), data.draw(numbers((batch * num, 6), -50, 50))
    z_mean, z_log_var = data.draw(numbers((batch, 3), -4, 4)), data.draw(numbers((batch, 3), -9, 3))
    epsilon = data.draw(numbers((batch * num, 3), -4, 4))
    model = stand_in(
        IWAE, output, z_mean, z_log_var, epsilon, num_importance_samples=num, _beta=1.0
    )
    loss, reconstruction_loss, kl_loss = IWAE.compute_losses(model, tf.constant(x))
    mean, log_var = (np.repeat(h.astype("float64"), num, axis=0) for h in (z_mean, z_log_var))
    z = mean + np.exp(0.5 * log_var) * epsilon

    def normal(z, mean, log_var):
        return -0.5 * np.sum((z - mean) ** 2 / np.exp(log_var) + log_var + np.log(2 * math.pi), 1)

    log_p = -bernoulli(np.repeat(x, num, axis=0), output)
    kl = normal(z, mean, log_var) - normal(z, 0 * mean, 0 * mean)
    weights = (log_p - kl).reshape(batch, num)
    bound = np.logaddexp.reduce(weights, axis=1) - math.log(num)
    np.testing.assert_allclose(loss, -bound, rtol=2e-5, atol=2e-3)
    np.testing.assert_allclose(reconstruction_loss, -log_p.reshape(batch, num).mean(1), rtol=1e-4,
                               atol=1e-3)
    np.testing.assert_allclose(kl_loss, kl.reshape(batch, num).mean(1), rtol=1e-4, atol=2e-3)


@quick
@given(numbers((7, 1), -1e4, 1e4), numbers((7, 1), -1e4, 1e4), st.floats(0, 0.49))
def test_the_losses_of_a_gan(real, fake, smoothing):
    logits = iter([real, fake])

    class Generator:
        input_shape = (None, 5)

        def __call__(self, noise, training):
            return noise

    model = types.SimpleNamespace(
        generator=Generator(), variable_dtype="float32", label_smoothing=smoothing,
        discriminator=lambda images, training: tf.constant(next(logits)),
        noise=lambda shape: tf.zeros(shape), _penalty=lambda network: 0.0,
    )
    d_loss, g_loss, *right = GAN.compute_losses(model, tf.zeros((7, 3)))
    a, b = real.astype("float64"), fake.astype("float64")
    expected = (1 - smoothing) * np.logaddexp(0, -a) + smoothing * np.logaddexp(0, a)
    np.testing.assert_allclose(d_loss, expected + np.logaddexp(0, b), rtol=1e-5, atol=5e-3)
    np.testing.assert_allclose(g_loss, np.logaddexp(0, -b), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(right, [real > 0, fake <= 0])


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.integers(1, 64))
def test_a_mean_over_examples_whatever_the_batches(batch_size, num):
    x = np.random.default_rng(num).uniform(size=(num, 12)).astype("float32")
    for model in MODELS:
        whole = model.evaluate(x, batch_size=64, verbose=0, return_dict=True)
        parts = model.evaluate(x, batch_size=batch_size, verbose=0, return_dict=True)
        for name in whole:
            assert math.isclose(whole[name], parts[name], rel_tol=1e-5, abs_tol=1e-6), name


MODELS = [small_vae(), small_gan()]
for _model in MODELS:
    _model.noise = lambda shape: tf.zeros(shape)
    _model.compile()
