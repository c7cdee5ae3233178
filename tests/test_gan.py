import math

import keras
import numpy as np
import pytest
import scipy.stats
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
    return GAN(generator, discriminator, **kwargs)


def test_losses_are_those_of_the_formulas():
    ones = np.ones((8, 4), "float32")
    gan = gan_with_logits(logit(0.8), logit(0.3), label_smoothing=0.1)
    losses = [np.array(values) for values in gan.compute_losses(ones)]
    assert [values.shape for values in losses] == [(8, 1)] * 4
    d_expected = -0.9 * math.log(0.8) - 0.1 * math.log(0.2) - math.log(0.7)
    np.testing.assert_allclose(losses[0], d_expected, rtol=1e-5)
    np.testing.assert_allclose(losses[1], -math.log(0.3), rtol=1e-5)
    assert losses[2].dtype == losses[3].dtype == bool and losses[2].all() and losses[3].all()
    blind = gan_with_logits(-1.0, 1.0)
    assert not np.any(blind.compute_losses(ones)[2:])


def test_losses_survive_logits_that_saturate_a_sigmoid():
    """−log sigmoid(−100) = 100, where a clipped probability gives 16."""
    gan = gan_with_logits(-100.0, 100.0)
    d_loss, _, _, _ = gan.compute_losses(np.ones((8, 4), "float32"))
    np.testing.assert_allclose(d_loss, 200, rtol=1e-6)
    _, g_loss, _, _ = gan_with_logits(100.0, -100.0).compute_losses(np.ones((8, 4), "float32"))
    np.testing.assert_allclose(g_loss, 100, rtol=1e-6)


def test_the_generators_gradient_does_not_fade_where_the_discriminator_is_sure():
    """d/d(logit) of −log sigmoid(logit) is sigmoid(logit) − 1: almost −1 at a logit of −8."""
    gan = gan_with_logits(8.0, -8.0)
    bias = gan.discriminator.get_layer("logit").bias
    with tf.GradientTape() as tape:
        g_loss = tf.reduce_mean(gan.compute_losses(np.ones((8, 4), "float32"))[1])
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
    assert int(gan.optimizer.iterations) == int(gan.d_optimizer.iterations) == 1


def test_a_step_follows_both_gradients(x):
    """One SGD step equals the weights minus the learning rate times the gradient."""
    gan = small_gan(seed=0)
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.2))
    gan.draws.assign(5)
    with tf.GradientTape(persistent=True) as tape:
        d_loss, g_loss = (tf.reduce_mean(loss) for loss in gan.compute_losses(x)[:2])
    expected = [
        v.numpy() - rate * tape.gradient(loss, v).numpy()
        for loss, rate, network in ((g_loss, 0.1, gan.generator), (d_loss, 0.2, gan.discriminator))
        for v in network.trainable_variables
    ]
    gan.draws.assign(5)
    gan.fit(x, batch_size=64, verbose=0)
    new = gan.generator.get_weights() + gan.discriminator.get_weights()
    for a, b in zip(expected, new):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_it_learns_a_distribution_of_two_points():
    """Real images are all black or all white; the generator comes to make both."""
    keras.utils.set_random_seed(1)
    x = np.repeat([[0.05], [0.95]], 128, axis=0).astype("float32") * np.ones((256, 4), "float32")
    gan = GAN(dense_generator(4, (32,), 4), dense_discriminator(4, (32,)), seed=1)
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


def test_noise_is_standard_normal_drawn_anew_and_repeats_with_its_seed():
    one, same, other = (small_gan(seed=seed) for seed in (3, 3, 4))
    first, second = one.noise((4000, 5)).numpy(), one.noise((4000, 5)).numpy()
    assert scipy.stats.kstest(first.ravel(), "norm").pvalue > 1e-3
    assert (first != second).all() and int(one.draws) == 2
    np.testing.assert_array_equal(first, same.noise((4000, 5)))
    assert (other.noise((4000, 5)).numpy() != first).all()
    one.draws.assign(1)
    np.testing.assert_array_equal(one.noise((4000, 5)), second)


def generator_with(end):
    """Return a generator, 5 → 12, that ends in this activation, behind layers that hide it."""
    layers = keras.layers
    hidden = [keras.Input((5,)), layers.Dense(8, "relu"), layers.Dense(12), layers.Activation(end)]
    return keras.Sequential([*hidden, layers.Reshape((3, 4)), layers.Flatten()])


@pytest.mark.parametrize("end, low, high", [
    ("sigmoid", 0, 1), ("tanh", -1, 1), ("linear", -1e6, 1e6), ("relu", -1e6, 1e6)
])
def test_real_images_must_lie_where_the_generators_do(x, end, low, high):
    gan = GAN(generator_with(end), dense_discriminator(12, (8,)))
    gan.compile()
    scale = high - low
    gan.fit(low + scale * x, verbose=0)
    gan.evaluate((low - 9e-4 + (scale + 1.8e-3) * x).astype("float32"), verbose=0)  # rounding
    spoils = [x * np.nan, np.where(x > 0.5, np.inf, x), np.where(x > 0.5, -np.inf, x)]
    if scale < 3:
        spoils += [low + scale * 1.1 * x, low - 0.1 + scale * x]
    for bad in spoils:
        with pytest.raises(tf.errors.InvalidArgumentError, match="images must lie in"):
            gan.evaluate(bad, verbose=0)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_arguments_are_checked(x):
    generator, discriminator = dense_generator(5, (8,), 12), dense_discriminator(12, (8,))
    with pytest.raises(ValueError, match=r"must be \(None, 12\) → .*: \(\(None, 13\)"):
        GAN(generator, dense_discriminator(13, (8,)))
    with pytest.raises(ValueError, match=r"must be .*\(None, 1\): .*\(None, 2\)"):
        GAN(generator, dense_generator(12, (), 2))
    for label_smoothing in (0.6, -0.1, math.nan):
        with pytest.raises(ValueError, match="label_smoothing"):
            GAN(generator, discriminator, label_smoothing=label_smoothing)
    layers = keras.layers
    for end in ([layers.Dense(1, "sigmoid")], [layers.Dense(1), layers.Activation("sigmoid")],
                [layers.Dense(1, "sigmoid"), layers.Reshape((1,)), layers.Dropout(0.1)]):
        with pytest.raises(ValueError, match="logit: leave its sigmoid out"):
            GAN(generator, keras.Sequential([keras.Input((12,)), *end]))
    with pytest.raises(AttributeError, match="'str' object has no attribute"):
        GAN("generator", discriminator)
    gan = GAN(generator, discriminator)
    with pytest.raises(ValueError, match="compile"):
        gan.fit(x)
    adam = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="two objects"):
        gan.compile(adam, adam)
    for settings in ({"loss": "mse"}, {"metrics": ["mse"]}, {"weighted_metrics": ["mse"]}):
        with pytest.raises(ValueError, match="its own losses and metrics"):
            gan.compile(**settings)
    assert not gan.compiled
    gan.compile()
    for num in (0, -1):
        with pytest.raises(Exception):  # TensorFlow's or Keras's
            gan.generate(num)
    with pytest.raises(ValueError, match=r"expected shape=\(None, 5\)"):
        gan.predict(x)
    with pytest.raises(ValueError, match="sample_weight"):
        gan.fit(x, x, sample_weight=np.ones(64), verbose=0)


def test_weight_penalties_are_in_the_loss_of_their_network(x):
    losses = {}
    for penalty in (keras.regularizers.L2(0.5), None):
        keras.utils.set_random_seed(0)
        noise, pixels = keras.Input((5,)), keras.Input((12,))
        images = keras.layers.Dense(12, "sigmoid", kernel_regularizer=penalty)(noise)
        logit = keras.layers.Dense(1, kernel_regularizer=penalty)(pixels)
        gan = GAN(keras.Model(noise, images), keras.Model(pixels, logit), seed=0)
        losses[penalty is not None] = [np.mean(loss) for loss in gan.compute_losses(x)[:2]]
    for i, network in enumerate((gan.discriminator, gan.generator)):
        squares = np.sum(network.get_weights()[0] ** 2)
        assert losses[True][i] == pytest.approx(losses[False][i] + 0.5 * squares, rel=1e-5)
