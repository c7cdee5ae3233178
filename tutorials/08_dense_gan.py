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

from keras_vae import GAN, Backup, Run, SampleGrid, batches, dense_discriminator
from keras_vae import dense_generator, image_grid, load_images, training_curves

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
# The generator and the discriminator, with the article's sizes. The generator ends in a sigmoid, so that its pixels lie in [0, 1];
# the discriminator puts out a logit, without one.

# %%
generator = dense_generator(noise_dim, generator_hidden_dims, 784)
discriminator = dense_discriminator(784, discriminator_hidden_dims, dropout=dropout)

# %% [markdown]
# A sketch of the game. With $D = \sigma(d)$ both logarithms are one function of the logit, the softplus: $-\log D = \log (1 + e^{-d})$ and
# $-\log (1 - D) = \log (1 + e^{d})$. **Label smoothing** (标签平滑) asks the discriminator for 0.9 instead of 1 on real images, which keeps
# it from being too sure: with a smoothing of $s$ their term is $-E_{\text{real}}[(1 - s) \log D + s \log (1 - D)]$, in logits
# $E_{\text{real}}[\log (1 + e^d) - (1 - s) d]$.
#
# Keras's `compile` knows one optimizer, so ours takes the second (the article's networks have none and stop, erratum A4-4); `build`
# makes their state before the first step. In `train_step` each loss moves its own network. The noise is turned into images *inside*
# the tape, which records what is computed; else no gradient would reach the generator. The tape is persistent, because it is asked
# twice: once for each player. `training=True` turns the dropout on. The last two values say whether the discriminator was right;
# their means are its accuracies. What is reported is the mean over an epoch, not the last batch (erratum A4-5).

# %%
class SketchGAN(keras.Model):
    def __init__(self, generator, discriminator, label_smoothing=0.0, seed=None):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.label_smoothing = label_smoothing
        self.seed_generator = keras.random.SeedGenerator(seed)
        names = ("d_loss", "g_loss", "d_accuracy_real", "d_accuracy_fake")
        self.trackers = [keras.metrics.Mean(name=name) for name in names]

    @property
    def metrics(self):
        return self.trackers

    def compile(self, g_optimizer, d_optimizer, **kwargs):
        super().compile(g_optimizer, **kwargs)
        self.d_optimizer = d_optimizer
        g_optimizer.build(self.generator.trainable_variables)
        d_optimizer.build(self.discriminator.trainable_variables)

    def compute_losses(self, real):
        shape = (tf.shape(real)[0], self.generator.input_shape[1])
        noise = keras.random.normal(shape, seed=self.seed_generator)
        fake = self.generator(noise, training=True)
        d_real = self.discriminator(real, training=True)  # logits, (batch, 1)
        d_fake = self.discriminator(fake, training=True)
        d_loss = tf.nn.softplus(d_real) - (1 - self.label_smoothing) * d_real
        d_loss += tf.nn.softplus(d_fake)
        g_loss = tf.nn.softplus(-d_fake)  # non-saturating
        return d_loss, g_loss, d_real > 0, d_fake <= 0

    def train_step(self, real):
        with tf.GradientTape(persistent=True) as tape:
            losses = self.compute_losses(real)
            d_loss, g_loss = tf.reduce_mean(losses[0]), tf.reduce_mean(losses[1])
        for loss, optimizer, network in (
            (d_loss, self.d_optimizer, self.discriminator),
            (g_loss, self.optimizer, self.generator),
        ):
            gradients = tape.gradient(loss, network.trainable_variables)
            optimizer.apply_gradients(zip(gradients, network.trainable_variables))
        for tracker, values in zip(self.trackers, losses):
            tracker.update_state(values)
        return {tracker.name: tracker.result() for tracker in self.trackers}

# %% [markdown]
# ## Training
#
# The **dropout** (随机失活) takes away some of the discriminator's units at random. It, too, keeps it from being too sure. An animation
# shows what the same noise becomes during training: `film/samples.gif` in the run's folder.

# %%
sketch = SketchGAN(generator, discriminator, label_smoothing, seed)
sketch.compile(
    g_optimizer=keras.optimizers.Adam(learning_rate, beta_1=beta_1),
    d_optimizer=keras.optimizers.Adam(learning_rate, beta_1=beta_1),
    steps_per_execution=50,
)
fixed_noise = np.random.default_rng(seed).normal(size=(64, noise_dim)).astype("float32")
film = SampleGrid(generator, fixed_noise, run.folder / "film", every=max(1, epochs // 20))
dataset = batches(x_train, batch_size, seed, passes)
backup = Backup(run.backups / "gan", dataset)
history = sketch.fit(
    dataset, epochs=epochs, callbacks=[film, backup], verbose=2, shuffle=False
)

# %%
noise = keras.random.normal((1000, noise_dim), seed=seed)
generated = generator.predict(noise, verbose=0)
run.save_figure(image_grid(generated[:100], title="generated"), "generated")

# %% [markdown]
# Bright, with hard edges; some are torn. Which digits they are is counted below.
#
# ## From the sketch to the package
#
# `keras_vae.GAN` is the same model. A test holds the two together: with equal weights and equal noise they give equal losses and
# equal gradients, to twelve digits in double precision. What the package's class adds:
#
# | the sketch | `keras_vae.GAN` |
# |---|---|
# | trains on whatever comes | refuses pixels of 0 to 255 as integers, and a batch with NaN or with values that its generator can't make, which then moves no weight |
# | takes any two networks | refuses networks that do not fit, and a discriminator that ends in a sigmoid |
# | can't be saved: it has no `get_config` (chapter 2) | saves and loads, with both optimizers, and goes on as if never stopped |
# | one device, single precision | several devices (chapter 15), each with its own noise; mixed precision |
# | | `generate`, `predict`, `evaluate` on held-out images |
#
# (On a GPU Keras compiles the step with XLA, which drops the checks of values; the README says how to keep them.)
# It takes the networks that the sketch has trained, and both optimizers with their state.

# %%
gan = GAN(generator, discriminator, label_smoothing=label_smoothing, seed=seed)
gan.compile(sketch.optimizer, sketch.d_optimizer)
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

digits = classifier.predict(generated, verbose=0).argmax(axis=1)
shares = np.bincount(digits, minlength=10) / len(digits)
print(f"classifier: {accuracy:.1%} of the test images are right")
print("share of each digit among 1000 generated images:")
print("  ".join(f"{digit}: {share:.1%}" for digit, share in enumerate(shares)))

# %% [markdown]
# ## The pictures
#
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
# A4-3, demonstrated: the article's losses, plus and minus the mean of the sigmoid's output, for a few epochs, with Adam's defaults in
# Keras and without dropout and smoothing, which the article does not have. The class derives from the package's `GAN`, whose
# method `noise` draws the noise, and whose `compute_losses` is told whether it is training.

# %%
class ArticleLosses(GAN):
    """The GAN of this chapter with the losses of A4 §4.2."""

    def compute_losses(self, real, training=False):
        fake = self.generator(self.noise((tf.shape(real)[0], noise_dim)), training=training)
        real_output = tf.sigmoid(self.discriminator(real, training=training))
        fake_output = tf.sigmoid(self.discriminator(fake, training=training))
        d_loss = fake_output - real_output
        return d_loss, -fake_output, real_output > 0.5, fake_output <= 0.5


keras.utils.set_random_seed(seed)
article = ArticleLosses(
    dense_generator(noise_dim, generator_hidden_dims, 784),
    dense_discriminator(784, discriminator_hidden_dims),
    seed=seed,
)
article.compile("adam", "adam", steps_per_execution=50)
few = batches(x_train, batch_size, seed, passes)
faded = article.fit(few, epochs=max(1, epochs // 8), shuffle=False, verbose=0)
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
    {
        "digits that appear among 1000": int(np.sum(shares > 0)),
        "rarest digit, % of 1000": 100 * shares.min(),
        "most frequent digit, % of 1000": 100 * shares.max(),
        "classifier: test accuracy, %": 100 * accuracy,
        "slope of the sigmoid, the article's losses": slopes["the article's losses"],
        "slope of the sigmoid, this chapter's": slopes["this chapter's"],
        "discriminator loss, nats": last["d_loss"],
        "generator loss, nats": last["g_loss"],
        "accuracy on real images": last["d_accuracy_real"],
        "accuracy on generated images": last["d_accuracy_fake"],
    },
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
