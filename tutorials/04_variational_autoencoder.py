# %% [markdown]
# # 4. Variational autoencoder
#
# *Reproduces A1 §2.2, §3.2 and §4.2; A2 §2 and §3; A3 §2.2, §3.2 and §3.3.2; A4 §2.2.1 and §3.2.1. Corrects errata A1-3, A1-4, A1-5, A1-6, A1-7, A1-8, A1-9, A1-11, A1-13, A2-5, A2-8 and A4-2. 0.4 minutes on two cores.*
#
# An autoencoder gives each image a point. A **variational autoencoder** (变分自编码器, VAE) gives it a
# small cloud: a mean and a width in every direction of the code. The numbers of a VAE's code are called **latent
# variables** (隐变量). The decoder has to cope with any point of the
# cloud. And all clouds together have to look like one simple cloud around zero, the **prior** (先验分布).
# So a point drawn from the prior decodes to something that looks like the data: a VAE can draw.
#
# Two forces pull. The **reconstruction loss** (重建损失) wants small clouds far apart. The **KL
# divergence** (KL 散度) wants every cloud to be the prior. This chapter builds both terms, checks them
# against independent computations, and trains.

# %%
import math

import keras
import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae import Backup, Run, active_units, batches, dense_decoder, image_grid
from keras_vae import interpolations, load_images, reconstructions, training_curves
from keras_vae.networks import check_sizes, hidden_layers, output_dtype
from keras_vae.vae import check_input

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the first weights, the noise and the order of the batches
hidden_dims = (64,)  # A1: 64
latent_dim = 64  # A1: 64
beta = 1.0  # A1 §3.2.2 names it and gives no value; 1 makes the loss a bound on log p(x)
epochs = 10  # A1: 10
batch_size = 256  # A1: 256

# %% [markdown]
# ## Data

# %%
keras.utils.set_random_seed(seed)
run = Run("04_variational_autoencoder")
data, (x_train, y_train), (x_test, y_test) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # on the small digits an epoch is twenty passes

# %% [markdown]
# ## The formulas
#
# **What is minimised.** For an image $x$, the encoder gives a normal distribution $q(z | x) = N(\mu, \sigma^2)$ over the
# latent variables, and the decoder gives $p(x | z)$. The prior is $p(z) = N(0, I)$. $E_q$ is the mean over draws of z from q, and
# $D_{KL}(q \,\|\, p) = E_q[\log q - \log p]$ is never negative. Then
#
# $$-\log p(x) \;\le\; \underbrace{E_{q(z|x)}\big[-\log p(x | z)\big]}_{\text{reconstruction loss}}
# \;+\; \underbrace{D_{KL}\big(q(z | x)\,\|\,p(z)\big)}_{\text{KL loss}} \;=\; -\text{ELBO}$$
#
# because the two sides differ by $D_{KL}(q(z | x) \,\|\, p(z | x))$. Here $p(z | x)$ is the **posterior** (后验分布): which z the
# image really came from, as the decoder and the prior have it. Nobody can compute it; q stands in for it. The right side is the negative **evidence lower
# bound** (证据下界, ELBO). Making it small raises a lower bound of the log-probability that the model gives to the image. Both terms are sums, over the pixels and over the latent
# variables, in nats (奈特) an image. (A2 §3.4 prints the bound with $+\lVert x - \hat x\rVert^2$: raising that
# makes the copies worse, erratum A2-5. A4 §3.2.1 leaves the KL out, erratum A4-2.)
#
# **The KL term.** Between $N(\mu, \sigma^2)$ and $N(0, 1)$ it has a closed form, for each latent variable:
#
# $$D_{KL} = -\tfrac12 \big(1 + \log \sigma^2 - \mu^2 - \sigma^2\big)$$
#
# We check it against its definition, the mean of $\log q(z) - \log p(z)$ over draws from $q$:

# %%
mu, log_var = 1.0, -1.0
sigma = np.exp(0.5 * log_var)
closed_form = -0.5 * (1 + log_var - mu**2 - np.exp(log_var))
draws = np.random.default_rng(seed).normal(mu, sigma, 1_000_000)
monte_carlo = np.mean(
    scipy.stats.norm.logpdf(draws, mu, sigma) - scipy.stats.norm.logpdf(draws, 0, 1)
)
print(f"KL: closed form {closed_form:.4f} nats, mean over a million draws {monte_carlo:.4f}")

# %% [markdown]
# It is not a distance: exchange the two distributions and the value changes (erratum A1-8).

# %%
exchanged = 0.5 * (log_var + (1 + mu**2) / np.exp(log_var) - 1)
print(f"KL(q, p) = {closed_form:.3f}, KL(p, q) = {exchanged:.3f}")

# %% [markdown]
# **The network puts out $\log \sigma^2$ itself.** A linear layer gives any number; $\sigma =
# e^{\frac12 \log \sigma^2}$ is positive for any. The article takes the logarithm of the layer's output
# instead, which is not a number wherever the layer is negative (erratum A1-4):

# %%
layer_output = np.array([-1.0, 0.5, 2.0], "float32")
print("article: log of the output ", tf.math.log(layer_output).numpy())
print("here: sigma from the output", np.exp(0.5 * layer_output))

# %% [markdown]
# **The reparameterisation trick** (重参数化技巧). A draw from $N(\mu, \sigma^2)$ can't be differentiated. So draw
# $\varepsilon$ from $N(0, 1)$ first, and compute $z = \mu + \sigma \varepsilon$. Now $z$ is an ordinary formula in
# $\mu$ and $\sigma$, and gradients pass through it. `GradientTape` records what is computed, so that TensorFlow can
# differentiate it. Take the mean of $z^2$, which is $\mu^2 + \sigma^2$: its derivatives are $2 \mu = 2$ with respect to $\mu$
# and $\sigma^2 = 0.37$ with respect to $\log \sigma^2$. From a thousand draws they come out nearly so.

# %%
mu_variable, log_var_variable = tf.Variable(mu), tf.Variable(log_var)
with tf.GradientTape() as tape:
    epsilon = tf.random.stateless_normal((1000,), (seed, 0))
    z = mu_variable + tf.exp(0.5 * log_var_variable) * epsilon
    mean_square = tf.reduce_mean(z**2)
print("gradients:", [float(g) for g in tape.gradient(mean_square, [mu_variable, log_var_variable])])

# %% [markdown]
# **The reconstruction term.** With pixels in [0, 1] the decoder's sigmoid output $\hat x$ is read as the
# probability of white, a Bernoulli likelihood:
#
# $$-\log p(x | z) = -\sum_i \big[ x_i \log \hat x_i + (1 - x_i) \log (1 - \hat x_i) \big]$$
#
# (Strictly, that is a probability for pixels that are 0 or 1 only. For grey pixels it is the usual stand-in: a good loss,
# and a bound by analogy.) How large is it for a model that knows nothing but the mean image? This is the number to beat:

# %%
p = x_train.mean(axis=0).astype("float64").clip(1e-6, 1 - 1e-6)
mean_image = float(-np.mean(x_test @ np.log(p) + (1 - x_test) @ np.log(1 - p)))
print(f"predicting the mean image: {mean_image:.1f} nats an image")

# %% [markdown]
# ## The model
#
# The encoder has two linear heads. (In the article the mean is a ReLU layer, which can't be negative:
# the negative half of every coordinate is out of its reach, erratum A1-3.)

# %%
def gaussian_encoder(input_dim, hidden_dims, latent_dim, activation="relu", name="encoder"):
    """Build a VAE's encoder: (batch, input_dim) → [z_mean, z_log_var], each (batch, latent_dim).

    Both heads are linear: a mean may be negative, and so may the log of a variance. The standard
    deviation is exp(0.5 * z_log_var), positive whatever the network puts out.

    Args:
        input_dim: Width of an example, at least 1.
        hidden_dims: Sequence of the hidden layers' widths, in the order in which data passes.
        latent_dim: Number of latent variables, at least 1.
        activation: Of the hidden layers.
        name: Of the network.

    Returns:
        A functional `keras.Model`.

    Raises:
        TypeError, ValueError: A size is not a positive integer.

    Source: Kingma & Welling 2014, appendix C.2; A2 §4.
    """
    check_sizes(input_dim=input_dim, hidden_dims=hidden_dims, latent_dim=latent_dim)
    inputs = keras.Input((input_dim,), name="x")
    x = hidden_layers(inputs, hidden_dims, activation)
    z_mean = keras.layers.Dense(latent_dim, dtype=output_dtype(), name="z_mean")(x)
    z_log_var = keras.layers.Dense(latent_dim, dtype=output_dtype(), name="z_log_var")(x)
    return keras.Model(inputs, [z_mean, z_log_var], name=name)

# %% [markdown]
# The sampling layer is the reparameterisation trick, three lines of it. The rest keeps the noise
# repeatable. It asks for the shape while the program runs, since the batch size is not known before
# (erratum A1-5).

# %%
@keras.saving.register_keras_serializable(package="keras_vae")
class Sampling(keras.layers.Layer):
    """Draw z from N(z_mean, exp(z_log_var)) so that gradients pass: the reparameterisation trick.

    Takes [z_mean, z_log_var], each (batch, latent_dim); returns z of the same shape. The noise
    comes from a generator of the layer's own, saved with it; replicas draw different noise.

    Source: Kingma & Welling 2014, §2.4; A2 §3.2.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def noise(self, shape):
        """Return standard normal noise, float32."""
        replica = tf.distribute.get_replica_context()
        replica = replica.replica_id_in_sync_group if replica else 0
        seed = tf.cast(self.seed_generator.next() % (2**31 - 1), tf.int32)
        seed += tf.stack([1_000_003 * replica, 0])
        return tf.random.stateless_normal(shape, seed)

    def call(self, inputs):
        z_mean, z_log_var = inputs
        epsilon = tf.cast(self.noise(tf.shape(z_mean)), z_mean.dtype)
        return z_mean + tf.exp(0.5 * z_log_var) * epsilon

    def save_own_variables(self, store):
        store["seed_state"] = keras.ops.convert_to_numpy(self.seed_generator.state)

    def load_own_variables(self, store):
        self.seed_generator.state.assign(store["seed_state"])

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}

# %% [markdown]
# Now the model. Read `compute_losses` first: it holds the two terms of the formula. `train_step` is what
# Keras's `fit` calls for each batch. Everything else is checks, saving, and methods such as `encode` and `generate`.

# %%
@keras.saving.register_keras_serializable(package="keras_vae")
class VAE(keras.Model):
    """Variational autoencoder, trained to minimise −ELBO = reconstruction_loss + beta * kl_loss.

    Losses are in nats per example: sums over features and latent variables, means over the batch.
    Compile it with an optimizer and no loss; `fit` takes x, (x, y) pairs (y is not used) or a
    `tf.data` pipeline.

    Args:
        encoder: Functional Keras model, x → [z_mean, z_log_var], each (batch, latent_dim).
        decoder: Functional Keras model, z → the mean of p(x | z), in the shape of x.
        beta: Weight of the KL divergence, at least 0; may be set later, also while training.
        likelihood: "bernoulli" for x in [0, 1], with a decoder that ends in a sigmoid; "gaussian"
            (unit variance) for vectors without bounds.
        seed: Of the noise; None for a fresh one.

    Raises:
        TypeError: A network is no functional Keras model, or the encoder gives not two tensors.
        ValueError: Their shapes do not fit each other, beta is negative, the likelihood unknown, or
            Bernoulli with a linear decoder.

    Source: Kingma & Welling 2014, eq. 10; beta: Higgins et al. 2017; A1 §3.2 and §4.2; A0 §3.3.
    """

    def __init__(self, encoder, decoder, beta=1.0, likelihood="bernoulli", seed=None, name="vae",
                 **kwargs):
        super().__init__(name=name, **kwargs)
        for role, network in (("encoder", encoder), ("decoder", decoder)):
            if not isinstance(network, keras.Model) or not getattr(network, "inputs", None):
                raise TypeError(f"{role} must be a functional Keras model, got {network!r}")
        heads = encoder.output
        if not isinstance(heads, (list, tuple)) or len(heads) != 2:
            raise TypeError("encoder must return two tensors, [z_mean, z_log_var]")
        if not heads[0].shape == heads[1].shape == decoder.input_shape:
            raise ValueError(
                f"z_mean, z_log_var and the decoder's input must have one shape, "
                f"got {heads[0].shape}, {heads[1].shape} and {decoder.input_shape}"
            )
        if decoder.output_shape != encoder.input_shape:
            raise ValueError(
                f"decoder must return what the encoder takes, {encoder.input_shape}, "
                f"but its output is {decoder.output_shape}"
            )
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f'likelihood must be "bernoulli" or "gaussian", got {likelihood!r}')
        last = getattr(decoder.layers[-1], "activation", None)
        if likelihood == "bernoulli" and last is keras.activations.linear:
            raise ValueError('decoder must end in a sigmoid, or likelihood be "gaussian"')
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.sampling = Sampling(seed)
        # A variable: a Python number would be frozen into the traced training step.
        self._beta = self.add_weight((), "zeros", trainable=False, name="beta")
        self.beta = beta
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.reconstruction_loss_tracker = keras.metrics.Mean(name="reconstruction_loss")
        self.kl_loss_tracker = keras.metrics.Mean(name="kl_loss")
        self.build(encoder.input_shape)

    def build(self, input_shape):
        self.built = True  # both networks came with their weights

    @property
    def beta(self):
        """Weight of the KL divergence, a float."""
        return float(keras.ops.convert_to_numpy(self._beta))

    @beta.setter
    def beta(self, beta):
        if not 0 <= beta < math.inf:
            raise ValueError(f"beta must be a number of at least 0, got {beta!r}")
        self._beta.assign(beta)

    @property
    def metrics(self):
        return [self.loss_tracker, self.reconstruction_loss_tracker, self.kl_loss_tracker]

    def call(self, x, training=False):
        """Return the reconstruction of x from z_mean, without noise, in x's shape."""
        check_input(x, self.encoder.input_shape[1:], bounded=False)
        z_mean, _ = self.encoder(x, training=training)
        return self.decoder(z_mean, training=training)

    def negative_log_likelihood(self, x, reconstruction):
        """Return −log p(x | z) of each example, in nats, (batch,): a sum over the features."""
        x = tf.cast(x, reconstruction.dtype)
        if self.likelihood == "bernoulli":
            # Keras finds the logits behind the sigmoid and works with them, so no log(0) can occur.
            nats = keras.ops.binary_crossentropy(x, reconstruction)  # (batch, features)
        else:
            nats = 0.5 * (tf.square(x - reconstruction) + math.log(2 * math.pi))
        nats = tf.cast(nats, self.variable_dtype)
        return tf.reduce_sum(nats, axis=range(1, len(nats.shape)))

    def compute_losses(self, x, training=False):
        """Return loss, reconstruction_loss and kl_loss of a batch, in nats per example."""
        heads = self.encoder(x, training=training)
        z_mean, z_log_var = (tf.cast(head, self.variable_dtype) for head in heads)
        z = self.sampling([z_mean, z_log_var])  # (batch, latent_dim)
        reconstruction = self.decoder(z, training=training)
        # Sums over the features and over the latent variables, then means over the batch.
        reconstruction_loss = tf.reduce_mean(self.negative_log_likelihood(x, reconstruction))
        kl = -0.5 * (1 + z_log_var - tf.square(z_mean) - tf.exp(z_log_var))  # (batch, latent_dim)
        kl_loss = tf.reduce_mean(tf.reduce_sum(kl, axis=1))
        # self.losses: the weight penalties of the networks, if they have any.
        loss = reconstruction_loss + self._beta * kl_loss + sum(self.losses)
        return loss, reconstruction_loss, kl_loss

    def train_step(self, data):
        x = self._batch(data)
        with tf.GradientTape() as tape:
            losses = self.compute_losses(x, training=True)
            # Replicas add their gradients up: each gives its share.
            share = losses[0] / tf.distribute.get_strategy().num_replicas_in_sync
            share = self.optimizer.scale_loss(share)  # does nothing outside mixed_float16
        gradients = tape.gradient(share, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return self._track(losses, x)

    def test_step(self, data):
        x = self._batch(data)
        return self._track(self.compute_losses(x), x)

    def _batch(self, data):
        x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            raise ValueError("VAE takes no sample_weight or class_weight")
        check_input(x, self.encoder.input_shape[1:], self.likelihood == "bernoulli")
        return x

    def _track(self, losses, x):
        num = tf.shape(x)[0]  # the last batch is smaller, and on a replica it may be empty
        for tracker, value in zip(self.metrics, losses):
            tracker.update_state(tf.where(num > 0, value, 0.0), sample_weight=num)
        return {tracker.name: tracker.result() for tracker in self.metrics}

    def fit(self, x=None, *args, validation_data=None, **kwargs):
        """Train as `keras.Model.fit` does, once the arrays have been looked at."""
        self._check(x, "x")
        x_validation, _, _ = keras.utils.unpack_x_y_sample_weight(validation_data)
        self._check(x_validation, "validation_data")
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # else Keras warns that it does not shuffle those
        return super().fit(x, *args, validation_data=validation_data, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        """Measure as `keras.Model.evaluate` does, with one draw of z an example."""
        self._check(x, "x")
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """Reconstruct as `keras.Model.predict` does, once the array has been looked at."""
        self._check(x, "x")
        return super().predict(x, *args, **kwargs)

    def _check(self, x, name):
        for key in ("loss", "metrics", "weighted_metrics"):
            if self.get_compile_config().get(key):
                raise ValueError(f"VAE has its own loss and metrics: compile it without {key}")
        if hasattr(x, "__array__"):  # not a tf.data pipeline: data.check_images looks into those
            check_input(x, self.encoder.input_shape[1:], self.likelihood == "bernoulli", name)

    def encode(self, x):
        """Return z_mean and z_log_var of the array x, each (num, latent_dim); checks x as fit."""
        self._check(x, "x")
        return tuple(self.encoder.predict(x, verbose=0))

    def decode(self, z):
        """Return the mean of p(x | z) for the array z, (num, latent_dim)."""
        return self.decoder.predict(z, verbose=0)

    def reconstruct(self, x):
        """Return the array x after encoder and decoder, from z_mean, without noise."""
        return self.decode(self.encode(x)[0])

    def generate(self, num_samples, seed=None):
        """Return new examples, (num_samples, …): decoded draws of z from the prior N(0, I).

        `seed` repeats a draw; None takes the next from the model's own generator.
        """
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples!r}")
        shape = (num_samples, *self.decoder.input_shape[1:])
        generator = self.sampling.seed_generator if seed is None else seed
        return self.decode(keras.random.normal(shape, seed=generator))

    def get_config(self):
        networks = {"encoder": self.encoder, "decoder": self.decoder}
        networks = {k: keras.saving.serialize_keras_object(v) for k, v in networks.items()}
        settings = {"likelihood": self.likelihood, "seed": self.sampling.seed, "name": self.name}
        return {**networks, "beta": self.beta, **settings}

    @classmethod
    def from_config(cls, config):
        return cls(**keras.saving.deserialize_keras_object(config))

# %% [markdown]
# ## Training

# %%
vae = VAE(
    gaussian_encoder(784, hidden_dims, latent_dim),
    dense_decoder(latent_dim, hidden_dims[::-1], 784),
    beta=beta,
    seed=seed,
)
vae.compile(optimizer="adam", steps_per_execution=20)
dataset = batches(x_train, batch_size, seed, passes)
history = vae.fit(
    dataset,
    epochs=epochs,
    callbacks=[Backup(run.backups / "vae", dataset)],
    validation_data=(x_test, None),
    validation_batch_size=1000,
)

# %% [markdown]
# ## The numbers
#
# Keras's own evaluation on the test images, then the same quantities computed separately, in NumPy and SciPy: the encoder's
# outputs, noise drawn by NumPy, the closed-form KL and the Bernoulli term written out. And a count: a latent variable is
# **active** (活跃) if the variance of its `z_mean` over the test images is above 0.01; otherwise it has gone silent.

# %%
vae.beta = 1.0  # only then is the loss −ELBO, whatever β the model was trained with
elbo = vae.evaluate(x_test, batch_size=1000, verbose=0, return_dict=True)
z_mean, z_log_var = (head.astype("float64") for head in vae.encode(x_test))
noise = np.random.default_rng(seed).normal(size=z_mean.shape)
x_hat = vae.decode((z_mean + np.exp(0.5 * z_log_var) * noise).astype("float32"))
x_hat = x_hat.astype("float64").clip(1e-12, 1 - 1e-7)
numpy_reconstruction = float(
    -np.mean(np.sum(scipy.special.xlogy(x_test, x_hat) + (1 - x_test) * np.log1p(-x_hat), axis=1))
)
numpy_kl = float(np.mean(np.sum(-0.5 * (1 + z_log_var - z_mean**2 - np.exp(z_log_var)), axis=1)))
print("nats an image     Keras     NumPy")
print(f"reconstruction  {elbo['reconstruction_loss']:7.3f}   {numpy_reconstruction:7.3f}")
print(f"KL              {elbo['kl_loss']:7.3f}   {numpy_kl:7.3f}")
active = active_units(vae, x_test)
print(f"{active} of {latent_dim} latent variables are active")

# %% [markdown]
# The KL agrees to rounding. The reconstruction term differs a little, because each side drew its own noise.
#
# ## The pictures

# %%
run.save_figure(reconstructions(x_test[:10], vae.reconstruct(x_test[:10])), "reconstructions")

# %% [markdown]
# New digits: points from the prior $N(0, I)$, decoded. The article's `sample` sends its points through a
# layer that reads pixels, and raises an error (erratum A1-7).

# %%
run.save_figure(image_grid(vae.generate(50, seed=seed), columns=10), "generated")

# %%
ends = vae.encode(x_test[:10])[0]
run.save_figure(
    interpolations(vae.decode, ends[:5], ends[5:], title="straight walks between test images"),
    "interpolations",
)

# %%
run.save_figure(
    training_curves(history, ["loss", "val_loss"], ylabel="−ELBO, nats per image"),
    "training_curves",
)

# %%
run.save_model(vae, "vae")

# %% [markdown]
# ## What the article printed
#
# | erratum | what is printed | what stands here |
# |---|---|---|
# | A1-3 | the mean is the output of a ReLU layer: never negative | a linear head |
# | A1-4 | the logarithm of an unbounded linear output: NaN below zero | the output is the log of the variance |
# | A1-5 | noise of the static shape: an error, unless all batches are full | the shape at run time |
# | A1-6 | the Huber loss on three outputs and one target: an error; mended, still no KL | reconstruction + β KL |
# | A1-7 | `sample` puts z through the layer that reads pixels: an error | `generate`: prior, then decoder |
# | A1-8 | the KL is called an entropy distance | it is not symmetric: a divergence |
# | A1-9 | the scale is a layer of its own on the pixels: an error unless it is as wide as the hidden layer | both heads on the hidden layer |
# | A1-11 | with all else mended, no KL in the loss | reconstruction + β KL |
# | A1-13 | choose β by the best score in cross-validation: by its own loss β = 0 always wins | one yardstick, the bound at β = 1 |
# | A2-5 | a bound with −KL and *plus* the squared error | ELBO = −reconstruction loss − KL |
# | A2-8 | the reconstruction counted twice; the bound once minimised, once maximised | −ELBO, minimised |
# | A4-2 | the VAE's objective is printed as the autoencoder's | the ELBO |

# %% [markdown]
# Three of them at work. First the listing mended but for its loss: no KL (A1-11). It is the same model with β = 0. Its copies
# are fine. Its draws from the prior fall between the clouds. (A third of the epochs is enough to see it.)

# %%
keras.utils.set_random_seed(seed)
without_kl = VAE(
    gaussian_encoder(784, hidden_dims, latent_dim),
    dense_decoder(latent_dim, hidden_dims[::-1], 784),
    beta=0.0,
    seed=seed,
)
without_kl.compile(optimizer="adam", steps_per_execution=20)
without_kl.fit(batches(x_train, batch_size, seed, passes), epochs=max(1, epochs // 3), verbose=0)
without_kl.beta = 1.0
bound_without_kl = without_kl.evaluate(x_test, batch_size=1000, verbose=0)[0]
print(f"−ELBO of the model trained without the KL: {bound_without_kl:.0f} nats")
run.save_figure(
    image_grid(without_kl.generate(20, seed=seed), columns=10, title="drawn without the KL in the loss"),
    "without_kl",
)

# %% [markdown]
# Then the ReLU mean (A1-3) and the bound of the wrong sign (A2-5). One small step of the decoder *up* each of two bounds, and
# what becomes of the reconstruction loss:

# %%
relu_mean = tf.nn.relu(vae.encode(x_test)[0]).numpy()
print(f"least mean: {z_mean.min():.2f}; behind a ReLU: {relu_mean.min():.2f}")
batch = x_test[:256]
for name, sign in (("−KL + error, as printed", 1), ("−KL − error", -1)):
    kept = vae.decoder.get_weights()
    vae.sampling.seed_generator.state.assign([seed, 1])  # the same noise before and after
    with tf.GradientTape() as tape:
        _, error_before, kl = vae.compute_losses(batch)
        bound = -kl + sign * error_before
    variables = vae.decoder.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(bound, variables)):
        variable.assign_add(1e-4 * gradient)
    vae.sampling.seed_generator.state.assign([seed, 1])
    change = float(vae.compute_losses(batch)[1] - error_before)
    vae.decoder.set_weights(kept)
    print(f"a step up {name:24} the error changes by {change:+.1e} nats")

# %% [markdown]
# ## What to expect

# %%
run.finish(
    data,
    [
        ("test −ELBO, nats per image", elbo["loss"], {"mnist": (118, 126), "digits": (270, 338)}),
        ("  reconstruction loss", elbo["reconstruction_loss"], {"mnist": (95.7, 103), "digits": (256, 324)}),
        ("  KL loss", elbo["kl_loss"], {"mnist": (22, 23.1), "digits": (10.3, 16.6)}),
        ("predicting the mean image", mean_image, {"mnist": (201, 210), "digits": (319, 391)}),
        ("KL, Keras against NumPy: difference", abs(elbo["kl_loss"] - numpy_kl), {"mnist": (0, 4e-06), "digits": (0, 1.7e-06)}),
        (
            "reconstruction, the same",
            abs(elbo["reconstruction_loss"] - numpy_reconstruction),
            {"mnist": (0, 0.44), "digits": (0, 1.4)},
        ),
        ("active units", active, {"mnist": (62, 64), "digits": (59, 64)}),
        ("trained without the KL: −ELBO", bound_without_kl, {"mnist": (1160, 1310), "digits": (825, 1080)}),
    ],
)

# %% [markdown]
# ## Exercises
#
# 1. Which of the two terms would be zero if every cloud were exactly the prior, and what would the
#    reconstructions look like?
#    <details><summary>Answer</summary>
#
#    The KL. Then z tells nothing about x, and the best the decoder can do is the mean image, at the
#    cost that the chapter prints.
#    </details>
# 2. Predict first: what do `beta=0.0` and `beta=10.0` do to the copies and to the generated digits? Run
#    `python tutorials 4 beta=0.0`.
#    <details><summary>Answer</summary>
#
#    With 0 the generated digits turn into noise, as above: nothing holds the clouds near the prior, so a draw from the
#    prior lands between them. With 10 the KL falls to half a nat, z tells next to nothing, and the reconstruction loss
#    rises to 198 nats, close to that of the mean image.
#    </details>
# 3. Four times as many epochs: which term improves, and does the number of active units fall? Run
#    `python tutorials 4 epochs=40`.
#    <details><summary>Answer</summary>
#
#    The reconstruction loss, from 100 to 88 nats on MNIST; the KL even rises a little, from 22.5 to 24.7. The active units
#    fall from 64 to 35: in the long run it pays to let a weak latent variable go silent and save its KL.
#    </details>
# 4. At the defaults all 64 latent variables are active. Does the decoder need them all? Keep the 32 with the greatest KL, set
#    the others to 0, the mean of the prior, and decode. Then keep 16, and none. Predict the errors first.
#    <details><summary>Answer</summary>
#
#    On MNIST the copies hardly notice: 0.0171 with all 64, 0.0178 with 32, 0.0206 with 16; with none it is one picture for
#    all, 0.0699. Sixteen of them carry 19 of the 22.5 nats. "Active" is a low bar.
#
#    ```python
#    from keras_vae import kl_per_latent
#
#    strongest_first = np.argsort(kl_per_latent(vae, x_test))[::-1]
#    z_mean = vae.encode(x_test)[0]
#    for num in (64, 32, 16, 0):
#        z = np.zeros_like(z_mean)
#        z[:, strongest_first[:num]] = z_mean[:, strongest_first[:num]]
#        print(num, "kept: MSE per pixel", np.mean((vae.decode(z) - x_test) ** 2).round(4))
#    ```
#    </details>
