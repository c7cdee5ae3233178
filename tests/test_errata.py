"""Every mistake of tutorials/errata.md that stops or falsifies a program: made, and mended.

Each test builds the smallest case of its own that makes the mistake, sees it fail, and sees that
the package does not. The names are the entries' ids.
"""

import pathlib
import re
import warnings

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import sklearn.decomposition
import sklearn.linear_model
import sklearn.metrics
import sklearn.mixture
import sklearn.neighbors
import tensorflow as tf
from conftest import small_autoencoder, small_gan, small_vae
from keras import layers

import keras_vae

ERRATA = pathlib.Path(__file__).parent.parent / "tutorials" / "errata.md"


@pytest.fixture(scope="module")
def digits():
    """scikit-learn's digits as the package loads them."""
    return keras_vae.load_digits()


def dense_pair(x):
    """Return an encoder with two linear heads of 2, and a decoder, for x's width."""
    width = x.shape[1]
    return keras_vae.gaussian_encoder(width, (16,), 2), keras_vae.dense_decoder(2, (16,), width)


def means(losses):
    """Return the means over the batch of what `compute_losses` returns, as floats."""
    return [float(tf.reduce_mean(values)) for values in losses]


def entries():
    """Return {id: kind} of the errata page."""
    text = ERRATA.read_text(encoding="utf-8")
    return dict(re.findall(r"^### (A\d-\d+)\n\n- \*\*where\*\*.*?\*\*kind\*\* (\w+)", text, re.M))


def test_every_entry_has_its_test_and_every_test_its_entry():
    kinds = entries()
    tested = {
        match[1].upper().replace("_", "-")
        for match in re.finditer(r"^def test_(a\d_\d+)_", pathlib.Path(__file__).read_text(
            encoding="utf-8"), re.M)
    }
    assert tested <= set(kinds)
    needed = {name for name, kind in kinds.items() if kind in ("stops", "silent", "formula")}
    assert needed <= tested, needed - tested
    assert len(kinds) >= 45 and len(tested) >= 35
    assert set(kinds.values()) == {"stops", "silent", "formula", "text"}


def test_the_chapters_tables_and_the_page_name_the_same_errata():
    shown = {}
    for path in sorted(ERRATA.parent.glob("[0-9][0-9]_*.py")):
        for name in re.findall(r"^# \| (A\d-\d+) \|", path.read_text(encoding="utf-8"), re.M):
            shown.setdefault(name, []).append(str(int(path.name[:2])))
    text = ERRATA.read_text(encoding="utf-8")
    chapters = re.findall(r"^### (A\d-\d+)\n\n- .*?\*\*chapter\*\* ([\d, ]+)$", text, re.M)
    assert shown == {name: numbers.split(", ") for name, numbers in chapters}


# A0


def test_a0_1_layers_has_no_model():
    with pytest.raises(AttributeError, match="no attribute 'Model'"):
        class Encoder(layers.Model):
            pass
    assert issubclass(keras_vae.VAE, keras.Model)


def test_a0_2_a_relu_mean_is_never_negative(x):
    relu = keras_vae.dense_encoder(12, (8,), 3, latent_activation="relu")
    assert relu.predict(x, verbose=0).min() >= 0
    z_mean, z_log_var = keras_vae.gaussian_encoder(12, (8,), 3).predict(x, verbose=0)
    assert z_mean.min() < 0 and z_log_var.min() < 0


def test_a0_3_the_encoder_does_not_take_its_own_code(x):
    encoder = keras_vae.dense_encoder(12, (8,), 3)
    with pytest.raises(ValueError, match="incompatible with the layer"):
        encoder(keras.Input((3,)))
    z_mean, z_log_var = keras_vae.gaussian_encoder(12, (8,), 3)(x)
    assert z_mean.shape == z_log_var.shape == (64, 3)


def test_a0_4_there_is_no_layer_of_a_divergence():
    with pytest.raises(AttributeError, match="no attribute 'KLDivLoss'"):
        layers.KLDivLoss(alpha=1.0)
    # A divergence of two batches is a number an example, and no sample in it.
    p = np.full((4, 3), 1 / 3)
    assert keras.losses.KLDivergence(reduction=None)(p, p).shape == (4,)
    z = small_vae(seed=0).noise((4, 3))
    assert z.shape == (4, 3) and np.std(z) > 0.3


class ThreeOutputs(keras.Model):
    """A model that returns a reconstruction, a mean and a log-variance."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(12)

    def call(self, x):
        return self.dense(x), x[:, :2], x[:, 2:4]


def test_a0_5_one_loss_and_no_target_for_three_outputs(x):
    model = ThreeOutputs()
    model.compile("adam", "mse")
    with pytest.raises((KeyError, ValueError), match="loss"):
        model.fit(x, verbose=0)
    vae = small_vae()
    vae.compile("adam")
    vae.fit(x, verbose=0)


def test_a0_6_noise_as_pictures_for_a_flat_network():
    noise = np.random.default_rng(0).normal(size=(32, 4, 4)).astype("float32")
    encoder = keras_vae.dense_encoder(16, (), 2)
    sigmoid = keras_vae.dense_decoder(2, (), 16, output_activation="sigmoid")
    model = keras.Model(encoder.input, sigmoid(encoder.output))
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="incompatible with the layer"):
        model.fit(noise, noise, verbose=0)
    # Flattened, it runs, and no training brings the error below that of the cut targets.
    flat = noise.reshape(32, 16)
    model.compile(keras.optimizers.Adam(0.05), "mse")
    error = model.fit(flat, flat, epochs=50, verbose=0).history["loss"][-1]
    assert error > np.mean((flat - flat.clip(0, 1)) ** 2) > 0.5
    vae = keras_vae.VAE(keras_vae.gaussian_encoder(16, (), 2), keras_vae.dense_decoder(2, (), 16))
    for wrong, error, words in (
        (noise, ValueError, r"shape \(None, 16\)"),
        (flat, tf.errors.InvalidArgumentError, r"must lie in \[0, 1\]"),
    ):
        vae.compile("adam")
        with pytest.raises(error, match=words):
            vae.fit(wrong, verbose=0)


def test_a0_7_a_loss_without_the_kl_does_not_change_with_beta(x):
    vae = small_vae(seed=0)
    losses = {}
    for beta in (0.0, 4.0):
        vae.beta = beta
        vae.draws.assign(0)
        losses[beta] = means(vae.compute_losses(x))
    without = {beta: reconstruction for beta, (_, reconstruction, _) in losses.items()}
    assert without[0.0] == without[4.0]  # the article's loss: β is nowhere in it
    assert losses[4.0][0] == pytest.approx(losses[0.0][0] + 4 * losses[0.0][2], rel=1e-5)


def test_a0_10_the_printed_expectation_is_minus_another_divergence():
    """The mean over the prior of log q − log p is −KL(p, q): minimised, it has no floor."""
    q, p = scipy.stats.norm(1.0, 0.5), scipy.stats.norm(0, 1)

    def integral(weight, f):
        return scipy.integrate.quad(lambda z: weight.pdf(z) * f(z), -12, 12)[0]

    printed = integral(p, lambda z: q.logpdf(z) - p.logpdf(z))
    true = integral(q, lambda z: q.logpdf(z) - p.logpdf(z))
    assert printed < 0 < true
    assert true == pytest.approx(-0.5 * (1 + np.log(0.25) - 1 - 0.25), rel=1e-6)
    far = scipy.stats.norm(5.0, 0.5)
    assert integral(p, lambda z: far.logpdf(z) - p.logpdf(z)) < 10 * printed


def test_a0_13_a_vae_has_hardly_more_parameters_than_an_autoencoder():
    decoder = keras_vae.dense_decoder(32, (256,), 784)
    plain = keras_vae.dense_encoder(784, (256,), 32).count_params() + decoder.count_params()
    vae = keras_vae.gaussian_encoder(784, (256,), 32).count_params() + decoder.count_params()
    assert (vae, vae - plain) == (427_344, 8_224)


# A1


def test_a1_1_two_losses_are_two_gradients():
    """Behind a sigmoid that is sure and wrong, the squared error's gradient fades."""
    a = tf.Variable(-8.0)
    gradients = []
    for loss in (lambda p: (1 - p) ** 2, lambda p: -tf.math.log(p)):
        with tf.GradientTape() as tape:
            value = loss(tf.sigmoid(a))
        gradients.append(abs(float(tape.gradient(value, a))))
    assert gradients[0] < 1e-3 < 0.99 < gradients[1]


def test_a1_2_data_that_are_never_made(digits):
    with pytest.raises(NameError, match="X_train"):
        exec("model.fit(X_train, X_train)", {"model": small_autoencoder()})
    assert digits[0][0].shape == (1437, 784)


def test_a1_3_a_relu_mean_keeps_half_of_each_axis_empty(digits):
    """Trained with the true loss, the ReLU's bound is the worse one."""
    (x_train, _), (x_test, _) = digits
    bounds = {}
    for activation in (None, "relu"):
        keras.utils.set_random_seed(0)
        encoder, decoder = dense_pair(x_train)
        encoder.get_layer("z_mean").activation = keras.activations.get(activation)
        vae = keras_vae.VAE(encoder, decoder, seed=0)
        vae.compile(keras.optimizers.Adam(0.01), steps_per_execution=12)
        vae.fit(x_train, epochs=15, batch_size=128, verbose=0)
        bounds[activation] = vae.evaluate(x_test, verbose=0)[0]
        assert (vae.encode(x_test)[0].min() >= 0) == (activation == "relu")
    assert bounds["relu"] > bounds[None] + 1


def test_a1_4_the_log_of_an_unbounded_output_is_not_a_number(x):
    output = keras_vae.dense_encoder(12, (), 8)(x)
    assert np.isnan(tf.math.log(output)).any()
    vae = small_vae()
    assert np.isfinite(vae.compute_losses(x)).all()
    assert (np.exp(0.5 * vae.encode(x)[1]) > 0).all()


def test_a1_5_a_static_shape_has_no_batch_size():
    class Noise(layers.Layer):
        def call(self, z_mean):
            return z_mean + tf.random.normal(shape=z_mean.shape)

    with pytest.raises(ValueError, match="None|partially known"):
        Noise()(keras.Input((3,)))
    model = keras.Sequential([layers.Dense(3), Noise()])
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="partially known"):
        model.fit(np.zeros((25, 3)), np.zeros((25, 3)), batch_size=10, verbose=0)
    model = keras.Sequential([layers.Dense(3), Noise()])
    model.compile("adam", "mse")
    model.fit(np.zeros((20, 3)), np.zeros((20, 3)), batch_size=10, verbose=0)  # all batches full
    vae = small_vae()
    vae.compile("adam")
    vae.fit(np.zeros((25, 12), "float32"), batch_size=10, verbose=0)  # the last batch is of 5


def test_a1_6_one_target_for_three_outputs(x):
    model = ThreeOutputs()
    model.compile("adam", keras.losses.Huber())
    with pytest.raises((KeyError, ValueError), match="loss"):
        model.fit(x, x, verbose=0)
    vae = small_vae()
    vae.compile("adam")
    assert "kl_loss" in vae.fit(x, verbose=0).history


def test_a1_7_samples_do_not_go_through_the_layer_that_reads_pixels():
    latent = layers.Dense(3)
    latent(np.zeros((1, 12)))  # built on pixels
    with pytest.raises(ValueError, match="incompatible with the layer"):
        latent(np.zeros((5, 3)))
    assert small_vae().generate(5).shape == (5, 12)


def test_a1_8_the_divergence_is_not_symmetric():
    def kl(m1, s1, m2, s2):
        return np.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5

    assert kl(1, 0.5, 0, 1) == pytest.approx(0.818, abs=1e-3)
    assert kl(0, 1, 1, 0.5) == pytest.approx(2.807, abs=1e-3)


def test_a1_9_a_scale_beside_the_hidden_layer_must_have_its_width(x):
    """The mean is the hidden layer (8 wide) and the scale comes from the pixels (3 wide)."""
    mean, scale = layers.Dense(8)(x), layers.Dense(3)(x)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        mean + scale * tf.random.normal(tf.shape(mean))
    z_mean, z_log_var = keras_vae.gaussian_encoder(12, (8,), 3)(x)
    assert z_mean.shape == z_log_var.shape


def test_a1_10_input_shape_in_a_layer_is_only_warned_of():
    with pytest.warns(UserWarning, match="input_shape"):
        layer = layers.Dense(3, input_shape=(12,))
    assert not layer.built
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert small_autoencoder().built


def test_a1_11_without_the_kl_the_noise_dies_and_the_prior_decodes_to_nothing(digits):
    """Reconstruction alone: the clouds shrink and move away, and the bound is far worse."""
    (x_train, _), (x_test, _) = digits
    bounds, sigmas = {}, {}
    for beta in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        vae = keras_vae.VAE(*dense_pair(x_train), beta=beta, seed=0)
        vae.compile(keras.optimizers.Adam(0.01), steps_per_execution=12)
        vae.fit(x_train, epochs=15, batch_size=128, verbose=0)
        sigmas[beta] = np.exp(0.5 * vae.encode(x_test)[1]).mean()
        vae.beta = 1.0
        bounds[beta] = vae.evaluate(x_test, verbose=0)[0]
    assert bounds[0.0] > bounds[1.0] + 10


def test_a1_13_by_its_own_loss_beta_zero_always_wins(x):
    vae = small_vae()
    losses = []
    for beta in (0.0, 0.5, 2.0):
        vae.beta = beta
        vae.draws.assign(0)
        losses.append(means(vae.compute_losses(x))[0])
    assert losses == sorted(losses) and losses[0] < losses[-1]


# A2


def test_a2_1_normalising_a_pair_is_no_sampling():
    with pytest.raises(NameError, match="LayerNormalization"):
        exec("LayerNormalization(epsilon=1e-12)", {})
    heads = [keras.Input((4,)), keras.Input((4,))]
    with pytest.raises((ValueError, TypeError)):
        layers.LayerNormalization(epsilon=1e-12)(heads)
    z_mean = np.array([[1.0, 2.0, 3.0, 4.0]], "float32")
    normalise, noise = layers.LayerNormalization(), small_vae(seed=0).noise
    np.testing.assert_array_equal(normalise(z_mean), normalise(z_mean))  # nothing is drawn
    assert abs(np.mean(normalise(z_mean))) < 1e-6  # and every mean is moved to zero
    assert (np.array(z_mean + noise((1, 4))) != np.array(z_mean + noise((1, 4)))).all()


def test_a2_2_an_output_that_begins_at_another_input():
    pixels, z = keras.Input((12,)), keras.Input((3,))
    layers.Dense(3)(pixels)
    output = layers.Dense(12)(z)
    with pytest.raises(ValueError, match="not connected"):
        keras.Model(pixels, output)
    vae = small_vae()
    assert vae(np.zeros((2, 12), "float32")).shape == (2, 12)


def test_a2_3_a_second_sigmoid_thresholds():
    """Trained to draw a grey of 0.6, a loss that squashes again draws the logit of 0.6."""
    grey = np.full((64, 1), 0.6, "float32")
    ones = np.ones((64, 1), "float32")
    drawn = {}
    for name in ("once", "twice", "Keras, told from_logits"):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((1,)), layers.Dense(1, "sigmoid")])

        def loss(y, p, name=name):
            if name == "twice":
                return tf.nn.sigmoid_cross_entropy_with_logits(y, p)
            return keras.losses.binary_crossentropy(y, p, from_logits=name != "once")

        model.compile(keras.optimizers.Adam(0.1), loss)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(ones, grey, epochs=100, batch_size=64, verbose=0)
        drawn[name] = float(model.predict(ones[:1], verbose=0)[0, 0])
        if name.startswith("Keras"):
            assert any("from_logits" in str(warning.message) for warning in caught)
    assert drawn["once"] == pytest.approx(0.6, abs=0.01)
    assert drawn["Keras, told from_logits"] == pytest.approx(0.6, abs=0.01)
    assert drawn["twice"] == pytest.approx(np.log(0.6 / 0.4), abs=0.02)  # sigmoid(0.405) is 0.6
    # The package has its one sigmoid in `decode`, and takes no decoder that has another.
    encoder, logits = keras_vae.gaussian_encoder(12, (), 3), keras_vae.dense_decoder(3, (), 12)
    pixels = keras_vae.VAE(encoder, logits).decode(ones[:2, :1] * [[1.0, 2.0, 3.0]])
    outputs = logits.predict(ones[:2, :1] * [[1.0, 2.0, 3.0]], verbose=0)
    np.testing.assert_allclose(pixels, 1 / (1 + np.exp(-outputs)), rtol=1e-5)
    sigmoid = keras_vae.dense_decoder(3, (), 12, output_activation="sigmoid")
    with pytest.raises(ValueError, match="erratum A2-3"):
        keras_vae.VAE(encoder, sigmoid)


def test_a2_4_pictures_into_a_flat_input():
    model = keras.Sequential([keras.Input((784,)), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"\(None, 784\).*\(2, 28, 28\)"):
        model.predict(np.zeros((2, 28, 28)), verbose=0)
    assert keras_vae.load_digits()[0][0].shape[1:] == (784,)


def test_a2_5_ascent_on_the_printed_bound_raises_the_error(x):
    """One small step of the decoder up −KL + ‖x − x̂‖², and up the true bound."""
    changes = {}
    for sign in (+1, -1):
        keras.utils.set_random_seed(0)
        vae = small_vae(likelihood="gaussian", seed=0)
        vae.noise = tf.zeros
        with tf.GradientTape() as tape:
            _, error, kl = (tf.reduce_mean(values) for values in vae.compute_losses(x))
            bound = -kl + sign * error
        variables = vae.decoder.trainable_variables
        for v, g in zip(variables, tape.gradient(bound, variables)):
            v.assign_add(0.01 * g)
        changes[sign] = means(vae.compute_losses(x))[1] - float(error)
    assert changes[+1] > 0 > changes[-1]


def test_a2_6_a_classifier_that_saw_no_label_guesses(digits):
    """A network of ten outputs trained to reconstruct: its largest output names no digit."""
    (x_train, y_train), (x_test, y_test) = digits
    keras.utils.set_random_seed(0)
    vae = keras_vae.VAE(
        keras_vae.gaussian_encoder(784, (64,), 10), keras_vae.dense_decoder(10, (64,), 784), seed=0
    )
    vae.compile(keras.optimizers.Adam(0.005), steps_per_execution=12)
    vae.fit(x_train, epochs=30, batch_size=128, verbose=0)
    z_train, z_test = vae.encode(x_train)[0], vae.encode(x_test)[0]
    unseen = np.mean(z_test.argmax(axis=1) != y_test)
    classifier = sklearn.linear_model.LogisticRegression(max_iter=1000).fit(z_train, y_train)
    assert unseen > 0.8 and 1 - classifier.score(z_test, y_test) < 0.2


def test_a2_7_more_latent_variables_give_no_better_bound(digits):
    (x_train, _), (x_test, _) = digits
    bounds = {}
    for latent_dim in (16, 256):
        keras.utils.set_random_seed(0)
        vae = keras_vae.VAE(
            keras_vae.gaussian_encoder(784, (64,), latent_dim),
            keras_vae.dense_decoder(latent_dim, (64,), 784),
            seed=0,
        )
        vae.compile(keras.optimizers.Adam(0.002), steps_per_execution=12)
        vae.fit(x_train, epochs=40, batch_size=128, verbose=0)
        bounds[latent_dim] = vae.evaluate(x_test, verbose=0)[0]
    assert bounds[16] < bounds[256] + 1


def test_a2_9_a_loss_of_the_output_alone_leaves_the_log_variance_untrained(x):
    """The article's loss sees the output; no gradient reaches a head that z does not use."""
    encoder, decoder = keras_vae.gaussian_encoder(12, (8,), 3), keras_vae.dense_decoder(3, (), 12)
    head = encoder.get_layer("z_log_var").trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        z_mean, _ = encoder(x)
        copies = tf.sigmoid(decoder(z_mean))
        loss = tf.reduce_mean(keras.losses.binary_crossentropy(x, copies))
        ours = keras_vae.VAE(encoder, decoder).compute_losses(x)[0]
    assert tape.gradient(loss, head) == [None, None]
    assert all(np.abs(g).max() > 0 for g in tape.gradient(ours, head))


def test_a2_12_an_autoencoder_generates_from_a_mixture_of_its_codes(digits):
    (x_train, _), (x_test, _) = digits
    autoencoder = keras_vae.Autoencoder(
        keras_vae.dense_encoder(784, (64,), 10),
        keras_vae.dense_decoder(10, (64,), 784, output_activation="sigmoid"),
    )
    autoencoder.compile(keras.optimizers.Adam(0.005), "mse", steps_per_execution=12)
    autoencoder.fit(x_train, epochs=40, batch_size=128, verbose=0)
    codes = autoencoder.encode(x_train).astype("float64")
    mixture = sklearn.mixture.GaussianMixture(10, random_state=0).fit(codes)
    drawn = autoencoder.decode(mixture.sample(300)[0].astype("float32"))
    blots = autoencoder.decode(np.random.default_rng(0).normal(size=(300, 10)).astype("float32"))
    neighbours = sklearn.neighbors.NearestNeighbors(n_neighbors=1).fit(x_train)
    near = {
        name: neighbours.kneighbors(images)[0].mean()
        for name, images in (("drawn", drawn), ("blots", blots), ("real", x_test))
    }
    assert near["drawn"] < 1.3 * near["real"] < near["blots"]  # like digits
    assert near["drawn"] > 0.3 * near["real"]  # and no copies


def test_a2_13_a_convolution_has_fewer_parameters_and_multiplies_more():
    dense = keras_vae.gaussian_encoder(784, (256,), 20), keras_vae.dense_decoder(20, (256,), 784)
    conv = (
        keras_vae.conv_encoder((28, 28), (16, 32), 20),
        keras_vae.conv_decoder(20, (32, 16), (28, 28)),
    )
    numbers = [sum(network.count_params() for network in pair) for pair in (dense, conv)]
    assert numbers[1] < numbers[0] / 3
    dense_work = 2 * 784 * 256 + 3 * 256 * 20
    ends = 9 * 16 * 14 * 14  # one channel on one side, at 14 × 14 places
    middle = 9 * 16 * 32 * 7 * 7
    conv_work = 2 * (ends + middle) + 3 * 20 * 7 * 7 * 32
    assert conv_work > dense_work


# A3


def test_a3_1_a_code_as_wide_as_the_data_reduces_nothing():
    wide = keras_vae.dense_encoder(100, (50, 50), 100)
    assert wide.output_shape[1] == wide.input_shape[1]
    # What narrows is a hidden layer: the "code" has rank 50 at most, and nobody is given those 50.
    x = np.random.default_rng(0).normal(size=(400, 100)).astype("float32")
    code = wide.predict(x, verbose=0).astype("float64")
    assert np.linalg.matrix_rank(code - code.mean(axis=0), tol=1e-3) <= 50
    assert keras_vae.dense_encoder(100, (50, 50), 10).output_shape == (None, 10)


def test_a3_2_a_sigmoid_cannot_reach_a_negative_target():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(1000, 100)).astype("float32")
    best = np.mean((vectors - vectors.clip(0, 1)) ** 2)
    assert best > 0.5  # of a variance of 1, for the best sigmoid output there can be
    model = keras_vae.Autoencoder(
        keras_vae.dense_encoder(100, (50,), 10),
        keras_vae.dense_decoder(10, (50,), 100, output_activation="sigmoid"),
    )
    model.compile("adam", "mse")
    with pytest.raises(tf.errors.InvalidArgumentError, match="target must lie in"):
        model.fit(vectors, verbose=0)


def test_a3_3_in_noise_there_is_nothing_to_compress():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2, 1000, 100))
    (x_train, _), (x_test, _) = keras_vae.make_vectors(noise=0.3)
    left = {}
    for name, train, test in (("noise", *noise), ("structure", x_train, x_test)):
        pca = sklearn.decomposition.PCA(10).fit(train)
        copies = pca.inverse_transform(pca.transform(test))
        left[name] = np.mean((test - copies) ** 2) / np.var(test)
    assert left["noise"] == pytest.approx(0.9, abs=0.03)
    assert left["structure"] < 0.1


def test_a3_4_a_layer_has_no_compile():
    with pytest.raises(AttributeError, match="compile"):
        layers.Layer().compile("adam")
    small_autoencoder().compile("adam", "mse")


def test_a3_5_layers_whose_output_is_dropped_get_no_gradient(x):
    class Decoder(layers.Layer):
        def __init__(self):
            super().__init__()
            self.unused, self.last = layers.Dense(8), layers.Dense(12, "sigmoid")

        def call(self, z):
            self.unused(z)
            return self.last(z) * self.last(z)

    decoder, z = Decoder(), np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((decoder(z) - x) ** 2)
    gradients = tape.gradient(loss, decoder.trainable_variables)
    assert gradients[:2] == [None, None] and gradients[2] is not None
    ours = keras_vae.dense_decoder(3, (8,), 12)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((ours(z) - x) ** 2)
    assert None not in tape.gradient(loss, ours.trainable_variables)


def test_a3_6_without_mean_variance_or_sample_it_draws_nothing_new(x):
    plain = small_autoencoder()
    np.testing.assert_array_equal(plain.encode(x[:1]), plain.encode(x[:1]))
    heads = small_vae().encoder.output
    assert len(heads) == 2
    vae = small_vae(seed=0)
    losses = [means(vae.compute_losses(x[:1])) for _ in range(2)]
    assert losses[0][1] != losses[1][1] and losses[0][2] == losses[1][2]  # another z each time


def test_a3_7_the_second_of_two_losses_is_logged_as_zero(x):
    model = keras.Sequential([keras.Input((12,)), layers.Dense(12, name="output")])
    model.compile("adam", ["mse", "mse"])
    try:
        logs = model.fit(x, x, verbose=0).history
    except ValueError:
        return  # a Keras that refuses it
    assert 0.0 in [values[0] for values in logs.values()]
    single = keras.Sequential([keras.Input((12,)), layers.Dense(12)])
    single.compile("adam", "mse")
    assert list(single.fit(x, x, verbose=0).history) == ["loss"]


def test_a3_8_codes_alone_are_no_clusters(digits):
    """A code is a place for every image; k-means on it makes groups, and they name digits."""
    (x_train, _), (x_test, y_test) = digits
    assert len(np.unique(x_test @ np.ones((784, 1)))) > 300  # 360 images, about as many codes
    method = sklearn.cluster.KMeans(10, n_init=3, random_state=0).fit(x_train)
    assert len(np.unique(method.predict(x_test))) == 10
    assert keras_vae.cluster_accuracy(y_test, method.predict(x_test)) > 0.6


def test_a3_9_the_kl_makes_codes_dense_and_an_l1_penalty_sparse(digits):
    (x_train, _), (x_test, _) = digits
    keras.utils.set_random_seed(0)
    encoder = keras_vae.dense_encoder(
        784, (64,), 10, latent_activation="relu", activity_regularizer=keras.regularizers.L1(0.01)
    )
    decoder = keras_vae.dense_decoder(10, (64,), 784, output_activation="sigmoid")
    sparse = keras_vae.Autoencoder(encoder, decoder)
    sparse.compile(keras.optimizers.Adam(0.005), "mse", steps_per_execution=12)
    sparse.fit(x_train, epochs=30, batch_size=128, verbose=0)
    vae = keras_vae.VAE(
        keras_vae.gaussian_encoder(784, (64,), 10), keras_vae.dense_decoder(10, (64,), 784), seed=0
    )
    vae.compile(keras.optimizers.Adam(0.005), steps_per_execution=12)
    vae.fit(x_train, epochs=30, batch_size=128, verbose=0)
    zeros = {
        "L1": np.mean(np.abs(sparse.encode(x_test)) < 0.01),
        "KL": np.mean(np.abs(vae.encode(x_test)[0]) < 0.01),
    }
    assert zeros["L1"] > 0.4 and zeros["KL"] < 0.1


def test_a3_10_a_penalty_that_is_not_in_the_code_is_not_in_the_loss(x):
    assert small_autoencoder().losses == []
    model = keras_vae.Autoencoder(
        keras_vae.dense_encoder(12, (8,), 3, kernel_regularizer=keras.regularizers.L2(0.1)),
        keras_vae.dense_decoder(3, (8,), 12),
    )
    model.compile("adam", "mse", metrics=["mse"])
    logs = model.evaluate(x, x, verbose=0, return_dict=True)
    assert logs["loss"] > logs["mse"] + 0.1


def test_a3_11_a_bounded_mean_cannot_follow_a_standard_normal():
    """Of N(0, 1), a third lies outside of what a tanh can say, and half outside of a sigmoid."""
    draws = scipy.stats.norm.rvs(size=100_000, random_state=0)
    assert np.mean(abs(draws) > 1) == pytest.approx(0.317, abs=0.01)
    assert np.mean((draws < 0) | (draws > 1)) == pytest.approx(0.659, abs=0.01)
    z_mean = small_vae().encoder.get_layer("z_mean")
    assert z_mean.activation is keras.activations.linear


def test_a3_13_the_function_of_the_mean_squared_error_is_not_there():
    """`keras.losses.mean_squared_error` went; `reconstruction_error` is one number."""
    module = tf.keras.losses
    if hasattr(module, "mean_squared_error"):
        pytest.skip("this Keras still has it")
    with pytest.raises(AttributeError, match="mean_squared_error"):
        module.mean_squared_error
    error = keras_vae.reconstruction_error(small_autoencoder(), np.zeros((2, 12)))
    assert isinstance(error["mse"], float)


def test_a3_14_an_error_a_row_is_not_the_error(x):
    copies = small_autoencoder().predict(x, verbose=0)
    rows = np.mean((x - copies) ** 2, axis=-1)
    assert rows.shape == (64,)  # what the article prints under the name of one number
    error = keras_vae.reconstruction_error(small_autoencoder_like(copies), x)["mse"]
    assert isinstance(error, float) and error == pytest.approx(rows.mean(), rel=1e-5)


def small_autoencoder_like(copies):
    """Return a "model" that gives these copies."""
    class Fixed:
        def predict(self, x, verbose):
            return copies

    return Fixed()


def test_a3_15_the_error_on_the_training_rows_flatters():
    noise = np.random.default_rng(0).normal(size=(2, 200, 30)).astype("float32")
    model = keras_vae.Autoencoder(
        keras_vae.dense_encoder(30, (64,), 10), keras_vae.dense_decoder(10, (64,), 30)
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", steps_per_execution=7)
    model.fit(noise[0], epochs=60, verbose=0)
    seen, fresh = (keras_vae.reconstruction_error(model, rows)["mse"] for rows in noise)
    assert seen < 0.6 * fresh


def test_a3_18_without_the_kl_reconstructions_are_better_and_the_likelihood_worse(digits):
    (x_train, _), (x_test, _) = digits
    x_train, x_test = (np.round(part) for part in (x_train, x_test))  # binary images
    error, bound = [], []
    for beta in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        vae = keras_vae.VAE(
            keras_vae.gaussian_encoder(784, (64,), 10), keras_vae.dense_decoder(10, (64,), 784),
            beta=beta, seed=0,
        )
        vae.compile(keras.optimizers.Adam(0.005), steps_per_execution=12)
        vae.fit(x_train, epochs=30, batch_size=128, verbose=0)
        error.append(keras_vae.reconstruction_error(vae, x_test)["mse"])
        bound.append(keras_vae.log_likelihood(vae, x_test, 50).mean())
    assert error[0] < error[1] and bound[0] < bound[1] - 20


def test_a3_19_a_vae_does_not_denoise_and_an_autoencoder_can(digits):
    (x_train, _), (x_test, _) = digits
    rng = np.random.default_rng(0)
    noisy = {
        name: np.clip(x + rng.normal(0, 0.1, x.shape), 0, 1).astype("float32")
        for name, x in (("train", x_train), ("test", x_test))
    }
    vae = keras_vae.VAE(
        keras_vae.gaussian_encoder(784, (64,), 20), keras_vae.dense_decoder(20, (64,), 784), seed=0
    )
    vae.compile(keras.optimizers.Adam(0.005), steps_per_execution=12)
    vae.fit(x_train, epochs=30, batch_size=128, verbose=0)
    denoiser = keras_vae.Autoencoder(
        keras_vae.dense_encoder(784, (256,), 64),
        keras_vae.dense_decoder(64, (256,), 784, output_activation="sigmoid"),
    )
    denoiser.compile(keras.optimizers.Adam(0.003), "mse", steps_per_execution=12)
    denoiser.fit(noisy["train"], x_train, epochs=60, batch_size=128, verbose=0)
    error = {
        name: np.mean((copy - x_test) ** 2)
        for name, copy in (
            ("noisy", noisy["test"]),
            ("vae", vae.reconstruct(noisy["test"])),
            ("denoiser", denoiser.reconstruct(noisy["test"])),
        )
    }
    assert error["denoiser"] < 0.8 * error["noisy"] and error["vae"] > error["noisy"]


# A4


def test_a4_1_data_that_are_never_made():
    with pytest.raises(NameError, match="x_train"):
        exec("model.fit(x_train, x_train)", {"model": small_autoencoder()})
    assert len(keras_vae.load_images("digits")) == 3


def test_a4_2_without_the_kl_the_objective_is_the_autoencoders(x):
    """With the noise off, the VAE's loss minus the autoencoder's is exactly the KL."""
    vae = small_vae()
    vae.noise = tf.zeros
    loss, _, kl_loss = means(vae.compute_losses(x))
    p = vae.predict(x, verbose=0)
    autoencoders = -np.mean(np.sum(x * np.log(p) + (1 - x) * np.log(1 - p), axis=1))
    assert kl_loss > 0.01 and loss == pytest.approx(autoencoders + kl_loss, rel=1e-5)


def test_a4_3_the_printed_loss_fades_where_the_discriminator_is_sure():
    logit = tf.Variable(-10.0)
    with tf.GradientTape(persistent=True) as tape:
        printed = -tf.sigmoid(logit)
        ours = tf.nn.sigmoid_cross_entropy_with_logits(1.0, logit)
    assert abs(float(tape.gradient(printed, logit))) < 1e-4
    assert abs(float(tape.gradient(ours, logit))) > 0.99


def test_a4_4_a_network_that_was_not_compiled_has_no_optimizer(x):
    generator = keras.Sequential([keras.Input((5,)), layers.Dense(12)])
    with pytest.raises(AttributeError, match="optimizer"):
        generator.optimizer.apply_gradients([])
    gan = small_gan()
    gan.compile()
    assert gan.optimizer is not gan.d_optimizer


def test_a4_5_the_last_batch_is_not_the_epoch(x):
    """Ten bright images at the end: the last batch's loss is theirs alone."""
    gan = small_gan(seed=0)
    gan.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    seen = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: seen.append(logs))
    ordered = np.concatenate([0 * x[:54], np.ones_like(x[:10])])
    logs = gan.fit(ordered, batch_size=16, shuffle=False, verbose=0, callbacks=[watch]).history
    alone = gan.evaluate(ordered[48:], verbose=0, return_dict=True)["d_loss"]
    whole = gan.evaluate(ordered, verbose=0, return_dict=True)["d_loss"]
    assert logs["d_loss"][0] == pytest.approx(whole, abs=0.1)
    assert abs(alone - whole) > 2 * abs(logs["d_loss"][0] - whole)


def test_a4_6_what_is_made_before_the_tape_has_no_gradient(x):
    gan = small_gan()
    fake = gan.generator(np.ones((4, 5), "float32"))
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(gan.discriminator(fake))
    gradients = tape.gradient(loss, gan.generator.trainable_variables)
    assert gradients == [None] * 4
    with pytest.raises(ValueError, match="No gradients provided"):
        pairs = zip(gradients, gan.generator.trainable_variables)
        keras.optimizers.Adam().apply_gradients(pairs)
    with tf.GradientTape() as tape:
        g_loss = gan.compute_losses(x)[1]
    assert None not in tape.gradient(g_loss, gan.generator.trainable_variables)


def test_a4_7_images_that_are_never_made():
    with pytest.raises(NameError, match="real_images"):
        exec("train_gan(real_images)", {"train_gan": len})


def test_a4_8_without_shuffling_every_epoch_has_the_same_batches():
    rows = np.arange(20, dtype="float32")[:, None]

    def epoch(pipeline):
        return [batch.numpy().ravel().tolist() for batch in pipeline]

    printed = tf.data.Dataset.from_tensor_slices(rows).batch(5)
    assert epoch(printed) == epoch(printed)
    ours = keras_vae.batches(rows, 5, seed=0)
    assert epoch(ours) != epoch(ours)


def test_a4_9_whole_batches_only_drop_the_last_images():
    num, batch_size = 1437, 32
    seen = sum(batch_size for _ in range(num // batch_size))
    assert num - seen == 29
    rows = np.zeros((num, 1), "float32")
    assert sum(len(batch) for batch in keras_vae.batches(rows, batch_size)) == num


def test_a4_10_a_discriminator_that_raises_its_loss_gets_worse(x):
    """A step up the discriminator's own loss, as the text has it, and a step down."""
    changes = {}
    for sign in (+1, -1):
        gan = small_gan(seed=0)
        gan.noise = tf.ones
        with tf.GradientTape() as tape:
            d_loss = tf.reduce_mean(gan.compute_losses(x)[0])
        variables = gan.discriminator.trainable_variables
        for v, g in zip(variables, tape.gradient(d_loss, variables)):
            v.assign_add(sign * 0.05 * g)
        changes[sign] = float(tf.reduce_mean(gan.compute_losses(x)[0]) - d_loss)
    assert changes[+1] > 0 > changes[-1]
