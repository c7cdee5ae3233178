# %% [markdown]
# # Find the bug
#
# *Twelve short listings, each with one mistake of the kinds that the articles make. 1 minute on two cores.*
#
# Read a listing. Predict what it prints. Run it. Name the mistake, and only then unfold the answer. The listings
# are our own, and short on purpose. All take scikit-learn's small digits, so the page needs no download.
#
# Where a listing stops, the page prints the message and goes on.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

from keras_vae import GAN, Run, dense_decoder, dense_discriminator, dense_encoder, dense_generator
from keras_vae import gaussian_encoder, image_grid, load_digits

# %% tags=["parameters"]
seed = 0  # of the first weights and the noise
epochs = 30  # of each listing that trains

# %%
run = Run("find_the_bug")
(x_train, y_train), (x_test, y_test) = load_digits()
found = {}  # what the listings show

# %% [markdown]
# Several listings train a small VAE: 784–64–z8–64–784. They differ in the loss only, so here is the rest, and there is no mistake
# in it. The decoder puts out logits: `tf.sigmoid` makes pixels of them. `train` takes a function that computes the loss of a batch.

# %%
def small_networks():
    """Return an encoder with two heads and a decoder, with the same first weights each time."""
    keras.utils.set_random_seed(seed)
    return gaussian_encoder(784, (64,), 8), dense_decoder(8, (64,), 784)


def train(loss_of_batch, variables, learning_rate=0.003):
    """Run Adam on loss_of_batch for some epochs; return the loss of the last batch."""
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(variables)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = loss_of_batch(x)
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients((g, v) for g, v in zip(gradients, variables) if g is not None)
        return loss

    for _ in range(epochs):
        for start in range(0, len(x_train), 128):
            loss = step(x_train[start : start + 128])
    return float(loss)


def sample(z_mean, z_log_var):
    """Return z by the reparameterisation trick."""
    return z_mean + tf.exp(0.5 * z_log_var) * tf.random.normal(tf.shape(z_mean))


def kl_of(z_mean, z_log_var):
    """Return the KL of each image in nats, (batch,)."""
    return -0.5 * tf.reduce_sum(1 + z_log_var - z_mean**2 - tf.exp(z_log_var), axis=1)


def nats_of(x, logits):
    """Return the Bernoulli reconstruction loss of each image in nats, (batch,)."""
    return tf.reduce_sum(tf.nn.softplus(logits) - x * logits, axis=1)

# %% [markdown]
# ## Listing 1
#
# An autoencoder. The loss falls and falls. Is that good?

# %%
def listing_1():
    images = (255 * x_train).astype("float32")
    encoder = dense_encoder(784, (), 32)
    decoder = dense_decoder(32, (), 784, output_activation="sigmoid")
    autoencoder = keras.Model(encoder.input, decoder(encoder.output))
    autoencoder.compile("adam", "binary_crossentropy")
    return autoencoder.fit(images, images, epochs=5, verbose=0).history["loss"]


keras.utils.set_random_seed(seed)
found[1] = listing_1()
print("loss:", np.round(found[1], 1))

# %% [markdown]
# <details><summary>Answer</summary>
#
# A cross-entropy is never negative, for targets between 0 and 1. These are between 0 and 255. Then
# $-x \log \hat x - (1 - x) \log (1 - \hat x)$ has no floor, and the network drives every pixel to white. Divide by 255.
# `keras_vae` refuses such images.
# </details>
#
# ## Listing 2
#
# A VAE with both terms. The loss looks fine. Then we draw from the prior.

# %%
def listing_2():
    encoder, decoder = small_networks()

    def loss_of_batch(x):
        z_mean, z_log_var = encoder(x)
        reconstruction = tf.reduce_mean(nats_of(x, decoder(sample(z_mean, z_log_var))))
        kl = -0.5 * tf.reduce_mean(1 + z_log_var - z_mean**2 - tf.exp(z_log_var))
        return reconstruction + kl / 10

    train(loss_of_batch, encoder.trainable_variables + decoder.trainable_variables)
    z_mean, z_log_var = encoder(x_test)
    drawn = np.array(tf.sigmoid(decoder(tf.random.normal((32, 8)))))
    return float(tf.reduce_mean(kl_of(z_mean, z_log_var))), drawn, float(tf.math.reduce_std(z_mean))


rate, drawn, spread = listing_2()
found[2] = rate, spread
print(f"KL, summed over the latent variables: {rate:.0f} nats; standard deviation of z_mean: {spread:.1f}")
run.save_figure(image_grid(drawn, columns=8, title="listing 2: drawn from the prior"), "listing_2")

# %% [markdown]
# <details><summary>Answer</summary>
#
# `tf.reduce_mean` averages the KL over images *and* over latent variables, while the reconstruction is a sum over pixels.
# With the division by ten, somebody's way of mending the balance, β is 1/80. The means spread far beyond the prior, and a
# draw from the prior falls between them. Sum over the latent variables, take the mean over the images.
# </details>
#
# ## Listing 3
#
# The loss goes down without end. What is wrong with one character?

# %%
def listing_3():
    encoder, decoder = small_networks()

    def loss_of_batch(x):
        z_mean, z_log_var = encoder(x)
        reconstruction = nats_of(x, decoder(sample(z_mean, z_log_var)))
        kl = 0.5 * tf.reduce_sum(1 + z_log_var - z_mean**2 - tf.exp(z_log_var), axis=1)
        return tf.reduce_mean(reconstruction + kl)

    return train(loss_of_batch, encoder.trainable_variables + decoder.trainable_variables, 0.01)


found[3] = listing_3()
print("loss of the last batch:", found[3])

# %% [markdown]
# <details><summary>Answer</summary>
#
# The KL has lost its minus sign. Minimising now means *maximising* a divergence, which has no ceiling: the loss runs to
# minus infinity, or to NaN once `exp` overflows. A KL below zero is always a bug.
# </details>
#
# ## Listing 4
#
# Every latent mean is on one side. Which line does that?

# %%
def listing_4():
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((784,))
    z_mean = layers.Dense(8, activation="relu")(pixels)
    z_log_var = layers.Dense(8)(pixels)
    encoder = keras.Model(pixels, [z_mean, z_log_var])
    return float(np.min(encoder(x_test)[0]))


found[4] = listing_4()
print("least z_mean over the test images:", found[4])

# %% [markdown]
# <details><summary>Answer</summary>
#
# A mean behind a ReLU is never negative (errata A0-2 and A1-3). Half of each coordinate of the prior stays empty, and the
# decoder has never seen what is drawn there. Make the head linear.
# </details>
#
# ## Listing 5
#
# The copies come out nearly black and white, though the originals are grey.

# %%
def listing_5():
    keras.utils.set_random_seed(seed)
    encoder = dense_encoder(784, (64,), 32)
    decoder = dense_decoder(32, (64,), 784, output_activation="sigmoid")

    def loss_of_batch(x):
        x_hat = decoder(encoder(x))
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(x, x_hat))

    train(loss_of_batch, encoder.trainable_variables + decoder.trainable_variables)
    return np.array(decoder(encoder(x_test)))


copies = listing_5()
grey = [float(np.mean((p > 0.1) & (p < 0.9))) for p in (x_test, copies)]
found[5] = grey
print(f"share of grey pixels: originals {grey[0]:.0%}, copies {grey[1]:.0%}")
figure = image_grid(np.concatenate([x_test[:8], copies[:8]]), columns=8, title="listing 5: originals, copies")
run.save_figure(figure, "listing_5")

# %% [markdown]
# <details><summary>Answer</summary>
#
# The decoder ends in a sigmoid and the loss applies another one (erratum A2-3). The network learns the *logit* of a pixel
# where the pixel should stand: every pixel above one half goes to white, every one below to black. One sigmoid, in one place:
# `VAE` takes a decoder that puts out logits, and refuses this one.
# </details>
#
# ## Listing 6
#
# A warm-up of β. The printed losses should differ by thousands.

# %%
class Step:
    def __init__(self):
        self.beta = 0.0

    @tf.function
    def __call__(self, reconstruction, kl):
        return reconstruction + self.beta * kl


def listing_6():
    step, losses = Step(), []
    for beta in (0.0, 1.0, 100.0):
        step.beta = beta
        losses.append(float(step(tf.constant(100.0), tf.constant(20.0))))
    return losses


found[6] = listing_6()
print("losses for β = 0, 1, 100:", found[6])

# %% [markdown]
# <details><summary>Answer</summary>
#
# `tf.function` traces the step once, and a Python number is written into the trace as it is then: β stays 0 for ever. Keep it
# in a `tf.Variable` and assign to it, as `VAE.beta` does.
# </details>
#
# ## Listing 7
#
# It runs with 1400 images and stops with 1437. The batch size is 100.

# %%
class Noise(layers.Layer):
    def call(self, z_mean):
        return z_mean + tf.random.normal(shape=z_mean.shape)


def listing_7(num):
    model = keras.Sequential([layers.Dense(8), Noise(), layers.Dense(784)])
    model.compile("adam", "mse")
    try:
        model.fit(x_train[:num], x_train[:num], batch_size=100, verbose=0)
    except ValueError as error:
        return str(error)
    return "trained"


found[7] = [listing_7(1400), listing_7(1437)]
for message in found[7]:
    print(message[:160], "\n")

# %% [markdown]
# <details><summary>Answer</summary>
#
# `z_mean.shape` is what is known when the step is traced. If the last batch is smaller, the batch size is not known, and the
# shape holds a `None` (erratum A1-5). Ask at run time: `tf.shape(z_mean)`.
# </details>
#
# ## Listing 8
#
# A sampling function that ought to draw anew at each call.

# %%
@tf.function
def draw(z_mean):
    return z_mean + np.random.normal(size=8)


def listing_8():
    zeros = tf.zeros((8,), tf.float64)
    return [np.array(draw(zeros)) for _ in range(2)]


first, second = listing_8()
found[8] = bool(np.array_equal(first, second))
print("first and second draw are equal:", found[8])

# %% [markdown]
# <details><summary>Answer</summary>
#
# NumPy draws while the function is traced, once. The numbers then stand in the graph as constants, and every step of the
# training gets the same "noise". Draw with TensorFlow or Keras, from a generator.
# </details>
#
# ## Listing 9
#
# z is drawn in one line, without the trick. The KL goes to zero and all copies are alike.

# %%
def listing_9():
    encoder, decoder = small_networks()

    def loss_of_batch(x):
        z_mean, z_log_var = encoder(x)
        z = tf.numpy_function(np.random.normal, [z_mean, tf.exp(0.5 * z_log_var)], tf.float64)
        z = tf.ensure_shape(tf.cast(z, tf.float32), (None, 8))
        return tf.reduce_mean(nats_of(x, decoder(z)) + kl_of(z_mean, z_log_var))

    train(loss_of_batch, encoder.trainable_variables + decoder.trainable_variables)
    z_mean, z_log_var = encoder(x_test)
    copies = np.array(tf.sigmoid(decoder(z_mean)))
    return float(tf.reduce_mean(kl_of(z_mean, z_log_var))), float(copies.std(axis=0).max())


found[9] = listing_9()
print(f"KL {found[9][0]:.3f} nats; largest standard deviation of a pixel over the copies {found[9][1]:.3f}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# No gradient passes through a draw. The encoder hears only from the KL, and the KL wants every cloud to be the prior:
# z tells nothing, and the decoder returns the mean image. Write $z = \mu + \sigma \varepsilon$.
# </details>
#
# ## Listing 10
#
# A step of a GAN's generator.

# %%
def listing_10():
    keras.utils.set_random_seed(seed)
    generator, discriminator = dense_generator(16, (32,), 784), dense_discriminator(784, (32,))
    images = generator(tf.random.normal((32, 16)))
    with tf.GradientTape() as tape:
        logits = discriminator(images)
        loss = tf.reduce_mean(tf.nn.softplus(-logits))
    gradients = tape.gradient(loss, generator.trainable_variables)
    try:
        keras.optimizers.Adam().apply_gradients(zip(gradients, generator.trainable_variables))
    except ValueError as error:
        return gradients, str(error)


gradients, found[10] = listing_10()
print("gradients:", gradients)
print("ValueError:", found[10])

# %% [markdown]
# <details><summary>Answer</summary>
#
# The images were made before the tape was opened, so it does not know how they hang on the generator's weights (erratum
# A4-6). Put the line inside.
# </details>
#
# ## Listing 11
#
# A GAN with one optimizer for everything. The generator's loss falls at once. The pictures stay noise.

# %%
class OneOptimizerGAN(GAN):
    def compile(self, optimizer):
        keras.Model.compile(self, optimizer)
        self.d_optimizer = self.optimizer

    def train_step(self, real):
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            losses = self.compute_losses(real, training=True)
            g_loss = tf.reduce_mean(losses[1])
        self.optimizer.apply_gradients(zip(tape.gradient(g_loss, variables), variables))
        return self._track(losses)


def listing_11():
    keras.utils.set_random_seed(seed)
    gan = OneOptimizerGAN(dense_generator(16, (64,), 784), dense_discriminator(784, (64,)), seed=seed)
    gan.compile("adam")
    logs = gan.fit(x_train, epochs=epochs, batch_size=128, verbose=0).history
    return logs, gan.generate(8, seed=seed)


logs, drawn = listing_11()
found[11] = {name: values[-1] for name, values in logs.items()}
print({name: round(value, 3) for name, value in found[11].items()})
run.save_figure(image_grid(drawn, columns=8, title="listing 11: generated"), "listing_11")

# %% [markdown]
# <details><summary>Answer</summary>
#
# The generator's loss moves the discriminator's weights too. The quickest way to have every image called real is to make the
# discriminator say "real" to everything: its accuracy on fakes is 0. Each loss may move its own network only.
# </details>
#
# ## Listing 12
#
# A model that was saved without complaint, and a colleague who loads it.

# %%
@keras.saving.register_keras_serializable(package="find_the_bug")
class Copier(keras.Model):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def call(self, x):
        return self.decoder(self.encoder(x))


def listing_12():
    model = Copier(dense_encoder(784, (), 8), dense_decoder(8, (), 784))
    model(x_test[:1])
    path = run.folder / "copier.keras"
    try:
        model.save(path)
        keras.saving.load_model(path)
    except (TypeError, ValueError, NotImplementedError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        path.unlink(missing_ok=True)
    return "loaded"


found[12] = listing_12()
print(found[12][:300])

# %% [markdown]
# <details><summary>Answer</summary>
#
# The class has no `get_config` and no `from_config`. Keras can't know what to give to `__init__`. Write both, as
# `Autoencoder` does.
# </details>

# %%
plt.close("all")
run.finish(
    "digits",
    {
        "1: last loss": found[1][-1],
        "2: KL, nats": found[2][0],
        "4: least z_mean": found[4],
        "5: grey pixels, originals": found[5][0],
        "5: grey pixels, copies": found[5][1],
        "9: KL, nats": found[9][0],
        "11: accuracy on fakes": found[11]["d_accuracy_fake"],
    },
)
