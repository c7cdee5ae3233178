"""What is looked at in every model: data, weights, gradients, units, drawn images."""

import collections
import contextlib

import keras
import numpy as np
import tensorflow as tf
from sklearn.neighbors import NearestNeighbors

from keras_vae.doctor.findings import found
from keras_vae.doctor.probe import replace


def packed(model, parts):
    """Return a batch as `fit` hands it to the step."""
    own = model is None or type(model).train_step is not keras.Model.train_step
    # As `fit` does: of floating-point numbers one type.
    parts = tuple(part.astype(keras.config.floatx()) if part.dtype.kind == "f" else part
                  for part in parts)
    if len(parts) == 1 and own:
        return tf.convert_to_tensor(parts[0])
    parts = parts * 2 if len(parts) == 1 else parts  # compiled with a loss: the target is x
    return tuple(tf.convert_to_tensor(part) for part in parts)


def batch_of(data):
    """Return 512 examples of all parts of the data; fewer are repeated."""
    # Evenly, since data may be sorted.
    rows = np.linspace(0, len(data[0]) - 1, min(512, len(data[0]))).astype(int)
    return tuple(part[np.resize(rows, 512)] for part in data)


def outputs_of(network, x):
    """Return what a network puts out, as arrays, without the traces that `predict` leaves."""
    parts = [tf.nest.map_structure(np.asarray, network(x[i : i + 500], training=False))
             for i in range(0, len(x), 500)]
    return tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def learning(probe, batch, networks):
    """Return what a step does; some steps, if a network gets no gradient in the first."""
    seen = probe(batch)
    for _ in range(10):  # such as a generator that learns at every fifth
        ids = [[id(v) for v in n.trainable_variables] for n in networks.values()]
        if all(not own or any(seen.gradients.get(i) is not None for i in own) for own in ids):
            break
        more = probe(batch)
        gradients = {i: more.gradients.get(i) if g is None else g
                     for i, g in {**more.gradients, **seen.gradients}.items()}
        seen = more._replace(gradients=gradients)
    return seen


def moves_by_itself(probe, networks):
    """Return whether a step has moved weights, which no optimizer of Keras does here."""
    own = {id(v) for n in networks.values() for v in n.trainable_variables}
    return any(id(v) in own and not np.array_equal(keras.ops.convert_to_numpy(v), value,
                                                   equal_nan=True)
               for v, value in probe.before)


def steps_done(model):
    """Return how many steps the model was trained, or None where nothing tells."""
    optimizers = [value for value in (vars(model).values() if model is not None else ())
                  if isinstance(value, keras.optimizers.Optimizer)]
    return max((int(keras.ops.convert_to_numpy(o.iterations)) for o in optimizers), default=None)


def failed(model, error, shape):
    """Return the finding that a step could not be run."""
    if not getattr(model, "compiled", True):
        return found("step failed", "warning", "the model is not compiled", "runs")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
    return found("step failed", "warning", f"x {shape}: {lines[-1][:300]}", "runs")


def of_data(data, test):
    """Yield what is wrong with the data themselves."""
    for name, parts in (("x", data), ("x_test", test)):
        if parts is not None and not np.isfinite(parts[0]).all():
            share = 1 - np.mean(np.isfinite(parts[0]))
            yield found("data not finite", "error", f"{share:.1%} of {name}", "0")
            return
    if test is None:
        return
    flat = [np.ascontiguousarray(parts[0]).reshape(len(parts[0]), -1) for parts in (data, test)]
    known = collections.Counter(hash(row.tobytes()) for row in flat[0])
    share = np.mean([hash(row.tobytes()) in known for row in flat[1].astype(flat[0].dtype)])
    few = flat[0].shape[1] <= 32  # columns: then discrete data may repeat themselves
    repeated = few * np.mean([known[hash(row.tobytes())] > 1 for row in flat[0]])
    chance = 3 * np.sqrt(repeated * (1 - repeated) / len(flat[1]))
    if share > repeated + chance + 0.01:
        yield found("validation images among training images", "error", f"{share:.0%}", "0 %")
    spread = [max(rows.std(), 1e-12) for rows in flat]
    shift = abs(flat[0].mean() - flat[1].mean()) / max(spread)
    if not 0.5 < spread[0] / spread[1] < 2 or shift > 0.5:
        value = "x {:.3g} ± {:.3g}, x_test {:.3g} ± {:.3g}".format(
            flat[0].mean(), spread[0], flat[1].mean(), spread[1])
        yield found("data on another scale", "error", value, "alike")


def of_weights(networks, x):
    """Yield what is wrong with the weights themselves."""
    for role, network in networks.items():
        values = [keras.ops.convert_to_numpy(v) for v in network.variables]
        bad = sum(not np.isfinite(np.asarray(value, "float64")).all() for value in values)
        if bad:
            value = f"{bad} arrays of the {role}; x reaches from {np.min(x):.4g} to {np.max(x):.4g}"
            yield found("weights not finite", "error", value, "0")


def of_learning(seen, networks):
    """Yield which networks, or arrays of their weights, get no gradient."""
    for role, network in networks.items():
        gradients = [seen.gradients.get(id(v)) for v in network.trainable_variables]
        missing = sum(g is None for g in gradients)
        if not gradients:
            yield found(f"{role} does not learn", "warning", "all of its weights are frozen", "")
        elif missing == len(gradients):
            yield found(f"{role} does not learn", "error", f"0 of {len(gradients)} arrays", "all")
        elif missing:
            value = f"{missing} of {len(gradients)} arrays of the {role}"
            yield found("some weights do not learn", "warning", value, "0")


def of_dead_units(networks):
    """Yield the share of ReLUs that no input moves; networks is {role: (network, inputs)}."""
    for role, (network, x) in networks.items():
        layers = [layer for layer in getattr(network, "layers", ())
                  if getattr(layer, "activation", None) is keras.activations.relu
                  or isinstance(layer, keras.layers.ReLU)]
        undo = contextlib.ExitStack()
        seen = {}  # {place of a layer: its greatest outputs, one for each unit}

        def spied(i, call):
            def spy(*args, **kwargs):
                output = call(*args, **kwargs)
                values = np.asarray(output)
                seen[i] = values.reshape(-1, values.shape[-1]).max(axis=0)
                return output
            return spy

        for i, layer in enumerate(layers):
            replace(undo, layer, "call", spied(i, layer.call), object.__setattr__,
                    object.__delattr__)
        with undo:
            network(x, training=False)
        dead = max((float(np.mean(greatest <= 0)) for greatest in seen.values()), default=0)
        if dead > 0.9:
            yield found("dead units", "error" if dead == 1 else "note",
                        f"{dead:.0%} of a layer of the {role}", "below 90 %")


def of_copies(drawn, x, test):
    """Yield whether drawn images lie unduly near to training images."""
    if len(x) < 3:
        return
    drawn, x = (np.asarray(a, "float32").reshape(len(a), -1) for a in (drawn, x))
    nearest = NearestNeighbors(n_neighbors=2).fit(x)
    own = nearest.kneighbors(x[:500])[0][:, 1]
    if test is not None:
        own = nearest.kneighbors(np.asarray(test[0][:500], "float32").reshape(-1, x.shape[1]))[0]
        own = own[:, 0]
    ratio = np.median(nearest.kneighbors(drawn)[0][:, 0]) / max(np.median(own), 1e-12)
    if ratio < 0.3:
        yield found("copies of training images", "warning",
                    f"{ratio:.2f} of the distance of unseen ones", "about 1")
