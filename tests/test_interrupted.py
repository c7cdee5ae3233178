"""A run that is killed and started again ends where one that was never killed does.

To the bit, here: the operations of these models are deterministic on a processor, and
`enable_op_determinism` holds TensorFlow to it. They are not where sums are taken in an order that
differs from run to run, as on a GPU without `enable_op_determinism`; there expect equality up to
rounding, which training then makes larger.

KERAS_VAE_KILLS says how often each run is killed: 2, or 10 before a release.
"""

import io
import json
import multiprocessing
import os
import random
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import assert_equal, small_vae, state
from test_contract import KINDS, build

import keras_vae
from keras_vae import Backup, KLWarmUp

KILLS = int(os.environ.get("KERAS_VAE_KILLS", 2))
EPOCHS = KILLS + 3
posix = pytest.mark.skipif(os.name != "posix", reason="kills with a signal")


def make(kind):
    """Return a model of the kind, compiled; the GAN with dropout, whose seeds are a state too."""
    if kind != "gan":
        return build(kind)
    keras.utils.set_random_seed(0)
    gan = keras_vae.GAN(
        keras_vae.dense_generator(5, (8,), 12),
        keras_vae.dense_discriminator(12, (8,), dropout=0.3),
        seed=0,
    )
    gan.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.02))
    return gan


def pipeline(arrays, batch_size):
    """Return batches in the same order in every epoch."""
    return tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size)


def data_of(kind, make=pipeline):
    x = np.random.default_rng(0).uniform(size=(64, 12)).astype("float32")
    return make((x, x) if kind == "autoencoder" else x, 16)  # 4 steps an epoch


def shuffled(kind):
    """Return batches in another order in each epoch: a GAN's in several passes, a VAE's drawn."""
    passes = 3 if kind == "gan" else 1
    dataset = data_of(kind, lambda x, size: keras_vae.batches(x, size, passes=passes))
    return keras_vae.binarise(dataset) if kind == "vae" else dataset


def watchers(kind):
    return [KLWarmUp(1.0, EPOCHS - 1)] if kind == "vae" else []


class Kill(keras.callbacks.Callback):
    """Kill this process, as kill -9 does, after so many steps."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        self.steps -= 1
        if not self.steps:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_in_the_write(number):
    """Let this process be killed in the middle of its backup of that number."""
    whole, count = np.savez, iter(range(1, number + 1))

    def savez(file, *args, **kwargs):
        if next(count) < number:
            return whole(file, *args, **kwargs)
        content = io.BytesIO()
        whole(content, *args, **kwargs)
        file.write(content.getvalue()[: len(content.getvalue()) // 2])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    np.savez = savez


def train(kind, folder, steps=0, write=0):
    """Train in a process of its own, to the end or until it is killed."""
    tf.config.experimental.enable_op_determinism()
    if write:
        kill_in_the_write(write)
    model = make(kind)
    dataset = shuffled(kind)
    callbacks = [*watchers(kind), Kill(steps), Backup(folder / "backup", dataset)]
    history = model.fit(dataset, epochs=EPOCHS, shuffle=False, callbacks=callbacks, verbose=0)
    np.savez(folder / "final.npz", *state(model))
    (folder / "history.json").write_text(json.dumps([history.epoch, history.history]))


def process(*args):
    """Run `train` and return the exit code. The server has imported TensorFlow for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["keras_vae"])
    child = context.Process(target=train, args=args)
    child.start()
    child.join(120)
    assert child.exitcode is not None, "the training process hangs"
    return child.exitcode


@posix
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_ends_where_one_that_was_never_killed_does(kind, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    assert process(kind, whole) == 0
    rng = random.Random(kind)
    for i in range(KILLS):
        where = {"write": 2} if i == 1 else {"steps": rng.randint(1, 7)}  # an epoch has 4 steps
        code = process(kind, killed, where.get("steps", 0), where.get("write", 0))
        assert code == -signal.SIGKILL
        assert list(killed.glob(".writing_*")) == [] or i == 1
        if i == 1:
            (half,) = killed.glob(".writing_*")
            assert 0 < half.stat().st_size < (killed / "backup").stat().st_size
    assert process(kind, killed) == 0
    files = [np.load(folder / "final.npz") for folder in (whole, killed)]
    assert_equal(*([file[name] for name in file.files] for file in files))
    assert (whole / "history.json").read_text() == (killed / "history.json").read_text()
    epochs, history = json.loads((killed / "history.json").read_text())
    assert epochs == list(range(EPOCHS)) and all(len(v) == EPOCHS for v in history.values())
    assert sorted(path.name for path in killed.iterdir()) == ["backup", "final.npz", "history.json"]


class Stop(keras.callbacks.Callback):
    """Interrupt the run at the second step of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == (self.epoch, 1):
            raise KeyboardInterrupt


def trained(kind, callbacks, model=None, data=None, epochs=5, **kwargs):
    """Return a model after `fit`, which may be interrupted, and the History or None."""
    model, history = model or build(kind), None
    callbacks = [*watchers(kind), *callbacks]
    data = data_of(kind) if data is None else data
    settings = {"epochs": epochs, "shuffle": False, "callbacks": callbacks, "verbose": 0}
    try:
        history = model.fit(data, **settings, **kwargs)
    except KeyboardInterrupt:
        pass
    return model, history


@pytest.mark.parametrize("kind", KINDS)
def test_keras_own_callbacks_resume_to_the_bit(kind, tmp_path):
    whole, _ = trained(kind, [])
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    trained(kind, [backup, Stop(3)])
    resumed, history = trained(kind, [backup])
    assert history.epoch == [3, 4]  # Keras's keeps no History
    assert_equal(state(resumed), state(whole))
    path = tmp_path / "model.keras"
    trained(kind, [keras.callbacks.ModelCheckpoint(path), Stop(2)])
    loaded = keras.saving.load_model(path)
    resumed, _ = trained(kind, [], model=loaded, initial_epoch=2)
    assert_equal(state(resumed), state(whole))


def test_an_iwae_resumes_too(tmp_path):
    def iwae():
        keras.utils.set_random_seed(0)
        networks = keras_vae.gaussian_encoder(12, (8,), 3), keras_vae.dense_decoder(3, (8,), 12)
        model = keras_vae.IWAE(*networks, num_importance_samples=3, seed=0)
        model.compile(keras.optimizers.Adam(0.01))
        return model

    whole, _ = trained("vae", [], model=iwae())
    for callback in (Backup(tmp_path / "a"), keras.callbacks.BackupAndRestore(tmp_path / "b")):
        trained("vae", [callback, Stop(3)], model=iwae())
        resumed, _ = trained("vae", [callback], model=iwae())
        assert_equal(state(resumed), state(whole))


def test_the_order_of_the_data_goes_on_only_if_the_backup_knows_the_pipeline(tmp_path):
    whole, _ = trained("gan", [], data=shuffled("gan"))
    for known in (True, False):
        path, data = tmp_path / f"backup_{known}", shuffled("gan")
        trained("gan", [Backup(path), Stop(3)], data=data)
        data = shuffled("gan")  # as a new process makes it
        resumed, _ = trained("gan", [Backup(path, data if known else None)], data=data)
        same = all(np.array_equal(a, b) for a, b in zip(state(resumed), state(whole)))
        assert same is known


def test_a_backup_changes_nothing_of_a_run(tmp_path):
    for kind in KINDS:
        plain, expected = trained(kind, [])
        model, history = trained(kind, [Backup(tmp_path / "new" / kind)])
        assert_equal(state(model), state(plain))
        assert history.history == expected.history and history.epoch == expected.epoch


def test_a_run_that_ended_is_taken_from_its_backup(tmp_path, capsys):
    path = tmp_path / "backup"
    stopping = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 2)
    )
    for callbacks, epochs in (([], 5), ([stopping], 3)):
        model = build("vae")
        model, expected = trained("vae", [*callbacks, Backup(path)], model=model)
        assert expected.epoch == list(range(epochs))
        Backup.ended.clear()  # as in another process
        again, history = trained("vae", [Backup(path)])
        assert f"Going on after epoch {epochs} of 5" in capsys.readouterr().out
        assert_equal(state(again), state(model))
        assert history.history == expected.history and history.epoch == expected.epoch
        more = again.fit(data_of("vae"), epochs=2, shuffle=False, verbose=0)  # as any model
        assert more.epoch == [0, 1]
        path.unlink()
        Backup.ended.clear()


def test_more_epochs_go_on_and_a_second_call_in_one_process_begins_anew(tmp_path):
    whole, expected = trained("gan", [], epochs=5)
    trained("gan", [Backup(tmp_path / "backup")], epochs=3)
    again, history = trained("gan", [Backup(tmp_path / "backup")], epochs=5)
    assert_equal(state(again), state(whole))  # from its first epoch
    Backup.ended.clear()
    longer, history = trained("gan", [Backup(tmp_path / "backup")], epochs=7)
    assert history.epoch == list(range(7))
    assert history.history["g_loss"][:5] == expected.history["g_loss"]
    assert_equal(state(longer), state(trained("gan", [], epochs=7)[0]))


def test_a_backup_that_does_not_fit_is_refused_with_its_path(tmp_path):
    path = tmp_path / "backup"
    trained("vae", [Backup(path), Stop(2)])
    whole = path.read_bytes()
    x = np.zeros((64, 12), "float32")
    for data in (pipeline(x, 8), pipeline(x[:20], 16)):
        with pytest.raises(ValueError, match=r"other data: 4 steps.*delete .*backup to begin"):
            trained("vae", [Backup(path)], data=data)
    other = small_vae()
    other.compile("sgd")
    for model, kind in ((None, "gan"), (other, "vae")):
        with pytest.raises(ValueError, match="another model or optimizer: delete .*backup"):
            trained(kind, [Backup(path)], model=model)
    for damaged in (b"", whole[:100], whole[: len(whole) // 2], whole[:-30], b"\x80\x04K\x01."):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged .*delete .*backup to begin anew"):
            trained("vae", [Backup(path)])
    flipped = bytearray(whole)
    flipped[whole.index(b"NUMPY") + 150] ^= 255  # one bit of the first array
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match="damaged"):
        trained("vae", [Backup(path)])
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match="damaged"):
        trained("vae", [Backup(path)])
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write the folder"):
        trained("vae", [Backup(tmp_path / "file" / "backup")])
    with pytest.raises(TypeError, match="must be a tf.data.Dataset, got ndarray"):
        Backup(path, x)


def test_the_film_of_an_interrupted_run_is_whole(tmp_path):
    def film(folder, *callbacks):
        gan = build("gan")
        grid = keras_vae.SampleGrid(gan.generator, np.eye(5), folder, 2, image_shape=(3, 4))
        return trained("gan", [grid, *callbacks], model=gan)

    film(tmp_path / "whole")
    film(tmp_path / "cut", Backup(tmp_path / "backup"), Stop(3))
    film(tmp_path / "cut", Backup(tmp_path / "backup"))
    folders = [sorted((tmp_path / name).iterdir()) for name in ("whole", "cut")]
    assert [[path.name for path in folder] for folder in folders] == [
        ["epoch_000.png", "epoch_002.png", "epoch_004.png", "samples.gif"]
    ] * 2
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*folders))
