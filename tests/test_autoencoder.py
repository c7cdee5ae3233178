import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_autoencoder

from keras_vae import Autoencoder, batches, dense_decoder, dense_encoder, gaussian_encoder


def test_a_linear_autoencoder_reaches_the_error_of_pca():
    """PCA is the optimum of a linear autoencoder: Baldi & Hornik 1989."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(256, 2)) @ rng.normal(size=(2, 6))).astype("float32")
    x += 0.3 * rng.normal(size=x.shape).astype("float32")
    x -= x.mean(axis=0)
    optimum = np.sum(np.linalg.svd(x, compute_uv=False)[2:] ** 2) / x.size
    model = Autoencoder(dense_encoder(6, (), 2), dense_decoder(2, (), 6, None))
    model.compile(keras.optimizers.Adam(0.02), "mse", steps_per_execution=8)
    model.fit(batches((x, x), 256, passes=8), epochs=60, verbose=0)
    error = float(np.mean((model.reconstruct(x) - x) ** 2))
    assert optimum * 0.999 < error < optimum * 1.02


def test_verbs_agree(x):
    model = small_autoencoder()
    np.testing.assert_array_equal(model.reconstruct(x), model.predict(x, verbose=0))
    np.testing.assert_array_equal(model.encode(x), model.encoder.predict(x, verbose=0))
    np.testing.assert_array_equal(model.decode(model.encode(x)), model.reconstruct(x))


def test_networks_must_fit():
    encoder, decoder = dense_encoder(12, (), 3), dense_decoder(3, (), 12)
    with pytest.raises(TypeError, match="encoder"):
        Autoencoder(lambda x: x, decoder)
    with pytest.raises(TypeError, match="one tensor"):
        Autoencoder(gaussian_encoder(12, (), 3), decoder)
    with pytest.raises(ValueError, match="code"):
        Autoencoder(encoder, dense_decoder(4, (), 12))
    with pytest.raises(ValueError, match=r"\(None, 12\).*\(None, 13\)"):
        Autoencoder(encoder, dense_decoder(3, (), 13))
    with pytest.raises(TypeError, match="encoder must be a functional"):
        Autoencoder(small_autoencoder(), decoder)


def test_targets_and_inputs_are_checked(x):
    model = small_autoencoder()
    with pytest.raises(ValueError, match="compile"):
        model.fit(x, x)
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"fit\(x, x\)"):
        model.fit(x)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        model.fit(x, 255 * x)
    with pytest.raises(ValueError, match="validation_data"):
        model.fit(x, x, validation_data=(x - 1, x - 1))
    with pytest.raises(ValueError, match="NaN"):
        model.evaluate(x * np.nan, x)
    noisy = x + np.random.default_rng(0).normal(size=x.shape).astype("float32")
    model.fit(noisy, x, verbose=0)  # a denoising autoencoder's input may leave [0, 1]


def test_the_targets_of_a_pipeline_are_checked(x):
    model = small_autoencoder()
    model.compile("adam", "mse")
    labels = np.zeros((64, 1), "float32")
    pairs = {
        r"shape \(batch, 12\)": (x, labels),
        "uint8": (x, (255 * x).astype("uint8")),
        r"fit\(x, x\)": x,
    }
    for words, arrays in pairs.items():
        with pytest.raises(ValueError, match=words):
            model.fit(tf.data.Dataset.from_tensor_slices(arrays).batch(16), verbose=0)


def test_a_linear_output_takes_vectors_without_bounds(x):
    model = Autoencoder(dense_encoder(12, (8,), 3), dense_decoder(3, (8,), 12, None))
    model.compile("adam", "mse")
    model.fit(10 * x - 5, 10 * x - 5, verbose=0)
