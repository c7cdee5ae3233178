import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before the first import of TensorFlow
os.environ.setdefault("MPLBACKEND", "Agg")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

import keras_vae  # noqa: E402


@pytest.fixture(autouse=True)
def seeded():
    """Start every test from the same random state and the default precision."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def x():
    """64 small "images" of 12 pixels in [0, 1]."""
    return np.random.default_rng(0).uniform(size=(64, 12)).astype("float32")


def small_autoencoder():
    return keras_vae.Autoencoder(
        keras_vae.dense_encoder(12, (8,), 3), keras_vae.dense_decoder(3, (8,), 12, "sigmoid")
    )


def small_vae(**kwargs):
    return keras_vae.VAE(
        keras_vae.gaussian_encoder(12, (8,), 3), keras_vae.dense_decoder(3, (8,), 12), **kwargs
    )


def small_gan(**kwargs):
    return keras_vae.GAN(
        keras_vae.dense_generator(5, (8,), 12), keras_vae.dense_discriminator(12, (8,)), **kwargs
    )


def state(model):
    """Return every number that training changes: weights, seeds, and the optimizers' own."""
    optimizers = [model.optimizer, getattr(model, "d_optimizer", None)]
    parts = [model, *filter(None, optimizers)]
    return [keras.ops.convert_to_numpy(v) for part in parts for v in part.variables]


def assert_equal(arrays, others):
    """Assert that two lists of arrays are equal to the bit."""
    for a, b in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(a, b)
