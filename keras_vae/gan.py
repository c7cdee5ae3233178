"""Dense generative adversarial network: two networks, two optimizers, one training step."""

import keras
import numpy as np
import tensorflow as tf


def check_input(x, shape, bounded, name="x"):
    """Raise ValueError unless `x` is floating point, (batch, *shape), and, if an array, not empty,
    finite and, if `bounded`, within [0, 1]. A symbolic tensor has no values to look at yet."""
    symbolic = tf.is_tensor(x) and not hasattr(x, "numpy")
    x = x if symbolic else np.asarray(x)
    sizes = zip(shape, x.shape[1:])
    if len(x.shape) != 1 + len(shape) or not all(a == b or None in (a, b) for a, b in sizes):
        want = ", ".join(["batch", *map(str, shape)])
        raise ValueError(f"{name} must have shape ({want}), got {tuple(x.shape)}")
    if not symbolic and not len(x):
        raise ValueError(f"{name} must hold at least one example, got shape {x.shape}")
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype)):
        came = f"{keras.backend.standardize_dtype(x.dtype)}"
        came += "" if symbolic else f" from {x.min()} to {x.max()}"
        hint = ": for images of 0 to 255, x.astype('float32') / 255" if "int8" in came else ""
        raise ValueError(f"{name} must be floating point, got {came}{hint}")
    if symbolic:
        return
    low, high = float(x.min()), float(x.max())
    if not np.isfinite([low, high]).all():
        raise ValueError(f"{name} must be finite, it holds NaN or infinity")
    if bounded and (low < 0 or high > 1):
        hint = "divide images by 255"
        if low < 0:
            hint = "for vectors without bounds, a linear output (a VAE's likelihood: gaussian)"
        raise ValueError(f"{name} must lie in [0, 1], got {low:g} to {high:g}: {hint}")


@keras.saving.register_keras_serializable(package="keras_vae")
class GAN(keras.Model):
    """Generator against discriminator, cross-entropy on logits, non-saturating; real 1, fake 0.

    `fit` and `evaluate` take real images; `call` and `predict` take noise and return images.

    Args:
        generator: Functional Keras model, noise, (batch, noise_dim) → images in [0, 1].
        discriminator: Functional Keras model, images → one logit, (batch, 1), without a sigmoid.
        noise_dim: Width of the noise.
        label_smoothing: The real images' label is 1 − label_smoothing, in [0, 0.5); the fake
            images' stays 0 (one-sided: Salimans et al. 2016, §3.4).
        seed: Of the noise; None for a fresh one.

    Raises:
        TypeError: The generator or the discriminator is no functional Keras model.
        ValueError: Their shapes do not fit each other or noise_dim, the discriminator ends in a
            sigmoid, or label_smoothing is outside.

    Source: Goodfellow et al. 2014, §3; A4 §3.2.2 and §4.2.
    """

    def __init__(self, generator, discriminator, noise_dim, label_smoothing=0.0, seed=None,
                 name="gan", **kwargs):
        super().__init__(name=name, **kwargs)
        for role, network in (("generator", generator), ("discriminator", discriminator)):
            if not isinstance(network, keras.Model) or not getattr(network, "inputs", None):
                raise TypeError(f"{role} must be a functional Keras model, got {network!r}")
        if generator.input_shape != (None, noise_dim):
            raise ValueError(
                f"noise_dim must be the width of the generator's input, "
                f"{generator.input_shape[-1]}, got {noise_dim!r}"
            )
        if generator.output_shape != discriminator.input_shape:
            raise ValueError(
                f"discriminator must take the generator's images, {generator.output_shape}, "
                f"but its input is {discriminator.input_shape}"
            )
        if discriminator.output_shape != (None, 1):
            raise ValueError(
                f"discriminator must return one logit, (None, 1), got {discriminator.output_shape}"
            )
        last = getattr(discriminator.layers[-1], "activation", None)
        if last is keras.activations.sigmoid:
            raise ValueError("discriminator must return a logit: leave its sigmoid out")
        if not 0 <= label_smoothing < 0.5:
            raise ValueError(f"label_smoothing must lie in [0, 0.5), got {label_smoothing!r}")
        self.generator = generator
        self.discriminator = discriminator
        self.noise_dim = noise_dim
        self.label_smoothing = label_smoothing
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        names = ("d_loss", "g_loss", "d_accuracy_real", "d_accuracy_fake")
        self.trackers = [keras.metrics.Mean(name=name) for name in names]
        self.build(generator.input_shape)

    def build(self, input_shape):
        self.built = True  # both networks came with their weights

    @property
    def metrics(self):
        return self.trackers

    def compile(self, g_optimizer="adam", d_optimizer="adam", **kwargs):
        """Set the two optimizers; other arguments as in `keras.Model.compile`.

        `self.optimizer` is the generator's, so a callback that sets a learning rate sets that one.
        """
        if g_optimizer is d_optimizer and not isinstance(g_optimizer, str):
            raise ValueError("g_optimizer and d_optimizer must be two objects: each has its state")
        for key in ("loss", "metrics", "weighted_metrics"):
            if kwargs.get(key):
                raise ValueError(f"GAN has its own losses and metrics: compile it without {key}")
        super().compile(optimizer=g_optimizer, **kwargs)
        self.g_optimizer = self.optimizer
        self.d_optimizer = keras.optimizers.get(d_optimizer)
        self.g_optimizer.build(self.generator.trainable_variables)
        self.d_optimizer.build(self.discriminator.trainable_variables)

    def call(self, noise, training=False):
        """Return images of the generator: noise, (batch, noise_dim) → (batch, pixels)."""
        return self.generator(noise, training=training)

    def noise(self, num):
        """Return standard normal noise, (num, noise_dim), different on every replica."""
        replica = tf.distribute.get_replica_context()
        replica = replica.replica_id_in_sync_group if replica else 0
        seed = tf.cast(self.seed_generator.next() % (2**31 - 1), tf.int32)
        seed += tf.stack([1_000_003 * replica, 0])
        return tf.random.stateless_normal((num, self.noise_dim), seed)

    def compute_losses(self, real, training=False):
        """Return d_loss, g_loss (nats per example) and the discriminator's two accuracies."""
        fake = self.generator(self.noise(tf.shape(real)[0]), training=training)
        real_logits = tf.cast(self.discriminator(real, training=training), tf.float32)
        fake_logits = tf.cast(self.discriminator(fake, training=training), tf.float32)
        real_label = tf.ones_like(real_logits)
        fake_label = tf.zeros_like(fake_logits)
        nats = tf.nn.sigmoid_cross_entropy_with_logits
        d_loss = tf.reduce_mean(
            nats(real_label * (1 - self.label_smoothing), real_logits)
        ) + tf.reduce_mean(nats(fake_label, fake_logits))
        d_loss += sum(self.discriminator.losses)  # its penalties, if it has any
        # Non-saturating: the generator wants its images called real. Its gradient does not fade
        # where the discriminator is sure, as that of log(1 − D) does.
        g_loss = tf.reduce_mean(nats(real_label, fake_logits)) + sum(self.generator.losses)
        d_accuracy_real = tf.reduce_mean(tf.cast(real_logits > 0, tf.float32))
        d_accuracy_fake = tf.reduce_mean(tf.cast(fake_logits <= 0, tf.float32))
        return d_loss, g_loss, d_accuracy_real, d_accuracy_fake

    def train_step(self, data):
        real = self._batch(data)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape(persistent=True) as tape:
            losses = self.compute_losses(real, training=True)
            # Replicas add their gradients up: each gives its share.
            d_share = self.d_optimizer.scale_loss(losses[0] / replicas)
            g_share = self.g_optimizer.scale_loss(losses[1] / replicas)
        # Each loss moves its own network alone.
        for share, optimizer, network in (
            (d_share, self.d_optimizer, self.discriminator),
            (g_share, self.g_optimizer, self.generator),
        ):
            gradients = tape.gradient(share, network.trainable_variables)
            optimizer.apply_gradients(zip(gradients, network.trainable_variables))
        return self._track(losses, real)

    def test_step(self, data):
        real = self._batch(data)
        return self._track(self.compute_losses(real), real)

    def _batch(self, data):
        real, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            raise ValueError("GAN takes no sample_weight or class_weight")
        check_input(real, self.discriminator.input_shape[1:], bounded=True)
        return real

    def _track(self, losses, real):
        num = tf.shape(real)[0]  # the last batch is smaller, and on a replica it may be empty
        for tracker, value in zip(self.metrics, losses):
            tracker.update_state(tf.where(num > 0, value, 0.0), sample_weight=num)
        return {tracker.name: tracker.result() for tracker in self.metrics}

    def fit(self, x=None, *args, validation_data=None, **kwargs):
        """Train as `keras.Model.fit` does on real images, once the arrays have been looked at."""
        self._check(x, "x")
        x_validation, _, _ = keras.utils.unpack_x_y_sample_weight(validation_data)
        self._check(x_validation, "validation_data")
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # else Keras warns that it does not shuffle those
        return super().fit(x, *args, validation_data=validation_data, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        """Measure as `keras.Model.evaluate` does, on real images and as many fresh fakes."""
        self._check(x, "x")
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """Make images of noise as `keras.Model.predict` does, once the array has been looked at."""
        if hasattr(x, "__array__"):
            check_input(x, (self.noise_dim,), bounded=False, name="noise")
        return super().predict(x, *args, **kwargs)

    def _check(self, x, name):
        if hasattr(x, "__array__"):  # not a tf.data pipeline: data.check_images looks into those
            check_input(x, self.discriminator.input_shape[1:], bounded=True, name=name)

    def generate(self, num_samples, seed=None):
        """Return new images, (num_samples, pixels).

        `seed` repeats a draw; None takes the next from the model's own generator.
        """
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples!r}")
        generator = self.seed_generator if seed is None else seed
        noise = keras.random.normal((num_samples, self.noise_dim), seed=generator)
        return self.generator.predict(noise, verbose=0)

    def save_own_variables(self, store):
        store["seed_state"] = keras.ops.convert_to_numpy(self.seed_generator.state)

    def load_own_variables(self, store):
        self.seed_generator.state.assign(store["seed_state"])

    def get_config(self):
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        networks = {k: keras.saving.serialize_keras_object(v) for k, v in networks.items()}
        settings = {"label_smoothing": self.label_smoothing, "seed": self.seed, "name": self.name}
        return {**networks, "noise_dim": self.noise_dim, **settings}

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))

    def get_compile_config(self):
        if not self.compiled:
            return {}
        config = super().get_compile_config()
        kept = {key: config[key] for key in ("run_eagerly", "steps_per_execution", "jit_compile")}
        optimizers = {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}
        serialize = keras.saving.serialize_keras_object
        return {**{key: serialize(value) for key, value in optimizers.items()}, **kept}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
