# %% [markdown]
# # 8. Dense GAN
#
# *Reproduces A4 §2.2.2, §3.2.2 and §4.2. Corrects errata A4-3, A4-4, A4-5, A4-6, A4-7, A4-8, A4-9 and A4-10. 1.9 minutes on two cores.*
#
# A **generative adversarial network** (生成对抗网络, GAN) is a game of two networks. The **generator**
# (生成器) turns noise into images. The **discriminator** (判别器) sees real and generated images and says which is
# which. Each learns from the other's success. There is no encoder, no likelihood and no bound: nothing
# but the opponent tells the generator how good it is.
#
# So how do we know? With two checks of our own: a classifier that tells which digits appear among the
# generated ones, and our eyes.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from keras_vae import Backup, Run, SampleGrid, batches, image_grid, load_images
from keras_vae import training_curves
from keras_vae.gan import check_input
from keras_vae.networks import check_sizes, hidden_layers, output_dtype

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the first weights, the noise and the order of the batches
noise_dim = 100  # A4: 100
generator_hidden_dims = (128,)  # A4: 128
discriminator_hidden_dims = (128,)  # A4: 128
epochs = 25  # A4: 1000
batch_size = 32  # A4: 32
learning_rate = 0.0002  # A4 names no optimizer; these are Radford et al. 2016's
beta_1 = 0.5
label_smoothing = 0.1
dropout = 0.3  # in the discriminator

# %% [markdown]
# ## Data

# %%
keras.utils.set_random_seed(seed)
run = Run("08_dense_gan")
data, (x_train, y_train), (x_test, y_test) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # on the small digits an epoch is twenty passes

# %% [markdown]
# ## The formulas
#
# The discriminator gives a score $d$ (a **logit**, 对数几率) to each image; $D = \sigma(d)$ is its probability of being real.
# Real images have label 1 and generated (fake) ones 0. With $E_{\text{real}}$ and $E_{\text{fake}}$ for the means over real
# and generated images, it minimises the cross-entropy:
#
# $$L_D = -E_{\text{real}}[\log D] - E_{\text{fake}}[\log (1 - D)]$$
#
# The generator wants the opposite. Goodfellow et al. 2014 give two ways to say so:
#
# $$L_G^{\text{saturating}} = E_{\text{fake}}[\log (1 - D)] \qquad
# L_G^{\text{non-saturating}} = -E_{\text{fake}}[\log D]$$
#
# Both fall when $D$ rises. But early on the discriminator is sure: $d$ is far below 0. Look at the gradients
# with respect to $d$ there. The third row is the article's, minus the mean of a sigmoid's output (erratum A4-3):

# %%
d = tf.Variable([-8.0, -4.0, 0.0, 4.0])
losses = {
    "saturating": lambda: tf.math.log(1 - tf.sigmoid(d)),
    "non-saturating": lambda: -tf.math.log(tf.sigmoid(d)),
    "article": lambda: -tf.sigmoid(d),
}
print(f"{'logit':16}", d.numpy())
for name, loss in losses.items():
    with tf.GradientTape() as tape:
        value = loss()
    print(f"{name:16}", tape.gradient(value, d).numpy().round(4))

# %% [markdown]
# Where the discriminator is sure that an image is fake, at −8, only the non-saturating loss still says
# how to get better. That is the one we use.
#
# ## The model
#
# The generator and the discriminator, with the article's sizes:

# %%
def dense_generator(noise_dim, hidden_dims, output_dim, activation="relu", name="generator"):
    """Build a GAN's generator: noise, (batch, noise_dim) → images in [0, 1], (batch, output_dim).

    Args:
        noise_dim: Width of the noise, at least 1.
        hidden_dims: Sequence of the hidden layers' widths, in the order in which data passes.
        output_dim: Pixels of an image, at least 1.
        activation: Of the hidden layers.
        name: Of the network.

    Returns:
        A functional `keras.Model`.

    Raises:
        TypeError, ValueError: A size is not a positive integer.
    """
    check_sizes(noise_dim=noise_dim, hidden_dims=hidden_dims, output_dim=output_dim)
    inputs = keras.Input((noise_dim,), name="noise")
    x = hidden_layers(inputs, hidden_dims, activation)
    images = keras.layers.Dense(output_dim, "sigmoid", dtype=output_dtype(), name="images")(x)
    return keras.Model(inputs, images, name=name)

# %%
def dense_discriminator(
    input_dim, hidden_dims, activation="relu", dropout=0.0, name="discriminator"
):
    """Build a GAN's discriminator: images, (batch, input_dim) → one logit, (batch, 1).

    A positive logit means "real". There is no sigmoid: the loss takes the logit (A4 §4.2 has one).

    Args:
        input_dim: Pixels of an image, at least 1.
        hidden_dims: Sequence of the hidden layers' widths, in the order in which data passes.
        activation: Of the hidden layers.
        dropout: Share of the last hidden layer's units that is dropped in training, in [0, 1).
        name: Of the network.

    Returns:
        A functional `keras.Model`.

    Raises:
        TypeError, ValueError: A size is not a positive integer, or dropout is outside.
    """
    check_sizes(input_dim=input_dim, hidden_dims=hidden_dims)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must lie in [0, 1), got {dropout!r}")
    inputs = keras.Input((input_dim,), name="x")
    x = hidden_layers(inputs, hidden_dims, activation)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    logit = keras.layers.Dense(1, dtype=output_dtype(), name="logit")(x)
    return keras.Model(inputs, logit, name=name)

# %% [markdown]
# The game. `compute_losses` holds the formulas; in `train_step` each loss moves its own network, with an
# optimizer of its own (the article's networks have none and stop, erratum A4-4). What is reported is the
# mean over an epoch, not the last batch (erratum A4-5).

# %%
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

# %% [markdown]
# ## Training
#
# The label smoothing (标签平滑) asks the discriminator for 0.9 instead of 1 on real images: with a smoothing of $s$ their term
# is $-E_{\text{real}}[(1 - s) \log D + s \log (1 - D)]$. The **dropout** (随机失活) takes away some of its units at random. Both
# keep it from being too sure. An animation shows what the same noise becomes during training: `film/samples.gif`
# in the run's folder.
#
# In so small a network Adam's own arithmetic, a dozen operations a weight, takes a good part of a step. `FusedAdam` of this
# package does the same in one operation, and may stand in its place here; the README's table of speeds says what that gains.

# %%
gan = GAN(
    dense_generator(noise_dim, generator_hidden_dims, 784),
    dense_discriminator(784, discriminator_hidden_dims, dropout=dropout),
    noise_dim,
    label_smoothing=label_smoothing,
    seed=seed,
)
gan.compile(
    g_optimizer=keras.optimizers.Adam(learning_rate, beta_1=beta_1),
    d_optimizer=keras.optimizers.Adam(learning_rate, beta_1=beta_1),
    steps_per_execution=50,
)
fixed_noise = np.random.default_rng(seed).normal(size=(64, noise_dim)).astype("float32")
film = SampleGrid(gan.generator, fixed_noise, run.folder / "film", every=max(1, epochs // 20))
dataset = batches(x_train, batch_size, seed, passes)
backup = Backup(run.backups / "gan", dataset)
history = gan.fit(dataset, epochs=epochs, callbacks=[film, backup], verbose=2)
run.save_model(gan, "gan")

# %% [markdown]
# ## The numbers
#
# A small classifier, trained on the real images and their labels, tells the generated digits apart.

# %%
classifier = keras.Sequential(
    [
        keras.Input((784,)),
        keras.layers.Dense(256, "relu"),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(10),
    ],
    name="classifier",
)
classifier.compile(
    "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
)
classifier.fit(batches((x_train, y_train), 128, seed, passes), epochs=5, shuffle=False, verbose=2)
accuracy = classifier.evaluate(x_test, y_test, verbose=0)[1]

generated = gan.generate(1000, seed=seed)
digits = classifier.predict(generated, verbose=0).argmax(axis=1)
shares = np.bincount(digits, minlength=10) / len(digits)
print(f"classifier: {accuracy:.1%} of the test images are right")
print("share of each digit among 1000 generated images:")
print("  ".join(f"{digit}: {share:.1%}" for digit, share in enumerate(shares)))

# %% [markdown]
# ## The pictures

# %%
run.save_figure(image_grid(generated[:100], title="generated"), "generated")

# %% [markdown]
# Is it drawing, or copying? Under each generated image stands the nearest of the first 10 000 training images. If the
# generator only copied, the two rows would be equal. They are alike, and not equal.

# %%
x_some = x_train[:10000]
distances = (
    np.sum(generated[:10] ** 2, axis=1)[:, None]
    - 2 * generated[:10] @ x_some.T
    + np.sum(x_some**2, axis=1)
)
nearest = x_some[distances.argmin(axis=1)]
figure = image_grid(np.concatenate([generated[:10], nearest]), columns=10,
                    title="generated, and the nearest training image")
run.save_figure(figure, "nearest")

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
plt.close(figure)
training_curves(history, ["d_loss", "g_loss"], "nats per image", "losses", ax=axes[0])
training_curves(
    history, ["d_accuracy_real", "d_accuracy_fake"], "share right", "discriminator", ax=axes[1]
)
axes[1].set_ylim(0, 1)
axes[1].axhline(0.5, color="grey", linewidth=1)
run.save_figure(figure, "training_curves")

# %%
figure, ax = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
plt.close(figure)
ax.bar(np.arange(10), 100 * shares, color="#332288")
ax.axhline(10, color="grey", linewidth=1)
ax.set(xlabel="digit, as the classifier reads it", ylabel="share of 1000 images, %")
ax.set_xticks(range(10))
run.save_figure(figure, "digit_shares")

# %% [markdown]
# The losses do not fall to zero, and should not: each measures one player against the other. A loss that
# goes to zero means that one has won and the game is over. The accuracies, measured in training
# with the dropout on, say it plainer: 0.5 would be a discriminator that can only guess, 1.0 one that is never fooled.
#
# ## What the article printed
#
# | erratum | what is printed | what stands here |
# |---|---|---|
# | A4-3 | plus and minus the mean of sigmoid outputs as losses: the gradient fades where the discriminator is sure | cross-entropy on logits, non-saturating |
# | A4-4 | `generator.optimizer` of a network that was never compiled: an error | two optimizers, given to `compile` |
# | A4-5 | the loss of the last batch stands for the epoch | a mean over the epoch |
# | A4-6 | images generated before the tapes are opened: no gradient, an error | the generator inside the tape |
# | A4-7 | `real_images` is used and never made: a `NameError` | `load_images` |
# | A4-8 | the same batches in every epoch | a new order each epoch |
# | A4-9 | whole batches only: the last images are never seen | the last batch is smaller |
# | A4-10 | the discriminator is to maximise its own loss | each minimises its own |

# %% [markdown]
# A4-3 at work: the article's losses, plus and minus the mean of the sigmoid's output, for a few epochs, all else as above.

# %%
class ArticleLosses(GAN):
    """The GAN of this chapter with the losses of A4 §4.2."""

    def compute_losses(self, real, training=False):
        fake = self.generator(self.noise(tf.shape(real)[0]), training=training)
        real_output = tf.sigmoid(self.discriminator(real, training=training))
        fake_output = tf.sigmoid(self.discriminator(fake, training=training))
        d_loss = tf.reduce_mean(fake_output) - tf.reduce_mean(real_output)
        accuracies = [tf.reduce_mean(tf.cast(o, tf.float32)) for o in (real_output > 0.5, fake_output <= 0.5)]
        return d_loss, -tf.reduce_mean(fake_output), *accuracies


keras.utils.set_random_seed(seed)
article = ArticleLosses(
    dense_generator(noise_dim, generator_hidden_dims, 784),
    dense_discriminator(784, discriminator_hidden_dims),
    noise_dim,
    seed=seed,
)
article.compile("adam", "adam", steps_per_execution=50)
faded = article.fit(batches(x_train, batch_size, seed, passes), epochs=max(1, epochs // 8), verbose=0)
print({name: round(values[-1], 3) for name, values in faded.history.items()})
slopes = {}
for name, model in (("the article's losses", article), ("this chapter's", gan)):
    p = tf.sigmoid(model.discriminator.predict(model.generate(1000, seed=seed), verbose=0))
    slopes[name] = float(tf.reduce_mean(p * (1 - p)))
    print(f"{name}: mean slope of the sigmoid on generated images {slopes[name]:.4f} (0.25 at most)")
title = "the article's losses: generated"
run.save_figure(image_grid(article.generate(20, seed=seed), columns=10, title=title), "article_losses")

# %% [markdown]
# One of the two has won. Depending on the seed the discriminator calls nearly all generated images fake (an accuracy of 1), or
# nearly all real (0). Either way its sigmoid is flat where the images lie, both gradients have faded, and the game is over.
# Compare the pictures.
#
# ## What to expect

# %%
last = {name: values[-1] for name, values in history.history.items()}
run.finish(
    data,
    [
        ("digits that appear among 1000", int(np.sum(shares > 0)), {"mnist": (10, 10), "digits": (8, 12)}),
        ("rarest digit, % of 1000", 100 * shares.min(), {"mnist": (1, 10), "digits": (0.799, 5.3)}),
        ("most frequent digit, % of 1000", 100 * shares.max(), {"mnist": (10, 30), "digits": (16.3, 21.7)}),
        ("classifier: test accuracy, %", 100 * accuracy, {"mnist": (97, 100), "digits": (87.9, 100)}),
        ("slope of the sigmoid, the article's losses", slopes["the article's losses"], {"mnist": (0, 1.46e-06), "digits": (0, 6.8e-09)}),
        ("slope of the sigmoid, this chapter's", slopes["this chapter's"], {"mnist": (0.115, 0.145), "digits": (0.0818, 0.192)}),
        ("discriminator loss, nats", last["d_loss"], {"mnist": (0.788, 0.875), "digits": (0.734, 0.906)}),
        ("generator loss, nats", last["g_loss"], {"mnist": (1.81, 2.06), "digits": (1.51, 1.89)}),
        ("accuracy on real images", last["d_accuracy_real"], {"mnist": (0.748, 0.792), "digits": (0.69, 0.853)}),
        ("accuracy on generated images", last["d_accuracy_fake"], {"mnist": (0.922, 0.97), "digits": (0.861, 1)}),
    ],
)

# %% [markdown]
# ## Exercises
#
# 1. What is the discriminator's loss if it can only guess, so that $d = 0$ everywhere?
#    <details><summary>Answer</summary>
#
#    $-\log \tfrac12 - \log \tfrac12 = 2 \log 2 = 1.39$ nats. Label smoothing does not change it.
#    </details>
# 2. Predict first: what happens with `learning_rate=0.001 beta_1=0.9 dropout=0.0 label_smoothing=0.0`? These are
#    Adam's defaults in Keras, with neither dropout nor smoothing.
#    <details><summary>Answer</summary>
#
#    The digits drift out of balance. With `epochs=40` as well, a third of our thousand images were 3s and one in fifty a 7.
#    The discriminator was right on nine generated images of ten, and rising.
#    </details>
# 3. Why does the table count digits, and not only look at the pictures?
#    <details><summary>Answer</summary>
#
#    A generator that draws one perfect 1 again and again fools the discriminator for a while: **mode
#    collapse** (模式崩溃). Ten pictures may not show it; the shares do.
#    </details>
# 4. The discriminator saw the training images many times. Does it know them by heart? Predict what it says to training images, test
#    images, generated images and plain noise, then ask it.
#    <details><summary>Answer</summary>
#
#    In our run on MNIST it called 82 % of the training images real, as many of the test images, 2 % of the generated ones and no
#    noise at all. So it has learned what digits look like, not which ones it saw. Dropout and smoothing help with that.
#
#    ```python
#    noise = np.random.default_rng(seed).uniform(size=(1000, 784)).astype("float32")
#    shown = {"training": x_train[:1000], "test": x_test[:1000], "generated": generated, "noise": noise}
#    for name, images in shown.items():
#        logits = gan.discriminator.predict(images, verbose=0)
#        print(f"{name}: {np.mean(logits > 0):.0%} called real")
#    ```
#    </details>
