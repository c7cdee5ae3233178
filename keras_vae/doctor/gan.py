"""What is wrong with a GAN: who learns what, and what is drawn."""

import numpy as np
import tensorflow as tf
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from keras_vae.doctor.common import (
    batch_of, failed, learning, moves_by_itself, of_copies, of_learning, outputs_of, packed,
    steps_done,
)
from keras_vae.doctor.findings import found
from keras_vae.doctor.formulas import VERDICTS, constant, derivatives, got, put, slope


def of_a_gan(networks, model, probe, data, test):
    """Return what is wrong with a GAN."""
    generator, discriminator = networks["generator"], networks["discriminator"]
    x = data[0]
    parts = batch_of(data)
    findings, upwards, seen = [], True, None
    with probe:
        batch = packed(model, parts)
        try:
            seen = learning(probe, batch, networks)
        except (Exception, SystemExit) as error:
            findings.append(failed(model, error, x.shape[1:]))
        if seen is not None and seen.calls["generator"]:  # a subclass has no input_shape
            shape = seen.calls["generator"][0][0].shape[1:]
        elif hasattr(generator, "input_shape"):
            shape = generator.input_shape[1:]
        else:
            return findings
        noise = np.random.default_rng(0).standard_normal((512, *shape)).astype("float32")
        with probe.changed():
            (bias,) = constant(generator, noise, lambda outputs: [tf.nest.flatten(outputs)[0]])
            if bias is not None:
                ends = []
                for value in (-20.0, 20.0):
                    put(bias, value)
                    ends.append(float(np.mean(generator(noise, training=False))))
                new = list(of_reach(x, *ends))
                if any(f.level == "error" for f in new):  # which explains that a step failed
                    findings = [f for f in findings if f.name != "step failed"]
                findings += new
        if seen is not None and moves_by_itself(probe, networks):
            value = "the step moves weights without an optimizer of Keras"
            findings.append(found("not looked at", "warning", value, ""))
        elif seen is not None:
            findings += of_learning(seen, networks)
            new, upwards = of_directions(seen, generator, discriminator, parts[0], noise)
            sets = [{id(v) for v in n.trainable_variables} for n in networks.values()]
            # One optimizer may serve both, with gradients of two losses; else one loss moves both.
            both = [all(moved & own for own in sets) for moved in seen.moved]
            if any(both):
                value = "a step is given the weights of both"
                level = "error" if new or not all(both) else "warning"
                findings.append(found("both players moved by one loss", level, value, "one's"))
            findings += new
            with probe.changed():
                findings += of_the_verdict(probe, batch, discriminator, parts[0])
        with probe.changed():  # only seeds go on
            findings += of_the_drawings(
                generator, discriminator, upwards, x, test, noise, steps_done(model)
            )
    return findings


def of_reach(x, low, high):
    """Yield whether the generator's outputs, from low to high, and the data lie in one range."""
    least, greatest = float(np.min(x)), float(np.max(x))
    if high - low > 3:
        return  # a linear end
    value, sound = f"data {least:.4g} to {greatest:.4g}", f"{low:.2g} to {high:.2g}"
    if least < low - 0.01 or greatest > high + 0.01:
        yield found("data out of range", "error", value, sound)
    elif least > low + 0.4 * (high - low):
        yield found("data on another scale", "warning", value, sound)


def of_directions(seen, generator, discriminator, x, noise):
    """Return findings, and whether the discriminator learns to put real images above others."""
    def cosine(network, score):
        variables = [v for v in network.trainable_variables
                     if seen.gradients.get(id(v)) is not None]
        with tf.GradientTape() as tape:
            value = score()
        own = tape.gradient(value, variables)
        pairs = [(np.ravel(g), -np.ravel(seen.gradients[id(v)])) for g, v in zip(own, variables)
                 if g is not None]
        if not pairs:
            return 0.0
        first, second = (np.concatenate(column) for column in zip(*pairs))
        return float(first @ second / max(np.linalg.norm(first) * np.linalg.norm(second), 1e-30))

    def judged(images):
        return tf.reduce_mean(tf.cast(discriminator(images, training=True), tf.float32))

    fakes = tf.stop_gradient(generator(noise, training=True))
    apart = cosine(discriminator, lambda: judged(tf.convert_to_tensor(x)) - judged(fakes))
    towards = cosine(generator, lambda: judged(generator(noise, training=True)))
    findings = []
    if apart * towards < 0 and min(abs(apart), abs(towards)) > 0.1:
        findings.append(found("a player learns the wrong way", "error",
                              f"cosine {-abs(towards):.2f}", "above 0"))
    return findings, apart >= 0


def of_the_verdict(probe, batch, discriminator, x):
    """Yield whether the loss takes the discriminator's output for what it is."""
    (bias,) = constant(discriminator, x, lambda outputs: [tf.nest.flatten(outputs)[0]])
    if bias is None:
        return
    measured, outputs, slopes = [], [], []
    for value in (-4.0, -1.0, 0.2, 0.5, 0.8, 3.0):
        o, by_bias = slope(bias, value, lambda: discriminator(x[:1], training=False))
        measured.append(got(probe(batch), bias))
        outputs.append(o.mean())
        slopes.append(by_bias.mean())
    measured, ends = np.array(measured), outputs
    pairs = {}
    for name, losses in VERDICTS.items():
        sides = {"real": lambda o: losses(o)[0], "generated": lambda o: losses(o)[1]}
        pairs[name] = np.stack([by * slopes for by in derivatives(sides, outputs).values()], 1)
    best = None, np.inf
    for name, columns in pairs.items():
        apart = columns @ np.linalg.lstsq(columns, measured, rcond=None)[0] - measured
        residual = np.linalg.norm(apart) / max(np.linalg.norm(measured), 1e-30)
        best = min(best, (name, residual), key=lambda pair: pair[1])
    name, residual = best
    bounded = min(ends) >= 0 and max(ends) <= 1
    if residual > 0.02 or not np.any(measured):
        return
    if name == "logits" and bounded or name == "logits that are a sigmoid's":
        yield found("sigmoid too many", "error", f"the loss takes it for {name}", "one sigmoid")
    if name == "probabilities" and not bounded:
        value = f"outputs of {min(ends):.2g} to {max(ends):.2g} taken for probabilities"
        yield found("sigmoid missing", "error", value, "0 to 1")


def of_the_drawings(generator, discriminator, upwards, x, test, noise, steps):
    """Yield what the generated images of the model as it stands tell."""
    fakes = np.asarray(outputs_of(generator, noise), "float32")
    yield from of_copies(fakes, x, test)
    if steps == 0 or len(x) < 3:
        return
    if fakes.std() < 0.3 * x.std() and steps is None:
        return  # as before any training
    real = x[np.random.default_rng(1).permutation(len(x))[: len(fakes)]]
    scores = [np.ravel(outputs_of(discriminator, a)) for a in (real, fakes)]
    truth = np.repeat([1, 0], [len(real), len(fakes)])
    area = roc_auc_score(truth, np.concatenate(scores))
    area = area if upwards else 1 - area
    # In the first steps a fair discriminator is ahead, too, and a generator draws one blot.
    level = "error" if steps is None or steps >= 300 else "warning" if steps >= 60 else "note"
    if area > 0.995:
        yield found("discriminator has won", level, f"area under its ROC curve {area:.3f}",
                    "0.5 to 0.99")
    flat, drawn, others = (a.reshape(len(a), -1) for a in (x[:4000], fakes, real))
    nearest = NearestNeighbors(n_neighbors=2).fit(flat)
    kinds = len(np.unique(nearest.kneighbors(drawn)[1][:, 0]))
    usual = len(np.unique(nearest.kneighbors(others)[1][:, 1]))
    if kinds < 0.1 * usual:
        yield found("mode collapse", level,
                    f"{len(drawn)} drawings are nearest to {kinds} images", f"{usual} or so")
