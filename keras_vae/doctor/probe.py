"""Run a model's own training step on weights of one's choice, see what it does, and undo it all."""

import contextlib
import random
import typing

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state  # Keras's own seed has no public name


class Seen(typing.NamedTuple):
    """What a training step did."""

    gradients: dict  # {id of a variable: gradient, or None}
    calls: dict  # {role of a network: [(first input, [outputs]) of each call]}
    moved: list  # of each use of an optimizer the set of ids of the variables that it was given


def variables_in(value, depth=3):
    """Return the tf.Variables in lists, dictionaries and plain objects, down to a depth."""
    if isinstance(value, (tf.Variable, keras.Variable)):
        return [value]
    if isinstance(value, tf.random.Generator):
        return [value.state]
    if depth == 0 or isinstance(value, (keras.Layer, type)):
        return []
    if isinstance(value, (list, tuple)):
        parts = value
    elif isinstance(value, dict):
        parts = value.values()
    else:
        parts = getattr(value, "__dict__", {}).values()
    return [v for part in list(parts) for v in variables_in(part, depth - 1)]


def subclasses(kind):
    """Return all classes that derive from one."""
    return [k for own in kind.__subclasses__() for k in (own, *subclasses(own))]


def replace(undo, owner, name, new, put, delete):
    """Put another attribute into an owner, and its own back when `undo` is closed."""
    if name in vars(owner):
        undo.callback(put, owner, name, vars(owner)[name])
    else:
        undo.callback(delete, owner, name)
    put(owner, name, new)


class Probe:
    """The training step of a model, or of loose networks, traced anew, that moves nothing.

    Within `with`, every optimizer of Keras tells what it is given to apply, and applies nothing.

    Args:
        networks: {role: Keras network}, such as {"encoder": …, "decoder": …}.
        model: Whose train_step is run, or None.
        loss: Without a model: of a batch, a scalar, or a pair, one of each player.
        step: Without a model: trains on a batch.
    """

    def __init__(self, networks, model=None, loss=None, step=None):
        self.networks, self.model, self.loss = networks, model, loss
        train = step if model is None else model.train_step
        # A tf.function may have been traced before, with the optimizers as they were.
        self.train = getattr(train, "python_function", train)
        self.calls, self.gradients, self.moved = {role: [] for role in networks}, {}, []
        owners = [*networks.values(), *([model] if model is not None else [])]
        found = [v for owner in owners for v in owner.variables]
        if model is not None:
            found += [v for metric in model.metrics for v in metric.variables]
            found += variables_in(vars(model))
        keras_seed = global_state.get_global_attribute("global_seed_generator")
        found += [keras_seed.state] if keras_seed is not None else []
        self.variables = list({id(v): v for v in found}.values())
        self.step = self.plain
        if not getattr(model, "run_eagerly", False):  # as Keras itself does: so what is fixed at
            traced = tf.autograph.experimental.do_not_convert(self.plain)  # tracing is fixed here
            self.step = tf.function(traced, reduce_retracing=True)

    def plain(self, data):
        """Train on a batch, which records, and changes nothing but states such as the noise's."""
        if self.train is not None:
            self.train(data)
            return
        variables = [network.trainable_variables for network in self.networks.values()]
        with tf.GradientTape(persistent=True) as tape:
            losses = self.loss(data)
        if isinstance(losses, (tuple, list)):  # d_loss, g_loss
            pairs = zip(losses, reversed(variables))
        else:
            pairs = [(losses, sum(variables, []))]
        for loss, of in pairs:
            self._record(of, tape.gradient(loss, of))

    def _record(self, variables, gradients):
        self.moved.append({id(v) for v in variables})

        def keep(*values):
            for v, value in zip(given, values):
                before = self.gradients.get(id(v))
                self.gradients[id(v)] = value if before is None else before + value

        given = [v for v, g in zip(variables, gradients) if g is not None]
        for v in variables:
            self.gradients.setdefault(id(v), None)
        values = [tf.cast(tf.convert_to_tensor(g), tf.float32) for g in gradients if g is not None]
        tf.numpy_function(keep, values, [])

    def __enter__(self):
        self.undo = contextlib.ExitStack()
        values = [(v, keras.ops.convert_to_numpy(v).copy()) for v in self.variables]
        self.before = values
        self.undo.callback(lambda: [v.assign(value) for v, value in values])
        states = random.getstate(), np.random.get_state()
        self.undo.callback(lambda: (random.setstate(states[0]), np.random.set_state(states[1])))
        if self.model is not None:
            kept = dict(vars(self.model))
            arrays = {n: v.copy() for n, v in kept.items() if type(v) is np.ndarray}
            lists = [(v, list(v)) for v in kept.values() if isinstance(v, list)]
            self.undo.callback(self._restore_attributes, {**kept, **arrays}, lists)
            if getattr(self.model, "optimizer", None) is None:  # not compiled
                object.__setattr__(self.model, "optimizer", keras.optimizers.SGD())
        record = self._record

        def apply(optimizer, grads, trainable_variables=None):
            given = trainable_variables
            record(list(optimizer._trainable_variables if given is None else given), list(grads))

        for kind in [keras.optimizers.Optimizer, *subclasses(keras.optimizers.Optimizer)]:
            for name, new in (("apply", apply), ("scale_loss", lambda optimizer, loss: loss)):
                if name in vars(kind) or kind is keras.optimizers.Optimizer:
                    replace(self.undo, kind, name, new, setattr, delattr)
        # Functions of the model's own are traced into this step: their own traces may be older,
        # and a new one would be kept, with optimizers that apply nothing.
        kind, traced = type(tf.function(print)), self.step
        call = kind.__call__

        def inlined(function, *args, **kwargs):
            return (call(function, *args, **kwargs) if function is traced else
                    function.python_function(*args, **kwargs))

        replace(self.undo, kind, "__call__", inlined, setattr, delattr)
        for network in {id(n): n for n in self.networks.values()}.values():
            roles = [role for role, other in self.networks.items() if other is network]
            spied = self._spied(roles[0], network.call)
            replace(self.undo, network, "call", spied, object.__setattr__, object.__delattr__)
        return self

    def _restore_attributes(self, kept, lists):
        for value, items in lists:
            list.__setitem__(value, slice(None), items)  # Keras watches its own kind of list
        for name in set(vars(self.model)) - set(kept):
            object.__delattr__(self.model, name)
        for name, value in kept.items():
            object.__setattr__(self.model, name, value)

    def __exit__(self, *error):
        self.undo.close()

    def _spied(self, role, call):
        def spied(*args, **kwargs):
            outputs = call(*args, **kwargs)
            first = tf.nest.flatten([args, kwargs])[0]

            def keep(given, *results):
                self.calls[role].append((given, list(results)))

            tf.numpy_function(keep, [first, *tf.nest.flatten(outputs)], [])
            return outputs

        return spied

    @contextlib.contextmanager
    def changed(self):
        """Whatever is assigned to a variable within is put back at the end."""
        values = [(v, keras.ops.convert_to_numpy(v).copy()) for v in self.variables]
        try:
            yield
        finally:
            for v, value in values:
                v.assign(value)

    def __call__(self, data):
        """Return what a step on these data does; only states such as the noise's go on."""
        for calls in self.calls.values():
            calls.clear()
        self.gradients.clear()
        try:
            self.step(data)
        # What runs step by step need not run as a graph: len(x), float(loss).
        except (Exception, SystemExit):
            if self.step == self.plain:
                raise
            self.step = self.plain
            self.step(data)
        calls = {role: list(calls) for role, calls in self.calls.items()}
        return Seen(dict(self.gradients), calls, list(self.moved))
