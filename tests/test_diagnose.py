"""diagnose: names the fault, leaves the model as it was, takes what people have.

How often it is right over all models is measured by benchmarks/diagnose.py; here are some of them
that need no training.
"""

import json
import pathlib
import random

import diagnose as benchmark
import faulty_models
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.common import global_state

import keras_vae
from keras_vae import VAE, dense_decoder, gaussian_encoder
from keras_vae.__main__ import main
from keras_vae.doctor import diagnose
from keras_vae.doctor.findings import LEVELS, TEXTS
from keras_vae.doctor.formulas import KLS, RECONSTRUCTIONS, derivatives
from keras_vae.doctor.probe import Probe

FRESH = [
    "KL as a mean over the prior", "minus the printed bound", "two layers of the decoder dropped",
    "sigmoid mean", "tanh with a cross-entropy", "fakes made before the tape",
    "log σ drawn, log σ² in the KL", "D frozen before it trains", "bytes, loose autoencoder",
]


@pytest.fixture(scope="module")
def x():
    return faulty_models.data()[0][:300]


def small_vae(kind=VAE, **settings):
    keras.utils.set_random_seed(0)
    vae = kind(gaussian_encoder(784, (32,), 4), dense_decoder(4, (32,), 784), seed=0, **settings)
    vae.compile("adam")
    return vae


@pytest.mark.parametrize("text", FRESH)
def test_the_fault_comes_first(text):
    build, wanted, _ = faulty_models.FAULTY[text]
    assert diagnose(**build())[0].name == wanted


@pytest.mark.parametrize("text", ["VAE, fresh", "own train_step, fresh", "loose GAN, fresh"])
def test_of_a_sound_model_there_are_only_notes(text, capsys):
    assert {f.level for f in diagnose(**faulty_models.SOUND[text]())} <= {"note"}
    assert not any(line.startswith("error") for line in capsys.readouterr().out.splitlines())


def test_every_fault_that_the_loss_can_have_is_told_from_the_others(x):
    """One training step, many losses: what differs is the line that the finding names."""

    class Wrong(VAE):
        def compute_losses(self, x, training=False):
            heads = self.encoder(x, training=training)
            m, h = heads
            draw = self.draw(m, h)
            rec = self.negative_log_likelihood(x, self.decoder(draw, training=training))
            kl = tf.reduce_sum(self.kl(m, h), axis=1)
            return self.whole(rec, kl), rec, kl

        def draw(self, m, h):
            return m + tf.exp(0.5 * h) * self.noise(tf.shape(m))

        def kl(self, m, h):
            return 0.5 * (m**2 + tf.exp(h) - 1 - h)

        def whole(self, rec, kl):
            return rec + kl

    faults = {
        "noise missing": {"draw": lambda self, m, h: m},
        "noise the same for the whole batch": {
            "draw": lambda self, m, h: m + tf.exp(0.5 * h) * self.noise((1, 4))},
        "noise shared by the latent variables": {
            "draw": lambda self, m, h: m + tf.exp(0.5 * h) * self.noise((tf.shape(m)[0], 1))},
        "noise of another scale": {
            "draw": lambda self, m, h: m + 0.1 * tf.exp(0.5 * h) * self.noise(tf.shape(m))},
        "reconstruction does not reach the encoder": {
            "draw": lambda self, m, h: tf.stop_gradient(VAE_draw(self, m, h))},
        "KL takes the head for something else": {
            "kl": lambda self, m, h: 0.5 * (m**2 + tf.exp(2 * h) - 1 - 2 * h)},
        "KL of the wrong sign": {"whole": lambda self, rec, kl: rec - kl},
        "KL missing": {"whole": lambda self, rec, kl: rec + 0 * kl},
        "reconstruction missing": {"whole": lambda self, rec, kl: kl},
        "reconstruction is a mean over features": {
            "whole": lambda self, rec, kl: rec / 784 + kl},
        "KL is a mean over latent variables": {"whole": lambda self, rec, kl: rec + kl / 4},
    }
    VAE_draw = Wrong.draw
    for wanted, methods in {"": {}, **faults}.items():
        kind = type("Wrong", (Wrong,), methods)
        model = small_vae(kind)
        model.beta = 1.0
        found = [f.name for f in diagnose(model, x) if f.level != "note" and f.name !=
                 "beta has no effect"]  # none of these losses has a beta
        assert (found[0] if found else "") == wanted, (wanted, found)


def test_nothing_stays_changed(x):
    model = small_vae()
    model.fit(x, epochs=1, verbose=0)
    gan = faulty_models.SOUND["GAN, fresh"]()["model"]
    for model in (model, gan):
        optimizers = [v for v in vars(model).values() if isinstance(v, keras.optimizers.Optimizer)]
        kept = [*model.variables, *(v for o in optimizers for v in o.variables)]
        before = [np.array(v) for v in kept]
        states = random.getstate(), np.random.get_state()[1].copy()
        apply = keras.optimizers.Optimizer.apply
        names = set(vars(model)), set(dir(model))
        diagnose(model, x)
        for value, v in zip(before, kept):
            np.testing.assert_array_equal(np.array(v), value)
        assert states[0] == random.getstate()
        np.testing.assert_array_equal(states[1], np.random.get_state()[1])
        assert keras.optimizers.Optimizer.apply is apply
        assert (set(vars(model)), set(dir(model))) == names
        now = [v for v in vars(model).values() if isinstance(v, keras.optimizers.Optimizer)]
        assert [id(o) for o in now] == [id(o) for o in optimizers]
    model.fit(x, epochs=1, verbose=0)  # and goes on


class Plain(keras.Model):
    """A sound VAE as people write it; `apply` is a function of its own, as the tutorials have."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = gaussian_encoder(784, (32,), 4), dense_decoder(4, (32,), 784)
        self.mean, self.history_of_mine = keras.metrics.Mean(name="mean"), []
        self.box = type("Box", (), {})()
        self.box.beta = tf.Variable(1.0)

    @property
    def beta(self):
        return self.box.beta

    @tf.function
    def apply(self, x):
        with tf.GradientTape() as tape:
            m, h = self.encoder(x)
            z = m + tf.exp(0.5 * h) * keras.random.normal(tf.shape(m))
            o = self.decoder(z)
            rec = tf.reduce_sum(tf.nn.softplus(o) - x * o, axis=1)
            kl = 0.5 * tf.reduce_sum(m**2 + tf.exp(h) - 1 - h, axis=1)
            loss = tf.reduce_mean(rec + self.box.beta * kl)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        self.mean.update_state(loss)
        return loss

    def train_step(self, x):
        self.history_of_mine.append(1)
        return {"loss": self.apply(x)}


@pytest.mark.parametrize("trained", [False, True])
def test_a_step_with_a_function_and_states_of_its_own_goes_on_as_before(trained, x):
    """A trace that was made with optimizers that apply nothing must not be kept, nor be used."""
    keras.utils.set_random_seed(0)
    model = Plain()
    model.compile("adam")
    x = np.concatenate([x, x])[:512]  # as many as diagnose takes
    if trained:
        model.fit(x, batch_size=512, verbose=0)
    keras.random.normal((1,))  # makes Keras's own seed
    seed = global_state.get_global_attribute("global_seed_generator").state
    kept = [*model.variables, *model.optimizer.variables, *model.mean.variables, model.box.beta,
            seed]
    before = [np.array(v) for v in kept]
    history = len(model.history_of_mine)
    assert {f.level for f in diagnose(model, x)} <= {"note"}
    for value, v in zip(before, kept):
        np.testing.assert_array_equal(np.array(v), value)
    assert len(model.history_of_mine) == history
    model.fit(x, batch_size=512, verbose=0)
    assert model.optimizer.iterations == 1 + trained
    assert any(not np.array_equal(np.array(v), value) for value, v in zip(before, kept))


def test_losses_that_are_meant_otherwise_are_no_errors(x):
    """Free bits, a capacity, a warm-up that begins at 0: a note says that they are not known."""

    class Other(VAE):
        def compute_losses(self, x, training=False):
            _, rec, kl = super().compute_losses(x, training)
            return rec + self.weighed(kl), rec, kl

    kinds = {
        "free bits": lambda self, kl: tf.maximum(kl, 16.0),
        "capacity": lambda self, kl: 10 * abs(kl - 10.0),
        "warm-up": lambda self, kl: self.warm_up * kl,
    }
    for text, weighed in kinds.items():
        model = small_vae(type("Other", (Other,), {"weighed": weighed}))
        model.warm_up = tf.Variable(0.0)
        levels = {f.name: f.level for f in diagnose(model, x)}
        levels.pop("beta has no effect", None)
        assert "loss not recognised" in levels and set(levels.values()) == {"note"}, text


def test_one_image_and_many_bits(x):
    assert diagnose(small_vae(), x[:1]) is not None
    rng = np.random.default_rng(0)
    bits, others = (rng.integers(0, 2, (n, 8)).astype("float32") for n in (600, 200))
    keras.utils.set_random_seed(0)
    vae = VAE(gaussian_encoder(8, (8,), 2), dense_decoder(2, (8,), 8))
    vae.compile("adam")
    assert {f.level for f in diagnose(vae, bits, others)} <= {"note"}


def test_a_step_that_raises_is_told_and_leaves_nothing_changed(x):
    class Broken(VAE):
        def train_step(self, data):
            raise RuntimeError("out of order")

    model = small_vae(Broken)
    before = model.get_weights()
    findings = diagnose(model, x)
    assert [f.value for f in findings if f.name == "step failed"] == ["x (784,): out of order"]
    for value, after in zip(before, model.get_weights()):
        np.testing.assert_array_equal(value, after)
    assert "apply" not in vars(keras.optimizers.Optimizer)


def test_the_formulas_have_the_derivatives_of_their_names():
    """Against NumPy: central differences."""
    m, h = np.array([0.3, -1.2]), np.array([0.4, 1.7])
    for name, formula in KLS.items():
        for by in (0, 1):
            apart = [np.array(formula(*(tf.constant(v + e * (i == by)) for i, v in
                                        enumerate((m, h))))) for e in (-1e-5, 1e-5)]
            slope = (apart[1] - apart[0]) / 2e-5
            np.testing.assert_allclose(derivatives({"": formula}, m, h, by=by)[""], slope,
                                       rtol=1e-5, atol=1e-8, err_msg=name)
    o, p = 0.7, 1 / (1 + np.exp(-0.7))
    by = derivatives(RECONSTRUCTIONS, np.array([0.2]), np.array([o]), by=1)
    np.testing.assert_allclose(by["logits"], p - 0.2)
    np.testing.assert_allclose(by["probabilities"], -0.2 / o + 0.8 / (1 - o))
    np.testing.assert_allclose(by["a mean"], o - 0.2)


def test_a_probe_gives_the_gradients_of_the_step(x):
    """Of the decoder's last bias at weights 0: the mean of sigmoid(0) − x, over the batch."""
    model = small_vae()
    with Probe({"encoder": model.encoder, "decoder": model.decoder}, model) as probe:
        with probe.changed():
            for v in model.decoder.trainable_variables:
                v.assign(np.zeros(v.shape))
            seen = probe(tf.constant(x))
    gradient = seen.gradients[id(model.decoder.trainable_variables[-1])]
    np.testing.assert_allclose(gradient, 0.5 - x.mean(axis=0), atol=1e-5)
    assert seen.calls["encoder"][0][0].shape == x.shape


def test_raise_on(x):
    vae = small_vae()
    assert diagnose(vae, x, raise_on="error") is not None
    with pytest.raises(ValueError, match="data out of range: 0 to 255"):
        diagnose(vae, faulty_models.bytes_of(x), raise_on="warning")
    with pytest.raises(ValueError, match="raise_on must be one of"):
        diagnose(vae, x, raise_on="fatal")


def test_what_cannot_be_diagnosed_is_refused(x):
    vae = small_vae()
    with pytest.raises(ValueError, match="there must be an encoder and a decoder"):
        diagnose(keras.Sequential([keras.layers.Dense(3)]), x)
    with pytest.raises(ValueError, match="x is None"):
        diagnose(vae)
    with pytest.raises(ValueError, match="at least one example"):
        diagnose(vae, x[:0])
    with pytest.raises(ValueError, match="of one length"):
        diagnose(vae, (x, x[:10]))
    with pytest.raises(ValueError, match="encoder must be built"):
        diagnose(encoder=keras.Sequential([keras.layers.Dense(3)]), decoder=vae.decoder, x=x)
    bad = x.copy()
    bad[0, 0] = np.nan
    assert diagnose(vae, bad)[0].name == "data not finite"


def test_from_the_shell(x, tmp_path, capsys):
    vae = small_vae()
    vae.save(tmp_path / "vae.keras")
    np.savez(tmp_path / "good.npz", x_train=x.reshape(-1, 28, 28))
    np.savez(tmp_path / "bytes.npz", x=np.round(255 * x).astype("uint8"))
    np.savez(tmp_path / "two.npz", a=x, b=x)
    np.save(tmp_path / "pickled.npy", np.array([{}]), allow_pickle=True)
    model = str(tmp_path / "vae.keras")
    assert main(["diagnose", model, str(tmp_path / "good.npz")]) == 0
    assert main(["diagnose", model, str(tmp_path / "bytes.npz")]) == 1
    assert "data out of range" in capsys.readouterr().out
    for data, message in (("two.npz", "must hold an array x"), ("pickled.npy", "must be an .npz"),
                          ("none.npz", "there is no file")):
        with pytest.raises(SystemExit):
            main(["diagnose", model, str(tmp_path / data)])
        assert message in capsys.readouterr().err
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(SystemExit):
        main(["diagnose", str(tmp_path / "text.keras"), str(tmp_path / "good.npz")])
    assert "cannot be loaded" in capsys.readouterr().err


def test_the_page_shows_what_the_benchmark_saved():
    report = json.loads(benchmark.SAVED.read_text(encoding="utf-8"))
    page = benchmark.PAGE.read_text(encoding="utf-8")
    assert benchmark.table(report) in page
    assert benchmark.findings() in page
    models = {(row["set"], row["model"]) for row in report["now"]}
    for name, module in benchmark.SETS.items():
        assert {(name, text) for text in {**module.FAULTY, **module.SOUND}} <= models
    for row in report["first"] + report["now"]:
        assert all(name in TEXTS and level in LEVELS for name, level in row["found"])


def test_what_a_finding_refers_to_is_there():
    tutorials = pathlib.Path(keras_vae.__file__).parent.parent / "tutorials"
    errata = (tutorials / "errata.md").read_text(encoding="utf-8")
    circulating = (tutorials.parent / "docs" / "circulating.md").read_text(encoding="utf-8")
    answers = (tutorials / "find_the_bug_answers.md").read_text(encoding="utf-8")
    gallery = (tutorials / "failure_gallery.py").read_text(encoding="utf-8")
    for _, _, see in TEXTS.values():
        for part in filter(None, see.split(", ")):
            kind, _, number = part.partition(" ")
            where = {"gallery": (f"# ## {number}. ", gallery), "bug": (f"## Listing {number}\n",
                     answers)}.get(kind, (f"# {part}\n", errata + circulating))
            assert where[0] in where[1], part
