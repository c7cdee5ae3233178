"""Nothing wrong in silence: every way to feed a model, every network and setting a person brings.

A row is right, that is, equal to float64 NumPy; or refused, by name, before a weight moves; or said
in the docstring not to be supported. No row may train, or answer, on something else than was meant.
"""

import math
import re
import warnings

import keras
import numpy as np
import pytest
import sklearn.decomposition
import tensorflow as tf
from conftest import assert_equal, small_autoencoder, small_gan, small_vae, state
from test_contract import GOOD, KINDS, Batches, build, pipeline

from keras_vae import (
    GAN, IWAE, VAE, Autoencoder, KLWarmUp, batches, dense_decoder, dense_discriminator,
    dense_encoder, dense_generator, gaussian_encoder,
)

layers = keras.layers


def still(model):
    """Put zeros in the place of the model's noise, so that NumPy can follow; return the model."""
    if not isinstance(model, Autoencoder):
        model.noise = lambda shape: tf.zeros(shape, model.variable_dtype)
    return model


def forward(network, x):
    """Return what a network puts out, float64."""
    outputs = network.predict(np.asarray(x, "float32"), verbose=0)
    if isinstance(outputs, (list, tuple)):
        return [np.asarray(output, "float64") for output in outputs]
    return np.asarray(outputs, "float64")


def expected(model, x, beta=1.0, smooth=0.0):
    """Return the logs of `evaluate` without noise: sums over an example, means over the batch."""
    x = np.asarray(x, "float64")
    axes = tuple(range(1, x.ndim))
    if isinstance(model, Autoencoder):
        return {"loss": np.mean((forward(model.decoder, forward(model.encoder, x)) - x) ** 2)}
    if isinstance(model, GAN):
        fake = forward(model.generator, np.zeros((len(x), *model.generator.input_shape[1:])))
        real, fake = forward(model.discriminator, x), forward(model.discriminator, fake)
        d_loss = np.logaddexp(0, real) - (1 - smooth) * real + np.logaddexp(0, fake)
        return {"d_loss": d_loss.mean(), "g_loss": np.logaddexp(0, -fake).mean(),
                "d_accuracy_real": (real > 0).mean(), "d_accuracy_fake": (fake <= 0).mean()}
    z_mean, z_log_var = forward(model.encoder, x)
    output = forward(model.decoder, z_mean)
    if model.likelihood == "bernoulli":
        nats = np.logaddexp(0, output) - x * output
    else:
        log_var = np.asarray(model.x_log_var, "float64")
        nats = 0.5 * ((x - output) ** 2 / np.exp(log_var) + log_var + math.log(2 * math.pi))
    nats = nats.sum(axis=axes).mean()
    kl = 0.5 * (z_mean**2 + np.exp(z_log_var) - 1 - z_log_var)
    kl = kl.sum(axis=tuple(range(1, kl.ndim))).mean()
    return {"loss": nats + beta * kl, "reconstruction_loss": nats, "kl_loss": kl}


def assert_right(model, x, logs, **settings):
    assert logs == pytest.approx(expected(model, x, **settings), rel=2e-5)


def stack(tensors):
    """Return a function that makes a torch DataLoader of the array."""
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(*(torch.tensor(t) for t in tensors))
    return torch.utils.data.DataLoader(data, 16)


def torch_tensor(x):
    return pytest.importorskip("torch").tensor(x)


def frame(x):
    return pytest.importorskip("pandas").DataFrame(x)


RIGHT = {  # ways to feed 64 examples of 12 numbers: a function of the array → what is given
    "array": lambda x: x,
    "pair": lambda x: (x, x),
    "float64": lambda x: x.astype("float64"),
    "not contiguous": lambda x: np.asfortranarray(x)[:, ::-1][:, ::-1],
    "read only": lambda x: np.broadcast_to(x, x.shape),
    "tensor": tf.constant,
    "torch tensor": torch_tensor,
    "torch loader": lambda x: stack([x]),
    "torch loader of pairs": lambda x: stack([x, x]),
    "pandas": frame,
    "pipeline": pipeline,
    "pipeline of (x,)": lambda x: pipeline((x,)),
    "pipeline of pairs": lambda x: pipeline((x, x)),
    "a last batch of one": lambda x: pipeline(x, 63),
    "generator": lambda x: ((x[i : i + 20],) for i in range(0, 64, 20)),
    "generator of pairs": lambda x: ((x[i : i + 20],) * 2 for i in range(0, 64, 20)),
    "PyDataset": lambda x: Batches((x, x)),
    "one example": lambda x: x[:1],
}


@pytest.fixture(scope="module")
def models():
    return {kind: still(build(kind)) for kind in KINDS}


def evaluate(model, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's, of shuffle=True
        if isinstance(data, tuple):
            return model.evaluate(*data, verbose=0, return_dict=True)
        return model.evaluate(data, verbose=0, return_dict=True)


# Autoencoder and GAN share Keras's feeding with the VAE: of them a sample of the ways is enough.
FEW = ("array", "pipeline of (x,)", "generator of pairs", "PyDataset", "a last batch of one",
       "bytes", "0 to 255", "NaN", "a dictionary", "sparse", "a list of one", "too narrow")


@pytest.mark.parametrize("kind, way", [
    (kind, way) for way in RIGHT for kind in KINDS if kind == "vae" or way in FEW
])
def test_every_way_to_feed_gives_the_losses_of_numpy(way, kind, models):
    logs = evaluate(models[kind], RIGHT[way](GOOD))
    assert_right(models[kind], GOOD[:1] if way == "one example" else GOOD, logs)


def test_weights_of_an_autoencoder_are_obeyed_with_a_target_and_without(models):
    model, w = models["autoencoder"], np.linspace(0, 3, 64, dtype="float32")
    errors = np.mean((forward(model, GOOD) - GOOD) ** 2, axis=1)
    for data in ((GOOD,), (GOOD, GOOD)):
        found = model.evaluate(*data, sample_weight=w, verbose=0)
        assert found == pytest.approx(np.mean(w * errors), rel=1e-5)
        found = model.test_on_batch(*data, sample_weight=w)
        assert found == pytest.approx(np.mean(w * errors), rel=1e-5)
        history = build("autoencoder", optimizer=keras.optimizers.SGD).fit(
            GOOD[:8], validation_data=(GOOD, GOOD if data[1:] else None, w), verbose=0).history
        plain = build("autoencoder", optimizer=keras.optimizers.SGD).fit(
            GOOD[:8], validation_data=pipeline((GOOD, GOOD, w), 32), verbose=0).history
        assert history["val_loss"] == pytest.approx(plain["val_loss"], rel=1e-5)
        batch = model.evaluate(*(data * 2)[:2], 16, verbose=0)  # Keras's third argument
        assert batch == pytest.approx(np.mean(errors), rel=1e-5)
    for data in ((GOOD,), (GOOD, GOOD)):
        one, two = build("autoencoder"), build("autoencoder")
        one.fit(*data, sample_weight=w, shuffle=False, verbose=0)
        two.fit(pipeline((GOOD, GOOD, w), 32), shuffle=False, verbose=0)
        for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


ONES = np.ones(64, "float32")
SHAPE = "shape|float"
REFUSED = {  # {what: (how it is fed to a model, words of the refusal)}
    "bytes": (lambda m: m.fit((255 * GOOD).astype("uint8"), verbose=0), "uint8"),
    "integers": (lambda m: m.fit((GOOD > 0.5).astype(int), verbose=0), "int64"),
    "booleans": (lambda m: m.fit(GOOD > 0.5, verbose=0), "bool"),
    "complex": (lambda m: m.fit(GOOD.astype(complex), verbose=0), "complex128"),
    "strings": (lambda m: m.fit(GOOD.astype(str), verbose=0), "dtype: str"),
    "objects": (lambda m: m.fit(GOOD.astype(object), verbose=0), "dtype: object"),
    "0 to 255": (lambda m: m.fit(255 * GOOD, verbose=0), r"lie in"),
    "standardised": (lambda m: m.fit((GOOD - 0.5) / 0.3, verbose=0), r"lie in"),
    "NaN": (lambda m: m.fit(np.where(GOOD > 0.9, np.nan, GOOD), verbose=0), "nan"),
    "infinity": (lambda m: m.fit(np.where(GOOD > 0.9, np.inf, GOOD), verbose=0), "inf"),
    "a list of one": (lambda m: m.fit([GOOD], verbose=0), SHAPE),
    "rows of lists": (lambda m: m.fit(GOOD.tolist(), verbose=0), "Unrecognized data type"),
    "a dictionary": (lambda m: m.fit({"x": GOOD}, verbose=0), "one dense array, got dict"),
    "dictionaries": (lambda m: m.fit(pipeline({"x": GOOD}), verbose=0), "one dense array, got"),
    "ragged": (lambda m: m.fit(tf.data.Dataset.from_tensors(
        tf.ragged.constant([[0.1, 0.2], [0.3]])), verbose=0), "one dense array, got Ragged"),
    "sparse": (lambda m: m.fit(tf.sparse.from_dense(GOOD), verbose=0), "one dense array, got Sp"),
    "a column": (lambda m: m.fit(GOOD[:, 0], verbose=0), SHAPE),
    "too narrow": (lambda m: m.fit(GOOD[:, 1:], verbose=0), SHAPE),
    "too high a rank": (lambda m: m.fit(GOOD.reshape(64, 3, 4), verbose=0), SHAPE),
    "four parts": (lambda m: m.fit(tf.data.Dataset.from_tensors((GOOD,) * 4), verbose=0), "format"),
    "a number": (lambda m: m.fit(0.5, verbose=0), "Unrecognized data type"),
}
WEIGHTED = {  # refused by VAE and GAN; of an autoencoder see above
    "weights": lambda m: m.fit(GOOD, sample_weight=ONES, verbose=0),
    "weights to validate": lambda m: m.fit(
        GOOD, validation_data=(GOOD, None, ONES), shuffle=False, verbose=0),
    "weights and y": lambda m: m.fit(GOOD, GOOD, sample_weight=ONES, verbose=0),
    "weights and a split": lambda m: m.fit(
        GOOD, sample_weight=ONES, validation_split=0.5, verbose=0),
    "weights in a pipeline": lambda m: m.fit(pipeline((GOOD, GOOD, ONES)), verbose=0),
    "weights in a generator": lambda m: m.fit((d for d in [(GOOD, GOOD, ONES)]), verbose=0),
    "weights in a PyDataset": lambda m: m.fit(Batches((GOOD, GOOD, ONES)), verbose=0),
    "weights of a batch": lambda m: m.train_on_batch(GOOD, sample_weight=ONES),
    "weights to test": lambda m: m.test_on_batch(GOOD, sample_weight=ONES),
    "weights to evaluate": lambda m: m.evaluate(GOOD, sample_weight=ONES, verbose=0),
    "class weights": lambda m: m.fit(GOOD, class_weight={0: 1.0, 1: 2.0}, verbose=0),
    "class weights and y": lambda m: m.fit(
        GOOD, np.arange(64) % 2, class_weight={0: 1.0, 1: 2.0}, verbose=0),
}
REFUSALS = (ValueError, TypeError, tf.errors.InvalidArgumentError)


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.parametrize("kind, what", [
    (kind, what) for what in [*REFUSED, *WEIGHTED] for kind in KINDS
    if kind == "vae" or what in FEW or what in WEIGHTED and kind == "gan"
])
def test_what_is_wrong_is_refused_by_name_and_moves_nothing(kind, what, models):
    words = "weight" if what in WEIGHTED else REFUSED[what][1]
    feed = WEIGHTED[what] if what in WEIGHTED else REFUSED[what][0]
    model = models[kind]
    before = model.get_weights()
    functions = model.train_function, model.test_function
    model.train_function = model.test_function = None  # trace anew, as a first call does
    with pytest.raises(REFUSALS, match=f"(?is){words}"):
        feed(model)
    model.train_function, model.test_function = functions
    assert_equal(model.get_weights(), before)


def image_networks():
    """Return an encoder and a decoder of images of 4×4 pixels in colour, with a shared layer."""
    image, z = keras.Input((4, 4, 3)), keras.Input((2,))
    flat = layers.Flatten()(layers.Conv2D(5, 3, activation="relu")(image))
    head = layers.Dense(2)
    decoded = layers.Reshape((4, 4, 3))(layers.Dense(48)(layers.Dense(6, "tanh")(z)))
    return keras.Model(image, [head(flat), layers.Dense(2)(flat)]), keras.Model(z, decoded)


def latent_maps():
    """Return networks whose codes are maps, (3, 2, 2)."""
    x, z = keras.Input((12,)), keras.Input((3, 2, 2))
    heads = [layers.Reshape((3, 2, 2))(layers.Dense(12)(x)) for _ in range(2)]
    return keras.Model(x, heads), keras.Model(z, layers.Dense(12)(layers.Flatten()(z)))


def decoder_of(*ends, inputs=3):
    return keras.Sequential([keras.Input((inputs,)), layers.Dense(8, "relu"), *ends])


def saturated(end):
    """Return a decoder with hidden units at ±1 and outputs within (0, 1), though it is linear."""
    z = keras.Input((3,))
    network = keras.Model(z, layers.Dense(12, name="end")(layers.Dense(8, "tanh")(z)))
    network.get_layer("end").set_weights([np.full((8, 12), 1e-3), np.full(12, 0.5)])
    return network if end is None else keras.Model(z, layers.Activation(end)(network(z)))


def twice():
    """Return an encoder that uses a layer twice, and a decoder that ends in a normalisation."""
    x = keras.Input((12,))
    dense = layers.Dense(12, "relu")
    h = layers.Dropout(0.5)(dense(dense(x)))
    decoder = decoder_of(layers.Dense(12), layers.BatchNormalization())
    return keras.Model(x, [layers.Dense(3)(h), layers.Dense(3)(h)]), decoder


def encoder():
    return gaussian_encoder(12, (8,), 3)


def frozen(network):
    network.trainable = False
    return network


def vae(*networks, **settings):
    return VAE(*networks, seed=0, **settings)


RIGHT_NETWORKS = {  # {what: () → model}: equal to NumPy, without noise
    "VAE": lambda: small_vae(beta=0.3),
    "Gaussian": lambda: small_vae(likelihood="gaussian"),
    "Gaussian, variance learned": lambda: small_vae(likelihood="gaussian", learn_variance=True),
    "a sigmoid as a Gaussian's mean": lambda: vae(
        encoder(), dense_decoder(3, (8,), 12, "sigmoid"), likelihood="gaussian"),
    "colour images": lambda: vae(*image_networks()),
    "codes of rank 3": lambda: vae(*latent_maps()),
    "linear and Reshape": lambda: vae(
        encoder(), decoder_of(layers.Dense(12), layers.Reshape((4, 3)), layers.Flatten())),
    "nested": lambda: vae(encoder(), decoder_of(keras.Sequential([layers.Dense(12)]))),
    "a sigmoid within": lambda: vae(encoder(), dense_decoder(3, (8,), 12, activation="sigmoid")),
    "normalised": lambda: vae(encoder(), decoder_of(layers.Dense(12), layers.LayerNormalization())),
    "a layer used twice": lambda: vae(*twice()),
    "one latent variable": lambda: vae(gaussian_encoder(12, (), 1), dense_decoder(1, (), 12)),
    "zeros at the end": lambda: vae(
        encoder(), decoder_of(layers.Dense(12, kernel_initializer="zeros"))),
    "saturated hidden units": lambda: vae(encoder(), saturated(None)),
    "a frozen encoder": lambda: vae(frozen(encoder()), dense_decoder(3, (8,), 12)),
    "GAN": small_gan,
    "GAN, labels smoothed": lambda: small_gan(label_smoothing=0.1),
    "GAN, linear generator": lambda: GAN(decoder_of(layers.Dense(12)), dense_discriminator(12, ())),
    "GAN, tanh": lambda: GAN(
        decoder_of(layers.Dense(12, "tanh")), dense_discriminator(12, (8,))),
    "GAN of colour images": lambda: GAN(
        decoder_of(layers.Dense(48, "sigmoid"), layers.Reshape((4, 4, 3))),
        keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(1)])),
    "autoencoder": small_autoencoder,
    "autoencoder, linear": lambda: Autoencoder(
        dense_encoder(12, (), 3), dense_decoder(3, (), 12)),
    "autoencoder, Sequential": lambda: Autoencoder(
        keras.Sequential([keras.Input((12,)), layers.Dense(3)]), decoder_of(layers.Dense(12))),
}


SETTINGS = {"VAE": {"beta": 0.3}, "GAN, labels smoothed": {"smooth": 0.1}}


@pytest.mark.parametrize("what", RIGHT_NETWORKS)
def test_every_network_gives_the_losses_of_numpy_and_trains(what):
    model = still(RIGHT_NETWORKS[what]())
    model.compile(**({"loss": "mse"} if isinstance(model, Autoencoder) else {}))
    network = model.discriminator if isinstance(model, GAN) else model.encoder
    x = np.random.default_rng(0).uniform(size=(24, *network.input_shape[1:])).astype("float32")
    settings = SETTINGS.get(what, {})
    logs = model.evaluate(x, batch_size=10, verbose=0, return_dict=True)
    assert_right(model, x, logs, **settings)
    before = [v.numpy() for v in model.trainable_variables]
    model.fit(x, epochs=2, verbose=0)
    moved = [(a != v.numpy()).any() for a, v in zip(before, model.trainable_variables)]
    # Zeros for noise, and zeros at a decoder's end, let no gradient pass at first.
    assert any(moved) if isinstance(model, GAN) or "zeros" in what else all(moved)
    assert_right(model, x, model.evaluate(x, verbose=0, return_dict=True), **settings)


def heads(*outputs):
    x = keras.Input((12,))
    return keras.Model(x, [layers.Dense(width)(x) for width in outputs])


def same_head():
    x = keras.Input((12,))
    head = layers.Dense(3)(x)
    return keras.Model(x, [head, head])


def named_heads():
    x = keras.Input((12,))
    return keras.Model(x, {"mean": layers.Dense(3)(x), "log_var": layers.Dense(3)(x)})


def open_sizes():
    x, z = keras.Input((None,)), keras.Input((3,))
    maps = layers.Lambda(lambda x: x[:, :3], output_shape=(3,))
    wide = layers.Lambda(lambda z: z, output_shape=(None,))
    return VAE(keras.Model(x, [maps(x), maps(x) * 2]), keras.Model(z, wide(z)))


def by_an_operation():
    z = keras.Input((3,))
    return keras.Model(z, keras.ops.sigmoid(layers.Dense(12)(z)))


def compiled(model, **settings):
    return model.compile(**settings)


ADAM = keras.optimizers.Adam()
LOGITS = "logits: leave its sigmoid out"
NETWORKS = r"networks must be x → \[z_mean, z_log_var\], two heads"
WRONG = {  # {what: (() → the mistake, words of the refusal)}
    "sigmoid": (lambda: VAE(encoder(), dense_decoder(3, (), 12, "sigmoid")), LOGITS),
    "sigmoid and Reshape": (lambda: VAE(encoder(), decoder_of(
        layers.Dense(12, "sigmoid"), layers.Reshape((12,)))), LOGITS),
    "Activation": (lambda: VAE(encoder(), decoder_of(
        layers.Dense(12), layers.Activation("sigmoid"))), LOGITS),
    "sigmoid and Flatten": (lambda: VAE(encoder(), decoder_of(
        layers.Dense(12, "sigmoid"), layers.Reshape((4, 3)), layers.Flatten())), LOGITS),
    "nested": (lambda: VAE(encoder(), decoder_of(layers.Dense(12), keras.Sequential(
        [layers.Activation("sigmoid"), layers.Dropout(0.1)]))), LOGITS),
    "hard sigmoid": (lambda: VAE(encoder(), decoder_of(layers.Dense(12, "hard_sigmoid"))), LOGITS),
    "sigmoid, linear": (lambda: VAE(encoder(), decoder_of(
        layers.Dense(12, "sigmoid"), layers.Activation("linear"))), LOGITS),
    "an operation": (lambda: VAE(encoder(), by_an_operation()), LOGITS),
    "sigmoid of zeros": (lambda: VAE(encoder(), decoder_of(
        layers.Dense(12, "sigmoid", kernel_initializer="zeros"))), LOGITS),
    "softmax": (lambda: VAE(encoder(), decoder_of(layers.Dense(12, "softmax"))), LOGITS),
    "saturated and a sigmoid": (lambda: VAE(encoder(), saturated("sigmoid")), LOGITS),
    "one head": (lambda: VAE(heads(3), dense_decoder(3, (), 12)), NETWORKS),
    "three heads": (lambda: VAE(heads(3, 3, 3), dense_decoder(3, (), 12)), NETWORKS),
    "heads of two widths": (lambda: VAE(heads(3, 4), dense_decoder(3, (), 12)), NETWORKS),
    "a head given twice": (lambda: VAE(same_head(), dense_decoder(3, (), 12)), NETWORKS),
    "a decoder of another width": (lambda: VAE(encoder(), dense_decoder(4, (), 12)), NETWORKS),
    "no networks": (lambda: VAE(lambda x: x, lambda z: z), "has no attribute"),
    "a model for an encoder": (lambda: VAE(small_vae(), dense_decoder(3, (), 12)), "no attribute"),
    "a decoder that broadcasts": (lambda: VAE(encoder(), dense_decoder(3, (), 1)), NETWORKS),
    "heads with names": (lambda: VAE(named_heads(), dense_decoder(3, (), 12)), NETWORKS),
    "relu for logits": (lambda: VAE(encoder(), dense_decoder(3, (), 12, "relu")), LOGITS),
    "tanh for logits": (lambda: VAE(encoder(), decoder_of(
        layers.Dense(12), layers.Activation("tanh"))), LOGITS),
    "tanh for a logit": (lambda: GAN(dense_generator(5, (), 12), decoder_of(
        layers.Dense(1, "tanh"), inputs=12)), "sigmoid out"),
    "sizes left open": (open_sizes, NETWORKS),
    "networks not called": (lambda: VAE(
        keras.Sequential([layers.Dense(3)]), dense_decoder(3, (), 12)), "no defined input shape"),
    "likelihood": (lambda: small_vae(likelihood="poisson"), "likelihood must be"),
    "a variance of Bernoulli's": (lambda: small_vae(learn_variance=True), "has none"),
    "a seed below 0": (lambda: small_vae(seed=-1), "non-negative"),
    "half a seed to begin with": (lambda: small_gan(seed=2.5), "entropy"),
    "beta below 0": (lambda: small_vae(beta=-1), "beta must be"),
    "beta NaN": (lambda: small_vae(beta=math.nan), "beta must be"),
    "beta below 0, later": (lambda: setattr(small_vae(), "beta", -0.5), "beta must be"),
    "beta infinite": (lambda: small_vae(beta=math.inf), "beta must be"),
    "beta too great": (lambda: small_vae(beta=1e40), "beta must be"),
    "K = 0": (lambda: IWAE(encoder(), dense_decoder(3, (), 12), 0), "num_importance_samples"),
    "K = 2.5": (lambda: IWAE(encoder(), dense_decoder(3, (), 12), 2.5), "num_importance_samples"),
    "a loss": (lambda: compiled(small_vae(), loss="mse"), "its own loss"),
    "loss weights": (lambda: compiled(small_vae(), loss_weights=[2.0]), "its own loss"),
    "metrics": (lambda: compiled(small_gan(), metrics=["mse"]), "its own losses"),
    "weighted metrics": (lambda: compiled(small_vae(), weighted_metrics=["mse"]), "its own loss"),
    "not compiled": (lambda: small_vae().fit(GOOD), "compile"),
    "all frozen": (lambda: compiled(VAE(frozen(encoder()), frozen(dense_decoder(3, (), 12)))),
                   "frozen"),
    "a frozen player": (lambda: compiled(GAN(
        dense_generator(5, (), 12), frozen(dense_discriminator(12, ())))), "frozen"),
    "a GAN's one optimizer": (lambda: compiled(small_gan(), optimizer="adam"), "two optimizers"),
    "class weights of an autoencoder": (lambda: build("autoencoder").fit(
        GOOD, GOOD, class_weight={0: 1.0}, verbose=0), "no class_weight"),
    "one optimizer for two": (lambda: compiled(
        small_gan(), g_optimizer=ADAM, d_optimizer=ADAM), "two objects"),
    "a discriminator's sigmoid": (lambda: GAN(
        dense_generator(5, (), 12), decoder_of(layers.Dense(1, "sigmoid"), inputs=12)), "sigmoid"),
    "two logits": (lambda: GAN(dense_generator(5, (), 12), decoder_of(
        layers.Dense(2), inputs=12)), r"\(None, 1\)"),
    "images of another size": (lambda: GAN(
        dense_generator(5, (), 12), dense_discriminator(13, ())), "discriminator must be"),
    "smoothing": (lambda: small_gan(label_smoothing=0.5), "label_smoothing"),
    "a code of another width": (lambda: Autoencoder(
        dense_encoder(12, (), 3), dense_decoder(4, (), 12)), "expected shape"),
    "none of a VAE": (lambda: small_vae().generate(0), "at least one"),
    "none of a GAN": (lambda: small_gan().generate(0), "at least 1"),
    "two arrays to encode": (lambda: small_vae().encode([GOOD, GOOD]), "shape"),
    "fewer than none": (lambda: small_vae().generate(-1), "negative"),
    "half an image": (lambda: small_gan().generate(2.5), "integer"),
    "half a seed": (lambda: small_vae().generate(2, seed=0.5), "seed|entropy"),
    "a code of a wrong width": (lambda: small_vae().decode(GOOD[:, :4]), r"shape=\(None, 3\)"),
    "bytes to encode": (lambda: small_vae().encode(GOOD.astype("uint8")), "uint8"),
    "NaN to encode": (lambda: small_autoencoder().encode(np.nan * GOOD), "finite"),
    "NaN to decode": (lambda: small_vae().decode([[0.0, np.nan, 1.0]]), "z must be finite"),
    "NaN for noise": (lambda: small_gan().predict(np.full((2, 5), np.nan), verbose=0), "finite"),
    "a NaN among weights": (lambda: build("autoencoder").fit(
        GOOD, sample_weight=np.where(np.arange(64) == 9, np.nan, 1), verbose=0), "finite"),
    "nothing to encode": (lambda: small_vae().encode(GOOD[:0]), "not be empty"),
    "a warm-up of a GAN": (lambda: build("gan").fit(
        GOOD, callbacks=[KLWarmUp(1.0, 2)], verbose=0), "needs a model with a beta"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_network_or_setting_is_refused_by_name(what):
    make, words = WRONG[what]
    with pytest.raises((*REFUSALS, AttributeError), match=words):
        make()


DOCUMENTED = {  # {what: (class, words of its docstring)}
    "under XLA no check of values": (VAE, r"out of range \(XLA.* drops this\)"),
    "of a GAN too": (GAN, "see `VAE`"),
    "no loss to watch": (GAN, r"no.*\"loss\", so `TerminateOnNaN` sees\s+nothing"),
    "fit(x) under a strategy": (Autoencoder, "under a strategy, write both"),
    "a constant feature": (VAE, "constants, duplicates or one-hot"),
}


@pytest.mark.parametrize("what", DOCUMENTED)
def test_what_is_not_supported_is_in_the_docstring(what):
    kind, words = DOCUMENTED[what]
    text = " ".join(kind.__doc__.split())
    assert re.search(words, text), text


def test_no_data_train_nothing_and_say_so():
    for kind in KINDS:
        model = build(kind)
        with pytest.warns(UserWarning, match="ran out of data"):
            assert model.fit(GOOD[:0], verbose=0).history == {}


def test_penalties_of_a_discriminator_count_once_and_for_both_its_calls():
    inputs = keras.Input((12,))
    logit = layers.Dense(1, kernel_regularizer=keras.regularizers.L2(0.1), name="logit",
                         activity_regularizer=keras.regularizers.L1(0.5))(inputs)
    gan = still(GAN(dense_generator(5, (), 12), keras.Model(inputs, logit)))
    plain = expected(gan, GOOD)["d_loss"]
    kernel, _ = gan.discriminator.get_weights()
    penalty = 0.1 * np.sum(kernel.astype("float64") ** 2)
    fake = forward(gan.generator, np.zeros((64, 5)))
    # Keras 3.15 divides an activity's penalty by the batch size, Keras 3.12 and older do not.
    sums = [np.abs(forward(gan.discriminator, images)).sum() for images in (GOOD, fake)]
    found = float(tf.reduce_mean(gan.compute_losses(GOOD)[0])) - plain - penalty
    assert found in (pytest.approx(0.25 * sum(sums) / 64, rel=1e-4),
                     pytest.approx(0.25 * sum(sums), rel=1e-4))


def test_both_players_end_with_their_moving_average():
    def adam():
        return keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5)

    gan = small_gan()
    gan.compile(adam(), adam())
    gan.fit(GOOD, epochs=3, verbose=0)
    gan.fit(GOOD, epochs=0, verbose=0)
    for optimizer, network in (
        (gan.optimizer, gan.generator), (gan.d_optimizer, gan.discriminator)
    ):
        averages = [v for v in optimizer.variables if "average" in v.path]
        assert_equal([v.numpy() for v in averages], network.get_weights())


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_penalties_train_in_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    x = keras.Input((12,))
    h = layers.Dense(8, "relu", activity_regularizer=keras.regularizers.L2(0.1))(x)
    heads = keras.Model(x, [layers.Dense(3)(h), layers.Dense(3)(h)])
    vae, iwae = (kind(heads, dense_decoder(3, (), 12)) for kind in (VAE, IWAE))
    gan = GAN(dense_generator(5, (), 12), keras.Model(x, layers.Dense(1)(h)))
    for model in (vae, iwae, gan):
        model.compile()
        assert np.isfinite(list(model.fit(GOOD, verbose=0).history.values())).all()


def test_a_refused_first_batch_leaves_an_autoencoder_as_it_was():
    model = build("autoencoder")
    with pytest.raises(ValueError, match="uint8"):
        model.fit((255 * GOOD).astype("uint8"), verbose=0)
    model.fit(GOOD, shuffle=False, verbose=0)
    plain = build("autoencoder")
    plain.fit(GOOD, shuffle=False, verbose=0)
    assert_equal(state(model), state(plain))


def test_seeds_that_agree_in_their_last_32_bits_are_two_seeds():
    one, two = (small_vae(seed=seed).noise((2, 3)).numpy() for seed in (1, 1 + 2**32))
    assert (one != two).all()


def test_learned_variances_reach_factor_analysis_and_samples_have_the_spread_of_data():
    """A linear VAE with one variance per feature is factor analysis, which scikit-learn solves."""
    rng = np.random.default_rng(0)
    noise = np.array([0.3, 0.5, 0.4, 0.8, 0.6, 0.5])
    x = rng.normal(size=(4000, 2)) @ rng.normal(size=(2, 6)) + noise * rng.normal(size=(4000, 6))
    x = x.astype("float32")
    optimum = sklearn.decomposition.FactorAnalysis(2, tol=1e-6, max_iter=5000).fit(x)
    loss = {}
    for learned in (False, True):
        keras.utils.set_random_seed(0)
        networks = gaussian_encoder(6, (), 2), dense_decoder(2, (), 6)
        model = VAE(*networks, likelihood="gaussian", learn_variance=learned, seed=0)
        model.compile(keras.optimizers.Adam(0.02), steps_per_execution=32)
        history = model.fit(batches(x, 125), epochs=60, shuffle=False, verbose=0)
        loss[learned] = history.history["loss"][-1]
    assert loss[False] > -optimum.score(x) + 0.5
    assert -0.05 < loss[True] + optimum.score(x) < 0.15  # a bound, but for the noise of its draws
    spread = np.exp(0.5 * model.x_log_var.numpy())
    np.testing.assert_allclose(spread, optimum.noise_variance_**0.5, rtol=0.2)
    means = model.generate(20_000, 0)
    drawn, again = (model.generate(20_000, 0, sample=True) for _ in range(2))
    assert_equal([drawn], [again])
    assert drawn.dtype == means.dtype == "float32"
    np.testing.assert_allclose(drawn.std(axis=0), x.std(axis=0), rtol=0.1)
    np.testing.assert_allclose((drawn - means).std(axis=0), spread, rtol=0.03)  # six errors of it
    assert means.var(axis=0).sum() < 0.9 * x.var(axis=0).sum()  # smoother than data


def test_samples_of_a_bernoulli_are_black_and_white_with_the_mean_as_their_frequency():
    model = small_vae(seed=0)
    drawn, means = model.generate(20_000, 3, sample=True), model.generate(20_000, 3)
    assert set(np.unique(drawn)) == {0, 1} and drawn.dtype == means.dtype
    error = 5 * np.sqrt(0.25 / 20_000)
    np.testing.assert_array_less(np.abs(drawn.mean(axis=0) - means.mean(axis=0)), error)
    assert (model.generate(3, sample=True) != model.generate(3, sample=True)).any()
    kernel, bias = model.decoder.layers[-1].get_weights()
    model.decoder.layers[-1].set_weights([40 * kernel, bias])  # each z now draws its own picture
    drawn, means = model.generate(500, 3, sample=True), model.generate(500, 3)
    sure = np.abs(means - 0.5) > 0.499
    assert sure.mean() > 0.3 and (drawn == means.round())[sure].mean() > 0.998
