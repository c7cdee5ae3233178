"""`fit_distributed` in this process; on workers, one of them killed, the test of chapter 15."""

import json
import os
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import assert_equal, state
from test_contract import KINDS, build, pair

from keras_vae import KLWarmUp, fit_distributed
from keras_vae.distributed import cluster_resolver


def pipeline(kind, x, window=64):
    """Return batches of 16 of what the kind's fit takes, shuffled within a window."""
    one = tf.data.Dataset.from_tensor_slices(pair(kind, x)).shuffle(window, seed=0).batch(16)
    return one if kind == "autoencoder" else one.map(lambda x: x)


@pytest.mark.parametrize("kind", KINDS)
def test_on_one_device_it_gives_what_fit_gives(kind, x, capsys):
    here, there = build(kind), build(kind)
    expected = there.fit(pipeline(kind, x, 1), epochs=3, shuffle=False, verbose=0)
    history = fit_distributed(here, pipeline(kind, x, 1), 3, tf.distribute.get_strategy())
    assert isinstance(history, keras.callbacks.History) and history.epoch == [0, 1, 2]
    assert set(history.history) == set(expected.history)
    for name, values in expected.history.items():
        np.testing.assert_allclose(history.history[name], values, rtol=1e-6)
    for a, b in zip(state(here), state(there), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert "Epoch 3/3" in capsys.readouterr().out


@pytest.mark.parametrize("kind", KINDS)
def test_it_resumes_to_the_bit(kind, x, tmp_path):
    """The learning rate and beta follow the epoch, so that a wrong epoch would show as well."""

    def callbacks():
        warm_up = [KLWarmUp(1.0, 4)] * (kind == "vae")
        return [*warm_up, keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 / (1 + epoch))]

    strategy = tf.distribute.get_strategy()
    whole, half, rest = build(kind), build(kind), build(kind)
    fit_distributed(whole, pipeline(kind, x), 5, strategy, callbacks(), verbose=0)
    fit_distributed(half, pipeline(kind, x), 2, strategy, callbacks(), tmp_path, verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_000002.weights.h5"]
    left = tmp_path / ".writing_1_epoch_000003.weights.h5"
    left.write_text("what a killed run leaves")
    os.utime(left, (time.time() - 90_000,) * 2)  # more than a day ago
    history = fit_distributed(
        rest, pipeline(kind, x), 5, strategy, callbacks(), tmp_path, verbose=0
    )
    assert history.epoch == [2, 3, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_000005.weights.h5"]
    assert_equal(state(rest), state(whole))
    assert getattr(rest, "beta", None) == getattr(whole, "beta", None)
    done = fit_distributed(rest, pipeline(kind, x), 5, strategy, (), tmp_path, verbose=0)
    assert done.epoch == []


def test_a_callback_may_stop_the_training(x):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    history = fit_distributed(
        build("vae"), pipeline("vae", x), 9, tf.distribute.get_strategy(), [Stop()], verbose=0
    )
    assert history.epoch == [0, 1]


def test_wrong_use_is_refused(x, tmp_path):
    strategy = tf.distribute.get_strategy()
    with pytest.raises(ValueError, match="compiled within strategy.scope"):
        fit_distributed(build("vae", compiled=False), pipeline("vae", x), 1, strategy)
    with pytest.raises(ValueError, match="compiled within strategy.scope"):
        other = tf.distribute.OneDeviceStrategy("CPU:0")
        fit_distributed(build("vae"), pipeline("vae", x), 1, other)
    with pytest.raises(TypeError, match="infinite"):
        fit_distributed(build("vae"), pipeline("vae", x).repeat(), 1, strategy)
    (tmp_path / "file").write_text("where the folder should be")
    with pytest.raises(OSError, match="cannot write the folder"):
        fit_distributed(build("vae"), pipeline("vae", x), 1, strategy, (), tmp_path / "file")


def test_the_cluster_is_read_from_tf_config_and_from_slurm(monkeypatch):
    for key in [key for key in os.environ if key.startswith("SLURM_")]:
        monkeypatch.delenv(key)
    slurm = {"PROCID": "2", "STEP_NUM_TASKS": "3", "STEP_NODELIST": "node[07-08]",
             "STEP_TASKS_PER_NODE": "2,1"}
    for key, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{key}", value)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    resolver = cluster_resolver()
    workers = ["node07:8888", "node07:8889", "node08:8888"]
    assert resolver.cluster_spec().as_dict() == {"worker": workers}
    assert (resolver.task_type, resolver.task_id) == ("worker", 2)
    task = {"type": "worker", "index": 1}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": workers[:2]}, "task": task}))
    resolver = cluster_resolver()
    assert resolver.cluster_spec().as_dict() == {"worker": workers[:2]}
    assert (resolver.task_type, resolver.task_id) == ("worker", 1)
