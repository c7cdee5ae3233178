"""What is looked at in every model: data, weights, gradients, units, drawn images."""

import keras
import numpy as np
import tensorflow as tf
from sklearn.neighbors import NearestNeighbors

from keras_vae.doctor.findings import found


def packed(model, parts):
    """Return a batch as `fit` hands it to the step."""
    own = model is None or type(model).train_step is not keras.Model.train_step
    if len(parts) == 1 and own:
        return tf.convert_to_tensor(parts[0])
    parts = parts * 2 if len(parts) == 1 else parts  # compiled with a loss: the target is x
    return tuple(tf.convert_to_tensor(part) for part in parts)


def batch_of(data):
    """Return 512 examples of all parts of the data; fewer are repeated."""
    # Evenly, since data may be sorted.
    rows = np.linspace(0, len(data[0]) - 1, min(512, len(data[0]))).astype(int)
    return tuple(part[np.resize(rows, 512)] for part in data)


def steps_done(model):
    """Return how many steps the model was trained, or None where nothing tells."""
    optimizers = [value for value in (vars(model).values() if model is not None else ())
                  if isinstance(value, keras.optimizers.Optimizer)]
    return max((int(keras.ops.convert_to_numpy(o.iterations)) for o in optimizers), default=None)


def failed(model, error):
    """Return the finding that a step could not be run."""
    if not getattr(model, "compiled", True):
        return found("not looked at", "note", "the training step: the model is not compiled", "")
    text = (str(error).strip().splitlines() or [repr(error)])[-1][:120]
    return found("step failed", "warning", text, "runs")


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
    known = {hash(row.tobytes()) for row in flat[0]}
    share = np.mean([hash(row.tobytes()) in known for row in flat[1].astype(flat[0].dtype)])
    if share > 0.01:
        yield found("validation images among training images", "error", f"{share:.0%}", "0 %")
    spread = [max(rows.std(), 1e-12) for rows in flat]
    shift = abs(flat[0].mean() - flat[1].mean()) / max(spread)
    if not 0.5 < spread[0] / spread[1] < 2 or shift > 0.5:
        value = "x {:.3g} ± {:.3g}, x_test {:.3g} ± {:.3g}".format(
            flat[0].mean(), spread[0], flat[1].mean(), spread[1])
        yield found("data on another scale", "error", value, "alike")


def of_weights(networks):
    """Yield what is wrong with the weights themselves."""
    for role, network in networks.items():
        values = [keras.ops.convert_to_numpy(v) for v in network.variables]
        bad = sum(not np.isfinite(np.asarray(value, "float64")).all() for value in values)
        if bad:
            yield found("weights not finite", "error", f"{bad} arrays of the {role}", "0")


def of_learning(seen, networks):
    """Yield which networks, or arrays of their weights, get no gradient."""
    for role, network in networks.items():
        gradients = [seen.gradients.get(id(v)) for v in network.trainable_variables]
        missing = sum(g is None for g in gradients)
        if missing == len(gradients):
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
        seen = {}  # {place of a layer: its greatest outputs, one for each unit}

        def spied(i, call):
            def spy(*args, **kwargs):
                output = call(*args, **kwargs)
                values = np.asarray(output)
                seen[i] = values.reshape(-1, values.shape[-1]).max(axis=0)
                return output
            return spy

        for i, layer in enumerate(layers):
            object.__setattr__(layer, "call", spied(i, layer.call))
        try:
            network(x, training=False)
        finally:
            for layer in layers:
                object.__delattr__(layer, "call")
        dead = max((float(np.mean(greatest <= 0)) for greatest in seen.values()), default=0)
        if dead > 0.5:
            yield found("dead units", "error" if dead == 1 else "note",
                        f"{dead:.0%} of a layer of the {role}", "below 50 %")


def of_copies(drawn, x, test):
    """Yield whether drawn images lie unduly near to training images."""
    drawn, x = (np.asarray(a, "float32").reshape(len(a), -1) for a in (drawn, x[:4000]))
    nearest = NearestNeighbors(n_neighbors=2).fit(x)
    own = nearest.kneighbors(x[:500])[0][:, 1]
    if test is not None:
        own = nearest.kneighbors(np.asarray(test[0][:500], "float32").reshape(-1, x.shape[1]))[0]
        own = own[:, 0]
    ratio = np.median(nearest.kneighbors(drawn)[0][:, 0]) / max(np.median(own), 1e-12)
    if ratio < 0.3:
        yield found("copies of training images", "warning",
                    f"{ratio:.2f} of the distance of unseen ones", "about 1")
