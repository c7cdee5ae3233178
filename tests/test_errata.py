"""Every mistake of tutorials/errata.md that stops or falsifies a program: made, and mended.

Each test builds the smallest case of its own that makes the mistake, sees it fail, and sees that
the package does not. The names are the entries' ids.
"""

import contextlib
import inspect
import pathlib
import re
import sys
import textwrap
import warnings

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import sklearn.cluster
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


@pytest.fixture(scope="module")
def digits_vae(digits):
    """Return a VAE 784–64–10–64–784 that has learned the digits."""
    keras.utils.set_random_seed(0)
    vae = keras_vae.VAE(
        keras_vae.gaussian_encoder(784, (64,), 10), keras_vae.dense_decoder(10, (64,), 784), seed=0
    )
    vae.compile(keras.optimizers.Adam(0.005), steps_per_execution=12)
    vae.fit(digits[0][0], epochs=30, batch_size=128, verbose=0)
    return vae


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


def messages(name):
    """Return the messages of an entry of the errata page, whole, with the errors' types."""
    text = ERRATA.read_text(encoding="utf-8")
    entry = re.search(rf"^### {name}$.*?(?=^##|\Z)", text, re.M | re.S)[0]
    blocks = re.findall(r"^  ```text\n(.*?)^  ```$", entry, re.M | re.S)
    return [textwrap.dedent(block).rstrip("\n") for block in blocks]


@contextlib.contextmanager
def stops(name, words):
    """Expect an error that holds `words` and, from Keras 3.15 on, is the page's whole message."""
    with pytest.raises(Exception) as caught:
        yield
    raised = f"{caught.type.__name__}: {caught.value}"
    raised = re.sub(r"\x1b\[\d+m", "", raised).rstrip()  # Keras sets a part in bold
    assert words in raised
    if tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 15):
        patterns = [".+".join(map(re.escape, whole.split("…"))) for whole in messages(name)]
        assert any(re.fullmatch(pattern, raised) for pattern in patterns), raised


def test_every_entry_has_its_test_and_every_test_its_entry():
    kinds = entries()
    tests = {
        match[0].upper().replace("_", "-"): inspect.getsource(test)
        for title, test in vars(sys.modules[__name__]).items()
        if (match := re.search(r"(?<=^test_)a\d_\d+(?=_)", title))
    }
    assert tests.keys() <= kinds.keys()
    needed = {name for name, kind in kinds.items() if kind in ("stops", "silent", "formula")}
    assert needed <= tests.keys(), needed - tests.keys()
    assert len(kinds) >= 45 and len(tests) >= 35
    assert set(kinds.values()) == {"stops", "silent", "formula", "text"}
    for name, kind in kinds.items():
        assert len(messages(name)) == tests.get(name, "").count(f'stops("{name}", ')
        assert (kind == "stops") == bool(messages(name)), name


def test_the_chapters_tables_and_the_page_name_the_same_errata():
    shown = {}
    for path in sorted(ERRATA.parent.glob("[0-9][0-9]_*.py")):
        chapter = path.read_text(encoding="utf-8")
        told = re.findall(r"^# \| (A\d-\d+) \||\*\*(A\d-\d+[^*]*)\*\*", chapter, re.M)
        for name in re.findall(r"A\d-\d+", str(told)):  # in a table's row or in bold
            shown.setdefault(name, []).append(str(int(path.name[:2])))
    text = ERRATA.read_text(encoding="utf-8")
    chapters = re.findall(r"^### (A\d-\d+)\n\n- .*?\*\*chapter\*\* ([\d, ]+|none)$", text, re.M)
    assert [name for name, _ in chapters] == list(entries())
    alone = [name for name, numbers in chapters if numbers == "none"]  # the page alone has them
    assert shown == {name: n.split(", ") for name, n in chapters if name not in alone}


# A0


def test_a0_1_layers_has_no_model():
    with stops("A0-1", "no attribute 'Model'"):
        class Encoder(tf.keras.layers.Model):
            pass
    assert issubclass(keras_vae.VAE, keras.Model)


def test_a0_2_a_relu_mean_is_never_negative(x):
    relu = keras_vae.dense_encoder(12, (8,), 3, latent_activation="relu")
    assert relu.predict(x, verbose=0).min() >= 0
    z_mean, z_log_var = keras_vae.gaussian_encoder(12, (8,), 3).predict(x, verbose=0)
    assert z_mean.min() < 0 and z_log_var.min() < 0


def test_a0_3_the_encoder_does_not_take_its_own_code(x):
    class Encoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(32)

        def call(self, inputs):
            return self.dense(inputs)

    encoder = Encoder()
    encoder(np.zeros((1, 28, 28)))  # built on the data
    with stops("A0-3", "incompatible with the layer"):
        encoder(keras.Input((32,)))
    z_mean, z_log_var = keras_vae.gaussian_encoder(12, (8,), 3)(x)
    assert z_mean.shape == z_log_var.shape == (64, 3)


def test_a0_4_there_is_no_layer_of_a_divergence():
    class VAE(keras.Model):
        def call(self, inputs):
            return tf.keras.layers.KLDivLoss(alpha=1.0)(inputs, inputs)

    model = VAE()
    model.compile("adam", "mse")
    with stops("A0-4", "no attribute 'KLDivLoss'"):
        model.fit(np.zeros((40, 28, 28)), verbose=0)
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
    with stops("A0-5", "loss"):
        model.fit(x, verbose=0)
    vae = small_vae()
    vae.compile("adam")
    vae.fit(x, verbose=0)


def test_a0_6_noise_as_pictures_for_a_flat_network():
    noise = np.random.default_rng(0).normal(size=(40, 28, 28)).astype("float32")
    model = keras.Sequential([layers.Dense(2), layers.Dense(784, "sigmoid")])  # built by the data
    model.compile("adam", "mse")
    with stops("A0-6", "Dimensions must be equal, but are 28 and 784"):
        model.fit(noise, noise, verbose=0)
    # Flattened, it runs, and no training brings the error below that of the cut targets.
    noise = noise[:32, :4, :4]
    flat = noise.reshape(32, 16)
    encoder = keras_vae.dense_encoder(16, (), 2)
    sigmoid = keras_vae.dense_decoder(2, (), 16, output_activation="sigmoid")
    model = keras.Model(encoder.input, sigmoid(encoder.output))
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


def test_a0_9_the_kl_is_no_measure_of_uncertainty():
    """It is 0 at the prior's own mean and variance, and grows whichever of the two is moved."""
    vae = small_vae()
    text = ERRATA.read_text(encoding="utf-8")
    told = re.search(r"0 for N\(0, 1\), ([\d.]+) for N\(0, 0.5²\), ([\d.]+) for N\(0, 2²\), "
                     r"([\d.]+) for N\(1, 1\)", text)
    values = []
    for mean, sigma in ((0, 1), (0, 0.5), (0, 2), (1, 1)):
        for name, value in (("z_mean", mean), ("z_log_var", 2 * np.log(sigma))):
            head = vae.encoder.get_layer(name)
            head.set_weights([np.zeros((8, 3)), np.full(3, value)])  # the same for every image
        values.append(float(vae.compute_losses(np.zeros((1, 12), "float32"))[2][0]) / 3)
    assert values == pytest.approx([0, *map(float, told.groups())], abs=0.005)


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
    for latent_dim, parameters, head in ((32, 427_344, 8_224), (256, 599_824, 65_792)):
        decoder = keras_vae.dense_decoder(latent_dim, (256,), 784).count_params()
        plain = keras_vae.dense_encoder(784, (256,), latent_dim).count_params() + decoder
        vae = keras_vae.gaussian_encoder(784, (256,), latent_dim).count_params() + decoder
        assert (vae, vae - plain) == (parameters, head)
    assert vae / plain == pytest.approx(1.12, abs=0.005)  # A2's own shape


def test_a0_15_beta_and_the_decoders_variance_are_one_knob(x):
    """‖x − x̂‖² + β KL is twice the loss of a Gaussian VAE of variance 1 with half the β."""
    beta = 3.0
    vae = small_vae(likelihood="gaussian", beta=beta / 2)
    vae.noise = tf.ones
    with tf.GradientTape(persistent=True) as tape:
        loss, _, kl_loss = vae.compute_losses(x)
        z_mean, z_log_var = vae.encoder(x)
        copies = vae.decoder(z_mean + tf.exp(0.5 * z_log_var))
        printed = tf.reduce_sum((x - copies) ** 2, axis=1) + beta * kl_loss
    weights = vae.trainable_variables
    for a, b in zip(tape.gradient(printed, weights), tape.gradient(loss, weights), strict=True):
        np.testing.assert_allclose(a, 2 * b, rtol=1e-4, atol=1e-4)


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
    with stops("A1-2", "X_train"):
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
    class VariationalAutoencoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.mean = layers.Dense(64)

        def call(self, x):
            z_mean = self.mean(x)
            return z_mean + tf.random.normal(shape=z_mean.shape)

    model = VariationalAutoencoder()
    model.compile("adam", "mse")
    with stops("A1-5", "partially known"):
        model.fit(np.zeros((25, 784)), np.zeros((25, 64)), batch_size=10, verbose=0)
    model = VariationalAutoencoder()
    model.compile("adam", "mse")
    model.fit(np.zeros((20, 784)), np.zeros((20, 64)), batch_size=10, verbose=0)  # all are full
    vae = small_vae()
    vae.compile("adam")
    vae.fit(np.zeros((25, 12), "float32"), batch_size=10, verbose=0)  # the last batch is of 5


def test_a1_6_one_target_for_three_outputs(x):
    model = ThreeOutputs()
    model.compile("adam", keras.losses.Huber())
    with stops("A1-6", "loss"):
        model.fit(x, x, verbose=0)
    vae = small_vae()
    vae.compile("adam")
    assert "kl_loss" in vae.fit(x, verbose=0).history


def test_a1_7_samples_do_not_go_through_the_layer_that_reads_pixels():
    latent = layers.Dense(64)
    latent(np.zeros((1, 784)))  # built on pixels
    with stops("A1-7", "incompatible with the layer"):
        latent(np.zeros((3, 64)))
    assert small_vae().generate(5).shape == (5, 12)


def test_a1_8_the_divergence_is_no_distance_and_no_difference():
    def kl(m1, s1, m2, s2):
        return np.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5

    # Neither equal when the two are exchanged, nor opposite.
    assert kl(1, 0.5, 0, 1) == pytest.approx(0.82, abs=0.005)
    assert kl(0, 1, 1, 0.5) == pytest.approx(2.81, abs=0.005)
    assert kl(1, 1, 0, 1) == 0.5  # between two distributions of one entropy


def test_a1_9_a_scale_beside_the_hidden_layer_must_have_its_width(x):
    """The mean is the hidden layer (32 wide) and the scale comes from the pixels (64 wide)."""
    class VariationalAutoencoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.scale = layers.Dense(32), layers.Dense(64)

        def call(self, x):
            mean = self.hidden(x)
            return mean + tf.exp(self.scale(x)) * tf.random.normal(tf.shape(mean))

    model = VariationalAutoencoder()
    model.compile("adam", "mse")
    with stops("A1-9", "Dimensions must be equal"):
        model.fit(np.zeros((25, 784)), np.zeros((25, 32)), batch_size=10, verbose=0)
    z_mean, z_log_var = keras_vae.gaussian_encoder(12, (8,), 3)(x)
    assert z_mean.shape == z_log_var.shape


def test_a1_10_input_shape_in_a_layer_is_only_warned_of():
    with pytest.warns(UserWarning, match="input_shape"):
        layer = layers.Dense(3, input_shape=(12,))
    assert not layer.built
    sequential = keras.Sequential()
    sequential.add(layer)
    assert layer.built and sequential.count_params() == 39  # as in A4 §4.2
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


def test_a1_13_at_any_weights_the_loss_grows_with_beta(x):
    vae = small_vae()
    losses = []
    for beta in (0.0, 0.5, 2.0):
        vae.beta = beta
        vae.draws.assign(0)
        losses.append(means(vae.compute_losses(x))[0])
    assert losses == sorted(losses) and losses[0] < losses[-1]


def test_a1_15_the_reconstruction_loss_trains_the_encoder_too(x):
    vae = small_vae()
    with tf.GradientTape(persistent=True) as tape:
        _, reconstruction_loss, kl_loss = vae.compute_losses(x)
    gradients = tape.gradient(reconstruction_loss, vae.trainable_variables)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    assert tape.gradient(kl_loss, vae.decoder.trainable_variables) == [None] * 4


def test_a1_16_an_autoencoder_learns_its_two_halves_at_once_too(x):
    """Every array of weights of both networks changes in one step."""
    vae = small_vae(seed=0)
    vae.compile("adam")
    plain = small_autoencoder()
    plain.compile("adam", "mse")
    for model in (plain, vae):
        before = [w.numpy() for w in model.trainable_variables]
        model.fit(x, batch_size=64, verbose=0)
        after = [w.numpy() for w in model.trainable_variables]
        assert all((a != b).any() for a, b in zip(before, after, strict=True))
    encoder = keras_vae.dense_encoder(784, (), 64, latent_activation="relu")
    decoder = keras_vae.dense_decoder(64, (), 784, output_activation="sigmoid")
    assert decoder.count_params() == 50_960  # the output layer of A1 §4.1
    assert encoder.count_params() + decoder.count_params() == 101_200


def test_a1_17_on_pixels_the_huber_loss_is_half_the_mean_squared_error():
    rng = np.random.default_rng(0)
    pixels, copies = rng.uniform(size=(2, 5, 784)).astype("float32")
    pixels[:, 0], copies[:, 0] = 1, 0  # no error is larger
    huber = keras.losses.Huber(reduction=None)(pixels, copies)
    half = 0.5 * np.sum((pixels - copies) ** 2, axis=1)
    np.testing.assert_allclose(huber, half / 784, rtol=1e-5)  # so a KL beside it counts 784 times
    encoder, decoder = keras_vae.gaussian_encoder(784, (), 2), keras_vae.dense_decoder(2, (), 784)
    vae = keras_vae.VAE(encoder, decoder, likelihood="gaussian")
    vae.noise = tf.zeros
    means_of_pixels = decoder(encoder(pixels)[0])
    squares = 0.5 * np.sum((pixels - means_of_pixels) ** 2, axis=1)
    nats = squares + 392 * np.log(2 * np.pi)
    np.testing.assert_allclose(vae.compute_losses(pixels)[1], nats, rtol=1e-5)  # a sum


# A2


def test_a2_1_normalising_a_pair_is_no_sampling():
    with stops("A2-1", "LayerNormalization"):
        exec("LayerNormalization(epsilon=1e-12)", {})
    with stops("A2-1", "tuple"):
        layers.LayerNormalization(epsilon=1e-12)([keras.Input((256,)), keras.Input((256,))])
    z_mean = np.array([[1.0, 2.0, 3.0, 4.0]], "float32")
    normalise, noise = layers.LayerNormalization(), small_vae(seed=0).noise
    np.testing.assert_array_equal(normalise(z_mean), normalise(z_mean))  # nothing is drawn
    assert abs(np.mean(normalise(z_mean))) < 1e-6  # and every mean is moved to zero
    assert (np.array(z_mean + noise((1, 4))) != np.array(z_mean + noise((1, 4)))).all()


def test_a2_2_an_output_that_begins_at_another_input():
    pixels, z = keras.Input((12,)), keras.Input((3,))
    layers.Dense(3)(pixels)
    output = layers.Dense(12)(z)
    with stops("A2-2", "inputs"):
        keras.Model(pixels, output)(np.zeros((2, 12)))  # Keras 3.10 sees it when it is called
    vae = small_vae()
    assert vae(np.zeros((2, 12), "float32")).shape == (2, 12)


def test_a2_3_a_second_sigmoid_thresholds():
    """Trained to draw a grey of 0.6, a loss that squashes again draws the logit of 0.6."""
    grey = np.full((6400, 1), 0.6, "float32")  # a hundred batches
    ones = np.ones((6400, 1), "float32")
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
            model.fit(ones, grey, epochs=1, batch_size=64, verbose=0)
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
    pixels = keras.Input((784,))
    model = keras.Model(pixels, layers.Dense(2)(pixels))
    model.compile("adam", "mse")
    with stops("A2-4", "expected shape=(None, 784), found shape=(None, 28, 28)"):
        model.fit(np.zeros((40, 28, 28)), np.zeros((40, 2)), verbose=0)
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


def test_a2_6_the_prediction_is_an_image_and_no_class(digits, digits_vae):
    """What a VAE predicts is its input; a classifier on its means needs labels."""
    (x_train, y_train), (x_test, y_test) = digits
    z_train, z_test = digits_vae.encode(x_train)[0], digits_vae.encode(x_test)[0]
    prediction = digits_vae.predict(x_test, verbose=0)
    assert prediction.shape == x_test.shape
    assert np.mean((prediction - x_test) ** 2) < 0.5 * np.var(x_test, axis=0).mean()
    classifier = sklearn.linear_model.LogisticRegression(max_iter=1000).fit(z_train, y_train)
    assert 1 - classifier.score(z_test, y_test) < 0.2


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
        vae.fit(x_train, epochs=20, batch_size=128, verbose=0)
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
    assert numbers[1] / numbers[0] == pytest.approx(0.25, abs=0.005)
    dense_work = 2 * 784 * 256 + 3 * 256 * 20
    ends = 9 * 16 * 14 * 14  # one channel on one side, at 14 × 14 places
    middle = 9 * 16 * 32 * 7 * 7
    conv_work = 2 * (ends + middle) + 3 * 20 * 7 * 7 * 32
    assert conv_work / dense_work == pytest.approx(1.4, abs=0.05)


def test_a2_14_a_gradient_passes_through_a_formula_and_not_through_a_sampler():
    """Both draw from N(1.5, 0.5²), and are as uncertain; only one of them can be trained."""
    mean, sigma = tf.Variable([1.5]), tf.Variable([0.5])
    with tf.GradientTape(persistent=True) as tape:
        formula = mean + sigma * tf.random.normal((1, 10_000))
        sampler = tf.raw_ops.ParameterizedTruncatedNormal(  # cut off far out: a whole normal
            shape=(1, 10_000), means=mean, stdevs=sigma, minvals=[-1e3], maxvals=[1e3]
        )
    for draws in (formula, sampler):
        assert np.mean(draws) == pytest.approx(1.5, abs=0.03)
        assert np.std(draws) == pytest.approx(0.5, abs=0.03)
    assert tape.gradient(sampler, [mean, sigma]) == [None, None]
    assert None not in tape.gradient(formula, [mean, sigma])


def test_a2_16_the_kl_costs_next_to_nothing():
    """Multiplications for an image: the article's network, its KL, and an autoencoder's."""
    encoder = keras_vae.gaussian_encoder(784, (256,), 256)
    decoder = keras_vae.dense_decoder(256, (256,), 784)
    work = sum(np.prod(w.shape) for w in encoder.weights + decoder.weights if len(w.shape) == 2)
    assert work == 598_016
    mean, log_var = np.random.default_rng(0).normal(size=(2, 256))
    products = 2 * 256  # −½ · (1 + log σ² − μ · μ − exp(log σ²)), for each latent variable
    kl = sum(-0.5 * (1 + v - m * m - np.exp(v)) for m, v in zip(mean, log_var))
    assert kl == pytest.approx(-0.5 * np.sum(1 + log_var - mean**2 - np.exp(log_var)))
    assert products == 512 < work / 1000
    saved = np.prod(encoder.get_layer("z_log_var").kernel.shape)
    assert saved / work == pytest.approx(0.11, abs=0.005)


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
    class VariationalAutoencoder(layers.Layer):
        pass

    with stops("A3-4", "compile"):
        VariationalAutoencoder().compile("adam", "mse")
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


def test_a3_9_the_kl_makes_codes_dense_and_an_l1_penalty_sparse(digits, digits_vae):
    (x_train, _), (x_test, _) = digits
    keras.utils.set_random_seed(0)
    encoder = keras_vae.dense_encoder(
        784, (64,), 10, latent_activation="relu", activity_regularizer=keras.regularizers.L1(0.01)
    )
    decoder = keras_vae.dense_decoder(10, (64,), 784, output_activation="sigmoid")
    sparse = keras_vae.Autoencoder(encoder, decoder)
    sparse.compile(keras.optimizers.Adam(0.005), "mse", steps_per_execution=12)
    sparse.fit(x_train, epochs=30, batch_size=128, verbose=0)
    zeros = {
        "L1": np.mean(np.abs(sparse.encode(x_test)) < 0.01),
        "KL": np.mean(np.abs(digits_vae.encode(x_test)[0]) < 0.01),
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
    """A third of N(0, 1) lies outside a tanh's range, and two thirds outside a sigmoid's."""
    draws = scipy.stats.norm.rvs(size=100_000, random_state=0)
    assert np.mean(abs(draws) > 1) == pytest.approx(0.317, abs=0.01)
    assert np.mean((draws < 0) | (draws > 1)) == pytest.approx(0.659, abs=0.01)
    z_mean = small_vae().encoder.get_layer("z_mean")
    assert z_mean.activation is keras.activations.linear


def test_a3_13_the_alias_of_the_mean_squared_error_is_not_there():
    """It is gone from `tf.keras.losses` alone; `reconstruction_error` is one number."""
    module = tf.keras.losses
    if hasattr(module, "mean_squared_error"):
        pytest.skip("this Keras still has it")
    with stops("A3-13", "mean_squared_error"):
        module.mean_squared_error
    assert module.MSE is module.mse is keras.losses.mean_squared_error
    assert inspect.isclass(module.MeanSquaredError)
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


def test_a3_20_a_cross_entropy_takes_no_negative_output():
    a = tf.Variable([[-2.0], [-0.1], [0.1]])
    with tf.GradientTape(persistent=True) as tape:
        output = tf.tanh(a)
        loss = keras.losses.binary_crossentropy(np.ones((3, 1)), output)  # (3,)
    assert np.isnan(tf.math.log(output))[:, 0].tolist() == [True, True, False]
    assert float(loss[0]) == float(loss[1]) == pytest.approx(-np.log(1e-7), rel=1e-3)  # clipped
    gradient = tape.gradient(loss, a)[:, 0]
    assert gradient[0] == gradient[1] == 0 > gradient[2]
    a = tf.Variable([[2.0], [0.5]])  # behind a ReLU, as in A4
    with tf.GradientTape() as tape:
        loss = keras.losses.binary_crossentropy(np.zeros((2, 1)), tf.nn.relu(a))
    gradient = tape.gradient(loss, a)[:, 0]
    assert gradient[0] == 0 < gradient[1]


def test_a3_21_the_work_of_k_means_is_linear_in_the_number_of_points():
    """Lloyd's algorithm by hand, its multiplications counted, beside scikit-learn's centres."""
    work, num_clusters = {}, 10
    for num in (300, 3000):
        x = np.random.default_rng(0).normal(size=(num, 100))
        centres, work[num] = x[:num_clusters], 0
        for _ in range(3):
            squares = np.square(x[:, None] - centres)  # (num, clusters, columns)
            work[num] += squares.size
            nearest = squares.sum(axis=2).argmin(axis=1)
            centres = np.stack([x[nearest == i].mean(axis=0) for i in range(num_clusters)])
        method = sklearn.cluster.KMeans(
            num_clusters, init=x[:num_clusters], n_init=1, max_iter=3, tol=0, algorithm="lloyd"
        )
        np.testing.assert_allclose(centres, method.fit(x).cluster_centers_)
    assert work[3000] == 10 * work[300] == 3 * 3000 * 1000  # iterations, points, 10 · 100
    # One forward pass of the article's network, hidden layers of 50 and 10 latent variables:
    encoder = keras_vae.dense_encoder(100, (50, 50), 10)
    decoder = keras_vae.dense_decoder(10, (50, 50), 100)
    kernels = [w for w in encoder.weights + decoder.weights if len(w.shape) == 2]
    assert sum(np.prod(kernel.shape) for kernel in kernels) == 16_000


def test_a3_22_an_autoencoder_copies_784_pixels_better_than_a_vae(digits, digits_vae):
    """Through ten numbers each, with the same layers and as many steps."""
    (x_train, _), (x_test, _) = digits
    keras.utils.set_random_seed(0)
    plain = keras_vae.Autoencoder(
        keras_vae.dense_encoder(784, (64,), 10),
        keras_vae.dense_decoder(10, (64,), 784, output_activation="sigmoid"),
    )
    adam = keras.optimizers.Adam(0.005)
    plain.compile(adam, loss="binary_crossentropy", steps_per_execution=12)
    plain.fit(x_train, epochs=30, batch_size=128, verbose=0)
    models = plain, digits_vae
    error = [keras_vae.reconstruction_error(model, x_test)["mse"] for model in models]
    assert error[0] < 0.8 * error[1] < 0.4 * np.var(x_test, axis=0).mean()


# A4


def test_a4_1_data_that_are_never_made():
    with stops("A4-1", "x_train"):
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
    with stops("A4-4", "optimizer"):
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
    with stops("A4-6", "No gradients provided"):
        pairs = zip(gradients, gan.generator.trainable_variables)
        keras.optimizers.Adam().apply_gradients(pairs)
    with tf.GradientTape() as tape:
        g_loss = gan.compute_losses(x)[1]
    assert None not in tape.gradient(g_loss, gan.generator.trainable_variables)


def test_a4_7_images_that_are_never_made():
    with stops("A4-7", "real_images"):
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
    """A step up the discriminator's own loss and a step down; the listing's losses."""
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
    # In the listing the discriminator takes a step down its loss, and the generator one up.
    with tf.GradientTape(persistent=True) as tape:
        on_real, on_fake = gan.discriminator(x), gan.discriminator(gan(np.ones((64, 5), "float32")))
        d_loss = tf.reduce_mean(tf.sigmoid(on_fake)) - tf.reduce_mean(tf.sigmoid(on_real))
        g_loss = -tf.reduce_mean(tf.sigmoid(on_fake))
    weights = gan.generator.trainable_variables
    for a, b in zip(tape.gradient(g_loss, weights), tape.gradient(d_loss, weights), strict=True):
        np.testing.assert_allclose(a, -b)


def test_a4_14_the_discriminator_judges_each_image_by_itself(x):
    discriminator = small_gan().discriminator
    alone = discriminator.predict(x[:4], verbose=0)
    among_others = discriminator.predict(np.concatenate([x, 0 * x]), verbose=0)[:4]
    assert alone.shape == (4, 1)
    np.testing.assert_allclose(alone, among_others, rtol=1e-5)
    assert len(np.unique(alone)) == 4


def test_a4_15_the_encoder_has_no_part_in_what_is_generated(x):
    vae = small_vae(seed=0)
    z = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    drawn, copies = vae.decode(z), vae.reconstruct(x)
    for w in vae.encoder.trainable_variables:
        w.assign(tf.ones_like(w))
    np.testing.assert_array_equal(vae.decode(z), drawn)
    assert np.abs(vae.reconstruct(x) - copies).max() > 0.01
    twins = []
    for value in (0.0, 1.0):  # `generate`, from one seed, with two different encoders
        twin = small_vae(seed=0)
        twin.decoder.set_weights(vae.decoder.get_weights())
        for w in twin.encoder.trainable_variables:
            w.assign(value * tf.ones_like(w))
        twins.append(twin.generate(5))
    np.testing.assert_array_equal(*twins)
