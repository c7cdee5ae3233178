"""Variational autoencoder: its losses, its training step, and what a user calls."""

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_vae")
class VAE(keras.Model):
    """Variational autoencoder, trained to minimise loss = reconstruction_loss + beta * kl_loss.

    This is −ELBO at beta = 1 (and the networks' penalties, if they have any). Losses are in nats
    per example: sums over features and latent variables, means over the batch. Compile it with an
    optimizer and no loss; `fit` takes x, or pairs (x, y) whose y is not used.

    Args:
        encoder: Functional or Sequential, x → [z_mean, z_log_var], each (batch, latent_dim).
        decoder: Functional or Sequential, z → x's shape: logits of the pixels for a Bernoulli
            likelihood, means for a Gaussian one. Its last layer is linear.
        beta: Weight of the KL divergence, at least 0. Set it at any time, also while training.
        likelihood: "bernoulli" for x in [0, 1]; "gaussian" for any finite x, best standardised.
        learn_variance: Learn a Gaussian's variances, one per feature, exp(x_log_var); else they are
            1. (Where latent_dim numbers determine a feature, as of constants, duplicates or one-hot
            codes, its variance falls to 0 and the loss to −∞: leave it out, or add noise.)
        seed: Of the noise; None for a fresh one.

    Raises:
        ValueError: Networks that do not fit each other, a Bernoulli decoder that ends in a sigmoid
            (erratum A2-3), a wrong setting. From `fit`: x of a wrong type or shape, or weights.
        tf.errors.InvalidArgumentError: From `fit`: x is NaN, infinite or out of range (XLA, Keras's
            default on a GPU, drops this), or of a new, wrong shape. That batch trains nothing.

    Source: Kingma & Welling 2014, eq. 10; beta: Higgins et al. 2017; A1 §3.2 and §4.2; A0 §3.3.
    """

    def __init__(self, encoder, decoder, beta=1.0, likelihood="bernoulli", learn_variance=False,
                 seed=None, **kwargs):
        super().__init__(**kwargs)
        shapes = [encoder.input_shape, *(head.shape for head in encoder.outputs)]
        wanted = self.shapes_for(decoder)
        fit = shapes == wanted and isinstance(encoder.output, (list, tuple))  # not a dictionary
        if not fit or None in shapes[0][1:] + shapes[1][1:] or len({*map(id, encoder.outputs)}) < 2:
            words = "x → [z_mean, z_log_var], two heads, and z → x, of fixed sizes"
            came = f"{wanted[0]} → {wanted[1:]} for this decoder, got {shapes[0]} → {shapes[1:]}"
            raise ValueError(f"networks must be {words}: the encoder {came}")
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f'likelihood must be "bernoulli" or "gaussian", got {likelihood!r}')
        if learn_variance and likelihood == "bernoulli":
            raise ValueError('learn_variance needs likelihood="gaussian": a Bernoulli has none')
        # A sigmoid further in shows at far-off codes, where it saturates within [0, 1].
        far = decoder(100 * tf.random.stateless_normal((16, *decoder.input_shape[1:]), (0, 0)))
        bounded = 0 <= tf.reduce_min(far) and 0.9 < tf.reduce_max(far) <= 1
        end = getattr(decoder.layers[-1], "activation", keras.activations.linear)
        if likelihood == "bernoulli" and (bounded or end is not keras.activations.linear):
            raise ValueError("decoder must put out logits: leave its sigmoid out (erratum A2-3)")
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        # A variable: a Python number would be frozen into the traced step.
        self._beta = tf.Variable(0.0, trainable=False, dtype=self.variable_dtype)
        self.beta = beta
        np.random.default_rng(seed)  # refuses what is no seed
        self.given_seed = seed
        seed = keras.initializers.Constant(np.random.randint(2**31 - 1) if seed is None else seed)
        self.seed = self.add_weight((), seed, "int64", trainable=False, name="seed")
        self.draws = self.add_weight((), "zeros", "int64", trainable=False, name="draws")
        self.x_log_var = tf.zeros((), self.variable_dtype)  # of a Gaussian p(x | z)
        if learn_variance:
            self.x_log_var = self.add_weight(decoder.output_shape[1:], "zeros", name="x_log_var")
        # Keras itself has a tracker of the loss.
        self.trackers = [keras.metrics.Mean(name=n) for n in ("reconstruction_loss", "kl_loss")]
        self(encoder.inputs[0])  # builds the model, so that it can be exported at once

    def shapes_for(self, decoder):
        """Return the shapes of x, z_mean and z_log_var that the encoder must have."""
        return [decoder.output_shape, *2 * [decoder.input_shape]]

    def compile(self, optimizer="adam", **kwargs):
        """Set the optimizer; other arguments as in `keras.Model.compile`."""
        if any(map(kwargs.get, ("loss", "loss_weights", "metrics", "weighted_metrics"))):
            raise ValueError("VAE has its own loss and metrics: compile it without others")
        if not self.trainable_variables:
            raise ValueError("networks must have weights to train: all of them are frozen")
        super().compile(optimizer, **kwargs)
        self.optimizer.build(self.trainable_variables)

    @property
    def beta(self):
        """Weight of the KL divergence, a float."""
        return float(self._beta.read_value())

    @beta.setter
    def beta(self, beta):
        if not 0 <= beta <= self._beta.dtype.max:
            raise ValueError(f"beta must be a number of at least 0, got {beta!r}")
        self._beta.assign(beta)

    def negative_log_likelihood(self, x, output):
        """Return −log p(x | z) of each example, in nats, (batch,); `output` is the decoder's."""
        x, output = tf.cast(x, self.variable_dtype), tf.cast(output, self.variable_dtype)
        if self.likelihood == "bernoulli":
            nats = tf.nn.softplus(output) - x * output  # exact for any logit
        else:
            nats = tf.square(x - output) * tf.exp(-self.x_log_var)
            nats = 0.5 * (nats + self.x_log_var + np.log(2 * np.pi))
        return tf.reduce_sum(nats, axis=range(1, len(nats.shape)))

    def compute_losses(self, x, training=False):
        """Return loss, reconstruction_loss and kl_loss of each example, in nats, (batch,) each."""
        heads = self.encoder(x, training=training)
        z_mean, z_log_var = (tf.cast(head, self.variable_dtype) for head in heads)
        # Reparameterised: z is a formula in its mean and variance, so gradients pass through it.
        z = z_mean + tf.exp(0.5 * z_log_var) * self.noise(tf.shape(z_mean))  # (batch, latent_dim)
        reconstruction_loss = self.negative_log_likelihood(x, self.decoder(z, training=training))
        kl = -0.5 * (1 + z_log_var - tf.square(z_mean) - tf.exp(z_log_var))  # (batch, latent_dim)
        kl_loss = tf.reduce_sum(kl, axis=range(1, len(kl.shape)))  # a sum, as over the features
        loss = reconstruction_loss + self._beta * kl_loss + self._penalty()
        return loss, reconstruction_loss, kl_loss

    def _penalty(self):
        return sum(tf.cast(penalty, self.variable_dtype) for penalty in self.losses)

    def train_step(self, data):
        x, replicas = self._check(data), tf.distribute.get_strategy().num_replicas_in_sync
        with tf.control_dependencies([x]):  # nothing moves before x has passed the check
            with tf.GradientTape() as tape:
                losses = self.compute_losses(x, training=True)
                loss = tf.reduce_mean(losses[0]) / replicas  # their gradients will be added up
                loss = self.optimizer.scale_loss(loss)  # does nothing outside mixed_float16
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
            return self._track(losses)

    def test_step(self, data):
        with tf.control_dependencies([x := self._check(data)]):
            return self._track(self.compute_losses(x))

    def _track(self, losses):
        for tracker, values in zip(self.metrics, losses, strict=True):
            tracker.update_state(values)  # sums and counts: batches may differ in size
        return self.get_metrics_result()

    def call(self, x, training=False):
        """Return the reconstruction of x from z_mean, without noise, in x's shape."""
        z_mean, _ = self.encoder(self._check((x,)), training=training)
        return self._mean(self.decoder(z_mean, training=training))

    def _mean(self, output):
        return tf.sigmoid(output) if self.likelihood == "bernoulli" else output

    def encode(self, x):
        """Return z_mean and z_log_var of the array x, each (num, latent_dim); checks x as fit."""
        return tuple(self.encoder.predict(self._check((x,)), verbose=0))

    def decode(self, z):
        """Return the mean of p(x | z), such as pixels, for the array z, (num, latent_dim)."""
        if len(z) < 1:
            raise ValueError("there must be at least one code to decode, got none")
        z = tf.debugging.check_numerics(tf.cast(z, self.variable_dtype), "z must be finite")
        mean = self._mean(self.decoder.predict(z, verbose=0))
        return tf.cast(mean, self.variable_dtype).numpy()

    def reconstruct(self, x):
        """Return the array x after encoder and decoder, from z_mean, without noise."""
        return self.decode(self.encode(x)[0])

    def prior_sample(self, rng, num_samples):
        """Return what `decode` takes: draws of z from the prior, (num_samples, latent_dim)."""
        return rng.standard_normal((num_samples, *self.decoder.input_shape[1:]))

    def generate(self, num_samples, seed=None, sample=False, **prior):
        """Return the mean of p(x | z) for draws of z from the prior, (num_samples, …).

        With `sample`, return draws from p(x | z), rough as data are. A `seed` repeats both.
        """
        own = [int(keras.ops.convert_to_numpy(v)) for v in (self.seed, self.draws)]
        rng = np.random.default_rng(own if seed is None else seed)
        self.draws.assign_add(seed is None)
        mean = self.decode(self.prior_sample(rng, num_samples, **prior))
        if not sample:
            return mean
        if self.likelihood == "bernoulli":
            return rng.binomial(1, mean).astype(mean.dtype)
        return rng.normal(mean, np.exp(0.5 * self.x_log_var)).astype(mean.dtype)

    def noise(self, shape):
        """Return the next of the model's own standard normal noise; replicas draw their own."""
        replica = getattr(tf.distribute.get_replica_context(), "replica_id_in_sync_group", 0)
        own = 1_000_003 * tf.cast(replica, tf.int64)
        seed = [tf.cast(v, tf.int64) for v in (self.seed + own, self.draws)]
        self.draws.assign_add(1)
        return tf.random.stateless_normal(shape, seed, dtype=self.variable_dtype)

    def fit(self, *args, sample_weight=None, class_weight=None, **kwargs):
        """Train as `keras.Model.fit`, which drops weights in silence where there is no y."""
        validation = kwargs.get("validation_data")
        more = validation[2:] if isinstance(validation, tuple) else ()
        self._refuse(sample_weight, class_weight, *more)
        return super().fit(*args, **kwargs)

    def evaluate(self, *args, sample_weight=None, **kwargs):
        """Return the losses of data, as `keras.Model.evaluate` does."""
        self._refuse(sample_weight)
        return super().evaluate(*args, **kwargs)

    def _refuse(self, *weights):
        if any(w is not None for w in weights):
            raise ValueError("VAE takes no sample_weight or class_weight")

    def _check(self, data):
        """Return x of a batch, of the encoder's shape; raise what the class names."""
        x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self._refuse(sample_weight)
        if isinstance(x, (dict, tf.RaggedTensor, tf.SparseTensor)):
            raise ValueError(f"x must be one dense array, got {type(x).__name__}")
        x, shape = tf.convert_to_tensor(x), self.encoder.input_shape
        if not x.dtype.is_floating:
            raise ValueError(f"x must be floating point, got {x.dtype.name}: divide bytes by 255")
        if not x.shape.is_compatible_with(shape) or x.shape.num_elements() == 0:
            raise ValueError(f"x must have shape {shape} and not be empty, got {x.shape}")
        x = tf.ensure_shape(tf.cast(x, self.variable_dtype), shape)
        low, high = tf.reduce_min(x), tf.reduce_max(x)  # NaN if x holds one
        good, must = (low > -np.inf) & (high < np.inf), "be finite"
        if self.likelihood == "bernoulli":  # a little way out is rounding
            good, must = (low >= -1e-3) & (high <= 1.001), "lie in [0, 1]: divide images by 255"
        found = [f"x must {must}. Least, greatest:", low, high]
        with tf.control_dependencies([tf.raw_ops.Assert(condition=good, data=found)]):
            return tf.identity(x)

    def get_config(self):
        config = {"encoder": self.encoder, "decoder": self.decoder, "beta": self.beta,
                  "likelihood": self.likelihood, "learn_variance": len(self.x_log_var.shape) > 0,
                  "seed": self.given_seed, "name": self.name, "dtype": self.dtype_policy}
        return keras.saving.serialize_keras_object(config)

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
