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
    model = Autoencoder(dense_encoder(6, (), 2), dense_decoder(2, (), 6))
    model.compile(keras.optimizers.Adam(0.02), "mse", steps_per_execution=8)
    model.fit(batches((x, x), 256, passes=8), epochs=60, shuffle=False, verbose=0)
    error = float(np.mean((model.reconstruct(x) - x) ** 2))
    assert optimum * 0.999 < error < optimum * 1.02


def test_verbs_agree(x):
    model = small_autoencoder()
    np.testing.assert_array_equal(model.reconstruct(x), model.predict(x, verbose=0))
    np.testing.assert_array_equal(model.encode(x), model.encoder.predict(x, verbose=0))
    np.testing.assert_array_equal(model.decode(model.encode(x)), model.reconstruct(x))


def test_networks_must_fit():
    encoder, decoder = dense_encoder(12, (), 3), dense_decoder(3, (), 12)
    for networks in ((lambda x: x, decoder), (small_autoencoder(), decoder), (encoder, None)):
        with pytest.raises((AttributeError, TypeError)):  # no Keras network
            Autoencoder(*networks)
    with pytest.raises(ValueError, match="received 2 input"):
        Autoencoder(gaussian_encoder(12, (), 3), decoder)
    with pytest.raises(ValueError, match=r"expected shape=\(None, 4\), found shape=\(None, 3\)"):
        Autoencoder(encoder, dense_decoder(4, (), 12))


def test_its_target_is_its_input_or_another(x):
    """`fit(x)` is `fit(x, x)`; a target of another width needs a decoder of that width."""
    found = []
    for data in ((x,), (x, x)):
        keras.utils.set_random_seed(0)
        model = small_autoencoder()
        model.compile("adam", "mse")
        history = model.fit(*data, shuffle=False, epochs=2, verbose=0).history["loss"]
        found.append([*history, model.evaluate(*data, verbose=0)])
    assert found[0] == found[1]
    mse = np.mean((model.reconstruct(x).astype("float64") - x) ** 2)
    assert found[0][-1] == pytest.approx(mse, rel=1e-5)
    half = Autoencoder(dense_encoder(12, (8,), 3), dense_decoder(3, (8,), 6))
    half.compile("adam", "mse")
    half.fit(x, x[:, ::2], verbose=0)
    for data in ((x,), (x, x)):
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="(?i)shape|target"):
            half.fit(*data, verbose=0)


def test_targets_and_inputs_are_checked(x):
    model = small_autoencoder()
    with pytest.raises(ValueError, match="compile"):
        model.fit(x, x)
    model.compile("adam", "mse")
    wrong = tf.errors.InvalidArgumentError
    with pytest.raises(wrong, match=r"target must lie in \[-0.001, 1.001\].* \[25\d"):
        model.fit(x, 255 * x, verbose=0)
    with pytest.raises(wrong, match="target must lie in"):
        model.fit(x, x, validation_data=(x - 1, x - 1), verbose=0)
    with pytest.raises(wrong, match="x must be finite.* NaN"):
        model.evaluate(x * np.nan, x, verbose=0)
    for use in (model.encode, model.reconstruct, model.predict):
        with pytest.raises(wrong, match="x must be finite.* NaN"):
            use(x * np.nan)
    noisy = x + np.random.default_rng(0).normal(size=x.shape).astype("float32")
    model.fit(noisy, x, verbose=0)  # a denoising autoencoder's input may leave [0, 1]


def test_the_targets_of_a_pipeline_are_checked(x):
    for words, arrays in {
        r"target must be .*\(None, 12\), got .* 1\)": (x, np.zeros((64, 1), "float32")),
        "uint8": (x, (255 * x).astype("uint8")),
    }.items():
        model = small_autoencoder()
        model.compile("adam", "mse")
        with pytest.raises(ValueError, match=words):
            pipeline = tf.data.Dataset.from_tensor_slices(arrays).batch(16)
            model.fit(pipeline, shuffle=False, verbose=0)
    model = small_autoencoder()
    model.compile("adam", "mse")
    model.fit(tf.data.Dataset.from_tensor_slices(x).batch(16), shuffle=False, verbose=0)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_sigmoid_bounds_the_target_also_behind_other_layers(x, hidden):
    layers = keras.layers
    decoder = dense_decoder(3, (8,), 12, "sigmoid")
    if hidden:
        decoder = keras.Sequential([
            keras.Input((3,)), layers.Dense(12), layers.Activation("sigmoid"),
            layers.Reshape((3, 4)), layers.Flatten(),
        ])
    model = Autoencoder(dense_encoder(12, (8,), 3), decoder)
    model.compile("adam", "mse")
    model.fit(x * 1.0018 - 0.0009, verbose=0)  # rounding
    for far in (x - 0.01 - x.min(), 1.01 + x - x.max()):
        with pytest.raises(tf.errors.InvalidArgumentError, match="target must lie in"):
            model.fit(far, verbose=0)


def test_a_linear_output_takes_vectors_without_bounds(x):
    model = Autoencoder(dense_encoder(12, (8,), 3), dense_decoder(3, (8,), 12))
    model.compile("adam", "mse")
    model.fit(10 * x - 5, verbose=0)
    for far in (np.nan, np.inf, -np.inf):
        with pytest.raises(tf.errors.InvalidArgumentError, match="target must lie in"):
            model.fit(np.where(x > 0.5, far, x), verbose=0)
