"""What a class must stand that people copy: the same for Autoencoder, VAE and GAN."""

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
from conftest import small_autoencoder, small_gan, small_vae

from keras_vae import GAN, VAE, Autoencoder, dense_decoder, gaussian_encoder

KINDS = ("autoencoder", "vae", "gan")


def build(kind, compiled=True, optimizer=keras.optimizers.Adam, **settings):
    """Return a small model of the kind."""
    keras.utils.set_random_seed(0)
    if kind == "autoencoder":
        model = small_autoencoder()
        arguments = {"optimizer": optimizer(0.01), "loss": "mse"}
    elif kind == "vae":
        model = small_vae(seed=0)
        arguments = {"optimizer": optimizer(0.01)}
    else:
        model = small_gan(seed=0)
        arguments = {"g_optimizer": optimizer(0.01), "d_optimizer": optimizer(0.01)}
    if compiled:
        model.compile(**arguments, **settings)
    return model


def pair(kind, x):
    """Return what the kind's fit takes: (x, x) or (x,)."""
    return (x, x) if kind == "autoencoder" else (x,)


def question(kind, x):
    """Return what the kind's predict takes."""
    return np.random.default_rng(1).normal(size=(8, 5)).astype("float32") if kind == "gan" else x


def silence(model):
    """Put a constant in the place of the model's noise."""
    if isinstance(model, VAE):
        model.sampling.noise = lambda shape: tf.ones(shape)
    if isinstance(model, GAN):
        model.noise = lambda num: tf.ones((num, 5))


@pytest.mark.parametrize("kind", KINDS)
def test_fit_takes_arrays_pairs_and_pipelines(kind, x):
    model = build(kind)
    first = model.fit(*pair(kind, x), epochs=2, verbose=0)
    assert len(first.history) == {"autoencoder": 1, "vae": 3, "gan": 4}[kind]
    model.fit(x, x, verbose=0)
    one = tf.data.Dataset.from_tensor_slices(pair(kind, x)).batch(16)
    if kind != "autoencoder":
        model.fit(one.map(lambda x: x), verbose=0)
    model.fit(one, verbose=0)
    model.fit(tf.data.Dataset.from_tensor_slices((x, x)).batch(16), verbose=0)


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
    if kind != "autoencoder":
        pipeline = tf.data.Dataset.from_tensor_slices(x).batch(16)
        assert monitor in model.fit(x, validation_data=pipeline, verbose=0).history
        assert monitor in model.fit(x, validation_split=0.25, verbose=0).history


SPOILS = [
    (lambda x: (255 * x).astype("uint8"), "floating point, got uint8 from 0 to 25.*/ 255"),
    (lambda x: 255 * x, r"\[0, 1\], got 0.* to 25"),
    (lambda x: x - 0.5, r"\[0, 1\]"),
    (lambda x: np.where(x > 0.5, np.nan, x), "NaN"),
    (lambda x: np.where(x > 0.5, np.inf, x), "infinity"),
    (lambda x: x[:0], "at least one example"),
    (lambda x: x[:, :-1], r"\(batch, 12\), got \(64, 11\)"),
    (lambda x: x.reshape(64, 3, 4), r"\(batch, 12\), got \(64, 3, 4\)"),
]


@pytest.mark.parametrize("spoil, words", SPOILS)
@pytest.mark.parametrize("kind", KINDS)
def test_bad_arrays_are_refused_with_a_reason(kind, x, spoil, words):
    model = build(kind)
    before = model.get_weights()
    bad = spoil(x)
    uses = [lambda: model.fit(*pair(kind, bad)), lambda: model.evaluate(*pair(kind, bad))]
    if kind == "vae":
        uses += [lambda use=use: use(bad) for use in (model.predict, model.encode)]
    for use in uses:
        with pytest.raises(ValueError, match=words):
            use()
    for validation_data in (bad, (bad, bad)):
        with pytest.raises(ValueError, match="validation_data|an autoencoder needs"):
            model.fit(*pair(kind, x), validation_data=validation_data)
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("kind", KINDS)
def test_predict_refuses_bytes_and_mismatched_lengths_are_refused(kind, x):
    model = build(kind)
    with pytest.raises(ValueError, match="floating point, got uint8"):
        model.predict((255 * question(kind, x)).astype("uint8"))
    with pytest.raises(ValueError, match="cardinality|sizes"):
        model.fit(x, x[:-1], verbose=0)


@pytest.mark.parametrize("kind", KINDS)
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
kind, folder = sys.argv[1:]
model = keras.saving.load_model(f"{folder}/model.keras")
data = np.load(f"{folder}/data.npz")
np.save(f"{folder}/prediction.npy", model.predict(data["question"], verbose=0))
x = data["x"]
model.fit(*((x, x) if kind == "autoencoder" else (x,)), epochs=5, initial_epoch=2,
          shuffle=False, batch_size=16, verbose=0)
np.savez(f"{folder}/weights.npz", *model.get_weights())
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_process_predicts_the_same_and_resumes_to_the_bit(kind, x, tmp_path):
    settings = {"shuffle": False, "batch_size": 16, "verbose": 0}
    whole = build(kind)
    whole.fit(*pair(kind, x), epochs=5, **settings)
    half = build(kind)
    half.fit(*pair(kind, x), epochs=2, **settings)
    half.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=x, question=question(kind, x))
    script = tmp_path / "fresh.py"
    script.write_text(FRESH_PROCESS)
    subprocess.run([sys.executable, script, kind, tmp_path], check=True, timeout=120)
    prediction = np.load(tmp_path / "prediction.npy")
    np.testing.assert_array_equal(prediction, half.predict(question(kind, x), verbose=0))
    resumed = np.load(tmp_path / "weights.npz")
    for name, expected in zip(resumed.files, whole.get_weights()):
        np.testing.assert_array_equal(resumed[name], expected)


@pytest.mark.parametrize("kind", KINDS)
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
        for name in ("g_optimizer", "d_optimizer"):
            for a, b in zip(getattr(model, name).variables, getattr(loaded, name).variables):
                np.testing.assert_array_equal(a, b)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = build(kind, compiled=False)
    fresh.load_weights(tmp_path / "model.weights.h5")
    for a, b in zip(fresh.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_an_uncompiled_model_saves_and_loads(kind, x, tmp_path):
    model = build(kind, compiled=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(question(kind, x), verbose=0), model.predict(question(kind, x), verbose=0)
    )


@pytest.mark.parametrize("kind", KINDS)
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


@pytest.mark.parametrize("kind", KINDS)
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


def test_mixed_precision_with_networks_of_ones_own(x):
    """Heads and output in bfloat16, as networks give that do not come from the builders."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    inputs, z = keras.Input((12,)), keras.Input((3,))
    heads = [keras.layers.Dense(3)(inputs) for _ in range(2)]
    decoded = keras.layers.Dense(12, "sigmoid")(z)
    vae = VAE(keras.Model(inputs, heads), keras.Model(z, decoded))
    vae.compile("adam")
    assert np.isfinite(vae.fit(x, verbose=0).history["loss"]).all()


TWO_REPLICAS = """
import sys
import keras
import numpy as np
import tensorflow as tf
from test_contract import build, pair, silence

kind, folder = sys.argv[1:]
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
x = np.random.default_rng(0).uniform(size=(64, 12)).astype("float32")
results = {}
for name, devices in (("one", ["CPU:0"]), ("two", ["CPU:0", "CPU:1"])):
    strategy = tf.distribute.MirroredStrategy(devices)
    with strategy.scope():
        # SGD, since Adam's steps do not depend on the scale of the gradient.
        model = build(kind, optimizer=keras.optimizers.SGD)
        silence(model)
    logs = model.fit(*pair(kind, x), batch_size=32, shuffle=False, epochs=3, verbose=0).history
    for i, weights in enumerate(model.get_weights()):
        results[f"{name}_{i}"] = weights
    results[f"{name}_logs"] = [values[-1] for values in logs.values()]
np.savez(f"{folder}/replicas.npz", **results)

# 33 examples in batches of 32: of the last batch the second replica gets none.
pipeline = tf.data.Dataset.from_tensor_slices(pair(kind, x[:33])).batch(32)
if kind != "autoencoder":
    pipeline = pipeline.map(lambda x: x)
logs = model.fit(pipeline, shuffle=False, verbose=0).history
assert np.isfinite(list(logs.values())).all(), logs

if kind != "autoencoder":
    with strategy.scope():
        model = build(kind)
    noise = model.sampling.noise if kind == "vae" else lambda shape: model.noise(shape[0])
    drawn = [strategy.run(tf.function(noise), args=((4, 5),)) for _ in range(2)]
    drawn = [v.numpy() for d in drawn for v in strategy.experimental_local_results(d)]
    np.save(f"{folder}/noise.npy", drawn)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_two_replicas_train_like_one_and_draw_different_noise(kind, tmp_path):
    """In a process of its own: logical devices must be set before TensorFlow starts."""
    script = tmp_path / "replicas.py"
    script.write_text(TWO_REPLICAS)
    here = pathlib.Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run(
        [sys.executable, script, kind, tmp_path], check=True, timeout=300, env=environment
    )
    results = np.load(tmp_path / "replicas.npz")
    for name in results.files:
        if name.startswith("one"):
            np.testing.assert_allclose(results["two" + name[3:]], results[name], atol=1e-6)
    if kind != "autoencoder":
        noise = np.load(tmp_path / "noise.npy")  # (two draws by two replicas, …)
        assert len({draw.tobytes() for draw in noise}) == 4
        assert abs(np.corrcoef(noise.reshape(4, -1)) - np.eye(4)).max() < 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_the_class_works_alone_in_an_empty_folder(kind, x, tmp_path):
    """Copy the one file away and use it without the package."""
    package = pathlib.Path(sys.modules[Autoencoder.__module__].__file__).parent
    shutil.copy(package / f"{kind}.py", tmp_path)
    name = {"autoencoder": "Autoencoder", "vae": "VAE", "gan": "GAN"}[kind]
    script = f"""
import sys
sys.path = [p for p in sys.path if p != {str(package.parent)!r}]
import keras, numpy as np
from {kind} import {name}
assert "keras_vae" not in sys.modules
layers, Input = keras.layers, keras.Input
x = np.random.default_rng(0).uniform(size=(32, 12)).astype("float32")
a, b = Input((12,)), Input((3,))
decoder = keras.Model(b, layers.Dense(12, "sigmoid")(b))
if "{kind}" == "autoencoder":
    model = {name}(keras.Model(a, layers.Dense(3)(a)), decoder)
    model.compile("adam", "mse"); model.fit(x, x, verbose=0)
elif "{kind}" == "vae":
    model = {name}(keras.Model(a, [layers.Dense(3)(a), layers.Dense(3)(a)]), decoder)
    model.compile("adam"); model.fit(x, verbose=0)
else:
    model = {name}(decoder, keras.Model(a, layers.Dense(1)(a)), 3)
    model.compile(); model.fit(x, verbose=0)
model.save("model.keras"); keras.saving.load_model("model.keras")
assert "keras_vae" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, timeout=120)


def test_the_three_checks_of_the_input_are_one():
    """A model file that is copied alone carries its own check: the copies must not drift."""
    modules = [sys.modules[kind.__module__] for kind in (Autoencoder, VAE, GAN)]
    sources = {inspect.getsource(module.check_input) for module in modules}
    assert len(sources) == 1


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
    decoder = keras.Model(z, keras.layers.Dense(12, "sigmoid")(Scale()(z)))
    vae = VAE(gaussian_encoder(12, (8,), 3), decoder)
    vae.compile("adam")
    vae.fit(x, verbose=0)
    assert dense_decoder(3, (), 12).count_params() < decoder.count_params()
