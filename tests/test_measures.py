import itertools

import clusters
import keras
import numpy as np
import pytest
import quality
import scipy.stats
import tensorflow as tf
from conftest import small_autoencoder, small_vae

from keras_vae import VAE, active_units, cluster_accuracy, cluster_scores, dense_decoder, elbo
from keras_vae import frechet_distance, gaussian_encoder, kl_per_latent, label_efficiency
from keras_vae import load_digits, log_likelihood, measures, rate_distortion
from keras_vae import reconstruction_error, sample_quality


class Constant:
    """A "model" that returns one number everywhere."""

    def __init__(self, value):
        self.value = value

    def predict(self, x, verbose):
        return np.full_like(x, self.value)


def test_reconstruction_error_of_a_constant():
    x = np.array([[0.0, 1.0], [1.0, 1.0]], "float32")
    error = reconstruction_error(Constant(0.8), x)
    assert error["mse"] == pytest.approx((0.64 + 3 * 0.04) / 4)
    assert error["cross_entropy"] == pytest.approx(-(np.log(0.2) + 3 * np.log(0.8)) / 4, rel=1e-5)
    assert np.isnan(reconstruction_error(Constant(1.5), x)["cross_entropy"])
    for bad in (x[:0], (255 * x).astype("uint8"), x * np.nan):
        with pytest.raises(ValueError, match="x must be"):
            reconstruction_error(Constant(0.5), bad)
    with pytest.raises(ValueError, match="shape"):
        model = Constant(0.5)
        model.predict = lambda x, verbose: x[:1]
        reconstruction_error(model, x)


def test_reconstruction_error_is_that_of_float64():
    """Squares of small float16 differences are 0 in float16."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.2, 0.8, (50, 12))
    for kind in ("float16", "float32", "float64"):
        one, other = x.astype(kind), (x + 2e-4).astype(kind)
        model = Constant(0)
        model.predict = lambda x, verbose: other
        error = reconstruction_error(model, one)
        one, other = one.astype("float64"), other.astype("float64")
        assert error["mse"] == pytest.approx(np.mean((one - other) ** 2), rel=1e-12)
        nats = -np.mean(one * np.log(other) + (1 - one) * np.log(1 - other))
        assert error["cross_entropy"] == pytest.approx(nats, rel=1e-9)


def test_active_units_counts_the_means_that_vary():
    vae = small_vae()
    x = np.random.default_rng(0).uniform(size=(500, 12)).astype("float32")
    layer = vae.encoder.get_layer("z_mean")
    kernel, bias = layer.get_weights()
    assert active_units(vae, x) == 3
    kernel[:, 1] = 0  # a unit that is the same for every x, whatever its bias
    layer.set_weights([kernel, bias + 5])
    assert active_units(vae, x) == 2
    assert active_units(vae, x, threshold=1e9) == 0
    with pytest.raises(ValueError, match="at least two examples, got 1"):
        active_units(vae, x[:1])  # one example has no variance: no unit would be active
    layer.set_weights([kernel * np.nan, bias])
    with pytest.raises(ValueError, match="z_mean must be finite"):
        active_units(vae, x)


def linear_gaussian(rng, shift=0.0):
    """Return a VAE whose likelihood is known, x ~ N(b, W Wᵀ + I), with the exact posterior as its
    encoder if `shift` is 0; W's columns are orthogonal, so that the posterior is diagonal."""
    width, latent_dim = 6, 2
    scales = np.array([1.5, 0.7])
    w = np.linalg.qr(rng.normal(size=(width, latent_dim)))[0] * scales  # (width, latent_dim)
    b = rng.normal(size=width)
    encoder = gaussian_encoder(width, (), latent_dim)
    decoder = dense_decoder(latent_dim, (), width)
    precision = 1 + scales**2
    decoder.get_layer("reconstruction").set_weights([w.T, b])
    encoder.get_layer("z_mean").set_weights([w / precision, -b @ w / precision + shift])
    encoder.get_layer("z_log_var").set_weights(
        [np.zeros((width, latent_dim)), -np.log(precision) + shift]
    )
    x = (rng.normal(size=(200, latent_dim)) @ w.T + b + rng.normal(size=(200, width)))
    exact = scipy.stats.multivariate_normal(b, w @ w.T + np.eye(width)).logpdf(x)
    return VAE(encoder, decoder, likelihood="gaussian"), x.astype("float32"), exact


def test_log_likelihood_of_a_linear_gaussian_model_is_exact():
    vae, x, exact = linear_gaussian(np.random.default_rng(0))
    # Under the exact posterior every weight is p(x), whatever the draw.
    for num_samples, batch_size in ((1, 7), (3, 200), (60, 100)):
        bound = log_likelihood(vae, x, num_samples, batch_size)
        np.testing.assert_allclose(bound, exact, atol=2e-5)
    np.testing.assert_allclose(elbo(vae, x, 20000).mean(), exact.mean(), atol=0.005)


def test_log_likelihood_rises_to_the_exact_value_from_a_wrong_posterior():
    vae, x, exact = linear_gaussian(np.random.default_rng(0), shift=0.5)
    gaps = [exact.mean() - log_likelihood(vae, x, num, seed=1).mean() for num in (1, 5, 50, 20000)]
    assert gaps == sorted(gaps, reverse=True)
    # K = 1 is the ELBO: its gap is KL(q ‖ posterior), here in closed form.
    var = np.exp(0.5)
    gap = 0.5 * np.sum(var + 0.25 * (1 + np.array([1.5, 0.7]) ** 2) - 1 - 0.5)
    assert gaps[0] == pytest.approx(gap, abs=0.2)
    assert exact.mean() - elbo(vae, x, 5000).mean() == pytest.approx(gap, abs=0.01)
    assert gaps[-1] == pytest.approx(0, abs=0.002)


def test_log_likelihood_does_not_depend_on_how_it_is_cut(capsys):
    vae, x, _ = linear_gaussian(np.random.default_rng(0), shift=0.2)
    vae.beta = 4.0  # plays no part
    whole = log_likelihood(vae, x, 3000, batch_size=200)
    cut = log_likelihood(vae, x, 3000, batch_size=7, seed=1)
    np.testing.assert_allclose(whole, cut, atol=0.05)  # other draws: the noise of 3000
    np.testing.assert_array_equal(whole, log_likelihood(vae, x, 3000, batch_size=200))
    assert "200/200" not in capsys.readouterr().out
    log_likelihood(vae, x, 1, verbose=1)
    assert "200/200" in capsys.readouterr().out


def test_elbo_is_minus_the_vaes_loss_at_beta_1(x):
    vae = small_vae(seed=0)
    vae.compile("adam")
    x = np.tile(x, (400, 1))  # many draws of z
    loss, reconstruction_loss, kl_loss = vae.evaluate(x, batch_size=640, verbose=0)
    assert -elbo(vae, x).mean() == pytest.approx(loss, rel=1e-3)
    parts = rate_distortion(vae, x)
    assert parts["rate"] == pytest.approx(kl_loss, rel=1e-5)
    assert parts["distortion"] == pytest.approx(reconstruction_loss, rel=1e-3)


def test_kl_per_latent_is_that_of_two_normals(x):
    vae = small_vae()
    z_mean, z_log_var = vae.encode(x[:4])
    p = scipy.stats.norm()
    kl = np.zeros(3)
    for mean, log_var in zip(z_mean, z_log_var):
        for j in range(3):  # KL = ∫ q log(q / p), by quadrature
            q = scipy.stats.norm(mean[j], np.exp(0.5 * log_var[j]))
            kl[j] += q.expect(lambda z: q.logpdf(z) - p.logpdf(z)) / 4
    np.testing.assert_allclose(kl_per_latent(vae, x[:4]), kl, atol=1e-5)


def test_the_vaes_measures_refuse_what_does_not_fit(x):
    vae = small_vae()
    wrong = tf.errors.InvalidArgumentError
    for bad, error, match in (
        (x[:0], ValueError, "empty"), (x[:, :5], ValueError, "shape"),
        ((9 * x).astype("int32"), ValueError, "floating"), (x * np.nan, wrong, "nan"),
        (255 * x, wrong, r"\[0, 1\]"),
    ):
        for measure in (log_likelihood, elbo, rate_distortion, kl_per_latent):
            with pytest.raises(error, match=match):
                measure(vae, bad)
    for number in (0, -1, 1.5, 2.0, "2", None):
        with pytest.raises(ValueError, match="num_samples must be an integer"):
            log_likelihood(vae, x, number)
        with pytest.raises(ValueError, match="batch_size must be an integer"):
            elbo(vae, x, batch_size=number)
    for seed in (1.5, None, "a"):
        with pytest.raises(ValueError, match="seed must be an integer"):
            log_likelihood(vae, x, 1, seed=seed)
    autoencoder = small_autoencoder()
    for measure in (elbo, rate_distortion, kl_per_latent, active_units):
        with pytest.raises(TypeError, match="z_mean and z_log_var, got a Autoencoder"):
            measure(autoencoder, x[:2])  # two codes are no pair of heads


def test_the_vaes_measures_take_what_is_like_an_array(x):
    vae = small_vae()
    for measure in (
        lambda x: log_likelihood(vae, x, 3), lambda x: elbo(vae, x), lambda x: active_units(vae, x),
        lambda x: kl_per_latent(vae, x), lambda x: list(rate_distortion(vae, x).values()),
        lambda x: list(reconstruction_error(vae, x).values()),
    ):
        expected = measure(x)
        for like in (x.tolist(), list(x), tf.constant(x), x.astype("float64")):
            np.testing.assert_allclose(measure(like), expected, rtol=1e-6)
        np.testing.assert_allclose(measure(x.astype("float16")), expected, rtol=5e-3)
    for seed in (np.int64(3), np.int32(3)):
        np.testing.assert_array_equal(elbo(vae, x, seed=seed), elbo(vae, x, seed=3))
    assert (elbo(vae, x, seed=-1) != elbo(vae, x, seed=1)).any()


def test_codes_of_rank_3():
    inputs, codes = keras.Input((12,)), keras.Input((2, 3))
    heads = [
        keras.layers.Reshape((2, 3))(keras.layers.Dense(6, bias_initializer="normal")(inputs))
        for _ in range(2)
    ]
    outputs = keras.layers.Dense(12)(keras.layers.Flatten()(codes))
    vae = VAE(keras.Model(inputs, heads), keras.Model(codes, outputs), likelihood="gaussian")
    x = np.random.default_rng(0).normal(size=(40, 12)).astype("float32")
    z_mean, z_log_var = (head.astype("float64") for head in vae.encode(x))
    kl = 0.5 * (z_mean**2 + np.exp(z_log_var) - 1 - z_log_var).mean(axis=0)  # (2, 3)
    np.testing.assert_allclose(kl_per_latent(vae, x), kl)
    assert active_units(vae, x, threshold=np.median(z_mean.var(axis=0))) == 3
    parts = rate_distortion(vae, x, num_samples=7)
    assert parts["rate"] == pytest.approx(kl.sum())
    bound = -parts["rate"] - parts["distortion"]
    assert elbo(vae, x, num_samples=7).mean() == pytest.approx(bound)


def test_cluster_accuracy_is_the_best_of_all_namings():
    rng = np.random.default_rng(0)
    labels, clusters = rng.integers(4, size=(2, 60))
    best = max(
        np.mean(labels == np.array(naming)[clusters])
        for naming in itertools.permutations(range(4))
    )
    assert cluster_accuracy(labels, clusters) == pytest.approx(best)
    assert cluster_accuracy(labels, (labels + 1) % 4) == 1
    assert cluster_accuracy([0, 0, 1, 1], [0, 1, 2, 3]) == 0.5  # more clusters than labels
    assert cluster_accuracy(clusters, labels) == pytest.approx(best)  # it is symmetric
    assert cluster_accuracy(labels * 1.0, clusters * 1.0) == pytest.approx(best)
    noise = rng.normal(size=60)  # sixty clusters of one: they would name all labels
    nan = np.where(clusters == 0, np.nan, clusters)
    for wrong in (
        ([], []), ([0, 1], [0]), (noise, noise), (labels, noise), (labels, nan),
        (labels, np.eye(4)[clusters]), (labels[:, None], clusters[:, None]),
    ):
        for measure in (cluster_accuracy, cluster_scores):
            with pytest.raises(ValueError, match="integers of one length"):
                measure(*wrong)


def test_cluster_scores_by_hand():
    labels, clusters = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])
    found = cluster_scores(labels, clusters)
    assert found["accuracy"] == 0.75
    # Mutual information and entropies by their definitions, in nats.
    joint = np.array([[0.5, 0.0], [0.25, 0.25]])
    outer = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    information = np.sum(joint[joint > 0] * np.log(joint[joint > 0] / outer[joint > 0]))
    entropies = [scipy.stats.entropy(joint.sum(axis=axis)) for axis in (0, 1)]
    assert found["NMI"] == pytest.approx(information / np.mean(entropies))
    # Rand index by counting pairs: both keep together 1, labels 2, clusters 3, of 6.
    chance = 2 * 3 / 6
    assert found["ARI"] == pytest.approx((1 - chance) / (0.5 * (2 + 3) - chance))


def test_label_efficiency_draws_as_many_of_each_class():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(4), 50))
    h = np.eye(4)[y] + 0.1 * rng.normal(size=(200, 4))
    errors = label_efficiency(h, y, h, y, (4, 40, 200), num_draws=3)
    assert {num: len(found) for num, found in errors.items()} == {4: 3, 40: 3, 200: 1}
    assert all((found == 0).all() for found in errors.values())  # one of each class is enough
    noise = label_efficiency(rng.normal(size=(200, 4)), y, h, y, (40,))
    assert 0.5 < noise[40].mean() < 0.95  # features without information: chance is 0.75
    assert len(set(noise[40])) > 1  # the draws differ
    for wrong in (3, 204, 0):
        with pytest.raises(ValueError, match="num_labels must lie between 4"):
            label_efficiency(h, y, h, y, (wrong,))
    for wrong in (40.0, 40.5, "40"):
        with pytest.raises(ValueError, match="num_labels must lie .* integers, got"):
            label_efficiency(h, y, h, y, (wrong,))
    with pytest.raises(ValueError, match="num_labels must be a sequence"):
        label_efficiency(h, y, h, y, 40)
    with pytest.raises(ValueError, match="num_draws must be an integer"):
        label_efficiency(h, y, h, y, (40,), num_draws=0)
    for arrays, name in (
        ((h, y[:150], h, y), "train"), ((h, y, h[:150], y), "test"),
        ((h, np.eye(4)[y], h, y), "train"), ((h, y, h, y[:, None]), "test"),
    ):
        with pytest.raises(ValueError, match=f"h_{name} must have shape"):
            label_efficiency(*arrays, (40,))
    lists = [part.tolist() for part in (h, y, h, y)]
    np.testing.assert_array_equal(label_efficiency(*lists, (40,), 3)[40], errors[40])


def test_a_balanced_draw_is_as_even_as_it_can_be():
    y = np.random.default_rng(1).permutation(np.repeat(np.arange(8), 50))
    rng = np.random.default_rng(0)
    draws = [measures.balanced_draw(y, 100, rng) for _ in range(30)]
    counts = np.array([np.bincount(y[rows]) for rows in draws])
    assert all(len(set(rows)) == 100 for rows in draws)
    assert {*counts.ravel()} == {12, 13} and (counts.sum(axis=1) == 100).all()
    assert (counts == 13).any(axis=0).all()  # each class gets the thirteenth at some time
    assert len(measures.balanced_draw(y, 399, rng)) == 399
    errors = label_efficiency(np.eye(8)[y], y, np.eye(8)[y], y, (399,), num_draws=1)
    assert errors[399] == 0


def test_a_draw_of_ten_classes_stays_what_it_was():
    """The saved results of chapter 6 are of these rows."""
    y = np.random.default_rng(1).integers(10, size=500)
    rng, same = np.random.default_rng(0), np.random.default_rng(0)
    for num in (10, 100, 100, 200):
        rows = [same.choice(np.flatnonzero(y == c), num // 10, replace=False) for c in range(10)]
        np.testing.assert_array_equal(measures.balanced_draw(y, num, rng), np.concatenate(rows))
    first = measures.balanced_draw(np.arange(20) % 10, 10, np.random.default_rng(0))
    np.testing.assert_array_equal(first, [10, 11, 12, 3, 4, 5, 6, 7, 8, 19])


def test_frechet_distance_of_normals_with_known_moments():
    rng = np.random.default_rng(0)
    # Sets with exactly these moments: whiten, then scale and shift.
    a = rng.normal(size=(500, 3))
    a = (a - a.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(a, rowvar=False))).T
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    # Commuting covariances: ‖Δμ‖² + Σ (σ_a − σ_b)².
    b = a * [2.0, 0.5, 3.0] + [1.0, -2.0, 0.5]
    assert frechet_distance(a, b) == pytest.approx(5.25 + 1 + 0.25 + 4)
    turned = b @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert frechet_distance(a, turned) == pytest.approx(frechet_distance(a, b))
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b))
    assert frechet_distance(a[:, :1], b[:, :1]) == pytest.approx(2)  # one feature
    for wrong in (a[:, :2], a[:1], a[0], a * np.nan, a[:0], a.reshape(100, 5, 3)):
        for pair in ((a, wrong), (wrong, a)):
            with pytest.raises(ValueError, match="a and b must"):
                frechet_distance(*pair)
    with pytest.raises(ValueError, match="a and b must"):
        frechet_distance(a[:, :0], a[:, :0])
    assert frechet_distance(a.tolist(), b.astype("float32")) == pytest.approx(10.5, rel=1e-5)
    assert all(frechet_distance(part, part) >= 0 for part in np.split(a, 50))  # also by rounding


def test_sample_quality_of_copies_and_of_one_class():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    x = np.clip(0.5 * np.eye(3, 8)[y] + rng.uniform(0, 0.4, (300, 8)), 0, 1).astype("float32")
    inputs = keras.Input((8,))
    features = keras.layers.Dense(4, "relu")(inputs)
    classifier = keras.Model(inputs, keras.layers.Dense(3)(features))
    classifier.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    classifier.fit(x, y, epochs=60, verbose=0)
    x_train, x_test = x[:100], x[100:]
    copies = sample_quality(x_train, x_train, x_test, classifier)
    assert copies["nearest"] == pytest.approx(0, abs=1e-3) and copies["nearest_floor"] > 0.1
    assert copies["classes"] == copies["classes_floor"] == 3
    assert copies["entropy"] == pytest.approx(np.log(3), abs=0.1)
    assert copies["frechet"] < 3 * copies["frechet_floor"] + 0.1
    one_class = x_test[y[100:] == 0]
    collapsed = sample_quality(one_class, x_train, x_test, classifier)
    assert collapsed["classes"] == 1 and collapsed["entropy"] == 0
    assert collapsed["frechet"] > 10 * copies["frechet"]
    real = sample_quality(x_test[1::2], x_train, x_test, classifier)  # the floor itself
    for name in ("frechet", "classes", "entropy", "nearest"):
        assert real[name] == pytest.approx(real[f"{name}_floor"])
    wide = [part.reshape(len(part), 2, 2, 2) for part in (one_class, x_train, x_test)]
    layers = [keras.Input((2, 2, 2)), keras.layers.Flatten(), *classifier.layers[1:]]
    in_their_shape = sample_quality(*wide, keras.Sequential(layers))
    assert in_their_shape == pytest.approx(collapsed, rel=1e-5)
    for wrong in (x_train[:, :5], x_train[:1], x_train[0], x_train.reshape(-1, 2, 4)):
        with pytest.raises(ValueError, match="images, x_train and x_test must have one shape"):
            sample_quality(wrong, x_train, x_test, classifier)
    arrays = {"images": one_class, "x_train": x_train, "x_test": x_test}
    for name, part in arrays.items():
        for wrong in (255 * part, part - 1, np.where(part > 0.8, np.nan, part)):
            with pytest.raises(ValueError, match=rf"^{name} must lie in \[0, 1\]"):
                sample_quality(**{**arrays, name: wrong}, classifier=classifier)


class Subclass(keras.Model):
    def call(self, x):
        return x


def test_sample_quality_takes_any_chain_of_layers_as_classifier(x):
    def layers(*widths):
        return [keras.layers.Dense(width, bias_initializer="normal") for width in widths]

    inputs = keras.Input((12,))
    called = keras.Sequential(layers(4, 3))
    called(x)
    added = keras.Sequential()
    for layer in (keras.Input((12,)), *layers(4, 3)):
        added.add(layer)
    trained = keras.Sequential([inputs, *layers(4, 3)])
    trained.compile("adam", "mse")
    trained.fit(x, x[:, :3], verbose=0)
    nested = keras.Sequential([inputs, keras.Sequential([keras.Input((12,)), *layers(4)])])
    nested.add(*layers(3))
    shared = keras.Sequential([inputs, *layers(4), trained.layers[-1]])
    functional = keras.Model(inputs, layers(3)[0](layers(4)[0](inputs)))
    for classifier in (functional, called, added, trained, nested, shared):
        *_, hidden, last = classifier.layers
        network = measures.feature_network(classifier)
        features, scores = network.predict(x, verbose=0)
        np.testing.assert_allclose(features, hidden(x), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(scores, last(features), rtol=1e-5, atol=1e-6)
        found = sample_quality(x, x, x, classifier)
        expected = frechet_distance(features, features[::2])
        assert found["frechet"] == pytest.approx(expected, rel=1e-3, abs=1e-6)
    (one,), (wide, narrow) = layers(3), layers(4, 1)
    for wrong, words in (
        (keras.Sequential(layers(4, 3)), "its input's shape or called once.*built=False"),
        (Subclass(), "a functional Keras model"),
        (None, "a functional Keras model.*got None"),
        (keras.Model(inputs, [layer(inputs) for layer in layers(3, 3)]), "with one output"),
        (keras.Model(inputs, one(inputs)), "two layers or more"),
        (keras.Sequential([inputs, *layers(3)]), "two layers or more"),
        (keras.Sequential([inputs, wide, narrow]), r"\(num, classes\) scores, got \(None, 1\)"),
    ):
        with pytest.raises(ValueError, match=f"classifier must.*{words}"):
            sample_quality(x, x, x, wrong)


def test_the_benchmark_of_clusters_measures_what_its_table_shows():
    (x, y), _ = load_digits()
    found = clusters.of_a_vae(x[:300], y[:300], 0, 1, 1, neighbors=0)
    found |= clusters.of_a_vade(x[:300], y[:300], 0, 1, 1, 0, vade_epochs=1)
    ours = {run for run, (what, _) in quality.RUNS.items() if what == "clusters.py"}
    shown = {measure for run, measure, *_ in quality.ROWS if run in ours}
    shown |= {f"{name}, ARI" for name, *_ in quality.CLUSTERINGS}
    assert {measure for measure in shown if "UMAP" not in measure} <= set(found)
    scores = [v for name, v in found.items() if name.endswith(("accuracy", "NMI", "ARI"))]
    assert all(-1 <= value <= 1 for value in scores)
