"""What is wrong with a VAE or an autoencoder: reconstruction, noise, KL, codes."""

import itertools
import re

import keras
import numpy as np
import tensorflow as tf
from sklearn.decomposition import PCA

from keras_vae.doctor.common import (
    batch_of, failed, learning, moves_by_itself, of_copies, of_dead_units, of_learning, outputs_of,
    packed, steps_done,
)
from keras_vae.doctor.findings import found
from keras_vae.doctor.formulas import (
    DEVIATIONS, KLS, RECONSTRUCTIONS, SPOKEN, constant, derivatives, fit, fit_two, got, near, put,
    slope,
)


def of_a_vae(networks, model, probe, data, test):
    """Return what is wrong with a VAE or an autoencoder."""
    encoder, decoder = networks["encoder"], networks["decoder"]
    parts = batch_of(data)
    findings = []
    with probe:
        batch, inputs, seen = packed(model, parts), parts[0], None
        try:
            seen = learning(probe, batch, networks)
        except (Exception, SystemExit) as error:  # whatever a step of someone else's may raise
            low, high = float(np.min(inputs)), float(np.max(inputs))
            scaled = ((inputs - low) / max(high - low, 1e-9)).astype("float32")
            if (low < 0 or high > 1) and accepts(probe, packed(model, (scaled, *parts[1:]))):
                value = f"{low:.4g} to {high:.4g}"
                return [found("data out of range", "error", value, "0 to 1")]
            findings.append(failed(model, error, parts[0].shape[1:]))
            if not hasattr(encoder, "input_shape") or encoder.input_shape[1:] != inputs.shape[1:]:
                return findings
        if seen is not None and seen.calls["encoder"]:
            inputs = seen.calls["encoder"][0][0]
        inputs = tf.convert_to_tensor(inputs)
        if seen is not None and seen.calls["decoder"]:  # a subclass has no input_shape
            z_shape = seen.calls["decoder"][0][0].shape[1:]
        else:
            z_shape = tuple(decoder.input_shape[1:])

        heads_of = how_to_read(encoder, z_shape, seen)
        heads = heads_of(encoder(inputs, training=False))
        variational = len(heads) == 2
        if variational and are_one(probe, encoder, inputs, heads_of):
            findings.append(found("not two heads", "error", "the second is the first", "2"))
        if seen is not None and moves_by_itself(probe, networks):
            value = "the step moves weights without an optimizer of Keras"
            findings.append(found("not looked at", "warning", value, ""))
            seen = None
        if seen is not None:
            findings += of_learning(seen, networks)
        if not variational:
            named = f"{type(model).__name__} {getattr(model, 'name', '')}".lower()
            claims = "vae" in named.replace("vq", "vq_").replace("vq_vae", "") or (
                "variational" in named)
            findings.append(found("not two heads", "warning", "1", "2") if claims else
                            found("an autoencoder", "note", "one head", "two, for a VAE"))
        likelihood, reading = None, "a log-variance"
        # Without any gradient there is nothing to compare.
        cut = {f.name for f in findings} & {"encoder does not learn", "decoder does not learn"}
        given = set().union(*seen.moved) if seen is not None else set()
        if "decoder does not learn" in cut and given & {id(v) for v in decoder.trainable_variables}:
            value = "no gradient of the loss leads to the decoder"
            findings.append(found("reconstruction missing", "error", value, "one does"))
        if variational and seen is not None and not cut:
            findings += of_a_frozen_head(probe, encoder, inputs, heads_of)
        if seen is not None and not cut:
            with probe.changed():
                # What else the model learns, such as log-variances of x, is 0, too.
                for v in getattr(model, "trainable_variables", ()):
                    v.assign(np.zeros(v.shape))
                for network in (encoder, decoder):
                    for v in network.trainable_variables:
                        v.assign(np.zeros(v.shape))
                new, likelihood, a = of_the_reconstruction(probe, batch, decoder, z_shape, parts)
                findings += new
                if variational:
                    new, reading = of_the_heads(
                        probe, batch, networks, inputs, heads_of, model, a, likelihood
                    )
                    findings += new
        findings += of_the_range(data, likelihood)
        with probe.changed():  # only seeds go on
            findings += of_the_codes(networks, heads_of, z_shape, inputs, model, data, test,
                                     likelihood, reading)
    return findings


def how_to_read(encoder, z_shape, seen):
    """Return a function: what an encoder returns → [mean, log-variance], or [code].

    The two may be in a dictionary, or side by side in one array; z may stand beside them.
    """
    drawn = None  # which output is z
    if seen is not None and seen.calls["encoder"] and seen.calls["decoder"]:
        outputs, z = seen.calls["encoder"][0][1], seen.calls["decoder"][0][0]
        if len(outputs) > 2:
            drawn = next((i for i, o in enumerate(outputs) if np.array_equal(o, z)), None)

    def heads_of(outputs):
        if isinstance(outputs, dict):
            second = [k for k in outputs if re.search("var|sigma|std|scale", k)]
            first = [k for k in outputs if re.search("mean|mu|loc", k) and k not in second]
            if first and second:
                return [outputs[first[0]], outputs[second[0]]]
        outputs = [o for i, o in enumerate(tf.nest.flatten(outputs)) if i != drawn]
        if len(outputs) == 1 and outputs[0].shape[-1] == 2 * z_shape[-1]:
            return tf.split(outputs[0], 2, axis=-1)
        return outputs[:2]

    return heads_of


def are_one(probe, encoder, inputs, heads_of):
    """Return whether both heads are the same, whatever the weights."""
    rng = np.random.default_rng(0)
    with probe.changed():
        for v in encoder.trainable_variables:
            v.assign(rng.normal(0, 0.3, v.shape))
        return np.array_equal(*heads_of(encoder(inputs[:2], training=False)))


def of_a_frozen_head(probe, encoder, inputs, heads_of):
    """Yield whether weights that move the second head alone are kept from learning."""
    with probe.changed():
        before = [np.array(head) for head in heads_of(encoder(inputs[:2], training=False))]
        for v in encoder.non_trainable_variables:
            if len(v.shape) == 0 or not tf.as_dtype(v.dtype).is_floating:
                continue
            kept = keras.ops.convert_to_numpy(v).copy()
            v.assign(kept + 1)
            after = heads_of(encoder(inputs[:2], training=False))
            v.assign(kept)
            if [np.array_equal(a, b) for a, b in zip(before, after)] == [True, False]:
                yield found("log-variance head does not learn", "error", "its weights are frozen",
                            "they learn")
                return


def accepts(probe, batch):
    """Return whether a step runs on this batch."""
    try:
        probe(batch)
    except (Exception, SystemExit):
        return False
    return True


def of_the_reconstruction(probe, batch, decoder, z_shape, parts):
    """Return findings, what the loss takes the decoder's output for, and the loss's factor.

    All weights are 0 here: so the output is what the last bias makes it.
    """
    z = tf.zeros((1, *z_shape))

    def output():
        return tf.nest.flatten(decoder(z, training=False))[0]

    (bias,) = constant(decoder, z, lambda outputs: [tf.nest.flatten(outputs)[0]])
    if bias is None:
        value = "the reconstruction loss: no last bias"
        return [found("not looked at", "note", value, "")], None, 0
    shape = output().shape[1:]
    fitting = [i for i, part in enumerate(parts) if part.shape[1:] == tuple(shape)]
    if not fitting:
        return [found("not looked at", "note", "the reconstruction loss: x is of another shape",
                      "")], None, 0
    # The mean is all of the target that a gradient holds.
    target = parts[fitting[-1]].mean(axis=0, dtype="float64", keepdims=True)
    measured, formulas, ends = [], {name: [] for name in RECONSTRUCTIONS}, []
    for value in (-4.0, -1.0, 0.2, 0.5, 0.8, 3.0):
        o, by_bias = slope(bias, value, output)  # (1, …)
        measured.append(got(probe(batch), bias))
        for name, by_output in derivatives(RECONSTRUCTIONS, target, o, by=1).items():
            formulas[name].append(float(np.sum(by_output * by_bias)))
        ends.append(float(o.mean()))
    put(bias, 0.0)
    measured = np.array(measured)
    formulas = {name: np.array(values) for name, values in formulas.items()}
    scale = max(np.nanmax(np.abs(values)) for values in formulas.values())
    if not np.any(np.abs(measured) > 1e-7 * scale):
        return [found("reconstruction missing", "error", "gradient 0", "not 0")], None, 0
    name, factor, residual = fit(measured, formulas)
    if residual > (0.02 if decoder.compute_dtype == "float32" else 0.05):
        return [found("loss not recognised", "note", "the reconstruction loss", "a known one")], \
            None, 0
    bounded = min(ends) >= 0 and max(ends) <= 1
    findings = []
    if factor < 0:
        findings.append(found("reconstruction of the wrong sign", "error", f"factor {factor:.3g}",
                              "above 0"))
    if name == "logits" and bounded or name in ("logits that are a sigmoid's",) or (
            bounded and name == "a mean before a sigmoid"):
        findings.append(found("sigmoid too many", "error", f"the loss takes it for {name}",
                              "one sigmoid"))
    if name == "probabilities" and not bounded:
        value = f"outputs of {min(ends):.2g} to {max(ends):.2g} taken for probabilities"
        findings.append(found("sigmoid missing", "error", value, "0 to 1"))
    return findings, (name, bounded, min(ends), max(ends), tuple(shape), fitting[-1]), factor


def of_the_range(data, likelihood):
    """Yield whether the target lies where the output, or its likelihood, can."""
    if likelihood is None:
        return
    name, bounded, low, high, _, place = likelihood
    x = data[place]
    least, greatest = float(np.min(x)), float(np.max(x))
    if bounded or name in ("logits", "probabilities", "logits that are a sigmoid's",
                           "a mean before a sigmoid"):
        low, high = 0.0, 1.0
    elif -1.001 <= low and high <= 1.001 and (low < -0.9 or high < 1):  # tanh
        low, high = -1.0, 1.0
    elif low >= 0:  # a ReLU, a softplus
        low, high = 0.0, np.inf
    else:
        low, high = -np.inf, np.inf
    value = f"{least:.4g} to {greatest:.4g}"
    if least < low - 1e-3 or greatest > high + 1e-3:
        yield found("data out of range", "error", value, f"{low:g} to {high:g}")
    elif high == 1 and max(abs(least), greatest) < 0.05:
        yield found("data on another scale", "error", value, f"{low:g} to {high:g}")
    elif high == np.inf and not 0.02 <= np.std(x) <= 20:
        value = f"standard deviation {np.std(x):.3g}"
        yield found("data on another scale", "note", value, "about 1, or a learned variance")


def of_the_heads(probe, batch, networks, inputs, heads_of, model, a, likelihood):
    """Return findings of the noise, the KL and its weight, and what the second head stands for.

    All weights are 0 here but the last biases: each head is a constant, m and h.
    """
    encoder = networks["encoder"]
    mean, second = constant(encoder, inputs, heads_of)
    if mean is None or second is None:
        value = "noise and KL: no bias moves a head alone"
        return [found("not looked at", "note", value, "")], "a log-variance"

    def heads():
        outputs = heads_of(encoder(inputs[:1], training=False))
        return [np.asarray(head, "float64") for head in outputs]

    def at(m, h):
        put(mean, m)
        put(second, h)
        return heads()

    findings = []
    low, high = (at(m, 0.0)[0].mean() for m in (-4.0, 4.0))
    if low >= 0:
        value = f"never below {low:.2g}"
        findings.append(found("mean cannot be negative", "error", value, "half of the codes"))
    elif low > -3 or high < 3:
        findings.append(found("mean is bounded", "warning", f"{low:.2g} to {high:.2g}", "linear"))
    ends = at(0.0, -4.0)[1].mean(), at(0.0, 4.0)[1].mean()
    latent_shape = at(0.0, 0.0)[0].shape[1:]
    # The gradients of both biases, and the deviation of z, at some values of the heads.
    measured, points, slopes, spreads = [], [], [], []
    for m, h in ((0.7, 0.5), (-1.5, 0.5), (0.0, 0.5), (0.0, 1.0), (0.0, 2.0), (0.0, -1.0)):
        put(second, h)
        m, by_mean = slope(mean, m, lambda: heads()[0])
        h, by_second = slope(second, h, lambda: heads()[1])
        seen = probe(batch)
        measured += [got(seen, mean), got(seen, second)]
        points.append((m.mean(), h.mean()))
        slopes += [by_mean[0].sum(), by_second[0].sum()]
        spreads += [float(np.std(z[..., : latent_shape[-1]] - m.mean()))
                    for z, _ in seen.calls["decoder"][:1]]
    points, measured = np.array(points).T, np.array(measured)  # (2, num) and (2 num,)
    by = [derivatives(KLS, *points, by=i) for i in (0, 1)]
    formulas = {name: np.stack([b[name] for b in by], 1).ravel() * slopes for name in KLS}
    drawn = None
    if spreads:
        at(0.0, 0.5)
        pair = [probe(batch).calls["decoder"][0][0][..., : latent_shape[-1]] for _ in range(2)]
        new, drawn = of_the_noise(pair, points[1], np.array(spreads))
        findings += new
    if a and not reaches(probe, batch, networks["decoder"], mean, at):
        findings.append(found("reconstruction does not reach the encoder", "error",
                              "gradient by z_mean 0", "not 0"))
    at(0.0, 0.0)
    stated, attribute = stated_beta(model)
    new, reading, b = of_the_kl(measured, formulas, drawn, ends, stated)
    if b < 0 or any(f.name == "KL missing" for f in new):
        new, b = second_look(new, b, probe, batch, mean, at)
    findings += new
    if attribute and b:
        ratio = b / a if a else b
        agrees = near(b, stated, 0.1) or near(ratio, stated, 0.1) or (
            stated == 1 and near(ratio * np.prod(latent_shape), 1))  # a mean, and no other β
        new = list(of_beta(probe, batch, model, attribute, stated, agrees, mean, at))
        findings += new
        stated = None if new and not agrees else stated  # it is not the step's
    if b < 0 < a:
        findings.append(found("KL of the wrong sign", "error", f"weight {b:.3g}", "above 0"))
    elif b and a > 0:
        findings += of_the_weights(a, b, likelihood, int(np.prod(latent_shape)), stated)
    return findings, reading


def second_look(findings, b, probe, batch, mean, at):
    """Return findings and weight of a KL that is 0 or negative here, after a look elsewhere.

    Free bits are 0 near the prior, a capacity is negative there, and a warm-up begins at 0.
    """
    at(10.0, 3.0)
    far = got(probe(batch), mean)
    if b == 0 and far == 0:
        with probe.changed():
            for v, _ in probe.before:
                if len(v.shape) == 0 and tf.as_dtype(v.dtype).is_floating:
                    v.assign(1.0)
            far = got(probe(batch), mean)
    at(0.0, 0.0)
    if far <= 0:
        return findings, b
    value = "the KL: it weighs nothing, or less than nothing, near the prior, or now"
    return [found("loss not recognised", "note", value, "from N(0, I)")], 0


def reaches(probe, batch, decoder, mean, at):
    """Return whether what a decoder that listens to z does to the loss reaches the mean."""
    at(0.7, 0.5)
    alone, rng = got(probe(batch), mean), np.random.default_rng(0)
    for v in decoder.trainable_variables:
        v.assign(rng.normal(0, 0.3, v.shape))
    together = got(probe(batch), mean)
    for v in decoder.trainable_variables:
        v.assign(np.zeros(v.shape))
    return not near(together, alone, 1e-5)


def of_the_kl(measured, formulas, drawn, ends, stated):
    """Return findings, what the second head stands for, and the weight of the KL, 0 if unknown.

    Args:
        measured: Gradients of the biases of both heads, (num,).
        formulas: {name: those of a formula of KLS}.
        drawn: What the head is taken for in the draws, or None.
        ends: Least and greatest value of the head, for a bias from −4 to 4.
        stated: The weight that the model states, or None.
    """
    reading = "a log-variance"
    scale = np.nanmax(np.abs(formulas[reading]))
    if not np.any(np.abs(np.nan_to_num(measured, nan=1.0)) > 1e-7 * scale):
        if stated == 0:
            return [found("beta far from 1", "note", "0", "1")], reading, 0
        return [found("KL missing", "error", "gradient 0", "not 0")], reading, 0
    name, b, residual = fit(measured, formulas)
    if residual > 0.1:
        squares = formulas["no logarithm of the variance"]
        variance = fit_two(measured, squares, formulas[reading] - squares)
        if variance:
            return [found("KL between the wrong distributions", "error",
                          f"a prior of variance {variance:.3g}", "1")], reading, 0
        findings = bounds(ends) if drawn == reading else []
        return [*findings, found("loss not recognised", "note", "the KL", "from N(0, I)")], \
            reading, 0
    findings, readings = [], set(DEVIATIONS) & set(KLS)
    if name.startswith("of draws that take"):
        whose = "KL takes" if name.endswith("log-variance") else "draws take"
        findings.append(found(f"{whose} the head for something else", "error",
                              f"the KL by draws, log q − log p, is one {name}", "one reading"))
    elif name not in readings:
        findings.append(found("KL between the wrong distributions", "error",
                              f"{name}, {b:.3g} times", "KL(q(z | x) ‖ N(0, I))"))
    elif drawn in readings and drawn != name == reading:
        value = f"z is drawn with {SPOKEN[drawn]} · noise, h the encoder's second output"
        findings.append(found("draws take the head for something else", "error", value,
                              SPOKEN[reading]))
    elif drawn in readings and drawn != name:
        value = f"the KL is that of a deviation {SPOKEN[name]}, h the encoder's second output"
        findings.append(found("KL takes the head for something else", "error", value,
                              SPOKEN[reading]))
    elif name in ("a variance", "a deviation") and ends[0] < 0:
        value = f"for {name}, and the encoder's second output may be {ends[0]:.2g}"
        findings.append(found("KL takes the head for something else", "error", value,
                              "a logarithm"))
    reading = name if name in readings else reading
    if reading.startswith("a log"):
        findings += bounds(ends)
    return findings, reading, b


def bounds(ends):
    """Return whether a logarithm, at biases of −4 and 4, is kept from going there."""
    if ends[0] <= -3 and ends[1] >= 3:
        return []
    level = "warning" if ends[0] <= -0.5 and ends[1] >= 0.5 else "error"
    value = f"{ends[0]:.2g} to {ends[1]:.2g}"
    return [found("log-variance is bounded", level, value, "−4 to 4, at least")]


def of_the_noise(pair, second_heads, spreads):
    """Return findings, and what the second head is taken for in the draws of z.

    Args:
        pair: Two steps' z, (rows, …, latent_dim) each, of equal heads.
        second_heads, spreads: The head, and the deviation of z, of some steps.
    """
    if np.nanmax(spreads) < 1e-6:
        return [found("noise missing", "error", "z is the mean", "a draw")], None
    first, again = pair
    findings = []
    if np.array_equal(first, again):
        findings.append(found("noise frozen", "error", "two steps draw the same", "other noise"))
    if np.ptp(first, axis=0).max() < 1e-6:
        value = "no spread between examples"
        return [*findings, found("noise the same for the whole batch", "error", value, "")], None
    if first.shape[-1] > 1 and np.ptp(first, axis=-1).max() < 1e-6:
        value = "no spread between latent variables"
        return [*findings, found("noise shared by the latent variables", "error", value, "")], None
    best = None, np.nan, np.inf
    good = np.isfinite(spreads)
    for name, deviation in DEVIATIONS.items():
        with np.errstate(invalid="ignore"):
            ratio = (spreads / deviation(second_heads))[good]
        fits = len(ratio) > 2 and (np.isfinite(ratio) & (ratio > 0)).all()
        apart = np.ptp(np.log(ratio)) if fits else np.inf
        if apart < best[2]:
            best = name, float(np.median(ratio)), float(apart)
    name, factor, apart = best
    rounding = 4 / np.sqrt(2 * first.size)
    if apart > max(0.3, 3 * rounding):
        value = "no function of it that is known here"
        findings.append(found("draws take the head for something else", "warning", value,
                              "exp(h / 2)"))
        return findings, None
    if name == "nothing" and np.ptp(second_heads) > 0.1:
        value = f"the deviation of z is {factor:.2g}, whatever the head"
        findings.append(found("draws take the head for something else", "error", value,
                              "exp(h / 2)"))
        return findings, None
    if abs(factor - 1) > 0.12 + rounding:
        value = f"deviation {factor:.3g}"
        findings.append(found("noise of another scale", "error", value, "1"))
    return findings, name


def of_the_weights(a, b, likelihood, latents, stated):
    """Yield what is wrong with the weights in loss = a · reconstruction + b · KL, both sums."""
    name, shape = likelihood[0], likelihood[-2]
    axes = [*shape, round(shape[0] ** 0.5)] if len(shape) == 1 else shape  # rows of an image, too
    means = {int(np.prod(some)) for num in range(1, len(axes) + 1)
             for some in itertools.combinations(axes, num)}
    means = sorted((n for n in means if 2 < n <= np.prod(shape)), reverse=True)
    wanted, variance = 1.0 if stated is None else stated, b / a
    gaussian = name.startswith("a mean")
    if gaussian and any(near(a * n, 2) for n in [1, *means]):
        a /= 2  # a squared error without its ½
    over = next((n for n in means if near(a * n, 1)), 1)
    ratio = b / a
    if over > 1 and not 0.5 <= ratio / max(wanted, 1e-9) <= 2:
        value = f"the KL weighs {ratio:.4g}, for a mean over {over}"
        level = "error" if ratio > wanted else "warning"
        yield found("reconstruction is a mean over features", level, value, f"{wanted:g}")
        ratio /= over if ratio > wanted else 1
    if latents > 1 and near(ratio * latents, wanted):
        value = f"the KL weighs {ratio:.4g} = {wanted:g} / {latents}"
        level = "warning" if stated is None else "error"  # it may be meant
        yield found("KL is a mean over latent variables", level, value, f"{wanted:g}")
    elif not 0.1 <= ratio <= 10:
        value = f"{ratio:.4g}"
        if gaussian and over == 1:
            value += f", as good as 1 beside a variance of {variance:.3g} a feature"
        level = "note" if over > 1 or gaussian else "error" if ratio > 20 else "warning"
        yield found("beta far from 1", level, value, "about 1")


def stated_beta(model):
    """Return the weight of the KL that an attribute of the model states, and its name, or None."""
    for name in dir(model) if model is not None else ():
        if not re.search(r"^(beta|kld?_?(loss_)?(weight|coef\w*|factor|scale|beta))$", name):
            continue
        value = getattr(model, name)
        try:
            number = float(keras.ops.convert_to_numpy(value))
        except (TypeError, ValueError):
            continue
        return number, name
    return None, None


def of_beta(probe, batch, model, attribute, stated, agrees, mean, at):
    """Yield whether the weight of the KL that the model states is the one that the step has."""
    at(1.0, 1.0)
    before = got(probe(batch), mean)
    value, wanted = getattr(model, attribute), 3 * stated + 1
    try:
        if hasattr(value, "assign"):
            value.assign(wanted)
        else:
            setattr(model, attribute, wanted)
        after = got(probe(batch), mean)
    except Exception:
        return
    finally:
        if hasattr(value, "assign"):
            value.assign(stated)
        else:
            setattr(model, attribute, value)
    if near(after, before, 0.02):
        level = "note" if agrees else "error"
        yield found("beta has no effect", level, f"{attribute} = {wanted:g}: as {stated:g}",
                    "follows it")


def of_the_codes(networks, heads_of, z_shape, inputs, model, data, test, likelihood, reading):
    """Yield what the codes, the copies and the draws of the model as it stands tell."""
    encoder, decoder = networks["encoder"], networks["decoder"]
    plain = tuple(inputs.shape[1:]) == data[0].shape[1:]  # not joined with labels, say
    x = data[0][:: max(1, len(data[0]) // 2000)] if plain else inputs
    x = np.asarray(x, "float32")
    heads = [np.asarray(h, "float64") for h in heads_of(outputs_of(encoder, x))]
    steps, z = steps_done(model), heads[0]
    used = None
    if len(heads) == 2:
        axes = z.reshape(len(z), -1), heads[1].reshape(len(z), -1)
        variance = {"a log-variance": np.exp, "a log-deviation": lambda h: np.exp(2 * h),
                    "a deviation": np.square, "a variance": abs}[reading](axes[1])
        nats = 0.5 * (axes[0] ** 2 + variance - 1 - np.log(np.maximum(variance, 1e-30)))
        nats = nats.mean(axis=0)
        used = int(np.sum(nats > 0.01))
        if 0 < used < len(nats):
            yield found("unused latent variables", "note", f"{len(nats) - used} of {len(nats)}",
                        "0 to many")
        covariance = np.atleast_2d(np.cov(axes[0].T)) + np.diag(variance.mean(axis=0))
        trace, mean = np.trace(covariance), np.sum(axes[0].mean(axis=0) ** 2)
        gap = 0.5 * (trace + mean - len(nats) - np.linalg.slogdet(covariance)[1]) / len(nats)
        if gap > 1:  # half-trained models have up to 1, since their codes are correlated
            level = "note" if gap < 3 or steps is not None and steps < 300 else "warning"
            yield found("codes far from the prior", level, f"{gap:.2g} nats a latent variable",
                        "below 1")
    yield from of_dead_units({"encoder": (encoder, x)})
    if z.shape[1:] != tuple(z_shape):  # the decoder takes more than a code
        return
    codes = z + np.random.default_rng(0).standard_normal(z.shape)  # as draws are
    yield from of_dead_units({"decoder": (decoder, codes.astype("float32"))})
    if not plain or likelihood is None:  # what an output stands for is not known
        return

    def images(codes):
        output = tf.nest.flatten(outputs_of(decoder, codes.astype("float32")))[0].astype("float64")
        if likelihood[0] in ("logits", "a mean before a sigmoid") and not likelihood[1]:
            output = 1 / (1 + np.exp(-np.clip(output, -500, 500)))
        return output

    copies = images(z)
    if copies.shape != x.shape:
        return
    flat = x.reshape(len(x), -1).astype("float64")
    error = np.mean((copies.reshape(flat.shape) - flat) ** 2)
    of_mean = np.mean((flat - flat.mean(axis=0)) ** 2)
    ratio = error / max(of_mean, 1e-12)
    if used is not None and ratio > 0.9:
        total = nats.sum()
        trained = steps is None or steps >= 100
        if trained and (total < 0.1 and (ratio < 1.15 or steps) or total < 1 and ratio < 1.05):
            yield found("posterior collapse", "error", f"KL {total:.2g} nats, copies are the mean",
                        "some nats")
    if ratio > 0.98:
        level = "warning" if (steps or 0) >= 300 else "note"
        yield found("no better than the mean image", level, f"{ratio:.2f} of its squared error",
                    "below 1")
    elif (num := int(np.prod(z.shape[1:]))) < min(flat.shape):
        linear = PCA(num, random_state=0).fit(flat)
        rest = np.mean((linear.inverse_transform(linear.transform(flat)) - flat) ** 2)
        if error > rest > 1e-6 * of_mean:
            level = "warning" if used is None and (steps or 0) >= 1000 else "note"
            yield found("no better than PCA", level, f"{error / rest:.2f} of its error",
                        "below 1")
    if test is not None and test[0].shape[1:] == x.shape[1:]:
        unseen = np.asarray(test[0][:2000], "float32")
        code = np.asarray(heads_of(outputs_of(encoder, unseen))[0])
        gap = np.mean((images(code) - unseen) ** 2) / max(error, 1e-12)
        if gap > 1.6:
            yield found("overfitting", "warning", f"copies of x_test: {gap:.2f} times the error",
                        "about 1")
    if used is not None:
        drawn = images(np.random.default_rng(0).standard_normal((256, *z.shape[1:])))
        yield from of_copies(drawn, data[0], test)
