import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

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


def test_latent_plane_goes_in_equal_steps_of_probability():
    import scipy.stats

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
    ],
)
def test_wrong_arrays_are_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


def test_works_without_a_display(tmp_path):
    script = "import numpy as np; from keras_vae import image_grid\n"
    script += "image_grid(np.zeros((2, 784))).savefig('a.png')"
    import os

    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MPLBACKEND")}
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "a.png").exists()
