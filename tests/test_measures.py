import itertools

import numpy as np
import pytest
from conftest import small_vae

from keras_vae import active_units, cluster_accuracy, reconstruction_error


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
    for wrong in (([], []), ([0, 1], [0])):
        with pytest.raises(ValueError, match="one length"):
            cluster_accuracy(*wrong)
