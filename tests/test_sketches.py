"""The sketch that a chapter defines is the package's class: equal losses, gradients and curves."""

import ast
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import GAN, VAE, Autoencoder, dense_decoder, dense_discriminator, dense_encoder
from keras_vae import dense_generator, gaussian_encoder, load_images

TUTORIALS = pathlib.Path(__file__).parent.parent / "tutorials"
SKETCHES = {  # chapter: its sketch, and how many lines it may have
    "02_autoencoder_class": ("Sketch", 20),
    "04_variational_autoencoder": ("SketchVAE", 40),
    "08_dense_gan": ("SketchGAN", 50),
}


def sketch(chapter):
    """Return the source of a chapter's sketch, and its class, made with Keras and TensorFlow."""
    text = (TUTORIALS / f"{chapter}.py").read_text(encoding="utf-8")
    name = SKETCHES[chapter][0]
    node = next(n for n in ast.parse(text).body if getattr(n, "name", None) == name)
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    source = "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    names = {"keras": keras, "tf": tf}
    exec(source, names)
    return source, names[name]


@pytest.fixture
def double_precision():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


def pairs(kind):
    """Return a sketch and a class, compiled, over networks of equal weights, with equal noise."""
    models = []
    for is_sketch in (True, False):
        keras.utils.set_random_seed(0)
        if kind == "vae":
            networks = gaussian_encoder(12, (8,), 3), dense_decoder(3, (8,), 12)
            make = sketch("04_variational_autoencoder")[1] if is_sketch else VAE
            model = make(*networks, beta=0.75, seed=5)
            model.compile(keras.optimizers.Adam(0.01))
        elif kind == "gan":
            networks = dense_generator(5, (8,), 12), dense_discriminator(12, (8,), dropout=0.3)
            make = sketch("08_dense_gan")[1] if is_sketch else GAN
            model = make(*networks, seed=5)
            model.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.02))
        else:
            networks = dense_encoder(12, (8,), 3), dense_decoder(3, (8,), 12, "sigmoid")
            make = sketch("02_autoencoder_class")[1] if is_sketch else Autoencoder
            model = make(*networks)
            model.compile(keras.optimizers.Adam(0.01), loss="binary_crossentropy")
        models.append(model)
    return models


def losses_and_gradients(kind, model, x):
    """Return the losses of a batch and the gradient of each player's loss."""
    with tf.GradientTape(persistent=True) as tape:
        if kind == "autoencoder":
            losses = [model.compute_loss(x, x, model(x))]
        elif kind == "vae":
            losses = [tf.reduce_mean(loss) for loss in model.compute_losses(x)]
        else:
            settings = {"training": True} if isinstance(model, GAN) else {}  # as a sketch always
            losses = [tf.reduce_mean(loss) for loss in model.compute_losses(x, **settings)[:2]]
    if kind == "gan":
        weights = [m.trainable_variables for m in (model.discriminator, model.generator)]
        return losses, sum((tape.gradient(*pair) for pair in zip(losses, weights)), [])
    return losses, tape.gradient(losses[0], model.trainable_variables)


@pytest.mark.parametrize("kind", ["autoencoder", "vae", "gan"])
def test_a_sketch_has_the_losses_and_gradients_of_the_class(kind, x, double_precision):
    found = [losses_and_gradients(kind, m, tf.constant(x, "float64")) for m in pairs(kind)]
    (losses, gradients), (want_losses, want_gradients) = found
    np.testing.assert_allclose(losses, want_losses, rtol=1e-12)
    assert len(gradients) == len(want_gradients) >= 4
    for gradient, want in zip(gradients, want_gradients):
        assert np.abs(want).max() > 0
        np.testing.assert_allclose(gradient, want, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", ["autoencoder", "vae", "gan"])
def test_a_sketch_trains_as_the_class_does(kind, x, double_precision):
    data = (x, x) if kind == "autoencoder" else (x,)
    curves = [
        m.fit(*data, batch_size=10, epochs=3, shuffle=False, verbose=0).history for m in pairs(kind)
    ]
    for name, values in curves[1].items():
        np.testing.assert_allclose(curves[0][name], values, rtol=1e-9, err_msg=name)
    assert curves[0].keys() == curves[1].keys()


@pytest.mark.parametrize("chapter", SKETCHES)
def test_a_sketch_is_short(chapter):
    source, _ = sketch(chapter)
    assert len(source.splitlines()) <= SKETCHES[chapter][1]


def test_the_first_chapters_sketch_is_short():
    """Chapter 1 has no class: its model is a cell of at most ten lines."""
    text = (TUTORIALS / "01_dense_autoencoder.py").read_text(encoding="utf-8")
    cell = next(part for part in text.split("# %%") if "autoencoder = keras.Model(" in part)
    assert len(cell.strip().splitlines()) <= 10


AROUND = """
x_train = np.load("images.npy")  # (num, 784) in [0, 1]
inputs, z = keras.Input((784,)), keras.Input((8,))
hidden = keras.layers.Dense(64, "relu")(inputs)
heads = [keras.layers.Dense(8)(hidden), keras.layers.Dense(8)(hidden)]
logits = keras.layers.Dense(784)(keras.layers.Dense(64, "relu")(z))
vae = SketchVAE(keras.Model(inputs, heads), keras.Model(z, logits))
vae.compile("adam")
vae.fit(x_train, batch_size=32, epochs=2, verbose=2)
"""


def test_chapter_4s_sketch_trains_alone_in_an_empty_folder(tmp_path):
    """With imports, networks and data, twelve lines, around it: on MNIST, where it can be had."""
    source, _ = sketch("04_variational_autoencoder")
    imports = "import keras\nimport numpy as np\nimport tensorflow as tf\n\n"
    around = [line for line in (imports + AROUND).splitlines() if line]
    assert len(around) <= 12
    images = load_images()[1][0][:6000]
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "alone.py").write_text(f"{imports}{source}\n{AROUND}")
    done = subprocess.run([sys.executable, "alone.py"], cwd=tmp_path, check=True, text=True,
                          capture_output=True, timeout=120)
    first, last = (float(part.split()[0]) for part in done.stdout.split(" loss: ")[1:])
    p = images.mean(axis=0).clip(1e-6, 1 - 1e-6)
    mean_image = -np.mean(images @ np.log(p) + (1 - images) @ np.log(1 - p))
    assert last < first and last < 0.95 * mean_image
