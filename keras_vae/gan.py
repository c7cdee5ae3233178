"""Generative adversarial network: two losses, two optimizers, one training step."""

import keras
import numpy as np
import tensorflow as tf


FINITE = [float(np.finfo("float32").min), float(np.finfo("float32").max)]


def bounds(network):
    """Return what a network's outputs lie in: [0, 1] or [−1, 1] if it ends in a sigmoid or a tanh.

    They show for far-off inputs, where they saturate, wherever they stand.
    """
    far = network(100 * tf.random.stateless_normal((16, *network.input_shape[1:]), (0, 0)))
    low, high = float(tf.reduce_min(far)), float(tf.reduce_max(far))
    if low < -1 or not 0.9 < high <= 1:
        return FINITE
    return [-1 if low < 0 else 0, 1]


@keras.saving.register_keras_serializable(package="keras_vae")
class GAN(keras.Model):
    """Generator against discriminator, cross-entropy on logits, non-saturating; real 1, fake 0.

    Compile it with two optimizers and no loss. `fit` and `evaluate` take real images; `call` and
    `predict` take noise and return images. Losses are in nats per example. There is none called
    "loss", so `TerminateOnNaN` sees nothing, and `EarlyStopping` needs a `monitor`.

    Args:
        generator: Functional or Sequential, noise, (batch, noise_dim) → images. If it ends in a
            sigmoid, real images must lie in [0, 1]; if in a tanh, in [−1, 1].
        discriminator: Functional or Sequential, images → one logit, (batch, 1), without a sigmoid.
        label_smoothing: The real images' label is 1 − label_smoothing, in [0, 0.5); the fake
            images' stays 0 (one-sided: Salimans et al. 2016, §3.4).
        seed: Of the noise; None for a fresh one.

    Raises:
        ValueError: The networks do not fit each other, the discriminator ends in a sigmoid,
            label_smoothing is outside, or images to fit are of a wrong type or shape, or weighted.
        tf.errors.InvalidArgumentError: Images are NaN, infinite or out of range; see `VAE`.

    Source: Goodfellow et al. 2014, §3; A4 §3.2.2 and §4.2.
    """

    def __init__(self, generator, discriminator, label_smoothing=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        ends = discriminator.input_shape, discriminator.output_shape
        if ends != (generator.output_shape, (None, 1)):
            raise ValueError(f"discriminator must be {generator.output_shape} → (None, 1): {ends}")
        end = getattr(discriminator.layers[-1], "activation", keras.activations.linear)
        if bounds(discriminator) == [0, 1] or end is not keras.activations.linear:
            raise ValueError("discriminator must return a logit: leave its sigmoid out")
        if not 0 <= label_smoothing < 0.5:
            raise ValueError(f"label_smoothing must lie in [0, 0.5), got {label_smoothing!r}")
        self.generator, self.discriminator = generator, discriminator
        self.label_smoothing = label_smoothing
        self.range = bounds(generator)
        np.random.default_rng(seed)  # refuses what is no seed
        self.given_seed = seed
        seed = keras.initializers.Constant(np.random.randint(2**31 - 1) if seed is None else seed)
        self.seed = self.add_weight((), seed, "int64", trainable=False, name="seed")
        self.draws = self.add_weight((), "zeros", "int64", trainable=False, name="draws")
        names = ("d_loss", "g_loss", "d_accuracy_real", "d_accuracy_fake")
        self.trackers = [keras.metrics.Mean(name=name) for name in names]
        self(generator.inputs[0])  # builds the model, so that it can be exported at once

    def compile(self, g_optimizer="adam", d_optimizer="adam", **kwargs):
        """Set the two optimizers; `self.optimizer`, which callbacks see, is the generator's."""
        if g_optimizer is d_optimizer and not isinstance(g_optimizer, str):
            raise ValueError("g_optimizer and d_optimizer must be two objects: each has its state")
        own = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics")
        if any(map(kwargs.get, own)):
            raise ValueError("GAN has its own losses and metrics, and two optimizers: compile it "
                             "with g_optimizer and d_optimizer")
        if not (self.generator.trainable_variables and self.discriminator.trainable_variables):
            raise ValueError("generator and discriminator must have weights to train, not frozen")
        super().compile(d_optimizer, **kwargs)  # it also scales the loss under mixed_float16
        self.d_optimizer = self.optimizer
        super().compile(g_optimizer, **kwargs)
        self.optimizer.build(self.generator.trainable_variables)
        self.d_optimizer.build(self.discriminator.trainable_variables)

    def fit(self, *args, sample_weight=None, class_weight=None, **kwargs):
        """Train on images, as `keras.Model.fit` does; weights are refused."""
        validation = kwargs.get("validation_data")
        weights = validation[2:] if isinstance(validation, tuple) else ()
        self._refuse(sample_weight, class_weight, *weights)
        history = super().fit(*args, **kwargs)  # ends with the generator's moving average, if asked
        if keras.ops.convert_to_numpy(self.d_optimizer.iterations) > 0:
            self.d_optimizer.finalize_variable_values(self.discriminator.trainable_variables)
        return history

    def evaluate(self, *args, sample_weight=None, **kwargs):
        """Return the losses, as `keras.Model.evaluate` does."""
        self._refuse(sample_weight)
        return super().evaluate(*args, **kwargs)

    def _refuse(self, *weights):
        if any(w is not None for w in weights):
            raise ValueError("GAN takes no sample_weight or class_weight")

    @property
    def metrics(self):
        return self.trackers

    def compute_losses(self, real, training=False):
        """Return d_loss, g_loss (nats) and whether D is right on real and fake, (batch, 1) each."""
        noise = self.noise((tf.shape(real)[0], *self.generator.input_shape[1:]))
        fake = self.generator(noise, training=training)
        # Logits, D = sigmoid(logit): −log D is softplus(−logit), −log(1 − D) softplus(logit).
        on_real = tf.cast(self.discriminator(real, training=training), self.variable_dtype)
        d_loss = tf.nn.softplus(on_real) - (1 - self.label_smoothing) * on_real
        d_loss += 0.5 * self._penalty(self.discriminator)  # half from each of its two calls
        on_fake = tf.cast(self.discriminator(fake, training=training), self.variable_dtype)
        d_loss += tf.nn.softplus(on_fake) + 0.5 * self._penalty(self.discriminator)
        g_loss = tf.nn.softplus(-on_fake) + self._penalty(self.generator)  # non-saturating
        return d_loss, g_loss, on_real > 0, on_fake <= 0

    def train_step(self, data):
        real, replicas = self._check(data), tf.distribute.get_strategy().num_replicas_in_sync
        with tf.control_dependencies([real]):  # nothing moves before the images have passed
            with tf.GradientTape(persistent=True) as tape:
                losses = self.compute_losses(real, training=True)
                # Shares of the replicas, whose gradients will be added up.
                d_loss = self.d_optimizer.scale_loss(tf.reduce_mean(losses[0]) / replicas)
                g_loss = self.optimizer.scale_loss(tf.reduce_mean(losses[1]) / replicas)
            d_player = d_loss, self.d_optimizer, self.discriminator.trainable_variables
            g_player = g_loss, self.optimizer, self.generator.trainable_variables
            for loss, optimizer, weights in (d_player, g_player):  # each loss moves its own
                optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
            return self._track(losses)

    def test_step(self, data):
        with tf.control_dependencies([real := self._check(data)]):
            return self._track(self.compute_losses(real))

    def _penalty(self, network):
        return sum(tf.cast(penalty, self.variable_dtype) for penalty in network.losses)

    def _track(self, losses):
        for tracker, values in zip(self.trackers, losses):
            tracker.update_state(values)
        return self.get_metrics_result()

    def call(self, noise, training=False):
        """Return images of the generator: noise, (batch, noise_dim) → (batch, …)."""
        noise = tf.debugging.check_numerics(noise, "noise must be finite")
        return self.generator(noise, training=training)

    def generate(self, num_samples, seed=None):
        """Return new images, (num_samples, …), at least one; a `seed` repeats them."""
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples!r}")
        own = [int(keras.ops.convert_to_numpy(v)) for v in (self.seed, self.draws)]
        rng = np.random.default_rng(own if seed is None else seed)
        self.draws.assign_add(seed is None)
        noise = rng.standard_normal((num_samples, *self.generator.input_shape[1:]))
        return self.generator.predict(noise, verbose=0)

    def noise(self, shape):
        """Return standard normal noise for the generator; replicas draw different noise."""
        replica = getattr(tf.distribute.get_replica_context(), "replica_id_in_sync_group", 0)
        own = 1_000_003 * tf.cast(replica, tf.int64)
        seed = [tf.cast(v, tf.int64) for v in (self.seed + own, self.draws)]
        self.draws.assign_add(1)
        return tf.random.stateless_normal(shape, seed, dtype=self.variable_dtype)

    def _check(self, data):
        """Return the images of a batch, of the generator's shape; raise what the class names."""
        real, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self._refuse(sample_weight)
        if isinstance(real, (dict, tf.RaggedTensor, tf.SparseTensor)):
            raise ValueError(f"images must be one dense array, got {type(real).__name__}")
        real, shape = tf.convert_to_tensor(real), self.discriminator.input_shape
        if not real.dtype.is_floating or not real.shape.is_compatible_with(shape):
            raise ValueError(f"images must be float {shape}, got {real.dtype.name} {real.shape}")
        real = tf.ensure_shape(tf.cast(real, self.variable_dtype), shape)
        (least, greatest), low, high = self.range, tf.reduce_min(real), tf.reduce_max(real)
        good = (low >= least - 1e-3) & (high <= greatest + 1e-3)  # rounding may; NaN may not
        must = f"images must lie in {self.range} like generated ones. Least, greatest:"
        with tf.control_dependencies([tf.raw_ops.Assert(condition=good, data=[must, low, high])]):
            return tf.identity(real)

    def get_config(self):
        config = {"generator": self.generator, "discriminator": self.discriminator,
                  "label_smoothing": self.label_smoothing, "seed": self.given_seed,
                  "name": self.name, "dtype": self.dtype_policy}
        return keras.saving.serialize_keras_object(config)

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))

    def get_compile_config(self):
        config = super().get_compile_config()
        if self.compiled:
            config["g_optimizer"] = config.pop("optimizer")
            config["d_optimizer"] = keras.saving.serialize_keras_object(self.d_optimizer)
        return config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
