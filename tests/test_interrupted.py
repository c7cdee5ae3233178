"""A run that is killed and started again ends where one that was never killed does.

To the bit, here: the operations of these models are deterministic on a processor, and
`enable_op_determinism` holds TensorFlow to it. They are not where sums are taken in an order that
differs from run to run, as on a GPU without `enable_op_determinism`; there expect equality up to
rounding, which training then makes larger.

KERAS_VAE_KILLS says how often each run is killed: 2, or 10 before a release.
"""

import functools
import io
import json
import multiprocessing
import os
import pathlib
import random
import signal
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import assert_equal, state
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
    names = [".backup.lock", "backup", "final.npz", "history.json"]
    assert sorted(path.name for path in killed.iterdir()) == names


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
        trained("gan", [Backup(path, data if known else None), Stop(3)], data=data)
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
        with pytest.raises(ValueError, match=r"data.steps was 4, is .*delete .*backup to begin"):
            trained("vae", [Backup(path)], data=data)
    with pytest.raises(ValueError, match="model.class was 'VAE', is 'GAN'.* and .* more"):
        trained("gan", [Backup(path)])
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
    with pytest.raises(TypeError, match="must be a tf.data.Dataset or arrays, got list"):
        Backup(path, [x])


def changed(**settings):
    """Return a VAE that differs from `build("vae")` in what is given."""
    keras.utils.set_random_seed(0)
    activation, noise = settings.pop("activation", "relu"), settings.pop("seed", 0)
    optimizer = settings.pop("optimizer", keras.optimizers.Adam(0.01))
    networks = (
        keras_vae.gaussian_encoder(12, (8,), 3, activation), keras_vae.dense_decoder(3, (8,), 12)
    )
    vae = keras_vae.VAE(*networks, seed=noise, **settings)
    vae.compile(optimizer)
    return vae


def plain(model, *callbacks):
    """Train without a warm-up, which has the last word on beta; return the model."""
    try:
        model.fit(data_of("vae"), epochs=5, shuffle=False, callbacks=callbacks, verbose=0)
    except KeyboardInterrupt:
        pass
    return model


CHANGES = {
    "beta": ({"beta": 4.0}, r"model.networks.beta was 1.0, is 4.0"),
    "likelihood": ({"likelihood": "gaussian"}, "likelihood was 'bernoulli', is 'gaussian'"),
    "seed": ({"seed": 1}, "seed was 0, is 1"),
    "activation": ({"activation": "tanh"}, "activation was 'relu', is 'tanh'"),
    "rate": ({"optimizer": keras.optimizers.Adam(1e-5)}, r"learning_rate was 0.0\d+, is .*e-0"),
    "dtype": ({"dtype": "float64"}, "dtype.* was 'float32', is 'float64'"),
    "optimizer": ({"optimizer": keras.optimizers.SGD(0.01)}, "optimizer.0.0 was 'Adam', is 'SGD'"),
    "kind": ({"optimizer": keras.optimizers.AdamW(0.01)}, "was 'Adam', is 'AdamW'"),
    "clipping": ({"optimizer": keras.optimizers.Adam(0.01, clipnorm=1.0)}, "clipnorm was None"),
}


@functools.cache
def backup_and_end(ended):
    """Return the backup of a run that ended or was interrupted, and the state of one that ended."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "backup")
        plain(changed(), *([] if ended else [Stop(3)]), Backup(path))
        Backup.ended.clear()
        return path.read_bytes(), state(plain(changed()))


@pytest.mark.parametrize("change, ended", [("beta", True), *((name, False) for name in CHANGES)])
def test_a_changed_setting_is_refused_and_named(change, ended, tmp_path):
    settings, words = CHANGES[change]
    path = tmp_path / "backup"
    before, whole = backup_and_end(ended)
    path.write_bytes(before)
    other = changed(**settings)
    start = state(other)
    with pytest.raises(ValueError, match=f"(?s){words}.*to go on, or delete .*backup to begin"):
        plain(other, Backup(path))
    assert_equal(state(other), start)
    assert path.read_bytes() == before
    assert_equal(state(plain(changed(), Backup(path))), whole)
    Backup.ended.clear()


def test_other_data_of_as_many_steps_are_refused(tmp_path):
    x = data_of("vae", lambda x, size: x)
    other = x.copy()
    other[7, 3] = 0.5
    for name, make in {
        "arrays": lambda x, **kwargs: x,
        "pairs": lambda x, **kwargs: (x, x),
        "batches": lambda x, **kwargs: keras_vae.batches(x, 16, **kwargs),
        "drawn": lambda x, **kwargs: keras_vae.binarise(keras_vae.batches(x, 16), **kwargs),
    }.items():
        def run(data, *callbacks):
            backup = Backup(tmp_path / name, data)
            arguments = data if isinstance(data, tuple) else (data,)
            size = {"batch_size": 16} if backup.dataset is None else {}
            return build("vae").fit(
                *arguments, **size, epochs=3, shuffle=False, callbacks=[*callbacks, backup],
                verbose=0,
            )

        with pytest.raises(KeyboardInterrupt):
            run(make(x), Stop(2))
        with pytest.raises(ValueError, match=r"data.checksum.0 was \d+, is \d+"):
            run(make(other))
        if name in ("batches", "drawn"):
            with pytest.raises(ValueError, match=r"seed.* was 0, is 5"):
                run(make(x, seed=5))
        assert run(make(x)).epoch == [0, 1, 2]
        Backup.ended.clear()


def test_a_model_that_is_not_built_is_refused(tmp_path):
    model = keras.Sequential([keras.layers.Dense(12)])
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="has its variables before fit: call it once"):
        trained("autoencoder", [Backup(tmp_path / "backup")], model=model)
    assert not (tmp_path / "backup").exists()


def test_a_pipeline_that_is_no_epoch_is_refused_at_once(tmp_path):
    for data, steps in ((data_of("vae").repeat(), 4), (data_of("vae"), 3)):
        with pytest.raises(ValueError, match="pipeline of one epoch.*the pipeline has"):
            trained("vae", [Backup(tmp_path / "backup", data)], data=data, steps_per_epoch=steps)
    endless = data_of("vae").repeat()  # the order begins anew, and nothing is read in advance
    trained("vae", [Backup(tmp_path / "backup"), Stop(3)], data=endless, steps_per_epoch=4)
    _, history = trained("vae", [Backup(tmp_path / "backup")], data=endless, steps_per_epoch=4)
    assert history.epoch == list(range(5))


def test_the_same_model_goes_on_although_schedules_have_changed_its_settings(tmp_path):
    def watch(steps):
        schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 / (1 + epoch))
        return [KLWarmUp(1.0, steps=15), schedule, *([Stop(steps)] if steps else [])]

    def run(model, *callbacks):
        settings = {"epochs": 5, "shuffle": False, "verbose": 0}
        return model.fit(data_of("vae"), callbacks=callbacks, **settings)

    whole, model, backup = changed(), changed(), Backup(tmp_path / "backup")
    run(whole, *watch(0))
    with pytest.raises(KeyboardInterrupt):
        run(model, *watch(3), backup)
    assert 0 < model.beta < 1
    run(model, *watch(0), backup)
    assert_equal(state(model), state(whole))
    assert model.beta == whole.beta == 1


@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_what_a_callback_changes_step_by_step_goes_on(kind, tmp_path):
    """A rate that halves in each epoch, and a beta that grows at the end of each."""
    def run(model, *callbacks):
        halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
        grow = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(
            model, "beta", getattr(model, "beta", 0) + 0.5))
        plain(model, halve, grow, *callbacks)
        return model

    def make():
        return changed() if kind == "vae" else build("gan")

    whole = run(make())
    run(make(), Stop(3), Backup(tmp_path / "backup"))
    resumed = run(make(), Backup(tmp_path / "backup"))
    assert_equal(state(resumed), state(whole))
    assert resumed.beta == whole.beta or kind == "gan"  # which has none to keep


def test_a_later_first_epoch_and_fewer_epochs_than_the_backup_has(tmp_path):
    def run(*callbacks, epochs=7, **kwargs):
        data = shuffled("gan")
        backup = [Backup(tmp_path / "backup", data)] if callbacks else []
        calls = [*(c for c in callbacks if c), *backup]
        return trained("gan", calls, data=data, epochs=epochs, **kwargs)

    whole, _ = run(initial_epoch=3)
    run(Stop(5), initial_epoch=3)
    resumed, _ = run(None, initial_epoch=3)
    assert_equal(state(resumed), state(whole))
    Backup.ended.clear()
    with pytest.raises(ValueError, match="the backup holds 7 epochs, fit asks for 2: delete"):
        run(None, epochs=2)


def test_what_a_backup_can_and_cannot_write_down(tmp_path):
    """Lambdas, matrices and schedules of one's own are no reason to refuse; NumPy's numbers are."""
    class Schedule(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.01

    def make(beta_1=0.9, source="lambda x: 2 * x"):
        z = keras.Input((12,))
        matrix = keras.initializers.Constant(np.ones((12, 200)))
        h = keras.layers.Dense(200, kernel_initializer=matrix)(z)
        h = keras.layers.Lambda(eval(source))(h)
        model = keras.Model(z, keras.layers.Dense(12)(h))
        model.compile(keras.optimizers.Adam(Schedule(), beta_1=np.float32(beta_1)), "mse")
        return model

    path = tmp_path / "backup"
    trained("autoencoder", [Stop(2), Backup(path)], model=make())
    assert path.stat().st_size < 300_000
    with pytest.raises(ValueError, match="beta_1 was 0.89.*, is 0.1"):
        trained("autoencoder", [Backup(path)], model=make(beta_1=0.1))
    _, history = trained("autoencoder", [Backup(path)], model=make(source="\n\nlambda x: 2 * x"))
    assert history.epoch == list(range(5))


def test_a_model_without_a_configuration_is_compared_by_its_networks(tmp_path):
    class Plain(keras.Model):
        def __init__(self, activation):
            super().__init__()
            self.network = keras_vae.dense_encoder(12, (8,), 12, activation)

        def call(self, x):
            return self.network(x)

    def run(activation, *callbacks):
        model = Plain(activation)
        model.compile("adam", "mse")
        trained("autoencoder", [*callbacks, Backup(tmp_path / "backup")], model=model)

    run("relu", Stop(2))
    with pytest.raises(ValueError, match="activation was 'relu', is 'tanh'"):
        run("tanh")
    run("relu")


def hold_on(path, started, end):
    """Train beside another run, in a process of its own."""
    keras.utils.set_random_seed(0)
    model = build("vae")
    wait = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: (started.set(), end.wait(60)))
    model.fit(data_of("vae"), shuffle=False, callbacks=[wait, Backup(path)], verbose=0)


@posix
def test_of_two_runs_at_once_the_second_stops(tmp_path):
    path = tmp_path / "backup"
    half = tmp_path / ".writing_1_other"
    half.write_text("what another process is about to write")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["keras_vae"])
    started, end = context.Event(), context.Event()
    child = context.Process(target=hold_on, args=(path, started, end))
    child.start()
    assert started.wait(60)
    with pytest.raises(RuntimeError, match="another process is at work in .*backup"):
        trained("vae", [Backup(path)])
    end.set()
    child.join(60)
    assert child.exitcode == 0 and half.exists()
    trained("vae", [Backup(path)], epochs=1)  # the lock is free, and the run is that one's
    started.clear()
    end.clear()
    child = context.Process(target=hold_on, args=(tmp_path / "other", started, end))
    child.start()
    assert started.wait(60)
    child.kill()
    child.join()
    trained("vae", [Backup(tmp_path / "other")], epochs=1)  # a killed process holds nothing


def full(path):
    """Train where a file may have no more than 4 kB, as on a disk that is full."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    model = build("vae")
    grow = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: epoch == 2
        and resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    )
    try:
        plain(model, grow, Backup(path))
    except OSError as error:
        os._exit(7 if "with room left" in str(error) else 1)


@posix
def test_a_full_disk_loses_no_epoch_that_was_written(tmp_path):
    path = tmp_path / "backup"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["keras_vae"])
    child = context.Process(target=full, args=(path,))
    child.start()
    child.join(120)
    assert child.exitcode == 7 and not list(tmp_path.glob(".writing_*"))
    assert_equal(state(plain(build("vae"), Backup(path))), state(plain(build("vae"))))


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
