"""What a loss and a draw may be, and how a step of constants tells which it is.

With all weights at 0 but the last biases, the codes are constants, and the decoder's output does
not depend on them. So the gradient of each bias must be that of the KL, or of the reconstruction
loss, of these constants.
"""

import keras
import numpy as np
import tensorflow as tf


def constant(network, inputs, parts):
    """Set all weights of a network to 0; return which biases then set the parts of its output.

    `parts` takes a list of arrays, such as the heads, from what the network returns. For each part
    the answer has (variable, slice of it), or None where no bias moves the whole part.
    """
    def outputs():
        return [np.asarray(part, "float64") for part in parts(network(inputs, training=False))]

    for v in network.trainable_variables:
        v.assign(np.zeros(v.shape))
    base, biases = outputs(), {}
    for v in reversed(network.trainable_variables):
        if len(v.shape) != 1:
            continue
        v.assign(np.ones(v.shape))
        moved = [i for i, (a, b) in enumerate(zip(base, outputs())) if (a != b).all()]
        v.assign(np.zeros(v.shape))
        width = v.shape[0] // max(len(moved), 1)  # one bias may hold both heads, side by side
        for i, part in enumerate(moved):
            biases.setdefault(part, (v, slice(i * width, (i + 1) * width)))
    return [biases.get(i) for i in range(len(base))]


def put(bias, value):
    """Assign a number to (a part of) a variable."""
    v, rows = bias
    values = keras.ops.convert_to_numpy(v).copy()
    values[rows] = value
    v.assign(values)


def got(seen, bias):
    """Return the gradient that a step gave a bias, summed over its entries."""
    gradient = seen.gradients.get(id(bias[0]))
    return 0.0 if gradient is None else float(np.sum(gradient[bias[1]]))


def slope(bias, value, outputs):
    """Return an array of outputs at this value of a bias, and its derivative by the bias."""
    apart = []
    for step in (-0.01, 0.01, 0.0):
        put(bias, value + step)
        apart.append(np.asarray(outputs(), "float64"))
    return apart[2], (apart[1] - apart[0]) / 0.02


def derivatives(formulas, *arguments, by=0):
    """Return {name: derivative of a formula by one of its arguments}, in their shape."""
    arguments = [tf.constant(argument, tf.float64) for argument in arguments]
    found = {}
    for name, formula in formulas.items():
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            value = formula(*arguments)
        gradient = tape.gradient(value, arguments[by])
        found[name] = 0 * arguments[by].numpy() if gradient is None else gradient.numpy()
    return found


def fit(measured, formulas):
    """Return (name, factor, relative residual) of the formula whose multiple comes nearest.

    Args:
        measured: Array, (num,).
        formulas: {name: array, (num,)}.
    """
    best = "none", 0.0, np.inf
    for name, values in formulas.items():
        good = np.isfinite(values) & np.isfinite(measured)
        if good.sum() < 3 or (np.isfinite(values) != np.isfinite(measured)).sum() > 1:
            continue
        # Great values must not drown the small ones.
        scale = np.median(np.abs(measured[good])) + np.abs(measured[good])
        u, v = values[good] / scale, measured[good] / scale
        factor = u @ v / max(u @ u, 1e-30)
        residual = np.linalg.norm(factor * u - v) / max(np.linalg.norm(v), 1e-30)
        if residual < best[2]:
            best = name, float(factor), float(residual)
    return best


def fit_two(measured, squares, logarithm):
    """Return the prior's variance if the KL is one to N(0, variance · I), or None.

    Args:
        measured: Gradients, (num,).
        squares, logarithm: Those of the two parts of a KL, (num,) each.
    """
    if not np.isfinite(measured).all():
        return None
    scale = np.median(np.abs(measured)) + np.abs(measured)
    columns = np.stack([squares, logarithm], 1) / scale[:, None]
    (a, b), _, _, _ = np.linalg.lstsq(columns, measured / scale, rcond=None)
    apart = np.linalg.norm(columns @ [a, b] - measured / scale)
    good = apart < 0.1 * np.linalg.norm(measured / scale) and a > 0 and b > 0
    return b / a if good else None


def near(value, wanted, tolerance=0.04):
    """Return whether two numbers agree but for their rounding."""
    return abs(value - wanted) <= tolerance * abs(wanted)


# What a second head h may stand for: the deviation of z, and the KL from N(0, 1) with mean m.
DEVIATIONS = {
    "a log-variance": lambda h: np.exp(h / 2),
    "a log-deviation": np.exp,
    "a deviation": abs,
    "a variance": np.sqrt,
    "nothing": np.ones_like,
}

SPOKEN = {"a log-variance": "exp(h / 2)", "a log-deviation": "exp(h)", "a deviation": "h",
          "a variance": "sqrt(h)"}
KLS = {
    "a log-variance": lambda m, h: 0.5 * (m**2 + tf.exp(h) - 1 - h),
    "a log-deviation": lambda m, h: 0.5 * (m**2 + tf.exp(2 * h) - 1 - 2 * h),
    "a deviation": lambda m, h: 0.5 * (m**2 + h**2 - 1 - 2 * tf.math.log(h)),
    "a variance": lambda m, h: 0.5 * (m**2 + h - 1 - tf.math.log(h)),
    # By draws, log q(z) − log p(z): the density takes the head for one thing, the draw for another.
    "of draws that take it for a log-deviation": lambda m, h: 0.5 * (
        m**2 + tf.exp(2 * h) - tf.exp(h) - h),
    "of draws that take it for a log-variance": lambda m, h: 0.5 * (
        m**2 + tf.exp(h) - tf.exp(-h) - 2 * h),
    "KL(p ‖ q)": lambda m, h: 0.5 * ((m**2 + 1) * tf.exp(-h) - 1 + h),
    "the square of the mean alone": lambda m, h: 0.5 * m**2 + 0 * h,
    "no logarithm of the variance": lambda m, h: 0.5 * (m**2 + tf.exp(h)),
    "no variance but its logarithm": lambda m, h: 0.5 * (m**2 - h),
    "no mean": lambda m, h: 0.5 * (tf.exp(h) - 1 - h) + 0 * m,
    "a mean that is not squared": lambda m, h: 0.5 * (m + tf.exp(h) - 1 - h),
    "the other sign of the mean's square": lambda m, h: 0.5 * (tf.exp(h) - 1 - h - m**2),
    "the other sign of the variance": lambda m, h: 0.5 * (m**2 - tf.exp(h) - 1 - h),
}


def probabilities(x, p):
    """Return the cross-entropy of x and probabilities, clipped as Keras does it."""
    p = tf.clip_by_value(p, 1e-7, 1 - 1e-7)
    return -x * tf.math.log(p) - (1 - x) * tf.math.log(1 - p)


# What a decoder's output o may be taken for.
RECONSTRUCTIONS = {
    "logits": lambda x, o: tf.nn.softplus(o) - x * o,
    "probabilities": probabilities,
    "logits that are a sigmoid's": lambda x, o: tf.nn.softplus(tf.sigmoid(o)) - x * tf.sigmoid(o),
    "a mean": lambda x, o: 0.5 * (x - o) ** 2,
    "a mean before a sigmoid": lambda x, o: 0.5 * (x - tf.sigmoid(o)) ** 2,
}

# What a discriminator's output o may be taken for: the loss of a real and of a generated image.
VERDICTS = {
    "logits": lambda o: (tf.nn.softplus(-o), tf.nn.softplus(o)),
    "probabilities": lambda o: (probabilities(0 * o + 1, o), probabilities(0 * o, o)),
    "logits that are a sigmoid's": lambda o: (tf.nn.softplus(-tf.sigmoid(o)),
                                              tf.nn.softplus(tf.sigmoid(o))),
    "a number near 0 or 1": lambda o: ((o - 1) ** 2, o**2),
}
