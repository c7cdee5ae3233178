"""ConditionalVAE and SemisupervisedVAE: their losses by NumPy and by enumeration, their verbs."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from conftest import slope_and_gradient, small_conditional, small_semisupervised

from keras_vae import ConditionalVAE, SemisupervisedVAE, VAE, dense_decoder, gaussian_encoder

LABELS = np.arange(64) % 3


def losses_by_numpy(vae, x, labels, epsilon):
    """Return reconstruction_loss and kl_loss of each example, in float64."""
    y = np.eye(3)[labels]
    heads = vae.encoder(np.hstack([x, y]).astype("float32"))
    z_mean, z_log_var = (head.numpy().astype("float64") for head in heads)
    z = z_mean + np.exp(0.5 * z_log_var) * epsilon
    p = scipy.special.expit(vae.decoder(np.hstack([z, y]).astype("float32")).numpy().astype(float))
    nats = -np.sum(x * np.log(p) + (1 - x) * np.log1p(-p), axis=1)
    return nats, 0.5 * np.sum(z_mean**2 + np.exp(z_log_var) - 1 - z_log_var, axis=1)


def test_the_losses_are_those_of_numpy(x):
    vae = small_conditional(beta=0.7)
    epsilon = np.random.default_rng(0).normal(size=(64, 2))
    vae.noise = lambda shape: tf.constant(epsilon, "float32")
    nats, kl = losses_by_numpy(vae, x, LABELS, epsilon)
    found = vae.compute_losses(vae.join(x, LABELS))
    for value, expected in zip(found, (nats + 0.7 * kl, nats, kl), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


def test_m2s_losses_are_those_of_enumerating_the_classes(x):
    vae = small_semisupervised(beta=0.7, alpha=2.0)
    epsilon = np.random.default_rng(0).normal(size=(64, 3, 2))
    vae.noise = lambda shape: tf.constant(epsilon.reshape(-1, 2), "float32")
    each = [losses_by_numpy(vae, x, np.full(64, k), epsilon[:, k]) for k in range(3)]
    nats, kl = np.array(each).transpose(1, 2, 0)  # (example, class) each
    log_q = scipy.special.log_softmax(vae.classifier(x).numpy().astype("float64"), axis=1)
    q = np.exp(log_q)
    # log p(y) = −log 3. Without a label: the mean over q(y | x), less its entropy.
    unlabelled = np.sum(q * nats, 1), np.sum(q * (kl + np.log(3) + log_q), 1), 0
    rows = np.arange(64)
    labelled = nats[rows, LABELS], kl[rows, LABELS] + np.log(3), -log_q[rows, LABELS]
    for labels, (reconstruction, of_kl, cross_entropy) in (
        (np.full(64, -1), unlabelled), (LABELS, labelled),
    ):
        found = vae.compute_losses(vae.join(x, labels, -1))
        expected = reconstruction + 0.7 * of_kl + 2 * cross_entropy, reconstruction, of_kl
        for value, exact in zip(found, expected, strict=True):
            np.testing.assert_allclose(value, exact, rtol=1e-5, atol=1e-5)
    mixed = np.where(rows < 30, -1, LABELS)
    found = vae.compute_losses(vae.join(x, mixed, -1))[0]
    for part, labels in ((rows < 30, np.full(64, -1)), (rows >= 30, LABELS)):
        alone = vae.compute_losses(vae.join(x, labels, -1))[0]
        np.testing.assert_allclose(found[part], alone[part], rtol=1e-6)


def test_without_labels_the_loss_bounds_minus_log_p(x):
    """p(x) by adding over the classes and integrating over one latent variable."""
    classifier = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])
    vae = SemisupervisedVAE(
        gaussian_encoder(15, (8,), 1), dense_decoder(4, (8,), 12), classifier, num_classes=3
    )
    x = np.round(x[:4])
    z = np.linspace(-8, 8, 2001)
    log_p = []
    for k in range(3):
        codes = np.hstack([z[:, None], np.tile(np.eye(3)[k], (len(z), 1))]).astype("float32")
        logits = vae.decoder(codes).numpy().astype("float64")
        nats = np.sum(np.logaddexp(0, logits) - x[:, None] * logits, axis=2)  # (example, z)
        log_p.append(-nats - 0.5 * z**2 - 0.5 * np.log(2 * np.pi) - np.log(3))
    log_p = scipy.special.logsumexp(log_p, axis=(0, 2)) + np.log(z[1] - z[0])
    xy = vae.join(np.repeat(x, 2000, axis=0), np.full(8000, -1), -1)
    bound = -vae.compute_losses(xy)[0].numpy().reshape(4, 2000).mean(axis=1)
    assert (bound < log_p).all() and (bound > log_p - 5).all()


@pytest.mark.parametrize("make", [small_conditional, small_semisupervised])
def test_the_gradient_is_that_of_finite_differences(make, x):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    vae = make()
    epsilon = np.random.default_rng(0).normal(size=(64 * 3, 2))
    vae.noise = lambda shape: tf.constant(epsilon)[: shape[0]]
    labels = LABELS if make is small_conditional else np.where(np.arange(64) < 30, -1, LABELS)
    xy = vae.join(x.astype("float64"), labels, -1)
    slope, gradient = slope_and_gradient(vae, lambda: vae.compute_losses(xy)[0])
    assert slope == pytest.approx(gradient, rel=1e-6)


def patterns(num, rng):
    """Return noisy black and white patterns of 12 pixels, and which of three each is."""
    labels = rng.integers(0, 3, num)
    means = 0.1 + 0.8 * np.repeat(np.eye(3), 4, axis=1)
    return rng.binomial(1, means[labels]).astype("float32"), labels


def test_it_draws_the_class_that_it_is_asked_for():
    x, labels = patterns(2000, np.random.default_rng(0))
    vae = small_conditional(seed=0)
    vae.compile(keras.optimizers.Adam(0.01))
    vae.fit(x, labels, epochs=10, verbose=0)
    drawn = vae.generate(300, [0, 1, 2] * 100, seed=1)
    assert drawn.shape == (300, 12)
    found = drawn.reshape(300, 3, 4).mean(axis=2).argmax(axis=1)
    assert (found == [0, 1, 2] * 100).mean() > 0.99
    np.testing.assert_array_equal(vae.generate(300, seed=1), drawn)  # each label in its turn
    one = vae.generate(50, 2, seed=1)
    assert (one.reshape(50, 3, 4).mean(axis=2).argmax(axis=1) == 2).all()
    assert set(np.unique(vae.generate(5, 0, sample=True))) <= {0, 1}


def test_unlabelled_examples_classify_with_a_label_each():
    """Three labels are all that it sees: the rest is that the data have three clusters."""
    rng = np.random.default_rng(0)
    x, labels = patterns(2000, rng)
    first = [int(np.argmax((labels == k) & (x @ np.repeat(np.eye(3), 4, axis=0)[:, k] == 4)))
             for k in range(3)]
    known = np.full(2000, -1)
    known[first] = range(3)
    order = np.concatenate([np.tile(first, 200), np.arange(2000)])
    vae = small_semisupervised(seed=0, alpha=1.0)
    vae.compile(keras.optimizers.Adam(0.01))
    vae.fit(x[order], known[order], epochs=15, verbose=0)
    x_test, y_test = patterns(1000, rng)
    assert (vae.predict_classes(x_test) == y_test).mean() > 0.9
    q = vae.class_probabilities(x_test)
    np.testing.assert_allclose(q.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(q.argmax(axis=1), vae.predict_classes(x_test))


def test_wrong_networks_and_settings_are_refused():
    encoder, decoder = gaussian_encoder(15, (), 2), dense_decoder(5, (), 12)
    with pytest.raises(ValueError, match=r"the encoder \(None, 16\) → .* for this decoder, got"):
        ConditionalVAE(encoder, decoder, 4)
    image = keras.Sequential([keras.Input((5,)), keras.layers.Dense(12),
                              keras.layers.Reshape((3, 4, 1))])
    with pytest.raises(ValueError, match="networks must be of flat x and z"):
        ConditionalVAE(encoder, image, 3)
    with pytest.raises(ValueError, match="num_classes must be"):
        ConditionalVAE(encoder, decoder, 0)
    with pytest.raises(ValueError, match=r"classifier must be \(None, 12\) → \(None, 3\), got"):
        SemisupervisedVAE(encoder, decoder, dense_decoder(12, (), 4), num_classes=3)
    for alpha in (-1, np.nan, np.inf):
        with pytest.raises(ValueError, match="alpha must be"):
            small_semisupervised(alpha=alpha)
    with pytest.raises(AttributeError):  # its traced step would not see another
        small_semisupervised().alpha = 2.0
    softmax = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3, "softmax")])
    with pytest.raises(ValueError, match="classifier must put out logits"):
        SemisupervisedVAE(encoder, decoder, softmax, num_classes=3)


def test_its_config_holds_the_classifier_and_makes_another(x):
    vae = small_semisupervised(alpha=0.5)
    config = vae.get_config()
    assert "activation" in str(config["classifier"])  # so a backup sees a changed one
    other = SemisupervisedVAE.from_config(config)
    assert other.alpha == 0.5 and other.classifier.output_shape == (None, 3)
    vae.classifier.set_weights([np.nan * w for w in vae.classifier.get_weights()])
    with pytest.raises(tf.errors.InvalidArgumentError, match="logits must be finite"):
        vae.predict_classes(x)


@pytest.mark.parametrize("make, least", [(small_conditional, 0), (small_semisupervised, -1)])
def test_wrong_labels_are_refused(make, least, x):
    vae = make()
    vae.compile()
    before = vae.get_weights()
    for labels, error, words in (
        (None, ValueError, "needs labels: fit"),
        (LABELS.astype("float32"), ValueError, "labels must be integers"),
        (np.eye(3, dtype=int)[LABELS], ValueError, r"labels must be integers, \(batch,\)"),
        (LABELS + 1, tf.errors.InvalidArgumentError, rf"labels must lie in {least} … 2"),
        (LABELS + least - 1, tf.errors.InvalidArgumentError, r"Least, greatest:"),
        (LABELS[:-1], ValueError, "sizes|cardinality"),  # Keras's own words
    ):
        with pytest.raises(error, match=words):
            vae.fit(x, labels, verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="divide images by 255"):
        vae.fit(255 * x, LABELS, verbose=0)
    with pytest.raises(ValueError, match="divide bytes by 255"):
        vae.fit(x.astype("uint8"), LABELS, verbose=0)
    for a, b in zip(before, vae.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="labels"):
        vae.generate(3, 7)
    with pytest.raises(ValueError, match="a label for each row"):
        vae.join(x, LABELS[:-1])
    for kind in ("uint8", "int8", "int16", "uint64"):  # none of which may wrap −1 or the classes
        np.testing.assert_array_equal(vae.join(x, LABELS.astype(kind)), vae.join(x, LABELS))
    vae.compile(jit_compile=True)  # XLA drops the assertion
    assert np.isnan(vae.evaluate(x, LABELS + 1, verbose=0)[0])
    m2 = small_semisupervised()  # −1 is a label for fit alone
    for call in (lambda: m2.generate(3, -1), lambda: m2.encode(x, LABELS - 1)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="labels must lie in 0 … 2"):
            call()


def test_codes_and_reconstructions_take_the_label(x):
    vae = small_conditional()
    z_mean, z_log_var = vae.encode(x, LABELS)
    assert z_mean.shape == z_log_var.shape == (64, 2)
    copies = vae.reconstruct(x, LABELS)
    np.testing.assert_allclose(copies, vae.predict(vae.join(x, LABELS), verbose=0), rtol=1e-5)
    assert np.abs(copies - vae.reconstruct(x, (LABELS + 1) % 3)).max() > 0.01
    assert isinstance(vae, VAE)
