import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_gan

from keras_vae import GAN, dense_discriminator, dense_generator


def logit(p):
    return math.log(p / (1 - p))


def gan_with_logits(real, fake, **kwargs):
    """Return a GAN that makes zeros, whose discriminator gives `real` to ones, `fake` to zeros."""
    generator, discriminator = dense_generator(2, (), 4), dense_discriminator(4, ())
    kernel, bias = generator.get_layer("images").get_weights()
    generator.get_layer("images").set_weights([0 * kernel, bias - 100])
    kernel = np.full((4, 1), (real - fake) / 4)
    discriminator.get_layer("logit").set_weights([kernel, np.array([fake])])
    return GAN(generator, discriminator, 2, **kwargs)


def test_losses_are_those_of_the_formulas():
    gan = gan_with_logits(logit(0.8), logit(0.3), label_smoothing=0.1)
    d_loss, g_loss, real, fake = map(float, gan.compute_losses(np.ones((8, 4), "float32")))
    d_expected = -0.9 * math.log(0.8) - 0.1 * math.log(0.2) - math.log(0.7)
    assert d_loss == pytest.approx(d_expected, rel=1e-5)
    assert g_loss == pytest.approx(-math.log(0.3), rel=1e-5)
    assert (real, fake) == (1, 1)
    blind = gan_with_logits(-1.0, 1.0)
    assert [float(v) for v in blind.compute_losses(np.ones((8, 4), "float32"))[2:]] == [0, 0]


def test_the_generators_gradient_does_not_fade_where_the_discriminator_is_sure():
    """d/d(logit) of −log sigmoid(logit) is sigmoid(logit) − 1: almost −1 at a logit of −8."""
    gan = gan_with_logits(8.0, -8.0)
    bias = gan.discriminator.get_layer("logit").bias
    with tf.GradientTape() as tape:
        g_loss = gan.compute_losses(np.ones((8, 4), "float32"))[1]
    assert float(tape.gradient(g_loss, bias)[0]) == pytest.approx(1 / (1 + math.exp(8)) - 1)


@pytest.mark.parametrize("still", ["g_optimizer", "d_optimizer"])
def test_each_optimizer_moves_its_own_network_only(x, still):
    gan = small_gan(seed=0)
    optimizers = {name: keras.optimizers.SGD(0.1) for name in ("g_optimizer", "d_optimizer")}
    optimizers[still] = keras.optimizers.SGD(0.0)
    gan.compile(**optimizers)
    networks = {"g_optimizer": gan.generator, "d_optimizer": gan.discriminator}
    before = {name: network.get_weights() for name, network in networks.items()}
    gan.fit(x, batch_size=64, verbose=0)
    for name, network in networks.items():
        same = [np.array_equal(a, b) for a, b in zip(before[name], network.get_weights())]
        assert all(same) if name == still else not any(same)
    assert int(gan.g_optimizer.iterations) == int(gan.d_optimizer.iterations) == 1


def test_a_step_follows_both_gradients(x):
    """One SGD step equals the weights minus the learning rate times the gradient."""
    gan = small_gan(seed=0)
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.2))
    gan.seed_generator.state.assign([5, 0])
    with tf.GradientTape(persistent=True) as tape:
        d_loss, g_loss, *_ = gan.compute_losses(x)
    expected = [
        v.numpy() - rate * tape.gradient(loss, v).numpy()
        for loss, rate, network in ((g_loss, 0.1, gan.generator), (d_loss, 0.2, gan.discriminator))
        for v in network.trainable_variables
    ]
    gan.seed_generator.state.assign([5, 0])
    gan.fit(x, batch_size=64, verbose=0)
    new = gan.generator.get_weights() + gan.discriminator.get_weights()
    for a, b in zip(expected, new):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_it_learns_a_distribution_of_two_points():
    """Real images are all black or all white; the generator comes to make both."""
    keras.utils.set_random_seed(1)
    x = np.repeat([[0.05], [0.95]], 128, axis=0).astype("float32") * np.ones((256, 4), "float32")
    gan = GAN(dense_generator(4, (32,), 4), dense_discriminator(4, (32,)), 4, seed=1)
    adam = keras.optimizers.Adam
    gan.compile(adam(0.002, beta_1=0.5), adam(0.002, beta_1=0.5), steps_per_execution=8)
    before = gan.generate(500, seed=0).mean(axis=1)
    assert 0.3 < before.min() and before.max() < 0.7
    gan.fit(x, batch_size=32, epochs=150, verbose=0)
    brightness = gan.generate(500, seed=0).mean(axis=1)
    assert np.mean(brightness < 0.25) > 0.15 and np.mean(brightness > 0.75) > 0.15


def test_call_and_predict_take_noise_and_evaluate_takes_images(x):
    gan = small_gan(seed=0)
    gan.compile()
    noise = np.zeros((3, 5), "float32")
    assert gan.predict(noise, verbose=0).shape == (3, 12)
    logs = gan.evaluate(x, verbose=0, return_dict=True)
    assert set(logs) == {"d_loss", "g_loss", "d_accuracy_real", "d_accuracy_fake"}
    np.testing.assert_array_equal(gan.generate(4, seed=1), gan.generate(4, seed=1))
    assert (gan.generate(4) != gan.generate(4)).any()


def test_arguments_are_checked(x):
    generator, discriminator = dense_generator(5, (8,), 12), dense_discriminator(12, (8,))
    with pytest.raises(ValueError, match="noise_dim must be .* 5, got 6"):
        GAN(generator, discriminator, 6)
    with pytest.raises(ValueError, match="discriminator must take"):
        GAN(generator, dense_discriminator(13, (8,)), 5)
    with pytest.raises(ValueError, match="one logit"):
        GAN(generator, dense_generator(12, (), 2), 5)
    with pytest.raises(ValueError, match="label_smoothing"):
        GAN(generator, discriminator, 5, label_smoothing=0.6)
    probability = keras.Sequential([keras.Input((12,)), keras.layers.Dense(1, "sigmoid")])
    with pytest.raises(ValueError, match="logit"):
        GAN(generator, probability, 5)
    with pytest.raises(TypeError, match="generator"):
        GAN("generator", discriminator, 5)
    gan = GAN(generator, discriminator, 5)
    with pytest.raises(ValueError, match="compile"):
        gan.fit(x)
    adam = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="two objects"):
        gan.compile(adam, adam)
    with pytest.raises(ValueError, match="without loss"):
        gan.compile(loss="mse")
    gan.compile()
    with pytest.raises(ValueError, match="num_samples"):
        gan.generate(0)
    with pytest.raises(ValueError, match=r"noise must have shape \(batch, 5\)"):
        gan.predict(x)


def test_weight_penalties_are_in_the_loss_of_their_network(x):
    losses = {}
    for penalty in (keras.regularizers.L2(0.5), None):
        keras.utils.set_random_seed(0)
        noise, pixels = keras.Input((5,)), keras.Input((12,))
        images = keras.layers.Dense(12, "sigmoid", kernel_regularizer=penalty)(noise)
        logit = keras.layers.Dense(1, kernel_regularizer=penalty)(pixels)
        gan = GAN(keras.Model(noise, images), keras.Model(pixels, logit), 5, seed=0)
        losses[penalty is not None] = [float(value) for value in gan.compute_losses(x)[:2]]
    for i, network in enumerate((gan.discriminator, gan.generator)):
        squares = np.sum(network.get_weights()[0] ** 2)
        assert losses[True][i] == pytest.approx(losses[False][i] + 0.5 * squares, rel=1e-5)
