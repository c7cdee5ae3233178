# %% [markdown]
# # Find the bug
#
# *Sixteen short listings with one mistake each, roughly from easy to hard.
# 1 minute on two cores.*
#
# Each listing prints something that a sound program would not print. Read the question and the
# listing, and write down what you expect. Then run the cell, and find the line that is to
# blame. The answers are not on this page, but in a file of their own. You need chapters 1 to 8.
#
# All listings take scikit-learn's small digits, so they need no download. Where a listing stops
# with an error, the page prints the message and goes on.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import sklearn.neighbors
import tensorflow as tf
from keras import layers

from keras_vae import Run, batches, dense_decoder, dense_discriminator
from keras_vae import dense_encoder, dense_generator, gaussian_encoder
from keras_vae import image_grid, load_digits

# %% tags=["parameters"]
seed = 0  # of the first weights, the noise and the order of the batches
epochs = 30  # of each model

# %% [markdown]
# ## A sound model
#
# Many listings train a small VAE, 784–64–8–64–784, and differ in a few lines. Here is what
# they share; it has no mistake. The decoder returns logits, and `tf.sigmoid` makes pixels of
# them. All losses are in nats per image.

# %%
run = Run("find_the_bug")
(x_train, y_train), (x_test, y_test) = load_digits()
found = {}  # {number of the listing: what it prints}


def small_networks():
    """Return an encoder and a decoder, with the same weights at each call."""
    keras.utils.set_random_seed(seed)
    return gaussian_encoder(784, (64,), 8), dense_decoder(8, (64,), 784)


def sample(z_mean, z_log_var):
    """Draw z by the reparameterisation trick."""
    noise = tf.random.normal(tf.shape(z_mean))
    return z_mean + tf.exp(0.5 * z_log_var) * noise


def kl_of(z_mean, z_log_var):
    """Return the KL of each image in nats, (batch,)."""
    terms = 1 + z_log_var - z_mean**2 - tf.exp(z_log_var)
    return -0.5 * tf.reduce_sum(terms, axis=1)


def nats_of(x, logits):
    """Return the Bernoulli reconstruction loss of each image, (batch,)."""
    return tf.reduce_sum(tf.nn.softplus(logits) - x * logits, axis=1)


def train(loss_of_batch, *networks):
    """Minimise the loss of the batches with Adam; return the last one."""
    variables = [v for net in networks for v in net.trainable_variables]
    optimizer = keras.optimizers.Adam(0.003)
    optimizer.build(variables)

    @tf.function(reduce_retracing=True)
    def step(x):
        with tf.GradientTape() as tape:
            loss = loss_of_batch(x)
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables))
        return loss

    for x in batches(x_train, 128, seed, epochs):
        loss = step(x)
    return float(loss)


def measure(encoder, decoder):
    """Return both losses and the standard deviation of z, on test images."""
    z_mean, z_log_var = encoder(x_test)
    z = sample(z_mean, z_log_var)
    values = {
        "reconstruction": tf.reduce_mean(nats_of(x_test, decoder(z))),
        "KL": tf.reduce_mean(kl_of(z_mean, z_log_var)),
        "deviation of z": tf.math.reduce_std(z),
    }
    return {name: round(float(value), 2) for name, value in values.items()}

# %% [markdown]
# This is how the parts are put together. Keep the numbers and the drawn digits in sight: in
# most listings below, something differs from them. The second cell gives a yardstick, the
# reconstruction loss of a model that copies every image as the mean image.

# %%
encoder, decoder = small_networks()


def loss_of_batch(x):
    z_mean, z_log_var = encoder(x)
    reconstruction = nats_of(x, decoder(sample(z_mean, z_log_var)))
    return tf.reduce_mean(reconstruction + kl_of(z_mean, z_log_var))


last_loss = train(loss_of_batch, encoder, decoder)
sound = measure(encoder, decoder)
print(f"last loss {last_loss:.1f};", sound)
codes = tf.random.normal((16, 8))
drawn = image_grid(tf.sigmoid(decoder(codes)), 8, title="sound: drawn")
run.save_figure(drawn, "sound")

# %%
grey = x_train.mean(axis=0).clip(0.001, 0.999)  # the mean image
mean_image = nats_of(x_test, np.log(grey) - np.log(1 - grey))
mean_image = float(tf.reduce_mean(mean_image))
print(f"reconstruction by the mean image: {mean_image:.1f} nats")

# %% [markdown]
# ## Listing 1
#
# An autoencoder reads images as a file holds them. Its loss falls in every epoch. Which values
# can a cross-entropy have?

# %%
keras.utils.set_random_seed(seed)
images = np.round(255 * x_train).astype("uint8")  # as in a file
images = images.astype("float32")
encoder = dense_encoder(784, (), 32)
decoder = dense_decoder(32, (), 784, output_activation="sigmoid")
autoencoder = keras.Model(encoder.input, decoder(encoder.output))
autoencoder.compile("adam", "binary_crossentropy")
history = autoencoder.fit(images, images, epochs=5, verbose=0).history
found[1] = history["loss"]
print("loss of each epoch:", np.round(found[1], 3))

# %% [markdown]
# ## Listing 2
#
# Half of the prior lies below 0. How many of the means do?

# %%
keras.utils.set_random_seed(seed)
pixels = keras.Input((784,))
hidden = layers.Dense(64, activation="relu")(pixels)
z_mean = layers.Dense(8, activation="relu")(hidden)
z_log_var = layers.Dense(8)(hidden)
encoder = keras.Model(pixels, [z_mean, z_log_var])
means, _ = encoder(x_test)
found[2] = float(np.mean(means < 0))
print(f"means below 0: {found[2]:.0%}")

# %% [markdown]
# ## Listing 3
#
# The generator of a GAN has four arrays of weights. How many of them does its loss move?

# %%
keras.utils.set_random_seed(seed)
generator = dense_generator(16, (32,), 784)
discriminator = dense_discriminator(784, (32,))
images = generator(tf.random.normal((32, 16)))
with tf.GradientTape() as tape:
    loss = tf.reduce_mean(tf.nn.softplus(-discriminator(images)))
gradients = tape.gradient(loss, generator.trainable_variables)
found[3] = sum(gradient is not None for gradient in gradients)
print(f"arrays with a gradient: {found[3]} of {len(gradients)}")

# %% [markdown]
# ## Listing 4
#
# The batch size is 100. With 1400 images the model trains. What is different about 1437?

# %%
class Noise(layers.Layer):
    def call(self, z_mean):
        return z_mean + tf.random.normal(z_mean.shape)


found[4] = []
for num in (1400, 1437):
    keras.utils.set_random_seed(seed)
    stack = [layers.Dense(8), Noise(), layers.Dense(784)]
    model = keras.Sequential(stack)
    model.compile("adam", "mse")
    try:
        model.fit(x_train[:num], x_train[:num], batch_size=100, verbose=0)
        found[4].append("trained")
    except ValueError as error:
        found[4].append(str(error))
    print(f"{num} images: {found[4][-1]}")

# %% [markdown]
# ## Listing 5
#
# The loss of this VAE falls past 300, where that of the sound one ends, and falls on until it
# is no number any more. Why does nothing stop it?

# %%
encoder, decoder = small_networks()


def loss_of_batch(x):
    z_mean, z_log_var = encoder(x)
    reconstruction = nats_of(x, decoder(sample(z_mean, z_log_var)))
    terms = 1 + z_log_var - z_mean**2 - tf.exp(z_log_var)
    kl = 0.5 * tf.reduce_sum(terms, axis=1)
    return tf.reduce_mean(reconstruction + kl)


found[5] = train(loss_of_batch, encoder, decoder)
print(f"last loss {found[5]:.1f}; of the sound model {last_loss:.1f}")

# %% [markdown]
# ## Listing 6
#
# Here is an autoencoder without noise. The originals have many grey pixels. Do the copies?

# %%
keras.utils.set_random_seed(seed)
encoder = dense_encoder(784, (64,), 32)
decoder = dense_decoder(32, (64,), 784, output_activation="sigmoid")


def loss_of_batch(x):
    x_hat = decoder(encoder(x))
    losses = tf.nn.sigmoid_cross_entropy_with_logits(x, x_hat)
    return tf.reduce_mean(losses)


train(loss_of_batch, encoder, decoder)
copies = np.array(decoder(encoder(x_test)))
greys = [np.mean((x > 0.1) & (x < 0.9)) for x in (x_test, copies)]
found[6] = [float(grey) for grey in greys]
print("grey pixels: originals {:.0%}, copies {:.0%}".format(*found[6]))
both = np.concatenate([x_test[:8], copies[:8]])
figure = image_grid(both, 8, title="listing 6: originals, copies")
run.save_figure(figure, "listing_6")

# %% [markdown]
# ## Listing 7
#
# This VAE maximises a lower bound. Do its reconstructions become better?

# %%
encoder, decoder = small_networks()


def loss_of_batch(x):
    z_mean, z_log_var = encoder(x)
    reconstruction = nats_of(x, decoder(sample(z_mean, z_log_var)))
    bound = reconstruction - kl_of(z_mean, z_log_var)
    return -tf.reduce_mean(bound)


before = measure(encoder, decoder)["reconstruction"]
train(loss_of_batch, encoder, decoder)
found[7] = [before, measure(encoder, decoder)["reconstruction"]]
print("reconstruction before and after: {:.1f}, {:.1f}".format(*found[7]))

# %% [markdown]
# ## Listing 8
#
# Here NumPy draws z, and the next line restores the type and the shape, which NumPy's answer
# lacks. How much do the codes tell about the images?

# %%
encoder, decoder = small_networks()


def loss_of_batch(x):
    z_mean, z_log_var = encoder(x)
    arguments = [z_mean, tf.exp(0.5 * z_log_var)]
    z = tf.numpy_function(np.random.normal, arguments, tf.float64)
    z = tf.ensure_shape(tf.cast(z, tf.float32), z_mean.shape)
    reconstruction = nats_of(x, decoder(z))
    return tf.reduce_mean(reconstruction + kl_of(z_mean, z_log_var))


train(loss_of_batch, encoder, decoder)
found[8] = measure(encoder, decoder)
print(found[8], f"mean image: {mean_image:.1f}")

# %% [markdown]
# ## Listing 9
#
# In a warm-up the weight of the KL, β, rises while the model trains. What is 100 + 20 β for
# these three values?

# %%
class Loss:
    def __init__(self):
        self.beta = 0.0

    @tf.function
    def __call__(self, reconstruction, kl):
        return reconstruction + self.beta * kl


loss, found[9] = Loss(), []
for beta in (0.0, 1.0, 100.0):
    loss.beta = beta
    value = loss(tf.constant(100.0), tf.constant(20.0))
    found[9].append(float(value))
print("losses for β = 0, 1 and 100:", found[9])

# %% [markdown]
# ## Listing 10
#
# A function that adds noise to a code is called three times, and the first number of each
# result is printed. May the three be equal?

# %%
np.random.seed(seed)


@tf.function
def draw(z_mean):
    noise = np.random.normal(size=8)
    return z_mean + noise.astype("float32")


found[10] = [float(draw(tf.zeros(8))[0]) for _ in range(3)]
print("three draws: {:.3f}, {:.3f}, {:.3f}".format(*found[10]))

# %% [markdown]
# ## Listing 11
#
# This VAE prints almost what listing 8 prints, but it draws z by the reparameterisation trick.
# Why do its codes tell nothing?

# %%
encoder, decoder = small_networks()


def loss_of_batch(x):
    z_mean, z_log_var = encoder(x)
    logits = decoder(sample(z_mean, z_log_var))
    losses = tf.nn.sigmoid_cross_entropy_with_logits(x, logits)
    reconstruction = tf.reduce_mean(losses)
    kl = tf.reduce_mean(kl_of(z_mean, z_log_var))
    return reconstruction + kl


train(loss_of_batch, encoder, decoder)
found[11] = measure(encoder, decoder)
print(found[11], f"mean image: {mean_image:.1f}")

# %% [markdown]
# ## Listing 12
#
# This VAE reconstructs better than the sound one. What has it paid for that? And why are its
# drawn digits worse? (They come from the same codes.)

# %%
encoder, decoder = small_networks()


def loss_of_batch(x):
    z_mean, z_log_var = encoder(x)
    reconstruction = nats_of(x, decoder(sample(z_mean, z_log_var)))
    terms = 1 + z_log_var - z_mean**2 - tf.exp(z_log_var)
    kl = -0.5 * tf.reduce_mean(terms)
    return tf.reduce_mean(reconstruction) + kl


train(loss_of_batch, encoder, decoder)
found[12] = measure(encoder, decoder)
print("this: ", found[12])
print("sound:", sound)
drawn = tf.sigmoid(decoder(codes))
figure = image_grid(drawn, 8, title="listing 12: drawn")
run.save_figure(figure, "listing_12")

# %% [markdown]
# ## Listing 13
#
# The encoder puts out the logarithm of a variance. Is it the variance of the codes that are
# drawn?

# %%
encoder, decoder = small_networks()


def draw(z_mean, z_log_var):
    noise = tf.random.normal(tf.shape(z_mean))
    return z_mean + tf.exp(z_log_var) * noise


def loss_of_batch(x):
    z_mean, z_log_var = encoder(x)
    reconstruction = nats_of(x, decoder(draw(z_mean, z_log_var)))
    return tf.reduce_mean(reconstruction + kl_of(z_mean, z_log_var))


train(loss_of_batch, encoder, decoder)
z_mean, z_log_var = encoder(x_test)
draws = np.array([draw(z_mean, z_log_var) for _ in range(100)])
found[13] = [draws.var(axis=0).mean(), np.exp(z_log_var).mean()]
found[13] = [float(variance) for variance in found[13]]
print("variance of 100 draws {:.3f}, put out {:.3f}".format(*found[13]))

# %% [markdown]
# ## Listing 14
#
# Here is a GAN, with sixteen of its fakes. What share of such pictures would you recognise as
# fakes? A discriminator that only guesses recognises half.

# %%
keras.utils.set_random_seed(seed)
generator = dense_generator(16, (64,), 784)
discriminator = dense_discriminator(784, (64,))
gan = keras.Sequential([generator, discriminator])
d_adam = keras.optimizers.Adam(0.002, beta_1=0.5)
g_adam = keras.optimizers.Adam(0.002, beta_1=0.5)
players = [(d_adam, discriminator), (g_adam, gan)]


@tf.function(reduce_retracing=True)
def step(x):
    noise = tf.random.normal((tf.shape(x)[0], 16))
    with tf.GradientTape(persistent=True) as tape:
        real, fake = discriminator(x), gan(noise)
        d_losses = tf.nn.softplus(-real) + tf.nn.softplus(fake)
        d_loss = tf.reduce_mean(d_losses)
        g_loss = tf.reduce_mean(tf.nn.softplus(-fake))
    for loss, (optimizer, network) in zip((d_loss, g_loss), players):
        variables = network.trainable_variables
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables))


for x in batches(x_train, 128, seed, epochs):
    step(x)
images = generator(tf.random.normal((400, 16)))
found[14] = float(np.mean(discriminator(images) < 0))
print(f"fakes that the discriminator recognises: {found[14]:.0%}")
figure = image_grid(images[:16], 8, title="listing 14: generated")
run.save_figure(figure, "listing_14")

# %% [markdown]
# ## Listing 15
#
# The KL of $q = N(1, 0.5^2)$ from the prior $p$ is computed in two ways: as the mean of
# $\log q(z) - \log p(z)$ over many draws, and by the formula. The two should agree to about two
# digits.

# %%
rng = np.random.default_rng(seed)
mean, log_var = 1.0, np.log(0.5**2)


def log_normal(z, mean, log_var):
    squares = (z - mean) ** 2 / np.exp(log_var)
    return -0.5 * (np.log(2 * np.pi) + log_var + squares)


z = rng.normal(size=100_000)
log_ratio = log_normal(z, mean, log_var) - log_normal(z, 0.0, 0.0)
formula = -0.5 * (1 + log_var - mean**2 - np.exp(log_var))
found[15] = [float(np.mean(log_ratio)), float(formula)]
print("KL: by draws {:.2f}, by the formula {:.2f}".format(*found[15]))

# %% [markdown]
# ## Listing 16
#
# Any experiment can have this control: the labels are shuffled among the images, so that there
# is nothing to learn. Then a thousand random images are fitted and the others held out. With
# ten digits, about 10 % of the predictions should be right, by chance.

# %%
rng = np.random.default_rng(seed)
labels = rng.permutation(y_train)  # of other images
rows = rng.choice(len(x_train), len(x_train))
fitted, held_out = rows[:1000], rows[1000:]
nearest = sklearn.neighbors.KNeighborsClassifier(1)
nearest.fit(x_train[fitted], labels[fitted])
found[16] = nearest.score(x_train[held_out], labels[held_out])
print(f"right on the images that were held out: {found[16]:.0%}")

# %%
plt.close("all")
run.finish("digits", {
    "sound: reconstruction, nats": sound["reconstruction"],
    "sound: KL, nats": sound["KL"],
    "1: last loss": found[1][-1],
    "2: means below 0, share": found[2],
    "6: grey pixels, originals": found[6][0],
    "6: grey pixels, copies": found[6][1],
    "8: KL, nats": found[8]["KL"],
    "12: KL, nats": found[12]["KL"],
    "13: variance of the draws": found[13][0],
    "14: fakes recognised": found[14],
    "15: KL by draws, nats": found[15][0],
    "16: right predictions": found[16],
})

# %% [markdown]
# ## Answers
#
# Look at the answers when you have named a mistake in every listing.
#
# <details><summary>Where are they?</summary>
#
# For each listing [the answers](../tutorials/find_the_bug_answers.md) name the mistake, say why
# the listing prints what it prints, and mend the lines.
# </details>
