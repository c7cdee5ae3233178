# %% [markdown]
# # Failure gallery
#
# *Six ways in which such models fail: made to happen, drawn, told early by a number, and cured. 1 minute on two cores.*
#
# A failed model often trains without complaint. Each section below makes one failure on purpose, on scikit-learn's small
# digits, prints the number that gives it away before any picture does, and puts the cure beside it.

# %%
import re

import keras
import matplotlib.pyplot as plt
import numpy as np
import sklearn.linear_model
import tensorflow as tf

from keras_vae import GAN, VAE, KLWarmUp, Run, active_units, batches, dense_decoder
from keras_vae import dense_discriminator, dense_encoder, dense_generator, gaussian_encoder
from keras_vae import image_grid, kl_per_latent, load_digits

# %% tags=["parameters"]
seed = 0  # of the first weights, the noise and the order of the batches
epochs = 20  # of each VAE; an epoch is two passes
gan_epochs = 60  # of each GAN, likewise

# %%
run = Run("failure_gallery")
(x_train, y_train), (x_test, y_test) = load_digits()
found = {}


def train_vae(beta, callbacks=()):
    """Return a VAE 784–64–10–64–784, trained with this β."""
    keras.utils.set_random_seed(seed)
    vae = VAE(
        gaussian_encoder(784, (64,), 10), dense_decoder(10, (64,), 784), beta=beta, seed=seed
    )
    vae.compile(keras.optimizers.Adam(0.005), steps_per_execution=23)
    dataset = batches(x_train, 128, seed, 2)
    vae.fit(dataset, epochs=epochs, callbacks=list(callbacks), shuffle=False, verbose=0)
    return vae


def side_by_side(name, pictures):
    """Draw grids of images beside each other and save them."""
    figure, axes = plt.subplots(1, len(pictures), figsize=(3.2 * len(pictures), 3.5), layout="constrained")
    plt.close(figure)
    for ax, (title, images) in zip(axes, pictures.items()):
        image_grid(images, title=title, ax=ax)
    return run.save_figure(figure, name)

# %% [markdown]
# ## 1. Posterior collapse
#
# The KL wins: the encoder gives every image the prior (后验坍塌). The decoder hears nothing and draws the mean image. Here
# the price β is too high.
#
# **Told early by** the number of active units and the KL of each latent variable: zeros.

# %%
good, collapsed = train_vae(1.0), train_vae(60.0)
print("KL per latent variable, nats, β = 60:", kl_per_latent(collapsed, x_test).round(3))
print("KL per latent variable, nats, β = 1: ", kl_per_latent(good, x_test).round(2))
units = {"good": active_units(good, x_test), "collapsed": active_units(collapsed, x_test)}
print("active units of 10:", units)
side_by_side(
    "1_posterior_collapse",
    {
        "originals": x_test[:16],
        "copies, β = 60": collapsed.reconstruct(x_test[:16]),
        "copies, β = 1": good.reconstruct(x_test[:16]),
    },
)

# %% [markdown]
# **Cure**: β = 1; where a strong decoder collapses at β = 1 too, a warm-up (`KLWarmUp`), so that the latent variables are in use
# before they are taxed.

# %%
warmed = train_vae(0.0, [KLWarmUp(1.0, max(1, epochs // 2))])
units["warm-up"] = active_units(warmed, x_test)
print("active units after a warm-up to β = 1:", units["warm-up"])
found |= {
    "1: active units, β = 60": units["collapsed"],
    "1: active units, β = 1": units["good"],
}

# %% [markdown]
# ## 2. A sum for a mean
#
# Both terms must be sums: over pixels and over latent variables. Take a mean in one of them, and β is silently another.
# With the mean over 784 pixels it is 784 times too large; with the mean over ten latent variables, ten times too small.
# Scaling the whole loss changes little under Adam, so β = 784 and β = 0.1 are the same mistakes.
#
# **Told early by** the KL, summed over the latent variables: it should be some 5 to 30 nats for digits.

# %%
pixel_mean, latent_mean = train_vae(784.0), train_vae(0.1)
rate = {
    "mean over pixels": kl_per_latent(pixel_mean, x_test).sum(),
    "mean over latents": kl_per_latent(latent_mean, x_test).sum(),
    "sums": kl_per_latent(good, x_test).sum(),
}
for name, value in rate.items():
    print(f"{name:18} KL {value:6.2f} nats")
side_by_side(
    "2_mean_for_sum",
    {
        "drawn: mean over pixels": pixel_mean.generate(16, seed=seed),
        "drawn: mean over latents": latent_mean.generate(16, seed=seed),
        "drawn: sums": good.generate(16, seed=seed),
    },
)

# %% [markdown]
# **Cure**: write the reductions where they can be seen, and print the KL in nats. `VAE` reports both terms.

# %%
found |= {
    "2: KL, mean over pixels, nats": rate["mean over pixels"],
    "2: KL, mean over latents, nats": rate["mean over latents"],
    "2: KL, sums, nats": rate["sums"],
}

# %% [markdown]
# ## 3. NaN from a scale without bounds
#
# A layer's output is taken as σ, by way of its logarithm (erratum A1-4). Wherever the output is negative, the logarithm is
# NaN; so is z, and so is everything that comes from it. After one step the weights are.
#
# **Told early by** the least value of the output before the first step.

# %%
keras.utils.set_random_seed(seed)
encoder, decoder = gaussian_encoder(784, (64,), 10), dense_decoder(10, (64,), 784)
variables = encoder.trainable_variables + decoder.trainable_variables
x = x_train[:128]
before = float(np.min(encoder(x)[1]))
with tf.GradientTape() as tape:
    z_mean, output = encoder(x)
    z = z_mean + tf.exp(tf.math.log(output)) * tf.random.stateless_normal((128, 10), (seed, 0))
    loss = tf.reduce_mean(keras.losses.binary_crossentropy(x, decoder(z), from_logits=True))
keras.optimizers.Adam().apply_gradients(zip(tape.gradient(loss, variables), variables))
lost = float(np.mean([np.isnan(v).any() for v in variables]))
print(f"least output before the first step: {before:.2f}; loss: {float(loss)}")
print(f"weight arrays with NaN after one step: {lost:.0%}")

spread = np.linspace(-3, 3, 200)
figure, ax = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
plt.close(figure)
with np.errstate(invalid="ignore"):
    ax.plot(spread, np.log(spread), color="#CC6677", label="log σ, if the output is σ")
ax.plot(spread, 0.5 * spread, "--", color="#332288", label="log σ, if the output is log σ²")
ax.axvspan(-3, 0, color="lightgrey", label="NaN for the first one")
ax.set(xlabel="output of the layer", ylabel="log σ", ylim=(-4, 2))
ax.legend()
run.save_figure(figure, "3_nan")

# %% [markdown]
# **Cure**: the output *is* $\log \sigma^2$, and $\sigma = e^{\frac12 \log \sigma^2}$ is positive for any.

# %%
found["3: weight arrays with NaN, share"] = lost

# %% [markdown]
# ## 4. Images left in 0–255
#
# The commonest of all. The Bernoulli loss of targets above 1 has no floor: it falls and falls, while every pixel goes to white.
#
# **Told early by** the sign: a cross-entropy below zero does not exist.

# %%
keras.utils.set_random_seed(seed)
encoder = dense_encoder(784, (), 32)
decoder = dense_decoder(32, (), 784, output_activation="sigmoid")
careless = keras.Model(encoder.input, decoder(encoder.output))
careless.compile("adam", "binary_crossentropy")
losses = careless.fit(255 * x_train, 255 * x_train, epochs=5, verbose=0).history["loss"]
print("loss:", np.round(losses, 0))
side_by_side(
    "4_bytes",
    {"originals": x_test[:16], "copies": careless.predict(255 * x_test[:16], verbose=0)},
)

# %% [markdown]
# **Cure**: divide by 255. The package's models refuse the first batch, before a weight moves:

# %%
try:
    good.fit(255 * x_train, verbose=0)
except tf.errors.InvalidArgumentError as error:
    print("InvalidArgumentError:", re.search("assertion failed.*", str(error))[0])
found["4: last loss"] = losses[-1]

# %% [markdown]
# ## 5. A discriminator that wins
#
# The discriminator learns fifty times as fast as the generator, and nothing holds it back. Soon it is hardly ever wrong.
#
# **Told early by** both accuracies near 1.00 and a generator's loss that climbs.

# %%
def train_gan(g_rate, d_rate, dropout=0.3, label_smoothing=0.1, noise_dim=16):
    """Return a GAN of chapter 8's shape and its history, trained with these learning rates."""
    keras.utils.set_random_seed(seed)
    gan = GAN(
        dense_generator(noise_dim, (128,), 784),
        dense_discriminator(784, (128,), dropout=dropout),
        label_smoothing=label_smoothing,
        seed=seed,
    )
    adam = keras.optimizers.Adam
    gan.compile(adam(g_rate, beta_1=0.5), adam(d_rate, beta_1=0.5), steps_per_execution=45)
    dataset = batches(x_train, 64, seed, 2)
    logs = gan.fit(dataset, epochs=gan_epochs, shuffle=False, verbose=0).history
    return gan, {name: values[-1] for name, values in logs.items()}


fair, fair_logs = train_gan(0.0005, 0.0005)
lost_game, lost_logs = train_gan(0.0001, 0.005, dropout=0.0, label_smoothing=0.0)
for name, logs in (("the discriminator wins", lost_logs), ("fair", fair_logs)):
    print(f"{name:24}", {key: round(value, 2) for key, value in logs.items()})
side_by_side(
    "5_discriminator_wins",
    {
        "the discriminator wins": lost_game.generate(16, seed=seed),
        "fair": fair.generate(16, seed=seed),
    },
)

# %% [markdown]
# **Cure**: equal learning rates, label smoothing, dropout in the discriminator; and the non-saturating loss, which still has a
# gradient when the discriminator is sure.

# %%
found |= {
    "5: accuracy on fakes, the discriminator wins": lost_logs["d_accuracy_fake"],
    "5: generator loss, the discriminator wins": lost_logs["g_loss"],
    "5: accuracy on real images, fair": fair_logs["d_accuracy_real"],
}

# %% [markdown]
# ## 6. Mode collapse
#
# Here the generator is the fast one. It draws one picture for every noise (模式崩溃), here not even a digit, and the noise
# makes no difference any more. The losses do not tell.
#
# **Told early by** how many digits appear among a thousand, read by a small classifier, and how often the most frequent one does.

# %%
classifier = sklearn.linear_model.LogisticRegression(max_iter=1000).fit(x_train, y_train)
collapsed_gan, _ = train_gan(0.02, 0.0005)
shares = {}
for name, gan in (("collapsed", collapsed_gan), ("fair", fair)):
    drawn = classifier.predict(gan.generate(1000, seed=seed))
    shares[name] = np.bincount(drawn, minlength=10) / 1000
    print(f"{name:10} {np.sum(shares[name] >= 0.01)} digits appear; largest share {shares[name].max():.0%}")
side_by_side(
    "6_mode_collapse",
    {
        "collapsed": collapsed_gan.generate(16, seed=seed),
        "fair": fair.generate(16, seed=seed),
    },
)

# %% [markdown]
# **Cure**: as in 5, equal learning rates; a discriminator of equal strength; and count the digits, do not trust the losses.

# %%
found |= {
    "6: digits that appear, collapsed": int(np.sum(shares["collapsed"] >= 0.01)),
    "6: digits that appear, fair": int(np.sum(shares["fair"] >= 0.01)),
    "6: largest share, collapsed": shares["collapsed"].max(),
}
run.finish("digits", found)
