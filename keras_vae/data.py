"""Data sets, and the pipelines that feed a training run."""

import hashlib
import os
import pathlib
import tempfile
import threading
import urllib.request
import warnings
import zipfile
import zlib

import numpy as np
import scipy.ndimage
import sklearn
import tensorflow as tf

MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
MNIST_MEANS = (0.1306605, 0.1325146)  # of the training and test images' pixels, in any order
NETWORK_SECONDS = 10


def load_mnist(path=None):
    """Return (x_train, y_train), (x_test, y_test): MNIST, 60 000 and 10 000 handwritten digits.

    Images are float32 in [0, 1], (num, 784); labels are integers, (num,). Another set in a file of
    the same form, such as Fashion-MNIST or a part of MNIST, is taken as well.

    Args:
        path: The file mnist.npz. None takes the file that the environment variable KERAS_VAE_MNIST
            names, else the one in Keras's cache, else downloads it there (11 MB).

    Raises:
        FileNotFoundError: There is no such file.
        ConnectionError: It had to be downloaded, and there was no answer within ten seconds.
        ValueError: The file is damaged or does not hold MNIST's arrays.

    Source: LeCun et al. 1998.
    """
    path = path or os.environ.get("KERAS_VAE_MNIST") or download_mnist()
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"no file {path}: give load_mnist or the environment variable KERAS_VAE_MNIST "
            "the path of an mnist.npz, or unset it to download one"
        )
    keys = ("x_train", "y_train", "x_test", "y_test")
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in keys if key not in file]
            if not missing:
                x_train, y_train, x_test, y_test = (file[key] for key in keys)
    except (ValueError, EOFError, OSError, AttributeError, TypeError, KeyError,
            zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is no readable .npz file without pickled objects ({error}): "
            "it may be cut short; fetch it again"
        ) from error
    if missing:
        raise ValueError(f"{path} must hold the arrays {', '.join(keys)}; it lacks {missing}")
    splits = []
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if x.ndim != 3 or x.shape[1:] != (28, 28) or x.dtype != np.uint8 or not len(x):
            raise ValueError(
                f"{path}: x_{part} must be uint8 of shape (num, 28, 28), got {x.dtype} {x.shape}"
            )
        if y.shape != (len(x),) or y.dtype.kind not in "iu" or y.min() < 0 or y.max() > 9:
            raise ValueError(
                f"{path}: y_{part} must hold {len(x)} integers from 0 to 9, got {y.dtype} {y.shape}"
            )
        x = np.divide(x.reshape(len(x), 784), 255, dtype="float32")
        splits.append((x, y.astype("int64")))
    return tuple(splits)


def download_mnist():
    """Return the path of mnist.npz in Keras's cache, after downloading it if it is not there.

    Raises:
        ConnectionError: No answer within ten seconds, or ten seconds of silence later on.
    """
    home = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
    for folder in (home, pathlib.Path(tempfile.gettempdir()) / ".keras"):
        path = folder / "datasets" / "mnist.npz"
        if path.is_file() and is_mnist(path.read_bytes()):
            return path
    print("MNIST is not on this machine; asking the network for it (11 MB) …", flush=True)
    content = download(MNIST_URL)
    if not is_mnist(content):
        raise ConnectionError(f"what came from {MNIST_URL} is not MNIST: set KERAS_VAE_MNIST")
    for folder in (home, pathlib.Path(tempfile.gettempdir()) / ".keras"):
        try:
            (folder / "datasets").mkdir(parents=True, exist_ok=True)
            aside = folder / "datasets" / f".writing_{os.getpid()}_mnist.npz"
            aside.write_bytes(content)
            return aside.replace(folder / "datasets" / "mnist.npz")
        except OSError:
            continue  # a home that cannot be written
    raise OSError(f"cannot write mnist.npz into {home} or {tempfile.gettempdir()}")


def is_mnist(content):
    """Return whether bytes are those of Keras's mnist.npz."""
    return hashlib.sha256(content).hexdigest() == MNIST_SHA256


def download(url):
    """Return the bytes at a URL; raise ConnectionError after ten seconds of silence."""
    answered = threading.Event()
    outcome = {"problem": f"no answer within {NETWORK_SECONDS} seconds"}

    def ask():
        try:
            with urllib.request.urlopen(url, timeout=NETWORK_SECONDS) as response:
                answered.set()
                outcome["content"] = response.read()
        except OSError as error:
            outcome["problem"] = str(error)
            answered.set()

    # A thread, because no time limit covers the look-up of the host's name.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    if answered.wait(NETWORK_SECONDS):
        thread.join()
    if "content" not in outcome:
        raise ConnectionError(
            f"MNIST is not on this machine and could not be downloaded from {url} "
            f"({outcome['problem']}): set KERAS_VAE_MNIST to the path of an mnist.npz"
        )
    return outcome["content"]


def load_digits():
    """Return (x_train, y_train), (x_test, y_test): scikit-learn's 1797 real digits, 1437 and 360.

    The 8×8 images are resized to 28×28 by linear interpolation, so that networks made for MNIST
    fit; float32 in [0, 1], (num, 784). The split is fixed and balanced over the classes. Needs no
    network: the images come with scikit-learn.

    Source: Alpaydin & Kaynak 1998, UCI repository.
    """
    digits = sklearn.datasets.load_digits()
    x = scipy.ndimage.zoom(
        digits.images / 16, (1, 3.5, 3.5), order=1, grid_mode=True, mode="nearest"
    )
    x = x.reshape(len(x), 784).astype("float32").clip(0, 1)
    x_train, x_test, y_train, y_test = sklearn.model_selection.train_test_split(
        x, digits.target, test_size=360, stratify=digits.target, random_state=0
    )
    return (x_train, y_train), (x_test, y_test)


def load_images(data="auto"):
    """Return the name of the data set, then (x_train, y_train), (x_test, y_test).

    Args:
        data: "mnist", "digits" (needs no network), or "auto": MNIST where it can be had, otherwise
            the digits. Says in one line which it took, and how to get the other; also if it is a
            file of other images than MNIST's, or of a part of them.

    Raises:
        ValueError: No such data set. Also what `load_mnist` raises.
    """
    if data not in ("auto", "mnist", "digits"):
        raise ValueError(f'data must be "auto", "mnist" or "digits", got {data!r}')
    if data != "digits":
        try:
            splits = load_mnist()
            what = f"MNIST, {len(splits[0][0])} training images"
            means = [x.mean(dtype="float64") for x, _ in splits]
            if not np.allclose(means, MNIST_MEANS, rtol=0, atol=1e-6):
                what = f"{len(splits[0][0])} training images in MNIST's form, but not MNIST, or "
                what += "not the whole of it: the ranges expected of MNIST do not hold"
            print(f"Data: {what}. For the small digits: data=digits.")
            return "mnist", *splits
        except ConnectionError as error:
            if data == "mnist":
                raise
            print(f"{error}.")
    print("Data: scikit-learn's small digits, 1437 training images. For MNIST: data=mnist.")
    return "digits", *load_digits()


def make_vectors(
    num_train=1000, num_test=1000, dim=100, intrinsic_dim=10, num_clusters=5, noise=0.3, seed=0
):
    """Return (x_train, y_train), (x_test, y_test): vectors of low intrinsic dimension, in clusters.

    A point of a cluster in `intrinsic_dim` dimensions is carried into `dim` dimensions by a fixed
    linear map, and noise is added in every coordinate: x = W u + noise. Linear algebra alone
    therefore leaves a known error: that of the noise outside the map's image. A3 §4.1 takes 100
    independent normals instead, in which there is nothing to find.

    Args:
        num_train, num_test: Number of vectors, at least 1 each.
        dim: Width of a vector.
        intrinsic_dim: Dimensions in which the clusters lie, at most `dim`.
        num_clusters: Number of clusters.
        noise: Standard deviation of the noise; the signal's is about 1 in every coordinate.
        seed: Of everything; the same seed gives the same clusters and map.

    Returns:
        x float32, (num, dim), without bounds; y integers, (num,): the cluster.

    Raises:
        ValueError: A size is below 1, intrinsic_dim is above dim, or noise is negative.
    """
    sizes = (num_train, num_test, dim, intrinsic_dim, num_clusters)
    if min(sizes) < 1 or intrinsic_dim > dim or not noise >= 0:
        raise ValueError(
            "sizes must be at least 1, intrinsic_dim at most dim and noise at least 0, got "
            f"num_train, num_test, dim, intrinsic_dim, num_clusters = {sizes}, noise = {noise}"
        )
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(num_clusters, intrinsic_dim))
    linear_map = rng.normal(size=(intrinsic_dim, dim)) / np.sqrt(intrinsic_dim)
    splits = []
    for num in (num_train, num_test):
        y = rng.integers(num_clusters, size=num)
        u = centres[y] + 0.5 * rng.normal(size=(num, intrinsic_dim))
        x = u @ linear_map + noise * rng.normal(size=(num, dim))
        splits.append((x.astype("float32"), y))
    return tuple(splits)


def batches(arrays, batch_size, seed=0, passes=1):
    """Return a `tf.data` pipeline of shuffled batches, in a new order each epoch.

    The order is a function of the seed, of `keras.utils.set_random_seed`'s, and of how many epochs
    this pipeline has given. A new process begins with the first order again: `Backup` goes on with
    the right one; where a saved model is trained further, give another seed. (After
    `keras.utils.set_random_seed`, `fit` on arrays repeats one order in every epoch.)

    Args:
        arrays: An array, or a tuple of arrays of one length, such as (x, x).
        batch_size: Examples a batch; the last batch of an epoch may be smaller.
        seed: Of the order.
        passes: How often an epoch passes over the data: 1, or more where the data are few.

    Raises:
        TypeError: `arrays` is a list, a dictionary or the like.
        ValueError: The arrays are empty or of different lengths, or a number is no integer of at
            least 1.
    """
    parts = arrays if isinstance(arrays, tuple) else (arrays,)
    if not all(hasattr(part, "shape") for part in parts):
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise TypeError(f"arrays must be an array or a tuple of arrays such as (x, x), got {kinds}")
    lengths = [tuple(part.shape)[:1] for part in parts]
    if len(set(lengths)) != 1 or lengths[0] in ((), (0,)):
        shapes = [tuple(part.shape) for part in parts]
        raise ValueError(f"arrays must be of one length, not 0, got shapes {shapes}")
    for name, number in (("batch_size", batch_size), ("passes", passes)):
        if not hasattr(number, "__index__") or number < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {number!r}")
    tensors = {id(part): tf.constant(part) for part in parts}  # of (x, x) there is but one
    # Shuffling row numbers and gathering a batch at once costs a tenth of shuffling rows.
    num = lengths[0][0]
    rows = tf.data.Dataset.range(num).shuffle(num, seed=seed).repeat(passes)
    rows = rows.batch(batch_size)

    def gather(index):
        rows_of = {key: tf.gather(tensor, index) for key, tensor in tensors.items()}
        return tf.nest.map_structure(lambda part: rows_of[id(part)], arrays)

    # TensorFlow's tuner looks at a pipeline after 10, 20, 40 … ms, and the end of an epoch may wait
    # for its next look: up to twice the time. There is nothing to tune here.
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = rows.map(gather).prefetch(2).with_options(options)
    # Keras 3.15 warns of its own default, shuffle=True, whenever `fit` gets a pipeline.
    warnings.filterwarnings("ignore", "`shuffle=True` was passed, but will be ignored since the da")
    # What a Backup compares.
    dataset.tensors = [*tensors.values()]
    dataset.order = {"batch_size": int(batch_size), "seed": seed, "passes": int(passes)}
    return dataset


def binarise(dataset, seed=0):
    """Return the pipeline with each pixel drawn anew: 1 with its grey value as probability, else 0.

    The draws differ from epoch to epoch; they are a function of the seed, of
    `keras.utils.set_random_seed`'s, and of how many epochs the pipeline has given.

    Args:
        dataset: Pipeline of batches of floating-point images in [0, 1] and nothing else (TypeError,
            tf.errors.InvalidArgumentError). Make pairs afterwards: `.map(lambda x: (x, x))`.
        seed: Of the draws.

    Source: dynamic binarisation, Salakhutdinov & Murray 2008; Burda et al. 2016, §5.
    """
    if tf.nest.map_structure(lambda spec: spec.dtype.is_floating, dataset.element_spec) is not True:
        raise TypeError(f"dataset must give floating-point images alone: {dataset.element_spec}")
    keys = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)

    def draw(images, key):
        found = ["images must lie in [0, 1]:", tf.reduce_min(images), tf.reduce_max(images)]
        tf.debugging.Assert((found[1] >= -1e-3) & (found[2] <= 1.001), found)  # NaN is neither
        uniform = tf.random.stateless_uniform(tf.shape(images), key)
        return tf.cast(uniform < tf.cast(images, "float32"), "float32")

    drawn = tf.data.Dataset.zip(dataset, keys).map(draw).prefetch(2)
    drawn.tensors = getattr(dataset, "tensors", [])
    drawn.order = {**getattr(dataset, "order", {}), "seed of the pixels": seed}
    return drawn
