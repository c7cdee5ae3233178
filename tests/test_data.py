import contextlib
import time
import urllib.error

import keras
import numpy as np
import pytest
import sklearn.cluster
import tensorflow as tf
from conftest import assert_equal, small_vae, state

from keras_vae import (
    batches,
    binarise,
    cluster_accuracy,
    data,
    load_digits,
    load_images,
    load_mnist,
    make_vectors,
)


def small_mnist(num=20):
    """Return the arrays of a small file in MNIST's format."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part in ("train", "test"):
        arrays[f"x_{part}"] = rng.integers(0, 256, (num, 28, 28)).astype("uint8")
        arrays[f"y_{part}"] = (np.arange(num) % 10).astype("uint8")
    return arrays


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No MNIST in the environment or in Keras's cache, and a network that refuses."""

    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network in this test")

    monkeypatch.delenv("KERAS_VAE_MNIST", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras_home"))
    monkeypatch.setattr(data.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(data.urllib.request, "urlopen", refuse)


def test_load_mnist_reads_a_file(tmp_path, monkeypatch):
    arrays = small_mnist()
    np.savez(tmp_path / "mnist.npz", **arrays)
    (x_train, y_train), (x_test, y_test) = load_mnist(tmp_path / "mnist.npz")
    assert x_train.shape == (20, 784) and x_train.dtype == "float32"
    np.testing.assert_allclose(255 * x_test.reshape(20, 28, 28), arrays["x_test"], rtol=1e-6)
    np.testing.assert_array_equal(y_train, arrays["y_train"])
    monkeypatch.setenv("KERAS_VAE_MNIST", str(tmp_path / "mnist.npz"))
    np.testing.assert_array_equal(load_mnist()[0][0], x_train)


def test_images_that_are_not_mnists_are_told_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_VAE_MNIST", str(tmp_path / "mnist.npz"))
    arrays = small_mnist()
    np.savez(tmp_path / "mnist.npz", **arrays)
    assert load_images("auto")[0] == "mnist"
    (line,) = capsys.readouterr().out.splitlines()
    assert "20 training images in MNIST's form, but not MNIST" in line and "ranges" in line
    means = [arrays[f"x_{part}"].mean() / 255 for part in ("train", "test")]
    for part, known in ((0, True), (1, False)):
        means[0] += 1e-4 * part
        monkeypatch.setattr(data, "MNIST_MEANS", means)
        order = np.random.default_rng(0).permutation(20)
        np.savez(tmp_path / "mnist.npz", **{key: a[order] for key, a in arrays.items()})
        load_images("mnist")
        assert ("Data: MNIST, 20" in capsys.readouterr().out) is known


def test_real_mnist_where_it_is_there(capsys):
    import os

    if not os.environ.get("KERAS_VAE_MNIST"):
        pytest.skip("KERAS_VAE_MNIST names no file")
    (x_train, y_train), (x_test, y_test) = load_mnist()
    assert x_train.shape == (60000, 784) and x_test.shape == (10000, 784)
    np.testing.assert_array_equal(np.bincount(y_test)[:3], [980, 1135, 1032])
    assert x_train.mean() == pytest.approx(0.1307, abs=1e-4)  # the mean that everybody quotes
    load_images("mnist")
    assert capsys.readouterr().out.startswith("Data: MNIST, 60000 training images. ")


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("the file was unpickled",))


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda a: a.pop("x_test"), "lacks.*x_test"),
        (lambda a: a.update(x_train=a["x_train"][:, :27]), "x_train must be uint8"),
        (lambda a: a.update(x_test=a["x_test"] / 255), "x_test must be uint8"),
        (lambda a: a.update(x_train=a["x_train"][:0]), "x_train must be uint8"),
        (lambda a: a.update(y_train=a["y_train"][:-1]), "y_train must hold 20 integers"),
        (lambda a: a.update(y_test=a["y_test"] + 1), "y_test must hold"),
        (lambda a: a.update(y_test=a["y_test"] * 1.0), "y_test must hold"),
        (lambda a: a.update(y_test=np.array([Evil()] * 20, object)), "pickled"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(tmp_path, spoil, words):
    arrays = small_mnist()
    spoil(arrays)
    path = tmp_path / "mnist.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=words) as error:
        load_mnist(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = tmp_path / "mnist.npz"
    np.savez_compressed(path, **small_mnist())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match="cut short"):
        load_mnist(path)


def test_damage_inside_a_file_is_refused(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez_compressed(path, **small_mnist())
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 3] ^= 255
    path.write_bytes(bytes(whole))
    with pytest.raises(ValueError, match="mnist.npz"):
        load_mnist(path)


def test_a_missing_file(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="KERAS_VAE_MNIST"):
        load_mnist(tmp_path / "no.npz")
    monkeypatch.setenv("KERAS_VAE_MNIST", str(tmp_path / "no.npz"))
    with pytest.raises(FileNotFoundError, match="no.npz"):
        load_images("auto")  # what was asked for by name is not passed over in silence


def test_without_network_auto_takes_the_digits_and_says_so(offline, capsys):
    name, (x_train, _), _ = load_images("auto")
    assert name == "digits" and len(x_train) == 1437
    out = capsys.readouterr().out
    assert "KERAS_VAE_MNIST" in out and "data=mnist" in out
    with pytest.raises(ConnectionError, match="no network in this test"):
        load_images("mnist")
    with pytest.raises(ValueError, match='"digits"'):
        load_images("cifar")


def test_a_download_lands_whole_and_checked(monkeypatch, tmp_path):
    np.savez(tmp_path / "source.npz", **small_mnist())
    content = (tmp_path / "source.npz").read_bytes()
    monkeypatch.delenv("KERAS_VAE_MNIST", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(data, "MNIST_URL", (tmp_path / "source.npz").as_uri())
    monkeypatch.setattr(data.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    with pytest.raises(ConnectionError, match="is not MNIST"):
        load_mnist()
    assert not (tmp_path / "home").exists()  # what is not MNIST is not kept
    monkeypatch.setattr(data, "MNIST_SHA256", data.hashlib.sha256(content).hexdigest())
    cached = tmp_path / "home" / "datasets" / "mnist.npz"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(content[:1000])  # what a download of another program left half-done
    assert len(load_mnist()[0][0]) == 20
    assert cached.read_bytes() == content and len(list(cached.parent.iterdir())) == 1
    monkeypatch.setattr(data, "MNIST_URL", "file:///nowhere")
    assert len(load_mnist()[0][0]) == 20  # from the cache
    (tmp_path / "home2").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home2"))  # a home that cannot be written
    monkeypatch.setattr(data, "MNIST_URL", (tmp_path / "source.npz").as_uri())
    assert len(load_mnist()[0][0]) == 20
    assert (tmp_path / "temporary" / ".keras" / "datasets" / "mnist.npz").is_file()


def test_a_network_that_does_not_answer_is_given_up(offline, monkeypatch):
    monkeypatch.setattr(data, "NETWORK_SECONDS", 0.2)

    def hang(*args, **kwargs):
        time.sleep(3)
        raise OSError

    monkeypatch.setattr(data.urllib.request, "urlopen", hang)
    with pytest.raises(ConnectionError, match="no answer"):
        load_mnist()


def test_digits_are_real_balanced_and_in_range():
    (x_train, y_train), (x_test, y_test) = load_digits()
    assert x_train.shape == (1437, 784) and x_test.shape == (360, 784)
    assert x_train.dtype == "float32" and x_train.min() == 0 and x_train.max() == 1
    assert np.bincount(y_test).min() >= 35
    train_rows = {row.tobytes() for row in x_train}
    assert not any(row.tobytes() in train_rows for row in x_test)
    np.testing.assert_array_equal(load_digits()[0][0], x_train)


def test_vectors_have_the_dimension_and_the_clusters_that_they_promise():
    (x_train, y_train), (x_test, y_test) = make_vectors(2000, 500, noise=0.1, seed=3)
    assert x_train.shape == (2000, 100) and x_test.shape == (500, 100)
    eigenvalues = np.linalg.eigvalsh(np.cov(x_train.T))[::-1]
    assert eigenvalues[9] > 10 * eigenvalues[10]
    assert eigenvalues[10:].mean() == pytest.approx(0.01, rel=0.05)  # the noise's variance
    centres = np.stack([x_train[y_train == c].mean(axis=0) for c in range(5)])
    k_means = sklearn.cluster.KMeans(5, init=centres, n_init=1).fit(x_train)
    assert cluster_accuracy(y_test, k_means.predict(x_test)) > 0.9
    again = make_vectors(2000, 500, noise=0.1, seed=3)
    np.testing.assert_array_equal(again[1][0], x_test)
    for wrong in ({"dim": 5}, {"num_train": 0}, {"noise": -1}):
        with pytest.raises(ValueError, match="intrinsic_dim"):
            make_vectors(**wrong)


def test_batches_pass_over_everything_in_a_new_repeatable_order():
    x = np.arange(10, dtype="float32")[:, None]
    pipeline = batches(x, 4, seed=1)
    assert len(pipeline) == 3

    def epochs(pipeline, num):
        return [np.concatenate([b.numpy() for b in pipeline]).ravel() for _ in range(num)]

    first, second = epochs(pipeline, 2)
    np.testing.assert_array_equal(np.sort(first), x.ravel())
    assert (first != second).any()
    np.testing.assert_array_equal(epochs(batches(x, 4, seed=1), 2), [first, second])
    assert (epochs(batches(x, 4, seed=2), 1)[0] != first).any()
    twice = epochs(batches(x, 4, passes=2), 1)[0]
    np.testing.assert_array_equal(np.sort(twice), np.repeat(x.ravel(), 2))
    for pair in batches((x, x + 100), 4):
        np.testing.assert_array_equal(pair[0] + 100, pair[1])


def test_no_epoch_waits_for_the_tuner():
    dataset = batches(np.zeros((8, 3), "float32"), 2)
    for pipeline in (dataset, binarise(dataset)):
        assert pipeline.options().autotune.enabled is False


def test_batches_refuses_nonsense():
    x = np.zeros((4, 2), "float32")
    for arrays in (x[:0], (x, x[:3]), (), np.float32(1)):
        with pytest.raises(ValueError, match="one length, not 0, got shapes"):
            batches(arrays, 2)
    for arrays in ([x, x], x.tolist(), {"x": x}, ((x, x), x), (x, None), iter(x)):
        with pytest.raises(TypeError, match=r"array or a tuple of arrays such as \(x, x\), got"):
            batches(arrays, 2)
    for number in (0, 2.5, 2.0, None, "2", float("inf")):
        with pytest.raises(ValueError, match="batch_size must be an integer"):
            batches(x, number)
        with pytest.raises(ValueError, match="passes must be an integer"):
            batches(x, 2, passes=number)


class Frame:
    """An array with rows, as a pandas DataFrame has: a shape, a length, and `__array__`."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def __len__(self):
        return len(self.array)

    def __array__(self, dtype=None, copy=None):
        return self.array


@pytest.mark.parametrize("kind", [np.asarray, Frame, tf.constant, tf.Variable])
def test_batches_of_what_is_like_an_array(kind):
    x = np.arange(20, dtype="float32").reshape(10, 2)
    found, expected = (
        list(batches((part, np.arange(10)), np.int64(4), passes=np.int32(2)).as_numpy_iterator())
        for part in (kind(x), x)
    )
    assert len(found) == 5
    for one, other in zip(found, expected):
        assert_equal(one, other)
        np.testing.assert_array_equal(one[0][:, 0], 2 * one[1])


def test_a_pipeline_feeds_a_model(x):
    vae = small_vae()
    vae.compile("adam", steps_per_execution=2)
    vae.fit(batches(x, 10), epochs=2, shuffle=False, verbose=0)
    assert int(vae.optimizer.iterations) == 14


@pytest.mark.parametrize("spoil", [
    lambda x: 255 * x, lambda x: x - 1, lambda x: np.where(x > 0.9, np.nan, x)
])
def test_a_bad_batch_stops_a_run_where_it_comes(x, spoil):
    """What the two batches before it trained is kept; of its own nothing is."""
    models = []
    for images in (x[:32], np.concatenate([x[:32], spoil(x[32:])])):
        keras.utils.set_random_seed(0)
        models.append(small_vae(seed=0))
        models[-1].compile("adam")
        pipeline = tf.data.Dataset.from_tensor_slices(images).batch(16)
        with contextlib.nullcontext() if len(images) == 32 else pytest.raises(
            tf.errors.InvalidArgumentError, match="divide images by 255"
        ):
            models[-1].fit(pipeline, shuffle=False, verbose=0)
    assert int(models[1].optimizer.iterations) == int(models[1].draws) == 2
    assert_equal(state(models[1]), state(models[0]))


def test_binarise_draws_each_pixel_anew_with_its_grey_value_as_probability():
    grey = np.tile(np.linspace(0, 1, 5, dtype="float32"), (2000, 1))
    dataset = binarise(tf.data.Dataset.from_tensor_slices(grey).batch(500), seed=1)
    first, second = (np.concatenate(list(dataset.as_numpy_iterator())) for _ in range(2))
    for drawn in (first, second):
        assert drawn.dtype == "float32" and set(np.unique(drawn)) == {0.0, 1.0}
        # Four standard errors of a mean of 2000 draws.
        np.testing.assert_allclose(drawn.mean(axis=0), grey[0], atol=4 * 0.5 / 2000**0.5)
        assert (drawn[:, 0] == 0).all() and (drawn[:, 4] == 1).all()
        assert not np.array_equal(drawn[:500], drawn[500:1000])  # batches differ
    assert not np.array_equal(first, second)  # and epochs
    again = binarise(tf.data.Dataset.from_tensor_slices(grey).batch(500), seed=1)
    np.testing.assert_array_equal(np.concatenate(list(again.as_numpy_iterator())), first)


def test_binarise_takes_floating_point_images_in_0_1_alone():
    x = np.full((6, 4), 0.5, "float32")
    for wrong in ((x, x), (x, np.arange(6)), {"x": x}, (x,), (255 * x).astype("uint8"), x > 0):
        dataset = tf.data.Dataset.from_tensor_slices(wrong).batch(3)
        with pytest.raises(TypeError, match="floating-point images alone.*TensorSpec"):
            binarise(dataset)
    for wrong in (255 * x, x - 0.51, x * np.nan, np.where(np.arange(4) == 3, 1.01, x)):
        dataset = binarise(tf.data.Dataset.from_tensor_slices(wrong).batch(3))
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"images must lie in \[0, 1\]"):
            list(dataset)
    draws = [
        np.concatenate(list(binarise(dataset.batch(3)).as_numpy_iterator()))
        for dataset in (
            tf.data.Dataset.from_tensor_slices(x.astype(kind)) for kind in ("f4", "f8", "f2")
        )
    ]
    for drawn in draws:  # 0.5 is the same number in all three
        assert drawn.dtype == "float32" and 0 < drawn.mean() < 1
        np.testing.assert_array_equal(drawn, draws[0])
    edge = np.array([[-1e-4, 1.0005]] * 3)  # rounding
    (drawn,) = binarise(tf.data.Dataset.from_tensor_slices(edge).batch(3)).as_numpy_iterator()
    np.testing.assert_array_equal(drawn, [[0, 1]] * 3)
    pairs = binarise(tf.data.Dataset.from_tensor_slices(x).batch(3)).map(lambda x: (x, x))
    for one, other in pairs.as_numpy_iterator():  # what its docstring advises
        np.testing.assert_array_equal(one, other)
