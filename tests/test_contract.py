"""What a class must stand that people copy: the same for Autoencoder, VAE and GAN."""

import functools
import inspect
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    assert_equal,
    small_autoencoder,
    small_conditional,
    small_gan,
    small_semisupervised,
    small_vade,
    small_vae,
    state,
)

from keras_vae import GAN, VAE, Autoencoder, dense_decoder, gaussian_encoder

KINDS = ("autoencoder", "vae", "gan")
OF_VAE = {"conditional": small_conditional, "semisupervised": small_semisupervised,
          "vade": small_vade}  # they inherit the guard and the ways of feeding
ALL = (*KINDS, *OF_VAE)
MOST = (*KINDS, "semisupervised", "vade")  # a SemisupervisedVAE is a ConditionalVAE


def build(kind, compiled=True, optimizer=keras.optimizers.Adam, **settings):
    """Return a small model of the kind."""
    keras.utils.set_random_seed(0)
    if kind == "autoencoder":
        model = small_autoencoder()
        arguments = {"optimizer": optimizer(0.01), "loss": "mse"}
    elif kind != "gan":
        model = {"vae": small_vae, **OF_VAE}[kind](seed=0)
        arguments = {"optimizer": optimizer(0.01)}
    else:
        model = small_gan(seed=0)
        arguments = {"g_optimizer": optimizer(0.01), "d_optimizer": optimizer(0.01)}
    if compiled:
        model.compile(**arguments, **settings)
    return model


def pair(kind, x):
    """Return what the kind's fit takes: (x, x), (x, labels), of which −1 is none, or (x,)."""
    labels = np.arange(len(x)) % 3
    if kind == "semisupervised":
        labels[::2] = -1
    if kind in ("conditional", "semisupervised"):
        return x, labels
    return (x, x) if kind == "autoencoder" else (x,)


def question(kind, x):
    """Return what the kind's predict takes."""
    if kind == "gan":
        return np.random.default_rng(1).normal(size=(8, 5)).astype("float32")
    if kind in ("conditional", "semisupervised"):
        return np.hstack([x, np.eye(3, dtype="float32")[np.arange(len(x)) % 3]])
    return x


def silence(model):
    """Put a constant in the place of the model's noise."""
    if isinstance(model, (VAE, GAN)):
        model.noise = lambda shape: tf.ones(shape)


def pipeline(arrays, batch_size=16):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size)


@pytest.mark.parametrize("kind", KINDS)
def test_fit_takes_arrays_pairs_and_pipelines(kind, x):
    model = build(kind)
    first = model.fit(*pair(kind, x), epochs=2, verbose=0)
    assert len(first.history) == {"autoencoder": 1, "vae": 3, "gan": 4}[kind]
    for data in ((x,), (x, x)):
        model.fit(*data, verbose=0)
        model.fit(pipeline(data), shuffle=False, verbose=0)
    model.fit(pipeline(x), shuffle=False, verbose=0)


@pytest.mark.parametrize("kind", KINDS)
def test_validation_and_callbacks(kind, x):
    model = build(kind)
    monitor = "val_g_loss" if kind == "gan" else "val_loss"
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.02 / (1 + epoch)),
        keras.callbacks.EarlyStopping(monitor, mode="min", patience=100),
    ]
    validation_data = (x, x) if kind == "autoencoder" else (x, None)
    history = model.fit(
        *pair(kind, x), epochs=2, validation_data=validation_data, callbacks=callbacks, verbose=0
    ).history
    assert monitor in history and len(history[monitor]) == 2
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
    for settings in ({"validation_data": pipeline(x)}, {"validation_data": x},
                     {"validation_split": 0.25}):
        assert monitor in model.fit(x, verbose=0, **settings).history


class Batches(keras.utils.PyDataset):
    """The arrays as the one batch of a PyDataset."""

    def __init__(self, data):
        super().__init__()
        self.data = data

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.data


GOOD = np.random.default_rng(0).uniform(size=(64, 12)).astype("float32")
WAYS = {  # each takes a model and a tuple of arrays, (x,) or (x, target)
    "fit": lambda model, data: model.fit(*data, shuffle=False, verbose=0),
    "evaluate": lambda model, data: model.evaluate(*data, verbose=0),
    "dataset": lambda model, data: model.fit(pipeline(data, 32), shuffle=False, verbose=0),
    "generator": lambda model, data: model.fit((d for d in [data]), shuffle=False, verbose=0),
    "PyDataset": lambda model, data: model.fit(Batches(data), shuffle=False, verbose=0),
    "validation_data": lambda model, data: model.fit(
        *[GOOD] * len(data), validation_data=data, shuffle=False, verbose=0
    ),
    "train_on_batch": lambda model, data: model.train_on_batch(*data),
    "predict": lambda model, data: model.predict(data[0], verbose=0),
    "encode": lambda model, data: model.encode(data[0]),
}
TRACED = {  # what is refused while the step is traced: ValueError
    "bytes": (lambda x: (255 * x).astype("uint8"), "must be float.* got uint8"),
    "one column too few": (lambda x: x[:, :-1], r"\(None, 12\).*, got .*, 11\)"),
    "rank 3": (lambda x: x.reshape(-1, 3, 4), r"\(None, 12\).*, got .*, 3, 4\)"),
}
RANGE = {  # what the traced step refuses: InvalidArgumentError, with the least and the greatest
    "0 to 255": (lambda x: 255 * x, r"\[25\d"),
    "NaN": (lambda x: np.where(x > 0.5, np.nan, x), r"\[nan\] \[nan\]"),
    "infinity": (lambda x: np.where(x > 0.5, np.inf, x), r"\[inf\]"),
    "below": (lambda x: x - 0.5, r"\[-0.4"),
}
MUST = {"autoencoder": "target must lie in", "vae": r"x must lie in \[0, 1\]: divide images by 255",
        "gan": r"images must lie in \[0, 1\] like generated ones"}
FEEDS = [(kind, way) for kind in KINDS for way in WAYS
         if kind == "vae" or way not in ("predict", "encode")]


def parts(model):
    """Return the model and its optimizers: whatever has variables."""
    return [model, model.optimizer, *filter(None, [getattr(model, "d_optimizer", None)])]


@functools.cache
def trained(kind):
    model = build(kind)
    model.fit(*pair(kind, GOOD), verbose=0)
    return model


@pytest.mark.parametrize("kind, way", FEEDS)
def test_bad_input_is_refused_in_every_way_of_feeding_and_moves_nothing(kind, way):
    model = trained(kind)
    feed = WAYS[way]
    start = expected = state(model)
    variables = [v for part in parts(model) for v in part.variables]
    if way == "validation_data":  # the training before it is not undone
        model.fit(*pair(kind, GOOD), shuffle=False, verbose=0)
        expected = state(model)
    expected_iterations = int(model.optimizer.iterations)

    def refuses(spoil, error, words):
        for variable, value in zip(variables, start):
            variable.assign(value)
        with pytest.raises(error, match=words):
            feed(model, pair(kind, spoil(GOOD)))
        if kind == "autoencoder":  # Keras's own step may have counted the batch; nothing else moves
            model.optimizer.iterations.assign(expected_iterations)
        assert_equal(state(model), expected)

    for spoil, least_and_greatest in RANGE.values():
        words = f"(?s){MUST[kind]}.*{least_and_greatest}"
        refuses(spoil, tf.errors.InvalidArgumentError, words)
    steps = model.train_function, model.test_function, model.predict_function
    for spoil, words in TRACED.values():
        model.train_function = model.test_function = model.predict_function = None  # trace anew
        refuses(spoil, ValueError, words)
        if way in ("fit", "evaluate"):  # Keras relaxes the shapes of a step that was traced before
            model.train_function, model.test_function, model.predict_function = steps
            refuses(spoil, (ValueError, tf.errors.InvalidArgumentError), "(?i)shape|got uint8")
    model.train_function, model.test_function, model.predict_function = steps


@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_after_a_bad_first_batch_a_model_trains_as_if_there_had_been_none(kind, x):
    """Their first step makes no variables that a failure could leave half made."""
    plain, spoilt = build(kind), build(kind)
    plain.optimizer.build(plain.trainable_variables)
    for way in ("fit", "train_on_batch", "evaluate"):
        with pytest.raises(ValueError):
            WAYS[way](spoilt, pair(kind, x[:, :-1]))
        with pytest.raises(tf.errors.InvalidArgumentError):
            WAYS[way](spoilt, pair(kind, 255 * x))
    assert_equal(state(spoilt), state(plain))
    histories = [WAYS["fit"](model, pair(kind, x)).history for model in (plain, spoilt)]
    assert histories[0] == histories[1]
    assert_equal(state(spoilt), state(plain))


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("kind", KINDS)
def test_no_examples_train_nothing(kind, x):
    model = build(kind)
    before = model.get_weights()
    assert model.fit(*pair(kind, x[:0]), verbose=0).history == {}
    assert_equal(model.get_weights(), before)
    assert kind == "autoencoder" or int(model.optimizer.iterations) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_mismatched_lengths_and_other_widths_are_refused(kind, x):
    model = build(kind)
    with pytest.raises(ValueError, match="cardinality|sizes"):
        model.fit(x, x[:-1], verbose=0)
    with pytest.raises(ValueError, match="shape"):
        model.predict(question(kind, x)[:, :-1], verbose=0)
    if kind != "gan":  # a GAN's question is noise, of any numbers
        with pytest.raises((ValueError, TypeError), match="uint8"):
            model.predict((255 * x).astype("uint8"), verbose=0)
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="uint8"):
            model.encode((255 * x).astype("uint8"))


@pytest.mark.parametrize("kind", ALL)
def test_evaluate_gives_a_list_and_a_dictionary(kind, x):
    model = build(kind)
    values = model.evaluate(*pair(kind, x), verbose=0)
    logs = model.evaluate(*pair(kind, x), verbose=0, return_dict=True)
    if kind == "autoencoder":
        assert values == pytest.approx(logs["loss"])
    else:
        assert set(logs) == {metric.name for metric in model.metrics} and len(values) == len(logs)


FRESH_PROCESS = """
import sys
import numpy as np
import keras_vae
import keras
for folder in sys.argv[1:]:
    model = keras.saving.load_model(f"{folder}/model.keras")
    data = np.load(f"{folder}/data.npz")
    np.save(f"{folder}/prediction.npy", model.predict(data["question"], verbose=0))
    model.fit(*(data[f"part_{i}"] for i in range(len(data) - 1)), epochs=5, initial_epoch=2,
              shuffle=False, batch_size=16, verbose=0)
    np.savez(f"{folder}/weights.npz", *model.get_weights())
"""


def test_a_fresh_process_predicts_the_same_and_resumes_to_the_bit(x, tmp_path):
    """One process for all kinds: to import TensorFlow takes longer than what it does with it."""
    settings = {"shuffle": False, "batch_size": 16, "verbose": 0}
    expected = {}  # {folder: (prediction, weights after all epochs)}
    for kind in MOST:
        whole = build(kind)
        whole.fit(*pair(kind, x), epochs=5, **settings)
        half = build(kind)
        half.fit(*pair(kind, x), epochs=2, **settings)
        folder = tmp_path / kind
        folder.mkdir()
        half.save(folder / "model.keras")
        parts = {f"part_{i}": part for i, part in enumerate(pair(kind, x))}
        np.savez(folder / "data.npz", **parts, question=question(kind, x))
        expected[folder] = half.predict(question(kind, x), verbose=0), whole.get_weights()
    script = tmp_path / "fresh.py"
    script.write_text(FRESH_PROCESS)
    subprocess.run([sys.executable, script, *expected], check=True, timeout=120)
    for folder, (prediction, weights) in expected.items():
        np.testing.assert_array_equal(np.load(folder / "prediction.npy"), prediction, folder.name)
        resumed = np.load(folder / "weights.npz")
        assert_equal([resumed[name] for name in resumed.files], weights)


@pytest.mark.parametrize("kind", ALL)
def test_settings_survive_saving(kind, x, tmp_path):
    model = build(kind, steps_per_execution=3, jit_compile=False)
    if kind == "vae":
        model.beta = 0.25
    model.fit(*pair(kind, x), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded).__name__ == type(model).__name__
    assert loaded.steps_per_execution == 3 and loaded.jit_compile is False
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) > 0
    if kind == "vae":
        assert loaded.beta == 0.25 and loaded.likelihood == "bernoulli"
    if kind == "gan":
        assert int(loaded.d_optimizer.iterations) == int(loaded.optimizer.iterations)
    assert_equal(state(loaded), state(model))
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = build(kind, compiled=False)
    fresh.load_weights(tmp_path / "model.weights.h5")
    assert_equal(fresh.get_weights(), model.get_weights())


@pytest.mark.parametrize("kind", ALL)
def test_an_uncompiled_model_saves_and_loads(kind, x, tmp_path):
    model = build(kind, compiled=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(question(kind, x), verbose=0), model.predict(question(kind, x), verbose=0)
    )


def sequential(kind):
    """Return a model of the kind made of Sequential networks; of a VAE's, the decoder."""
    def network(inputs, outputs, activation=None):
        layers = [keras.layers.Dense(8, "relu"), keras.layers.Dense(outputs, activation)]
        return keras.Sequential([keras.Input((inputs,)), *layers])

    if kind == "autoencoder":
        return Autoencoder(network(12, 3), network(3, 12, "sigmoid"))
    if kind == "vae":
        return VAE(gaussian_encoder(12, (8,), 3), network(3, 12))
    return GAN(network(5, 12, "sigmoid"), network(12, 1))


@pytest.mark.parametrize("make", [lambda kind: build(kind, compiled=False), sequential],
                         ids=["functional", "sequential"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_exported_when_made_when_trained_and_when_loaded(kind, make, x, tmp_path):
    served = {}

    def serve(name, model):
        model.export(tmp_path / name, verbose=False)
        served[name] = tf.saved_model.load(tmp_path / name)
        answer = served[name].serve(question(kind, x))
        expected = model.predict(question(kind, x), verbose=0)
        np.testing.assert_allclose(answer, expected, rtol=1e-6)
        return answer.numpy()

    model = make(kind)
    new = serve("new", model)
    settings = {"loss": "mse"} if kind == "autoencoder" else {}
    model.compile(**settings)
    model.fit(x, epochs=2, verbose=0)
    trained = serve("trained", model)
    assert (new != trained).any()
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        serve("loaded", keras.saving.load_model(tmp_path / "model.keras")), trained
    )
    if kind == "vae":  # the check goes with it
        with pytest.raises(tf.errors.InvalidArgumentError, match="divide images by 255"):
            served["loaded"].serve(255 * x)


@pytest.mark.parametrize("kind", MOST)
@pytest.mark.parametrize("settings", [{"jit_compile": True}, {"steps_per_execution": 3}])
def test_xla_and_several_steps_an_execution_train_the_same(kind, settings, x):
    """64 examples in batches of 10 are seven steps: not a multiple of three."""
    plain, other = build(kind, jit_compile=False), build(kind, **settings)
    for model in (plain, other):
        if "jit_compile" in settings:
            silence(model)  # XLA draws other noise from the same seed
        model.fit(*pair(kind, x), epochs=2, batch_size=10, shuffle=False, verbose=0)
    assert int(other.optimizer.iterations) == 14
    for a, b in zip(plain.get_weights(), other.get_weights()):
        np.testing.assert_allclose(a, b, atol=2e-4)


@pytest.mark.parametrize("kind", MOST)
def test_mixed_precision_trains_and_saves(kind, x, tmp_path):
    single = build(kind)
    single.fit(*pair(kind, x), epochs=3, shuffle=False, verbose=0)
    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed = build(kind)
    mixed.fit(*pair(kind, x), epochs=3, shuffle=False, verbose=0)
    logs = mixed.evaluate(*pair(kind, x), verbose=0, return_dict=True)
    expected = single.evaluate(*pair(kind, x), verbose=0, return_dict=True)
    for name in expected:
        slack = {"abs": 0.1} if "accuracy" in name else {"rel": 0.03}
        assert logs[name] == pytest.approx(expected[name], **slack)
    assert all(v.dtype == "float32" for v in mixed.trainable_variables)
    for trained, new in zip(mixed.trainable_variables, build(kind).trainable_variables):
        assert (np.array(trained) != np.array(new)).any()
    mixed.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(question(kind, x), verbose=0), mixed.predict(question(kind, x), verbose=0)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_floats_of_any_precision_are_taken(kind, x):
    """Black and white too: 1 lies within what bfloat16 makes of the bounds."""
    x[:2] = [[0], [1]]
    for policy, dtypes in (("float32", ("float64", "float16", "bfloat16")),
                           ("mixed_bfloat16", ("float32",)), ("mixed_float16", ("float32",))):
        keras.config.set_dtype_policy(policy)
        model = build(kind)
        for dtype in dtypes:
            data = tuple(tf.cast(part, dtype) for part in pair(kind, x))
            history = model.fit(pipeline(data, 64), shuffle=False, verbose=0).history
            assert np.isfinite(list(history.values())).all()
        assert np.isfinite(model.predict(question(kind, x), verbose=0)).all()
        with pytest.raises(tf.errors.InvalidArgumentError, match=MUST[kind]):
            model.fit(*pair(kind, 1.02 * x), verbose=0)


def test_mixed_precision_with_networks_of_ones_own(x):
    """Heads and output in bfloat16, as networks give that do not come from the builders."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    inputs, z = keras.Input((12,)), keras.Input((3,))
    heads = [keras.layers.Dense(3)(inputs) for _ in range(2)]
    vae = VAE(keras.Model(inputs, heads), keras.Model(z, keras.layers.Dense(12)(z)))
    vae.compile("adam")
    assert np.isfinite(vae.fit(x, verbose=0).history["loss"]).all()


TWO_REPLICAS = """
import sys
import keras
import numpy as np
import tensorflow as tf
from test_contract import build, pair, pipeline, silence

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
x = np.random.default_rng(0).uniform(size=(64, 12)).astype("float32")
names = {"one": ["CPU:0"], "two": ["CPU:0", "CPU:1"]}
# Made once: the sums of a second strategy on the same devices would be taken for the first one's.
strategies = {name: tf.distribute.MirroredStrategy(names[name]) for name in names}
folder, *kinds = sys.argv[1:]
for kind in kinds:
    results = {}
    for name, strategy in strategies.items():
        with strategy.scope():
            # SGD, since Adam's steps do not depend on the scale of the gradient.
            model = build(kind, optimizer=keras.optimizers.SGD)
            silence(model)
        settings = {"batch_size": 32, "shuffle": False, "epochs": 3, "verbose": 0}
        logs = model.fit(*pair(kind, x), **settings).history
        for i, weights in enumerate(model.get_weights()):
            results[f"{name}_{i}"] = weights
        results[f"{name}_logs"] = [values[-1] for values in logs.values()]
    np.savez(f"{folder}/{kind}.npz", **results)

    # 33 examples in batches of 32: of the last batch the second replica gets none.
    logs = model.fit(pipeline(pair(kind, x[:33]), 32), shuffle=False, verbose=0).history
    assert np.isfinite(list(logs.values())).all(), (kind, logs)
    assert all(np.isfinite(weights).all() for weights in model.get_weights()), kind

    if kind != "autoencoder":
        with strategy.scope():
            model = build(kind)
            assert model.generate(3).shape == (3, 12)
        drawn = [strategy.run(tf.function(model.noise), args=((4, 5),)) for _ in range(2)]
        drawn = [v.numpy() for d in drawn for v in strategy.experimental_local_results(d)]
        np.save(f"{folder}/{kind}_noise.npy", drawn)
"""


def test_two_replicas_train_like_one_and_draw_different_noise(tmp_path):
    """In a process of its own: logical devices must be set before TensorFlow starts."""
    script = tmp_path / "replicas.py"
    script.write_text(TWO_REPLICAS)
    here = pathlib.Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run(
        [sys.executable, script, tmp_path, *MOST], check=True, timeout=300, env=environment
    )
    for kind in MOST:
        results = np.load(tmp_path / f"{kind}.npz")
        ones = [name for name in results.files if name.startswith("one")]
        assert 2 * len(ones) == len(results.files)
        for name in ones:
            np.testing.assert_allclose(
                results["two" + name[3:]], results[name], atol=1e-6, err_msg=kind
            )
        if kind != "autoencoder":
            noise = np.load(tmp_path / f"{kind}_noise.npy")  # (two draws by two replicas, …)
            assert len({draw.tobytes() for draw in noise}) == 4
            assert abs(np.corrcoef(noise.reshape(4, -1)) - np.eye(4)).max() < 0.8


def test_the_class_works_alone_in_an_empty_folder(tmp_path):
    """Copy the one file away, each to a folder of its own, and use it without the package."""
    package = pathlib.Path(sys.modules[Autoencoder.__module__].__file__).parent
    for kind in KINDS:
        (tmp_path / kind).mkdir()
        shutil.copy(package / f"{kind}.py", tmp_path / kind)
    script = f"""
import sys
sys.path = [p for p in sys.path if p != {str(package.parent)!r}]
import keras, numpy as np
assert "keras_vae" not in sys.modules
layers, Input = keras.layers, keras.Input
x = np.random.default_rng(0).uniform(size=(32, 12)).astype("float32")
a, b = Input((12,)), Input((3,))

def alone(name):
    sys.path.insert(0, name.lower())
    kind = getattr(__import__(name.lower()), name)
    del sys.path[0], sys.modules[name.lower()]
    return kind

def decoder():
    return keras.Model(b, layers.Dense(12)(b))

model = alone("Autoencoder")(keras.Model(a, layers.Dense(3)(a)), decoder())
model.compile("adam", "mse"); model.fit(x, x, verbose=0)
model.save("autoencoder.keras"); keras.saving.load_model("autoencoder.keras")
model = alone("VAE")(keras.Model(a, [layers.Dense(3)(a), layers.Dense(3)(a)]), decoder())
model.compile("adam"); model.fit(x, verbose=0)
model.save("vae.keras"); keras.saving.load_model("vae.keras")
model = alone("GAN")(decoder(), keras.Model(a, layers.Dense(1)(a)))
model.compile(); model.fit(x, verbose=0)
model.save("gan.keras"); keras.saving.load_model("gan.keras")
assert "keras_vae" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, timeout=120)


def test_the_noise_of_vae_and_gan_is_one():
    """A model file that is copied alone carries its own noise: the copies must not drift."""
    sources = [inspect.getsource(kind.noise) for kind in (VAE, GAN)]
    bodies = [source.split('"""')[2] for source in sources]
    assert bodies[0] == bodies[1]
    vae, gan = small_vae(seed=7), small_gan(seed=7)
    np.testing.assert_array_equal(vae.noise((4, 5)), gan.noise((4, 5)))


def test_bases_are_kerass_alone():
    for kind in (Autoencoder, VAE, GAN):
        assert kind.__bases__ == (keras.Model,)


def test_a_subclassed_decoder_layer_trains(x):
    """The networks may be any functional models, with layers of one's own inside."""

    class Scale(keras.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight((), "ones")

        def call(self, x):
            return self.scale * x

    z = keras.Input((3,))
    decoder = keras.Model(z, keras.layers.Dense(12)(Scale()(z)))
    vae = VAE(gaussian_encoder(12, (8,), 3), decoder)
    vae.compile("adam")
    vae.fit(x, verbose=0)
    assert dense_decoder(3, (), 12).count_params() < decoder.count_params()
