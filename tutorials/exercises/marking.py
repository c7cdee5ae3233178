"""What an exercise is checked for: shapes, values, gradients, a short training; in that order.

Each function of `CHECKS` takes a student's module and yields, for the shapes, for each line, for
the gradients and for the training, None or what is wrong. Values are compared with NumPy's,
gradients with those of the classes of keras_vae, with equal weights and equal noise.
"""

import contextlib
import io
import re
import traceback

import keras
import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae import GAN, IWAE, VAE, Autoencoder, ConditionalVAE, KLWarmUp, SemisupervisedVAE
from keras_vae import VaDE, batches, dense_decoder, dense_discriminator, dense_encoder
from keras_vae import dense_generator, diagnose, gaussian_encoder, load_digits

MEAN = "a mean over the latent variables in the place of a sum (C-1)"
SIGN = "a wrong sign (A2-5)"
SIGMOID = "a sigmoid too many (A2-3)"
SCALE = "the log of the variance taken for that of the standard deviation (C-2)"
DRAW = "a draw that no gradient passes (A2-14)"
VARIANCE = "σ in the place of σ²"
EARLY = "a mean or a sum taken too early: no axis is left (A1-17)"

MESSAGES = {  # of an error that has a known reason
    r"partially known TensorShape": "a shape that is not known yet: noise of a batch (A1-5)",
    r"with the layer: expected (axis|shape)": "a network on what the other one reads (A1-7)",
    r"can't be found in either the model's output": "several outputs and one loss (A0-5)",
    r"Invalid reduction dimension": EARLY,
    r"No gradients provided": "nothing that the tape has seen leads to the weights (A4-6)",
    r"no attribute '(numpy|assign)'": "a Python number or an array in a traced step: there, values "
                                      "are tensors, and what changes is a variable (listing 9 of "
                                      "find_the_bug)",
    r"'NoneType' object has no attribute": "a function that returns nothing",
    r"int\(\) argument.*NoneType": "`predict`, which no gradient passes, in a step (A4-6)",
}


def message_of(error):
    """Return the known reason of an error, as words to append to its message, or ""."""
    found = (words for pattern, words in MESSAGES.items() if re.search(pattern, str(error)))
    return "".join(f"; probably {words}" for words in [*found][:1])


def mistake_of(found, known):
    """Return the first of the known mistakes that gives the value found, or "".

    Args:
        found: The student's value, an array.
        known: {words: the value that this mistake gives}.
    """
    for words, value in known.items():
        if np.shape(value) == found.shape and close(found, value):
            return f"; probably {words}"
    return ""


def close(found, must):
    return np.allclose(found, must, rtol=3e-5, atol=3e-5)


def apart(found, must):
    """Return the first three numbers that differ between two arrays of one shape, as words."""
    pairs = np.stack([np.ravel(found), np.ravel(must)])
    pairs = pairs[:, ~np.isclose(*pairs, rtol=3e-5, atol=3e-5)]
    more = " …" if pairs.shape[1] > 3 else ""
    came, wanted = (", ".join(f"{value:.4g}" for value in part[:3]) + more for part in pairs)
    return f"came {came}, must be {wanted}"


def results(values, gradients, training):
    """Yield what is wrong with shapes, values, gradients and training, or None for each.

    Args:
        values: {name: (what came, what it must be, known mistakes as of `mistake_of`)}, or a
            function in the place of these three. A fourth is a function that looks for what
            these values do not show.
        gradients: A function, which returns what is wrong, or None.
        training: Another, of whether all values are right: only then is what a trained model shows
            a hint at more than they do.
    """
    for name, value in values.items():
        if not callable(value):
            found, must, known = np.asarray(value[0]), *value[1:3]
            if found.shape != np.shape(must):
                words = f"{name}: came {found.shape}, must be {np.shape(must)}"
                yield words + mistake_of(found, known)
                return
    yield None
    right, follows = True, "; it follows from the values above"
    for value in values.values():
        problem = value() if callable(value) else differ(*value)
        right = right and not problem
        yield problem
    problem = gradients()
    named = right or not problem or "; probably" in problem  # a mistake of its own
    yield problem if named else problem + follows
    problem = training(right)
    yield problem if right or not problem else problem + follows


def differ(found, must, known, further=lambda: None):
    """Return what is wrong with a value, or None; where it is right, what `further` returns."""
    if close(found, must):
        return further()
    named = mistake_of(np.asarray(found), known)
    return f"{apart(found, must)}{named}"


def gradients_of(loss, variables):
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(loss())
    return tape.gradient(value, [v.value for v in variables])


def missing(gradients, variables, unreached):
    """Return which variables get no gradient, and the mistake that this is, or None."""
    left = [v.path for v, gradient in zip(variables, gradients) if gradient is None]
    if left:
        return f"none reaches {', '.join(left[:3])}; probably {unreached}"


def gradients_differ(loss, loss_of_class, variables, unreached=DRAW, known={}):
    """Return what is wrong with the gradient of a student's loss, or None.

    Args:
        loss, loss_of_class: Functions without arguments.
        variables: All of which must get a gradient, and that of the class's.
        unreached: The mistake if some get none.
        known: {words: the loss of a mistake, a function}.
    """
    found, must = gradients_of(loss, variables), gradients_of(loss_of_class, variables)
    problem = missing(found, variables, unreached)
    if problem:
        return problem
    for v, gradient, wanted in zip(variables, found, must):
        if not close(gradient, wanted):
            named = mistake_of(flat(found), {
                words: flat(gradients_of(other, variables)) for words, other in known.items()})
            return f"of {v.path}: {apart(gradient, wanted)}{named}"


def flat(arrays):
    """Return the numbers of several arrays as one array."""
    return np.concatenate([np.ravel(array) for array in arrays])


def lowered(name, measure, train):
    """Return what is wrong if a training does not lower a measure of the model, or None."""
    before = float(measure())
    train()
    after = float(measure())
    if not after < 0.9 * before:
        return f"{name} was {before:.4g} before the training and is {after:.4g} after it"


def diagnosed(model, x):
    """Return the first error that `diagnose` finds in a model, as words to append, or ""."""
    with contextlib.redirect_stdout(io.StringIO()):
        errors = [f for f in diagnose(model, x) if f.level == "error"]
    return "".join(f"; diagnose finds: {f.name}, {f.value} ({f.see})" for f in errors[:1])


def digits():
    """Return 500 small digits to train on, and 200 others to measure on."""
    (x_train, _), (x_test, _) = load_digits()
    return x_train[:500], x_test[:200]


def spread(*networks):
    """Give networks weights so large that no mistake hides in small numbers."""
    rng = np.random.default_rng(1)
    for network in networks:
        for v in network.trainable_variables:
            v.assign(rng.normal(0, 0.5, v.shape))
    return networks


class Tap(keras.layers.Layer):
    """Return what comes in, and keep it."""

    def call(self, x):
        self.seen = x
        return x


def some(*shape):
    return np.random.default_rng(2).uniform(size=shape).astype("float32")


def softplus(x):
    return np.logaddexp(0, x)


def sigmoid(x):
    return scipy.special.expit(x)


def trains(model, losses, right, labels=False, **kwargs):
    """Return what is wrong if `fit` of a model does not lower the package's own loss, or None.

    Args:
        right: Whether the values are: else `diagnose` would blame lines that are not the student's.
    """
    x_train, x = digits()
    data = (x_train, np.arange(500) % 11 - 1) if labels else x_train
    model.compile(keras.optimizers.Adam(0.005))

    def train():
        model.fit(batches(data, 64), epochs=3, verbose=0, **kwargs)

    problem = lowered("−ELBO", lambda: np.mean(losses(x)[0]), train)
    return problem + diagnosed(model, x) if problem and right and not labels else problem


def chapter_1(student):
    keras.utils.set_random_seed(0)
    encoder, autoencoder = student.build(5)
    weights = [tuple(v.shape) for v in autoencoder.trainable_variables]
    must = [(784, 5), (5,), (5, 784), (784,)]
    if weights != must:
        words = "a code as wide as the image (A3-1)" if len(weights) == 4 else (
            "a copy that is not made from the code (A2-2)")
        yield f"the weights are {weights}, must be {must}; probably {words}"
        return
    spread(autoencoder)
    W, b, V, c = autoencoder.get_weights()
    x = some(6, 784)
    a = np.float64(x) @ W + b
    code = np.array(encoder(x))
    logits = code @ V + c
    p, target = sigmoid(some(6, 7) * 4 - 2), some(6, 7)
    nats = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    values = {
        "code": (code, np.maximum(a, 0), {
            "a code without an activation, which PCA makes as well (chapter 1)": a,
            SIGMOID: sigmoid(a), "a tanh, which keeps what is negative (chapter 1)": np.tanh(a),
        }),
        "copy": (autoencoder(x), sigmoid(logits), {
            "pixels without bounds beside a cross-entropy (A3-20)": logits,
            "a tanh beside a cross-entropy (A3-20)": np.tanh(logits),
            "a ReLU beside a cross-entropy (A3-20)": np.maximum(logits, 0),
            SIGMOID: sigmoid(sigmoid(logits)),
        }),
        "cross_entropy": (student.loss(target, p), nats.mean(), {
            "the squared error (A1-1)": np.mean((target - p) ** 2),
            "a number for each image, of which the mean is missing (A3-14)": nats.mean(axis=1),
            "a number for each pixel, of which the mean is missing (A3-14)": nats,
            "a sum in the place of a mean (A1-17)": nats.sum(),
            "a sum over the pixels in the place of a mean (A1-17)": nats.sum(axis=1).mean(),
            "half of the formula: what of the black pixels?": -np.mean(target * np.log(p)),
            SIGN: -nats.mean(),
        }),
    }
    built = keras.Sequential([
        dense_encoder(784, (), 5, latent_activation="relu"),
        dense_decoder(5, (), 784, output_activation="sigmoid"),
    ])
    built.set_weights(autoencoder.get_weights())
    loss = keras.losses.BinaryCrossentropy()

    def gradients():
        lists = []
        for model in (autoencoder, built):
            with tf.GradientTape() as tape:
                value = loss(x, model(x))
            lists.append(tape.gradient(value, model.trainable_variables))
        if not all(g is not None and close(g, must) for g, must in zip(*lists)):
            return "that of the cross-entropy differs from that of the builders' network"

    def training(right):
        x_train, x = digits()
        _, model = student.build(16)
        model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
        return lowered("the cross-entropy", lambda: loss(x, model(x)), lambda: model.fit(
            batches((x_train, x_train), 64), epochs=3, verbose=0))

    yield from results(values, gradients, training)


def chapter_2(student):
    keras.utils.set_random_seed(0)
    encoder, decoder = spread(dense_encoder(12, (8,), 3), dense_decoder(3, (8,), 12, "sigmoid"))
    model, x = student.Sketch(encoder, decoder), some(6, 12)
    came = model(x)
    if isinstance(came, (tuple, list, dict)):
        yield f"call: came {len(came)} outputs, must be one; probably too many for one loss (A0-5)"
        return
    code = np.array(encoder(x))
    must = np.array(decoder(code))
    call = came, must, {
        "the code, which nothing has decoded (A2-6)": code,
        "the image itself: no network has seen it (A3-5)": x,
        SIGMOID: sigmoid(must),
    }
    ends = {"encoder": (None, 3), "decoder": (None, 12)}

    def outputs(parts):
        return {name: getattr(part, "output_shape", type(part).__name__)
                for name, part in parts.items()}

    def networks():
        settings = model.get_config()
        if not isinstance(settings, dict):
            return f"came {type(settings).__name__}, must be a dictionary"
        found = keras.saving.deserialize_keras_object(settings)
        found = outputs(found)
        if found != ends:
            why = "names that __init__ does not take"
            if set(found) <= set(ends):
                why = "each under the other's name" if len(found) == 2 else "one is left out"
            return f"came outputs of {found}, must be {ends}; probably {why} (chapter 2, Saving)"

    def from_config():
        copy = student.Sketch.from_config(model.get_config())
        found = outputs({name: getattr(copy, name, None) for name in ends})
        if type(copy).__name__ != "Sketch" or found != ends:
            why = "probably a model without the networks that were written down (chapter 2, Saving)"
            return f"came {type(copy).__name__} of {found}, must be Sketch of {ends}; {why}"

    loss, own = keras.losses.BinaryCrossentropy(), Autoencoder(encoder, decoder)

    def gradients():
        return gradients_differ(lambda: loss(x, model(x)), lambda: loss(x, own(x)),
                                own.trainable_variables, "a network that is left out (A3-5)")

    def training(right):
        x_train, x = digits()
        model = student.Sketch(dense_encoder(784, (), 16), dense_decoder(16, (), 784, "sigmoid"))
        model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
        return lowered("the cross-entropy", lambda: loss(x, model(x)), lambda: model.fit(
            batches((x_train, x_train), 64), epochs=3, verbose=0))

    values = {"call": call, "networks": networks, "from_config": from_config}
    yield from results(values, gradients, training)


def kl_mistakes(mu, log_var):
    """Return known mistakes in the KL to N(0, I), {words: value}, and the KL."""
    each = -0.5 * (1 + log_var - mu**2 - np.exp(log_var))
    of_scale = -0.5 * (1 + 2 * log_var - mu**2 - np.exp(2 * log_var))
    of_sigma = -0.5 * (1 + log_var - mu**2 - np.exp(0.5 * log_var))
    other = 0.5 * (log_var + (1 + mu**2) / np.exp(log_var) - 1)
    return {
        MEAN: each.mean(axis=1),
        "a mean over the examples and the latent variables (C-1)": each.mean(),
        "a sum over the examples, too: it grows with the batch": each.sum(),
        "a number for each latent variable, whose sum is missing (C-1)": each,
        "a wrong sign: a KL is never negative (listing 5 of find_the_bug)": -each.sum(axis=1),
        SCALE: of_scale.sum(axis=1),
        VARIANCE: of_sigma.sum(axis=1),
        "a factor of 2": 2 * each.sum(axis=1),
        "a forgotten factor of −½": -2 * each.sum(axis=1),
        "cloud and prior exchanged (A1-8)": other.sum(axis=1),
        "no KL at all (A1-11)": 0 * each.sum(axis=1),
    }, each.sum(axis=1)


def chapter_4(student):
    keras.utils.set_random_seed(0)
    tap = Tap()
    encoder = gaussian_encoder(12, (8,), 3)
    decoder = keras.Sequential([keras.Input((3,)), tap, keras.layers.Dense(8, "relu"),
                                keras.layers.Dense(12)])
    spread(encoder, decoder)
    x = some(6, 12)

    def losses(decoder, x):
        return student.SketchVAE(encoder, decoder, 0.75, 5).compute_losses(tf.constant(x))

    try:
        _, reconstruction, kl = losses(decoder, x)
    except tf.errors.InvalidArgumentError as error:  # raised by the line after the student's
        frames = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)]
        shape = next((np.shape(f["nats"]) for f in frames if "nats" in f), x.shape)
        if shape == x.shape:
            raise
        yield f"nats: came {shape}, must be {x.shape}; probably {EARLY}" + (
            ". keras.losses take a mean over the pixels already" if shape == (6,) else "")
        return
    z = np.array(tap.seen)
    epsilon = keras.random.normal((6, 3), seed=keras.random.SeedGenerator(5))
    mu, log_var = (np.float64(head) for head in encoder(x))
    noise, sigma = np.float64(epsilon), np.exp(0.5 * log_var)
    logits = np.float64(decoder(tap.seen))
    nats = softplus(logits) - x * logits
    p = sigmoid(logits)
    known, kl_must = kl_mistakes(mu, log_var)
    repeated = ((z - mu) / sigma)[:1] if z.shape == mu.shape else noise[:1]

    def of_its_own():
        """Return whether z differs from run to run, or is a right draw with other noise."""
        if z.shape != mu.shape or close(z, mu + sigma * noise):
            return False
        losses(decoder, x)
        if not close(tap.seen, z):
            return True
        images = some(1000, 12)
        losses(decoder, images)
        mean, log_variance = map(np.array, encoder(images))
        drawn = (tap.seen - mean) / np.exp(0.5 * log_variance)
        return abs(np.mean(drawn)) < 0.1 and abs(np.std(drawn) - 1) < 0.1

    def at_large_logits():
        steep = keras.Sequential([keras.Input((3,)), keras.layers.Dense(12)])
        steep.set_weights([np.zeros((3, 12)), np.resize([200.0, -200.0], 12)])
        if not np.all(np.isfinite(losses(steep, x)[1])):
            return ("infinite at a logit of 200: the logarithm of a sigmoid that was rounded to 0 "
                    "or 1")

    values = {
        "z": (z, mu + sigma * noise, {
            "no draw: the mean alone (A0-11)": mu,
            "as good a draw, but another one: add the noise": mu - sigma * noise,
            SCALE: mu + np.exp(log_var) * noise,
            "the logarithm of the variance, and not a scale, on the noise (A1-4)":
                mu + log_var * noise,
            "noise without a scale (A0-2)": mu + noise,
            "noise a hundred times too small (C-3)": mu + 0.01 * sigma * noise,
            "a draw from the prior, which holds nothing of the image (A0-12)": noise,
            "the same noise for every image: it has no shape of a batch": mu + sigma * repeated,
            "one number of noise for all latent variables": mu + sigma * noise[:, :1],
            "a draw with noise of its own: use epsilon": z if of_its_own() else np.nan * mu,
        }),
        "nats": (reconstruction, nats.sum(axis=1), {
            SIGMOID: (softplus(p) - x * p).sum(axis=1),
            "a mean over the pixels in the place of a sum (A1-17)": nats.mean(axis=1),
            "a wrong sign: training would make the copies worse (A2-5)": -nats.sum(axis=1),
            "the squared error (A2-15)": ((x - p) ** 2).sum(axis=1),
            "the squared error of logits (A2-15)": ((x - logits) ** 2).sum(axis=1),
            "half of the formula: what of the black pixels?":
                (x * softplus(-logits)).sum(axis=1),
        }, at_large_logits),
        "kl": (kl, kl_must, known),
    }
    vae = VAE(encoder, decoder, 0.75, seed=5)
    vae.noise = lambda shape: epsilon

    def gradients():
        sketch = student.SketchVAE(encoder, decoder, 0.75, 5)

        def cut():
            mu, log_var = encoder(x)
            z = tf.stop_gradient(mu + tf.exp(0.5 * log_var) * epsilon)
            kl = tf.reduce_sum(mu**2 + tf.exp(log_var) - 1 - log_var, axis=1) / 2
            return vae.negative_log_likelihood(x, decoder(z)) + 0.75 * kl

        return gradients_differ(
            lambda: sketch.compute_losses(tf.constant(x))[0], lambda: vae.compute_losses(x)[0],
            vae.trainable_variables, known={DRAW: cut})

    def training(right):
        pair = gaussian_encoder(784, (32,), 8), dense_decoder(8, (32,), 784)
        return trains(student.SketchVAE(*pair, seed=0), VAE(*pair, seed=0).compute_losses, right)

    yield from results(values, gradients, training)


def chapter_5(student):
    weighted = student.WeightedLoss(4.0, 5)
    beta = weighted.beta
    if isinstance(beta, (int, float)):
        found = "a Python number, which a traced step keeps (listing 9 of find_the_bug)"
        yield f"self.beta: came {beta!r}, must be what can be assigned; probably {found}"
        return
    keras.utils.set_random_seed(0)
    first = np.array(beta)
    model = type("", (), {"beta": None})()
    package, found, must = KLWarmUp(4.0, epochs=5), [], []
    package.set_model(model)
    traced = tf.function(lambda: weighted(tf.zeros(1), tf.ones(1)))
    traced()  # with the first β; it must see later ones

    def sees():
        return close(traced(), weighted(tf.zeros(1), tf.ones(1)))

    seen = []
    for epoch in range(8):
        weighted.begin_epoch(epoch)
        package.on_epoch_begin(epoch)
        seen.append(sees())
        found.append(float(np.array(weighted.beta)))
        must.append(model.beta)
    ramp = np.arange(8) / 5
    reconstruction, kl = 10 * some(6), some(6) + 2
    weighted.begin_epoch(2)
    now = float(np.array(weighted.beta))
    values = {
        "self.beta": (first, np.zeros(()), {
            "the target, from the first step on (chapter 10)": np.array(4.0)}),
        "beta": (np.array(found), np.array(must), {
            "β that goes on rising behind the target": 4 * ramp,
            "a share of β, and not β: where is the target?": np.minimum(1, ramp),
            "β that starts above 0: the first epoch is number 0": 4 * np.minimum(1, ramp + 0.2),
            "β that falls": 4 * np.maximum(0, 1 - ramp),
            "β without a warm-up (chapter 10)": np.full(8, 4.0),
            "an integer division: β jumps": 4.0 * np.minimum(1, np.arange(8) // 5),
        }),
        "loss": (weighted(tf.constant(reconstruction), tf.constant(kl)),
                 reconstruction + now * kl, {
            "no KL at all (A0-7)": reconstruction,
            "no β (A0-7)": reconstruction + kl,
            "β on the other part (A0-15)": now * reconstruction + kl,
            "β on both parts (A0-15)": now * (reconstruction + kl),
            SIGN: reconstruction - now * kl,
            "a mean over the examples": np.mean(reconstruction + now * kl),
        }),
    }
    pair = spread(gaussian_encoder(12, (8,), 3), dense_decoder(3, (8,), 12))
    vae, x = VAE(*pair, beta=now), some(6, 12)
    vae.noise = lambda shape: tf.ones(shape)

    def gradients():
        if getattr(weighted.beta, "trainable", True):
            return ("self.beta is trainable; probably a weight like others, and the optimizer "
                    "lowers the loss by a small β (A1-13)")
        for value in (3.0, now):  # whether the ramp is right or not
            weighted.beta.assign(value)
            seen.append(sees())
        if not all(seen):
            return ("a traced step does not see a new β; probably a number in the place of the "
                    "variable (listing 9 of find_the_bug)")
        return gradients_differ(lambda: weighted(*vae.compute_losses(x)[1:]),
                                lambda: vae.compute_losses(x)[0], vae.trainable_variables)

    def training(right):
        pair = gaussian_encoder(784, (32,), 8), dense_decoder(8, (32,), 784)
        loss = student.WeightedLoss(1.0, 2)
        begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda n, _: loss.begin_epoch(n))
        vae = with_loss(VAE, lambda self, x, parts: loss(*parts))(*pair, seed=0)
        return trains(vae, VAE(*pair, seed=0).compute_losses, right, callbacks=[begin])

    yield from results(values, gradients, training)


def with_loss(kind, loss):
    """Return a class of the package whose loss is another function, of model, x and the parts."""

    class Other(kind):
        def compute_losses(self, x, training=False):
            parts = super().compute_losses(x, training)[1:]
            return loss(self, x, parts), *parts

    return Other


def chapter_8(student):
    keras.utils.set_random_seed(0)
    tap = Tap()
    generator = dense_generator(5, (8,), 12)
    discriminator = keras.Sequential([keras.Input((12,)), tap, keras.layers.Dense(8, "relu"),
                                      keras.layers.Dense(1)])
    spread(generator, discriminator)
    real = tf.constant(some(6, 12))
    d_loss, g_loss, *_ = student.SketchGAN(generator, discriminator, 5).compute_losses(real)
    fake = np.array(tap.seen)
    noise = keras.random.normal((6, 5), seed=keras.random.SeedGenerator(5))
    images = np.array(generator(noise))
    d_real, d_fake = np.float64(discriminator(real)), np.float64(discriminator(fake))
    p_real, p_fake = sigmoid(d_real), sigmoid(d_fake)
    values = {
        "fake": (fake, images, {SIGMOID: sigmoid(images), "the real images": np.array(real)}),
        "d_loss": (d_loss, softplus(-d_real) + softplus(d_fake), {
            "labels exchanged: 1 for generated images (C-4)": softplus(d_real) + softplus(-d_fake),
            "the value of the game, of which the discriminator's loss is minus (A4-10)":
                -softplus(-d_real) - softplus(d_fake),
            SIGMOID: softplus(-p_real) + softplus(p_fake),
            "sigmoids in the place of their logarithms (A4-3)": p_fake - p_real,
            "the generated images left out (A4-14)": softplus(-d_real),
            "the real images left out (A4-14)": softplus(d_fake),
            "the same sign for both (A4-10)": softplus(-d_real) + softplus(-d_fake),
        }),
        "g_loss": (g_loss, softplus(-d_fake), {
            "what the discriminator wants (A4-10)": softplus(d_fake),
            "the saturating loss: flat where the discriminator is sure (A4-3)": -softplus(d_fake),
            "a sigmoid in the place of its logarithm (A4-3)": -p_fake,
            SIGMOID: softplus(-p_fake),
            "the logits of the real images (A4-10)": softplus(-d_real),
            SIGN: -softplus(-d_fake),
        }),
    }
    gan = GAN(generator, discriminator)
    gan.noise = lambda shape: noise

    def gradients():
        networks = (
            (0, discriminator.trainable_variables, "logits of a network that is not called"),
            (1, generator.trainable_variables, "images made where the tape does not see (A4-6)"),
        )

        def loss(i):
            return student.SketchGAN(generator, discriminator, 5).compute_losses(real)[i]

        lost = (missing(gradients_of(lambda: loss(i), variables), variables, words)
                for i, variables, words in networks)  # the graver mistake, so it is named first
        differing = (gradients_differ(
            lambda: loss(i), lambda: gan.compute_losses(real, training=True)[i], variables)
            for i, variables, _ in networks)
        return next((problem for part in (lost, differing) for problem in part if problem), None)

    def training(right):  # in a game no loss has to fall, so one network is held while the other learns
        x_train, x = digits()
        pair = dense_generator(16, (32,), 784), dense_discriminator(784, (32,))
        gan, noise = GAN(*pair), np.random.default_rng(0).normal(size=(200, 16))
        gan.noise = lambda shape: tf.constant(noise, "float32")
        for i, rates in enumerate([(0.0, 0.005), (0.005, 0.0)]):
            sketch = student.SketchGAN(*pair, seed=0)
            sketch.compile(*map(keras.optimizers.Adam, rates))
            problem = lowered(
                f"{('d_loss', 'g_loss')[i]}, the other network held,",
                lambda: np.mean(gan.compute_losses(x)[i]),
                lambda: sketch.fit(batches(x_train, 32), epochs=1, verbose=0))
            if problem:
                return problem + (diagnosed(sketch, x_train) if right else "")

    yield from results(values, gradients, training)


def chapter_13(student):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(3)
    log_p = rng.normal(-900, 2, (4, 6))
    mu, log_var, epsilon = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)), rng.normal(
        size=(4, 6, 3))
    z = mu + np.exp(0.5 * log_var) * epsilon
    came = student.importance_weighted_bound(
        *(tf.constant(part, "float32") for part in (log_p, z, epsilon, log_var)))
    log_q, log_w, bound = map(np.array, came)
    of_z = scipy.stats.norm(mu, np.exp(0.5 * log_var)).logpdf(z)
    constant = np.log(2 * np.pi)
    prior = scipy.stats.norm.logpdf(z).sum(axis=2)
    closed = kl_mistakes(mu, log_var)[1]
    weights = scipy.special.softmax(log_w, axis=0)
    opposite = scipy.special.softmax(-log_w, axis=0)
    total = scipy.special.logsumexp(log_w, axis=0)

    def density(*parts):
        return -0.5 * np.sum(sum(parts) + constant, axis=2)

    values = {
        "log_q": (log_q, of_z.sum(axis=2), {
            MEAN: of_z.mean(axis=2),
            "z for its noise (A0-12)": density(z**2, log_var),
            "a density that the width of the cloud does not enter (C-3)": density(epsilon**2),
            SCALE: density(epsilon**2, 2 * log_var),
            "the prior's density (A0-14)": density(z**2),
            SIGN: -of_z.sum(axis=2),
            "a wrong sign of log σ² (A2-5)": density(epsilon**2, -log_var),
            "no constant: the prior's is there, and they have to cancel": density(
                epsilon**2, log_var, -constant),
        }),
        "log_w": (log_w, log_p + prior - log_q, {
            "the reconstruction alone (A3-18)": log_p,
            "no log q(z | x) (A3-18)": log_p + prior,
            "no prior (A3-18)": log_p - log_q,
            "the two densities exchanged (A0-10)": log_p - prior + log_q,
            "all of one sign (A0-10)": log_p + prior + log_q,
            "the KL in closed form, which holds nothing of the draw (C-8)": log_p - closed,
        }),
        "bound": (bound, total - np.log(4), {
            "the mean of the logarithms: the ELBO (chapter 13)": log_w.mean(axis=0),
            "a sum in the place of a mean (chapter 13)": total,
            "draws weighted by their own softmax": (weights * log_w).sum(axis=0),
            "the worst draws weighted most (C-8)": (opposite * log_w).sum(axis=0),
            "the best draw alone": log_w.max(axis=0),
            "weights that vanish: their exponentials are 0 in float32": np.full(6, -np.inf),
            "a mean over the images, and not over the draws": (
                scipy.special.logsumexp(log_w, axis=1) - np.log(6)),
            "the sign of a loss; this is a bound (A2-5)": np.log(4) - total,
        }),
    }
    pair = spread(gaussian_encoder(12, (8,), 3), dense_decoder(3, (8,), 12))
    iwae, x = IWAE(*pair, 4), some(6, 12)
    iwae.noise = lambda shape: tf.constant(epsilon.swapaxes(0, 1).reshape(-1, 3), "float32")

    def minus_bound(model, x, epsilon):
        mu, log_var = model.encoder(x)
        z = mu + tf.exp(0.5 * log_var) * epsilon
        codes = tf.reshape(z, (-1, z.shape[2]))
        images = tf.tile(x, (4, 1))
        log_p = -model.negative_log_likelihood(images, model.decoder(codes))
        log_p = tf.reshape(log_p, (4, -1))
        return -student.importance_weighted_bound(log_p, z, epsilon, log_var)[2]

    def gradients():
        return gradients_differ(
            lambda: minus_bound(iwae, x, tf.constant(epsilon, "float32")),
            lambda: iwae.compute_losses(x)[0], iwae.trainable_variables)

    def training(right):
        pair = gaussian_encoder(784, (32,), 8), dense_decoder(8, (32,), 784)
        other = with_loss(VAE, lambda self, x, parts: minus_bound(
            self, x, self.noise((4, tf.shape(x)[0], 8))))
        return trains(other(*pair, seed=0), VAE(*pair, seed=0).compute_losses, right)

    yield from results(values, gradients, training)


def chapter_16(student):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(3)
    cost, logits = rng.normal(100, 3, (6, 10)), rng.normal(0, 2, (6, 10))
    has = np.arange(6) < 3
    y = np.eye(10)[[3, 1, 4, 1, 5, 9]] * has[:, None]
    came = student.m2_losses(*(tf.constant(part, "float32") for part in (cost, logits, y)), 0.7)
    labelled, unlabelled, loss = map(np.array, came)
    log_q = scipy.special.log_softmax(logits, axis=1)
    q, log_10 = np.exp(log_q), np.log(10)

    def at(part):  # of rows without a label there is nothing to say
        return np.where(has, np.sum(y * part, axis=1) + log_10, 0)

    def mean(part):
        return np.sum(q * part, axis=1) + log_10

    def with_log_10(right, known):
        """Return the known mistakes, alone and beside a wrong log 10, which is in each value."""
        there = log_10 * (right != 0)  # not in rows without a label
        found = dict(known)
        for times, words in (1, "no log 10"), (2, "log 10 with a wrong sign"):
            found[words] = right - times * there
            found |= {f"{other}, and {words}": value - times * there
                      for other, value in known.items()}
        return found

    if labelled.shape == (6,):
        labelled = np.where(has, labelled, 0)
    values = {
        "labelled": (labelled, at(cost - 0.7 * log_q), with_log_10(at(cost - 0.7 * log_q), {
            "no cross-entropy: the classifier never sees a label (A2-6)": at(cost),
            "a wrong sign of the cross-entropy (A2-5)": at(cost + 0.7 * log_q),
            "no alpha": at(cost - log_q),
            "a probability in the place of its logarithm (A4-3)": at(cost - 0.7 * q),
            "a mean over the labels in the place of a sum (C-1)":
                np.where(has, np.mean(y * (cost - 0.7 * log_q), axis=1) + log_10, 0),
        })),
        "unlabelled": (unlabelled, mean(cost + log_q), with_log_10(mean(cost + log_q), {
            "no entropy of q: the KL of the labels is left out (A1-11)": mean(cost),
            "a wrong sign of the entropy of q (A2-5)": mean(cost - log_q),
            "all labels weighted alike: q(y | x) does not enter (A2-6)":
                cost.mean(axis=1) + log_10,
            "all labels weighted alike (A2-6)": (cost + log_q).mean(axis=1) + log_10,
            "all labels weighted alike, and a cross-entropy (A2-6)":
                (cost - 0.7 * log_q).mean(axis=1) + log_10,
            "a mean over the labels, where q(y | x) is the mean already (C-1)":
                np.mean(q * (cost + log_q), axis=1) + log_10,
            "the best label alone": cost.min(axis=1) + log_10,
            "logarithms as weights": np.sum(log_q * (cost + log_q), axis=1) + log_10,
        })),
        "loss": (loss[:6], np.where(has, came[0], came[1]), {
            "each image counted twice (A2-8)": np.add(came[0], came[1]),
            "each for the other": np.where(has, came[1], came[0]),
            "nothing of the images without a label (A2-6)": has * came[0],
            "nothing of the labels (A2-6)": np.array(came[1]),
            "an image without a label taken for one with (A2-6)": np.array(came[0]),
        }),
    }

    def students(self, xy, training=False):
        x, y = xy[:, :-10], xy[:, -10:]
        each = tf.tile(tf.eye(10), (tf.shape(x)[0], 1))
        joined = tf.concat([tf.repeat(x, 10, axis=0), each], axis=1)
        _, *parts = ConditionalVAE.compute_losses(self, joined, training)
        costs = tf.reshape(sum(parts), (-1, 10))
        loss = student.m2_losses(costs, self.classifier(x), y, self.alpha)[2]
        return loss, loss, loss

    def networks(width, hidden, latent):
        return (gaussian_encoder(width + 10, (hidden,), latent),
                dense_decoder(latent + 10, (hidden,), width), dense_encoder(width, (hidden,), 10))

    def gradients():
        m2 = SemisupervisedVAE(*spread(*networks(12, 8, 3)), alpha=0.7)
        noise = tf.constant(rng.normal(size=(60, 3)), "float32")
        m2.noise = lambda shape: noise
        xy = tf.concat([some(6, 12), tf.constant(y, "float32")], axis=1)
        return gradients_differ(lambda: students(m2, xy)[0], lambda: m2.compute_losses(xy)[0],
                                m2.trainable_variables, "a part of the loss that is left out")

    def training(right):
        parts = networks(784, 32, 8)
        other = type("Other", (SemisupervisedVAE,), {"compute_losses": students})
        own = SemisupervisedVAE(*parts, seed=0)
        _, x = digits()
        xy = own.join(x, np.arange(len(x)) % 11 - 1, -1)
        return trains(other(*parts, seed=0), lambda x: own.compute_losses(xy), right,
                      labels=True)

    yield from results(values, gradients, training)


def chapter_17(student):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(3)
    mu, log_var = rng.normal(size=(2, 6, 3))
    logits, (centres, log_widths) = rng.normal(size=5), rng.normal(size=(2, 5, 3))
    came = student.kl_to_mixture(
        *(tf.constant(p, "float32") for p in (mu, log_var, logits, centres, log_widths)))
    log_pi, kl_each, kl = map(np.array, came)
    log_weights = scipy.special.log_softmax(logits)

    def of(mean, log_variance, other_mean, other_log_variance):
        """Return the KL of one normal to another, for each latent variable."""
        ratio = log_variance - other_log_variance
        squares = (mean - other_mean) ** 2 / np.exp(other_log_variance)
        return 0.5 * (np.exp(ratio) + squares - 1 - ratio)

    cloud = mu[:, None], log_var[:, None]
    each = of(*cloud, centres, log_widths)
    halves = of(cloud[0], cloud[1] / 2, centres, log_widths / 2)
    of_scale = of(cloud[0], 2 * cloud[1], centres, 2 * log_widths)
    ratio = cloud[1] - log_widths
    usual = np.tile(of(*cloud, 0, 0).sum(axis=2), (1, 5))

    def soft(weights, divergence):
        return -scipy.special.logsumexp(weights - divergence, axis=1)

    values = {
        "log_pi": (log_pi, log_weights, {
            "free numbers: their exponentials do not add up to 1 (C-10)": logits,
            "the weights, whose logarithm is missing": np.exp(log_weights),
            "a sigmoid for each: they do not add up to 1 (C-10)": -softplus(-logits),
            "all clusters weighted alike": np.full(5, -np.log(5)),
        }),
        "kl_each": (kl_each, each.sum(axis=2), {
            MEAN: each.mean(axis=2),
            "cluster and cloud exchanged (A1-8)": of(centres, log_widths, *cloud).sum(axis=2),
            "the KL to N(0, I): the clusters do not enter (A3-8)": usual,
            SCALE: of_scale.sum(axis=2),
            VARIANCE: halves.sum(axis=2),
            "a factor of 2": 2 * each.sum(axis=2),
            "a wrong sign: a KL is never negative (listing 5 of find_the_bug)": -each.sum(axis=2),
            "a wrong sign of log σ² (A2-5)": (each + ratio).sum(axis=2),
            "a cluster's width that does not enter (C-3)":
                of(*cloud, centres, 0 * log_widths).sum(axis=2),
        }),
        "kl": (kl, soft(log_pi, kl_each), {
            "a wrong sign (A2-5)": -soft(log_pi, kl_each),
            "π counted once for each latent variable (C-10)": soft(3 * log_pi, kl_each),
            "no π (C-10)": soft(0 * log_pi, kl_each),
            "the nearest cluster alone": kl_each.min(axis=1),
            "π for the shares q(c | x) (A3-8)": (np.exp(log_pi) * kl_each).sum(axis=1),
            "a mean over the clusters (A3-8)": kl_each.mean(axis=1),
            "a wrong sign of the KL inside (A2-5)": soft(log_pi, -kl_each),
        }),
    }

    def of_student(self, x):
        log_widths = -2 * tf.linalg.diag_part(self.prior_factor)
        return student.kl_to_mixture(
            *self.encoder(x), self.prior_logits + 0, self.prior_mean + 0, log_widths)[2]

    def gradients():
        vade = VaDE(*spread(gaussian_encoder(12, (8,), 3), dense_decoder(3, (8,), 12)), 5)
        spread(vade)
        x = some(6, 12)
        reached = [*vade.encoder.trainable_variables,
                   vade.prior_logits, vade.prior_mean, vade.prior_factor]
        return gradients_differ(
            lambda: of_student(vade, x), lambda: vade.compute_losses(x)[2], reached,
            "a part of the prior that is left out (A3-8)")

    def training(right):
        pair = gaussian_encoder(784, (32,), 8), dense_decoder(8, (32,), 784)
        other = with_loss(VaDE, lambda self, x, parts: parts[0] + of_student(self, x))(
            *pair, 5, seed=0)
        return trains(other, lambda x: VaDE.compute_losses(other, x), right)

    yield from results(values, gradients, training)


CHECKS = {int(name.partition("_")[2]): function for name, function in dict(globals()).items()
          if name.startswith("chapter_")}
