"""Run a model's own training step on weights of one's choice, see what it does, and undo it all."""

import contextlib
import random
import typing

import keras
import numpy as np
import tensorflow as tf


class Seen(typing.NamedTuple):
    """What a training step did."""

    gradients: dict  # {id of a variable: gradient, or None}
    calls: dict  # {role of a network: [(first input, [outputs]) of each call]}
    moved: list  # of each use of an optimizer the set of ids of the variables that it was given


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
            found += [v for v in vars(model).values() if isinstance(v, tf.Variable)]
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
        self.undo.callback(lambda: [v.assign(value) for v, value in values])
        states = random.getstate(), np.random.get_state()
        self.undo.callback(lambda: (random.setstate(states[0]), np.random.set_state(states[1])))
        if self.model is not None:
            kept = {n: v for n, v in vars(self.model).items() if isinstance(v, (int, float))}
            self.undo.callback(
                lambda: [object.__setattr__(self.model, n, v) for n, v in kept.items()]
            )
            if getattr(self.model, "optimizer", None) is None:  # not compiled
                had = "optimizer" in vars(self.model)
                object.__setattr__(self.model, "optimizer", keras.optimizers.SGD())
                undo = (object.__setattr__, self.model, "optimizer", None)
                self.undo.callback(*undo if had else (object.__delattr__, *undo[1:3]))
        record = self._record

        def apply(optimizer, grads, trainable_variables=None):
            given = trainable_variables
            record(list(optimizer._trainable_variables if given is None else given), list(grads))

        for kind in (keras.optimizers.Optimizer, keras.optimizers.LossScaleOptimizer):
            for name, new in (("apply", apply), ("scale_loss", lambda optimizer, loss: loss)):
                own = (setattr, kind, name, vars(kind)[name]) if name in vars(kind) else (
                    delattr, kind, name)
                self.undo.callback(*own)
                setattr(kind, name, new)
        for role, network in self.networks.items():
            object.__setattr__(network, "call", self._spied(role, network.call))
            self.undo.callback(object.__delattr__, network, "call")
        return self

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
        except Exception:  # what runs step by step need not run as a graph: len(x), float(loss)
            if self.step == self.plain:
                raise
            self.step = self.plain
            self.step(data)
        calls = {role: list(calls) for role, calls in self.calls.items()}
        return Seen(dict(self.gradients), calls, list(self.moved))
