import keras
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from keras_vae import (
    GAN,
    VAE,
    conv_decoder,
    conv_discriminator,
    conv_encoder,
    conv_generator,
    dense_decoder,
    dense_discriminator,
    dense_encoder,
    dense_generator,
    gaussian_encoder,
)


def test_shapes_and_order_of_layers():
    encoder = dense_encoder(20, (16, 8), 3)
    assert encoder.input_shape == (None, 20) and encoder.output_shape == (None, 3)
    assert [layer.name for layer in encoder.layers] == ["x", "hidden_1", "hidden_2", "code"]
    assert [layer.units for layer in encoder.layers[1:]] == [16, 8, 3]
    z_mean, z_log_var = gaussian_encoder(20, [16], 3).output_shape
    assert z_mean == z_log_var == (None, 3)
    assert dense_decoder(3, (8, 16), 20).output_shape == (None, 20)
    assert dense_generator(5, (8,), 20).output_shape == (None, 20)
    assert dense_discriminator(20, (8,)).output_shape == (None, 1)
    assert dense_encoder(20, (), 3).count_params() == 20 * 3 + 3


def test_hidden_dims_are_not_changed():
    hidden_dims = [16, 8]
    dense_encoder(20, hidden_dims, 3)
    dense_decoder(3, hidden_dims, 20)
    assert hidden_dims == [16, 8]


def test_heads_and_logit_are_linear_and_images_are_not():
    encoder = gaussian_encoder(20, (8,), 3)
    for name in ("z_mean", "z_log_var"):
        assert encoder.get_layer(name).activation is keras.activations.linear
    x = np.random.default_rng(0).normal(size=(200, 20)).astype("float32")
    z_mean, z_log_var = encoder.predict(x, verbose=0)
    assert (z_mean.min(axis=0) < 0).all() and (z_log_var.min(axis=0) < 0).all()
    logits = dense_discriminator(20, (8,)).predict(100 * x, verbose=0)
    assert abs(logits).max() > 1
    images = dense_generator(5, (8,), 20).predict(100 * x[:, :5], verbose=0)
    assert images.min() >= 0 and images.max() <= 1
    far = dense_decoder(3, (8,), 20).predict(100 * x[:, :3], verbose=0)
    assert far.min() < -1 and far.max() > 1
    for images in (dense_decoder(3, (8,), 20, "sigmoid").predict(100 * x[:, :3], verbose=0),
                   conv_generator(3, (4,), (4, 6), 3).predict(100 * x[:, :3], verbose=0)):
        assert images.min() >= 0 and images.max() <= 1 and images.max() - images.min() > 0.5
    for discriminator in (conv_discriminator((4, 4), (4,)), conv_discriminator((2, 2), (4,), 4)):
        assert abs(discriminator.predict(100 * x[:, :16], verbose=0)).max() > 1


def test_penalties_are_those_of_the_formula():
    encoder = dense_encoder(
        4,
        (5,),
        2,
        kernel_regularizer=keras.regularizers.L2(0.1),
        activity_regularizer=keras.regularizers.L1(0.5),
    )
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    code = encoder(x)
    kernels = [w.numpy() for w in encoder.weights if len(w.shape) == 2]
    weights = 0.1 * sum(np.sum(w**2) for w in kernels)
    codes = 0.5 * np.abs(code.numpy()).sum()
    if tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 15):
        codes /= len(x)  # older ones do not take the mean over the batch
    np.testing.assert_allclose(sum(map(float, encoder.losses)), weights + codes, rtol=1e-5)


@pytest.mark.parametrize("build", [
    lambda shape: conv_encoder(shape, (4,), 2, channels=3),
    lambda shape: conv_decoder(2, (4,), shape),
    lambda shape: conv_generator(2, (4,), shape),
    lambda shape: conv_discriminator(shape, (4,)),
])
@pytest.mark.parametrize("shape", [(8, 8, 3), (64,), 8, None])
def test_a_wrong_image_shape_is_told_in_one_line(build, shape):
    with pytest.raises(ValueError, match=r"image_shape must be \(height, width\).*channels=3") as e:
        build(shape)
    assert repr(shape) in str(e.value) and "\n" not in str(e.value)


def test_dropout_acts_in_training_only():
    discriminator = dense_discriminator(20, (64,), dropout=0.5)
    x = np.ones((1, 20), "float32")
    assert float(discriminator(x)[0, 0]) == float(discriminator(x)[0, 0])
    drawn = {float(discriminator(x, training=True)[0, 0]) for _ in range(5)}
    assert len(drawn) > 1


def test_outputs_stay_float32_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert dense_decoder(3, (8,), 20).output.dtype == "float32"
    assert gaussian_encoder(20, (8,), 3).output[1].dtype == "float32"
    assert dense_discriminator(20, (8,)).get_layer("hidden_1").compute_dtype == "bfloat16"


@pytest.mark.parametrize(
    "build, error, words",
    [
        (lambda: dense_encoder(20, (8,), 0), ValueError, "latent_dim"),
        (lambda: gaussian_encoder(20, (8,), -1), ValueError, "latent_dim"),
        (lambda: gaussian_encoder(20, (8,), 2.5), TypeError, "latent_dim"),
        (lambda: dense_decoder(3, (8, 0), 20), ValueError, "hidden_dims"),
        (lambda: dense_decoder(3, 8, 20), TypeError, "hidden_dims"),
        (lambda: dense_decoder(3, "88", 20), TypeError, "hidden_dims"),
        (lambda: dense_decoder(3, reversed((8, 16)), 20), TypeError, "hidden_dims"),
        (lambda: dense_decoder(3, (units for units in (8, 16)), 20), TypeError, "hidden_dims"),
        (lambda: dense_decoder(3, {8, 16}, 20), TypeError, "hidden_dims"),
        (lambda: dense_discriminator(20, (8,), dropout=1.0), ValueError, "dropout"),
        (lambda: dense_generator(0, (8,), 20), ValueError, "noise_dim"),
        (lambda: dense_discriminator(True, (8,)), TypeError, "input_dim"),
        (lambda: conv_discriminator((4, 4), (8,), dropout=-0.1), ValueError, "dropout"),
        (lambda: conv_generator(0, (8,), (4, 4)), ValueError, "noise_dim"),
        (lambda: conv_encoder((4, 4), (8,), 2, channels=0), ValueError, "channels"),
        (lambda: conv_decoder(2, (8,), (4, 4), channels=1.5), TypeError, "channels"),
    ],
)
def test_sizes_are_checked(build, error, words):
    with pytest.raises(error, match=words):
        build()


def test_convolutional_networks_halve_and_double():
    encoder = conv_encoder((12, 8), (4, 6), 3)
    decoder = conv_decoder(3, (6, 4), (12, 8))
    assert [layer.name for layer in encoder.layers[:4]] == ["x", "image", "conv_1", "conv_2"]
    assert encoder.input_shape == decoder.output_shape == (None, 96)
    assert encoder.get_layer("conv_2").output.shape == (None, 3, 2, 6)
    assert encoder.output_shape == [(None, 3), (None, 3)]
    assert decoder.get_layer("conv_1").output.shape == (None, 6, 4, 4)
    # Nine weights a pair of channels and a bias a channel; 3 · 2 · 6 numbers to the two heads.
    assert encoder.count_params() == 9 * 4 + 4 + 9 * 4 * 6 + 6 + 2 * (36 * 3 + 3)
    assert decoder.count_params() == 3 * 36 + 36 + 9 * 6 * 4 + 4 + 9 * 4 + 1


def test_colour_images_have_three_numbers_a_pixel():
    encoder, decoder = conv_encoder((12, 8), (4, 6), 3, 3), conv_decoder(3, (6, 4), (12, 8), 3)
    assert encoder.input_shape == decoder.output_shape == (None, 12 * 8 * 3)
    assert encoder.get_layer("image").output.shape == (None, 12, 8, 3)
    assert decoder.get_layer("reconstruction").output.shape == (None, 12, 8, 3)
    assert encoder.count_params() == 9 * 3 * 4 + 4 + 9 * 4 * 6 + 6 + 2 * (36 * 3 + 3)
    assert decoder.count_params() == 3 * 36 + 36 + 9 * 6 * 4 + 4 + 9 * 4 * 3 + 3
    generator = conv_generator(5, (6, 4), (12, 8), 3)
    discriminator = conv_discriminator((12, 8), (4, 6), 3, dropout=0.3)
    assert generator.output_shape == discriminator.input_shape == (None, 12 * 8 * 3)
    assert discriminator.output_shape == (None, 1)
    assert generator.count_params() == 5 * 36 + 36 + 9 * 6 * 4 + 4 + 9 * 4 * 3 + 3
    assert discriminator.count_params() == 9 * 3 * 4 + 4 + 9 * 4 * 6 + 6 + 36 + 1
    x = np.random.default_rng(0).uniform(size=(8, 288)).astype("float32")
    vae = VAE(encoder, decoder)
    assert vae.reconstruct(x).shape == x.shape


@pytest.mark.parametrize("channels, build, activation", [
    (1, lambda channels: conv_encoder((6, 10), (1,), 2, channels), lambda x: np.maximum(x, 0)),
    (3, lambda channels: conv_encoder((6, 10), (1,), 2, channels), lambda x: np.maximum(x, 0)),
    (3, lambda channels: conv_discriminator((6, 10), (1,), channels),
     lambda x: np.maximum(x, 0.2 * x)),
])
def test_a_convolution_sees_the_flat_image_row_by_row(channels, build, activation):
    network = build(channels)
    image = np.random.default_rng(0).uniform(size=(6, 10, channels)).astype("float32")
    layer = network.get_layer("conv_1")
    kernel = layer.get_weights()[0][:, :, :, 0].astype("float64")
    network = keras.Model(network.inputs, layer.output)
    found = network.predict(image.reshape(1, -1), verbose=0)[0, :, :, 0]
    # "same" with stride 2 on even sizes pads one row below and one column to the right.
    padded = np.pad(image, ((0, 1), (0, 1), (0, 0)))
    whole = sum(
        scipy.signal.correlate2d(padded[:, :, c], kernel[:, :, c], "valid")
        for c in range(channels)
    )
    np.testing.assert_allclose(found, activation(whole[::2, ::2]), atol=1e-5)


def test_a_convolutional_vae_trains_and_its_loss_works_with_logits(tmp_path):
    x = np.random.default_rng(0).integers(0, 2, size=(64, 64)).astype("float32")
    vae = VAE(conv_encoder((8, 8), (4,), 3), conv_decoder(3, (4,), (8, 8)), seed=0)
    vae.compile(keras.optimizers.Adam(0.01))
    history = vae.fit(x, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), vae.predict(x, verbose=0))
    kernel, bias = vae.decoder.get_layer("reconstruction").get_weights()
    vae.decoder.get_layer("reconstruction").set_weights([0 * kernel, bias * 0 + 50])
    losses = vae.compute_losses(tf.zeros((2, 64)))[1]
    np.testing.assert_allclose(losses, 64 * 50, rtol=1e-6)  # of clipped probabilities: 64 · 16.1


def test_a_convolutional_gan_trains(tmp_path):
    """Each optimizer moves every weight of its network; images stay in [0, 1]."""
    x = np.random.default_rng(0).uniform(size=(64, 4 * 8 * 3)).astype("float32")
    generator = conv_generator(5, (4, 4), (4, 8), 3)
    gan = GAN(generator, conv_discriminator((4, 8), (4, 4), 3, dropout=0.3), seed=0)
    gan.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01))
    before = [v.numpy() for v in gan.trainable_variables]
    history = gan.fit(x, epochs=2, batch_size=16, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    assert all((v.numpy() != old).any() for v, old in zip(gan.trainable_variables, before))
    images = gan.generate(9, seed=0)
    assert images.shape == (9, 96) and images.min() >= 0 and images.max() <= 1
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(loaded.generate(9, seed=0), images)


@pytest.mark.parametrize("shape, filters, words", [
    ((28, 28), (), "at least one"),
    ((28, 28), (4, 4, 4), "divisible by 2"),
    ((7, 8), (4,), "divisible by 2"),
    ((28, 28), (0,), "filters must be made of positive"),
    ((0, 28), (4,), "height must be made of positive"),
])
def test_what_cannot_be_convolved_is_refused(shape, filters, words):
    for build in (lambda: conv_encoder(shape, filters, 2), lambda: conv_decoder(2, filters, shape),
                  lambda: conv_generator(2, filters, shape),
                  lambda: conv_discriminator(shape, filters)):
        with pytest.raises(ValueError, match=words):
            build()
    for build in (lambda: conv_encoder((28, 28), 16, 2), lambda: conv_generator(2, 16, (28, 28))):
        with pytest.raises(TypeError, match="filters must be a sequence"):
            build()
