import time

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from conftest import small_gan, small_vae

from keras_vae import Backup, Clock, KLWarmUp, SampleGrid


class Watch(KLWarmUp):
    """A warm-up that also writes down the beta of each epoch."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(self.model.beta)


def test_beta_rises_in_a_line_and_stays(x):
    vae = small_vae()
    vae.compile("adam")
    watch = Watch(2.0, epochs=4)
    logs = vae.fit(x, epochs=6, callbacks=[watch], verbose=0).history
    assert watch.seen == pytest.approx([0, 0.5, 1.0, 1.5, 2.0, 2.0])
    for beta, loss, rec, kl in zip(watch.seen, *(logs[k] for k in logs_order(logs))):
        assert loss == pytest.approx(rec + beta * kl, rel=1e-5)


def logs_order(logs):
    names = ("loss", "reconstruction_loss", "kl_loss")
    assert set(names) == set(logs)
    return names


def test_a_resumed_run_goes_on_with_the_warm_up(x):
    vae = small_vae(beta=0.3)  # as a model saved in the middle of one
    vae.compile("adam")
    watch = Watch(2.0, epochs=4)
    vae.fit(x, initial_epoch=3, epochs=5, callbacks=[watch], verbose=0)
    assert watch.seen == pytest.approx([1.5, 2.0])


class WatchSteps(Watch):
    """A warm-up that writes down the beta of each step, or of each execution of several."""

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(self.model.beta)

    def on_epoch_end(self, epoch, logs=None):
        pass


def test_beta_rises_step_by_step_and_a_second_run_goes_on(x):
    vae = small_vae()
    vae.compile("adam")
    watch = WatchSteps(2.0, steps=8)
    expected = 2 * np.minimum(1, np.arange(12) / 8)
    for epochs, betas in ((2, expected[:8]), (1, expected[8:])):  # of four steps
        vae.fit(x, epochs=epochs, batch_size=16, callbacks=[watch], verbose=0)
        np.testing.assert_allclose(watch.seen, betas, rtol=1e-6)
    vae.compile("adam", steps_per_execution=2)
    vae.fit(x, epochs=2, batch_size=16, callbacks=[watch], verbose=0)
    np.testing.assert_allclose(watch.seen, expected[:8:2], rtol=1e-6)


def test_the_beta_of_each_step_is_obeyed(x):
    """One step an epoch: its logs are of this step alone."""
    vae = small_vae()
    vae.compile("adam")
    watch = WatchSteps(0.9, steps=3)
    logs = vae.fit(x, epochs=5, batch_size=64, callbacks=[watch], verbose=0).history
    assert watch.seen == pytest.approx([0, 0.3, 0.6, 0.9, 0.9])
    for beta, loss, rec, kl in zip(watch.seen, *(logs[k] for k in logs_order(logs))):
        assert loss == pytest.approx(rec + beta * kl, rel=1e-5)


def test_a_warm_up_under_a_strategy(x):
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        vae = small_vae()
        vae.compile("adam")
    for length in ({"epochs": 2}, {"steps": 4}):
        vae.beta = 0.1
        vae.fit(x, epochs=3, batch_size=32, callbacks=[KLWarmUp(0.7, **length)], verbose=0)
        assert vae.beta == pytest.approx(0.7)


def test_warm_up_arguments():
    for arguments in ((-1, 3), (float("inf"), 3), (float("nan"), 3)):
        with pytest.raises(ValueError, match="beta must be"):
            KLWarmUp(*arguments)
    for arguments in ((1, 0), (1, -1), (1, None), (1, 3, 3), (1, None, 0), (1, 0, 0)):
        with pytest.raises(ValueError, match="epochs (and|or) steps"):
            KLWarmUp(*arguments)
    gan = small_gan()
    gan.compile()
    with pytest.raises(TypeError, match="beta"):
        gan.fit(np.zeros((4, 12)), callbacks=[KLWarmUp(1.0, 2)], verbose=0)


def test_the_clock_puts_seconds_into_the_history_of_all_epochs(x, tmp_path):
    seconds = []
    for epochs in (2, 3):  # the second run goes on after the first
        vae = small_vae(seed=0)
        vae.compile("adam")
        Backup.ended.clear()  # as in another process
        watchers = [Clock(), Backup(tmp_path / "backup")]
        start = time.perf_counter()
        logs = vae.fit(x, epochs=epochs, shuffle=False, callbacks=watchers, verbose=0).history
        took = time.perf_counter() - start
        assert logs["seconds"][:-1] == seconds or not seconds
        assert all(0 < each for each in logs["seconds"]) and len(logs["seconds"]) == epochs
        assert sum(logs["seconds"][len(seconds):]) < took
        seconds = logs["seconds"]


def test_sample_grid_leaves_pictures_and_a_film(x, tmp_path):
    gan = small_gan(seed=0)
    gan.compile()
    folder = tmp_path / "new" / "film"
    noise = np.random.default_rng(0).normal(size=(9, 5))
    grid = SampleGrid(gan.generator, noise, folder, every=2, image_shape=(3, 4))
    gan.fit(x, epochs=5, callbacks=[grid], verbose=0)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["epoch_000.png", "epoch_002.png", "epoch_004.png", "samples.gif"]
    film = PIL.Image.open(folder / "samples.gif")
    assert film.n_frames == 3 and film.is_animated
    first, last = (np.asarray(PIL.Image.open(folder / name)) for name in names[:3:2])
    assert (first != last).any()
    gan.fit(x, initial_epoch=3, epochs=6, callbacks=[grid], verbose=0)  # its film goes on
    assert [path.name for path in grid.paths] == [*names[:2], "epoch_004.png", "epoch_006.png"]
    assert PIL.Image.open(folder / "samples.gif").n_frames == 4
    gan.fit(x, initial_epoch=6, epochs=6, callbacks=[grid], verbose=0)  # a run of no epochs
    assert len(list(folder.iterdir())) == 5
    gan.fit(x, epochs=2, callbacks=[grid], verbose=0)  # another run, another film
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["epoch_000.png", "epoch_002.png", "samples.gif"]
    other = SampleGrid(gan.generator, noise, tmp_path / "other", every=2, image_shape=(3, 4))
    gan.fit(x, initial_epoch=5, epochs=6, callbacks=[other], verbose=0)
    assert [path.name for path in other.paths] == ["epoch_005.png", "epoch_006.png"]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write the folder"):
        here = SampleGrid(gan.generator, noise, tmp_path / "file", image_shape=(3, 4))
        gan.fit(x, callbacks=[here], verbose=0)
    with pytest.raises(ValueError, match="every"):
        SampleGrid(gan.generator, noise, folder, every=0)


def test_a_film_in_colour_and_one_of_nan(x, tmp_path):
    vae = small_vae()
    vae.compile("adam")
    rgb = np.tile([1.0, 0.5, 0.0], (4, 4))  # images of 2×2 pixels, all orange

    def film(images, image_shape):
        grid = SampleGrid(lambda z: images, np.zeros((4, 3)), tmp_path, image_shape=image_shape)
        vae.fit(x, epochs=1, callbacks=[grid], verbose=0)
        with PIL.Image.open(tmp_path / "samples.gif") as frames:
            frames.seek(frames.n_frames - 1)
            return np.asarray(frames.convert("RGB")).reshape(-1, 3)

    found = film(rgb, (2, 2, 3))
    orange = np.abs(found - np.array([255, 127.5, 0])).max(axis=1) < 2
    assert orange.mean() > 0.4  # the rest is white, and the title
    found = film(rgb, (3, 4))
    np.testing.assert_array_equal(found[:, 0], found[:, 2])  # grey
    with pytest.raises(ValueError, match=r"lie in \[0, 1\].* nan"):
        film(rgb * np.nan, (2, 2, 3))
    with pytest.raises(ValueError, match=r"lie in \[0, 1\].* got -1 to 1"):
        film(2 * rgb - 1, (2, 2, 3))  # of a tanh
