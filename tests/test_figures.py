import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.stats

from keras_vae import figures

IMAGES = np.random.default_rng(0).uniform(size=(12, 784)).astype("float32")
POINTS = np.random.default_rng(1).normal(size=(30, 2))


def decode(z):
    """Return grey images whose brightness grows with the first latent variable."""
    return np.repeat(1 / (1 + np.exp(-z[:, :1])), 784, axis=1)


CALLS = {
    "image_grid": lambda ax=None: figures.image_grid(IMAGES, title="title", ax=ax),
    "reconstructions": lambda ax=None: figures.reconstructions(IMAGES, IMAGES, IMAGES, ax=ax),
    "latent_plane": lambda ax=None: figures.latent_plane(decode, steps=6, ax=ax),
    "latent_scatter": lambda ax=None: figures.latent_scatter(POINTS, np.arange(30) % 10, ax=ax),
    "interpolations": lambda ax=None: figures.interpolations(
        decode, POINTS[:5], POINTS[5:10], ax=ax
    ),
    "training_curves": lambda ax=None: figures.training_curves({"loss": [2, 1], "b": [1]}, ax=ax),
}


@pytest.mark.parametrize("name", CALLS)
def test_returns_a_closed_figure_and_draws_on_given_axes(name, tmp_path):
    before = plt.get_fignums()
    figure = CALLS[name]()
    assert isinstance(figure, plt.Figure) and plt.get_fignums() == before
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000
    mine, axes = plt.subplots(1, 2)
    assert CALLS[name](ax=axes[1]) is mine
    assert axes[1].has_data() and not axes[0].has_data()
    plt.close(mine)


def test_image_grid_places_the_images_row_by_row():
    ax = figures.image_grid(IMAGES[:5], columns=3).axes[0]
    picture = ax.images[0].get_array()
    np.testing.assert_allclose(picture[:28, 29:57], IMAGES[1].reshape(28, 28))
    np.testing.assert_allclose(picture[29:57, 0:28], IMAGES[3].reshape(28, 28))
    assert (picture[29:57, 58:] == 1).all()


COLOUR = np.random.default_rng(2).uniform(size=(4, 5, 6, 3))  # (num, height, width, channels)


@pytest.mark.parametrize("images, image_shape", [
    (COLOUR, (5, 6, 3)),
    (COLOUR.reshape(4, 90), [5, 6, 3]),
    (COLOUR[..., 0], (5, 6)),
    (COLOUR[..., 0].reshape(4, 30), np.array([5, 6])),
    (COLOUR[..., :1], (5, 6)),
    (COLOUR[..., :1], (5, 6, 1)),
    (1.0005 * COLOUR / COLOUR.max(), (5, 6, 3)),  # rounding
    (COLOUR > 0.5, (5, 6, 3)),
])
def test_grey_and_colour_flat_or_in_their_shape(images, image_shape):
    ax = figures.image_grid(images, columns=3, image_shape=image_shape).axes[0]
    picture = np.asarray(ax.images[0].get_array())
    channels = (3,) if 3 in image_shape else ()
    assert picture.shape == (11, 20, *channels)
    images = images.reshape(4, 5, 6, *channels)
    np.testing.assert_allclose(picture[:5, 7:13], images[1].clip(0, 1))
    np.testing.assert_allclose(picture[6:, :6], images[3].clip(0, 1))
    assert (picture[6:, 7:] == 1).all()


def in_colour(z, flat=True):
    """Return images of one colour, (num, 5, 6, 3): red is z_1, green z_2."""
    rgb = np.stack([*scipy.stats.norm.cdf(z).T, np.zeros(len(z))], axis=-1)
    images = rgb[:, None, None] * np.ones((1, 5, 6, 1))
    return images.reshape(len(z), -1) if flat else images


def test_the_other_figures_in_colour():
    def picture(figure):
        return np.asarray(figure.axes[0].images[0].get_array())

    shape = (5, 6, 3)
    found = picture(figures.latent_plane(in_colour, steps=2, image_shape=shape))
    for row, column, rgb in ((0, 0, (0.25, 0.75, 0)), (-1, -1, (0.75, 0.25, 0))):
        np.testing.assert_allclose(found[row, column], rgb, atol=1e-6)
    ends = np.array([[-9.0, 0.0]]), np.array([[9.0, 0.0]])
    walk = figures.interpolations(lambda z: in_colour(z, False), *ends, 3, image_shape=shape)
    np.testing.assert_allclose(picture(walk)[0, [0, 7, 14], 0], [0, 0.5, 1], atol=1e-6)
    # The originals in their shape, the copies flat.
    rows = figures.reconstructions(COLOUR, COLOUR.reshape(4, 90), image_shape=shape)
    np.testing.assert_array_equal(picture(rows)[:5], picture(rows)[6:])
    assert [tick.get_position()[1] for tick in rows.axes[0].get_yticklabels()] == [3, 9]


def test_latent_plane_goes_in_equal_steps_of_probability():
    seen = []
    figures.latent_plane(lambda z: seen.append(z) or decode(z), steps=5)
    values = np.unique(seen[0][:, 0])
    np.testing.assert_allclose(scipy.stats.norm.cdf(values), [0.1, 0.3, 0.5, 0.7, 0.9], rtol=1e-5)
    assert seen[0][0, 1] > 0 > seen[0][-1, 1]  # the second variable grows upwards


def test_interpolations_start_and_end_where_they_should():
    seen = []
    figures.interpolations(lambda z: seen.append(z) or decode(z), POINTS[:2], POINTS[2:4], steps=5)
    walks = seen[0].reshape(2, 5, 2)
    np.testing.assert_allclose(walks[:, 0], POINTS[:2], rtol=1e-6)
    np.testing.assert_allclose(walks[:, -1], POINTS[2:4], rtol=1e-6)
    np.testing.assert_allclose(walks[:, 2], (POINTS[:2] + POINTS[2:4]) / 2, rtol=1e-5)


def test_scatter_has_a_legend_entry_a_label():
    ax = figures.latent_scatter(POINTS, np.arange(30) % 3 + 4).axes[0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["4", "5", "6"]


def test_the_ten_colours_differ_also_for_the_colour_blind():
    """Distances in sRGB after the simulations of Machado et al. 2009, severity 1."""
    import itertools

    import matplotlib.colors

    deuteranopia = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    protanopia = [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    rgb = np.array([matplotlib.colors.to_rgb(colour) for colour in figures.COLOURS])
    for matrix in (np.eye(3), np.array(deuteranopia), np.array(protanopia)):
        seen = rgb @ matrix.T
        nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
        assert nearest > 0.09


@pytest.mark.parametrize(
    "call",
    [
        lambda: figures.image_grid(IMAGES[:, :700]),
        lambda: figures.image_grid(IMAGES[:0]),
        lambda: figures.image_grid((255 * IMAGES).astype("uint8")),
        lambda: figures.reconstructions(IMAGES),
        lambda: figures.reconstructions(IMAGES, IMAGES[:3]),
        lambda: figures.latent_scatter(POINTS, np.zeros(3)),
        lambda: figures.latent_scatter(POINTS, np.arange(30)),
        lambda: figures.interpolations(decode, POINTS[:2], POINTS[:3]),
        lambda: figures.training_curves({"loss": [1]}, ["accuracy"]),
        lambda: figures.latent_plane(lambda z: decode(z)[:3], steps=2),
        lambda: figures.latent_scatter(POINTS * np.nan, np.zeros(30)),
        lambda: figures.reconstructions(IMAGES, IMAGES, labels=["one"]),
        lambda: figures.reconstructions((255 * IMAGES).astype("uint8"), IMAGES),
    ],
)
def test_wrong_arrays_are_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


DRAW = {
    "image_grid": figures.image_grid,
    "reconstructions": lambda images, **kwargs: figures.reconstructions(IMAGES, images, **kwargs),
    "latent_plane": lambda images, **kwargs: figures.latent_plane(lambda z: images, 2, **kwargs),
    "interpolations": lambda images, **kwargs: figures.interpolations(
        lambda z: images, POINTS[:3], POINTS[3:6], 4, **kwargs
    ),
}


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize("change, image_shape, words", [
    (lambda x: np.where(x > 0.99, np.nan, x), (28, 28), r"lie in \[0, 1\].* got nan to nan"),
    (lambda x: 255 * x, (28, 28), r"lie in \[0, 1\].* to 25[45]"),
    (lambda x: x - 0.5, (28, 28), r"lie in \[0, 1\].* got -0\.[45]"),
    (lambda x: (x > 0.5).astype("int64"), (28, 28), "floating point.* got int64"),
    (lambda x: x.reshape(-1, 14, 56), (28, 28), r"\(num, 28, 28\) .* got \(12, 14, 56\)$"),
    (lambda x: np.stack([x] * 3, -1), (28, 28), r"\(num, 784\).* got \(12, 784, 3\): of colour"),
    (lambda x: x, (28, 28, 3), r"\(num, 2352\) or \(num, 28, 28, 3\).* got \(12, 784\)$"),
    (lambda x: x, (28, 28, 4), r"image_shape must be .* got \(28, 28, 4\)"),
    (lambda x: x, 28, "image_shape must be .* got 28"),
])
def test_what_is_no_picture_is_refused(name, change, image_shape, words):
    with pytest.raises(ValueError, match=words):
        DRAW[name](change(IMAGES), image_shape=image_shape)


def test_works_without_a_display(tmp_path):
    script = "import numpy as np; from keras_vae import image_grid\n"
    script += "image_grid(np.zeros((2, 784))).savefig('a.png')"
    import os

    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MPLBACKEND")}
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "a.png").exists()
