# %% [markdown]
# # Failure gallery
#
# *Eight ways in which such models fail: made to happen, told early by a number, and cured.
# 1.5 minutes on two cores.*
#
# A failed model often trains without complaint. Each section makes one failure on purpose, on
# scikit-learn's small digits, beside a sound run. It draws what the models make and, epoch by
# epoch, a number that tells them apart. A rule says when an epoch is suspect. A dotted line
# marks the first suspect epoch of the failing run; in the sound run there is none. The numbers
# in the text are those of seed 0; the page prints them.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from sklearn.neighbors import KNeighborsClassifier

from keras_vae import GAN, VAE, KLWarmUp, Run, active_units, batches
from keras_vae import dense_decoder, dense_discriminator, dense_encoder
from keras_vae import dense_generator, frechet_distance, gaussian_encoder
from keras_vae import image_grid, kl_per_latent, load_digits, mistake

# %% tags=["parameters"]
seed = 0  # of the first weights, the noise and the order of the batches
epochs = 20  # of each VAE; an epoch has 19 steps
gan_epochs = 30  # of each GAN; an epoch has 57 steps

# %%
run = Run("failure_gallery")
(x_train, y_train), (x_test, _) = load_digits()
x_train, x_held = x_train[:1200], x_train[1200:]  # 237 are held out
shown = x_test[:16]
found = {}


def history_of(model, dataset, epochs, callbacks=(), held=None, **measures):
    """Train a model; return {name: values by epoch}, with these measures."""
    def add(epoch, logs):
        logs.update({name: f(model) for name, f in measures.items()})

    callbacks = [*callbacks, keras.callbacks.LambdaCallback(on_epoch_end=add)]
    kwargs = {"callbacks": callbacks, "validation_data": held, "verbose": 0}
    history = model.fit(dataset, epochs=epochs, **kwargs).history
    return {name: np.array(values) for name, values in history.items()}


def new_vae(kind=VAE, decoder_dims=(64,), beta=1.0):
    """Return a VAE 784–64–10–64–784, or with other layers in its decoder."""
    keras.utils.set_random_seed(seed)
    encoder = gaussian_encoder(784, (64,), 10)
    decoder = dense_decoder(10, decoder_dims, 784)
    return kind(encoder, decoder, beta=beta, seed=seed)


def train(vae, x=x_train, callbacks=(), rate=0.005, once=19, **measures):
    """Train it for 19 steps an epoch; return {name: values by epoch}."""
    vae.compile(keras.optimizers.Adam(rate), steps_per_execution=once)
    dataset = batches(x, 128, seed, passes=2 * len(x_train) // len(x))
    logs = history_of(vae, dataset, epochs, callbacks, (x_held,), **measures)
    return {**logs, "gap": logs["val_loss"] - logs["loss"]}


def draw(section, suspicious, pictures, runs, per=1, **panels):
    """Draw images, and curves {key: label}, of so many values per epoch.

    Apply the rule to the curves of the first key.
    """
    rows = [row for row in (pictures, panels) if row]
    figure = plt.figure(figsize=(9, 3 * len(rows)), layout="constrained")
    plt.close(figure)
    for part, row in zip(np.ravel(figure.subfigures(len(rows))), rows):
        axes = np.ravel(part.subplots(1, len(row)))
    for ax, (title, images) in zip(figure.axes, pictures.items()):
        image_grid(images, title=title, ax=ax)
    (key, label), told = next(iter(panels.items())), {}
    for name, logs in runs.items():
        suspect = (np.flatnonzero(suspicious(logs[key])) + 1) / per
        told[name] = suspect[0] if len(suspect) else np.inf
        found[f"{section}: first suspect epoch, {name}"] = told[name]
        found[f"{section}: {label} at the end, {name}"] = logs[key][-1]
    looks = ("-", "#CC6677", 3), ("--", "#332288", 1.5), ("-.", "#117733", 1.5)
    for ax, (key, label) in zip(axes, panels.items()):
        for (name, logs), (style, colour, width) in zip(runs.items(), looks):
            x = (np.arange(len(logs[key])) + 1) / per
            ax.plot(x, logs[key], style, color=colour, lw=width, label=name)
        if (first := min(told.values())) < np.inf:
            ax.axvline(first, color="#000000", ls=":")
        ax.set(xlabel="epoch", ylabel=label)
    ax.legend()
    told = {name: round(float(epoch), 1) for name, epoch in told.items()}
    print("first suspect epoch:", told)
    return figure

# %% [markdown]
# ## 1. Posterior collapse
#
# The encoder gives every image the prior (后验坍塌), and the decoder draws the mean image. It
# happens at β = 1, too. Hardly anything of z passes six hidden layers at first, so z costs its
# KL and is worth nothing yet: the KL wins.

# %%
runs, copies = {}, {"originals": shown}
ways = {"collapsed": [], "warm-up": [KLWarmUp(1.0, max(1, epochs // 2))]}
units = {"units": lambda vae: active_units(vae, x_held)}
for name, callbacks in ways.items():
    vae = new_vae(decoder_dims=6 * (64,))
    runs[name] = train(vae, x_train, callbacks, rate=0.01, **units)
    copies[f"copies, {name}"] = vae.reconstruct(shown)
panels = {"val_kl_loss": "KL, held out, nats", "units": "active units of 10"}
figure = draw(1, lambda kl: kl < 1, copies, runs, **panels)
figure.axes[3].set_yscale("log")
run.save_figure(figure, "1_posterior_collapse")

# %% [markdown]
# **Told early by** a KL below 1 nat, after epoch 1; no latent variable is active, either.
# **Cure**: a warm-up, which is the sound run. While β rises from 0 to 1 in ten epochs, the
# decoder learns to use the latent variables before they cost much.
#
# ## 2. A mean for a sum
#
# Both terms must be sums: over pixels and over latent variables. A mean in one of them is
# another β in silence. `keras.losses.binary_crossentropy` takes a mean over the 784 pixels:
# the KL counts 784 times too much. A mean over ten latent variables counts it a tenth.

# %%
class PixelMean(VAE):
    def negative_log_likelihood(self, x, output):
        return keras.losses.binary_crossentropy(x, output, from_logits=True)


class LatentMean(VAE):
    def compute_losses(self, x, training=False):
        _, nats, _ = super().compute_losses(x, training)
        z_mean, z_log_var = self.encoder(x, training=training)
        kl = -0.5 * (1 + z_log_var - z_mean**2 - tf.exp(z_log_var))
        kl_loss = tf.reduce_mean(kl, axis=1)  # tf.reduce_sum is meant
        return nats + kl_loss, nats, kl_loss


def distance_from_prior(vae):
    """Return the Fréchet distance between codes z and draws from N(0, I)."""
    z_mean, z_log_var = vae.encode(x_train)
    noise, prior = np.random.default_rng(seed).normal(size=(2, 1200, 10))
    return frechet_distance(z_mean + np.exp(0.5 * z_log_var) * noise, prior)


runs, drawn = {}, {}
kinds = {"mean over pixels": PixelMean, "over latents": LatentMean, "sums": VAE}
rate = {"kl": lambda vae: kl_per_latent(vae, x_train).sum()}
for name, kind in kinds.items():
    good = new_vae(kind)  # at the end, the sound one
    runs[name] = train(good, **rate, distance=distance_from_prior)
    drawn[f"drawn, {name}"] = good.generate(16, seed)
good_logs, most = runs["sums"], 2 * np.log(len(x_train))
figure = draw(2, lambda k: (k < 1) | (k > most), drawn, runs, kl="KL, nats")
run.save_figure(figure, "2_mean_for_sum")

# %% [markdown]
# **Told early by** the KL, *summed*, below 1 nat or above $2 \log N$: both after epoch 1. It
# takes no more than $\log N$ nats to tell $N$ images apart, here $\log 1200 = 7.1$. What the
# KL has beyond that is a distance of the codes from the prior, and draws suffer (section 7).
# **Cure**: write the reductions where they can be seen, and sum. `VAE` does.
#
# ## 3. NaN from a scale without bounds
#
# A linear layer's output is taken for σ, by way of its logarithm (erratum A1-4). Where it is
# negative, the logarithm is NaN, and so is all that is computed from it. Of a new encoder's
# outputs about half are negative. Here they begin at 1, and the failure waits.

# %%
runs, biases = {}, {"output is σ": 1.0, "output is log σ²": 0.0}
for name, bias in biases.items():
    vae = new_vae()
    head = vae.encoder.get_layer("z_log_var")
    head.set_weights([0 * head.kernel, head.bias + bias])
    x, (z_mean, output) = vae.encoder.input, vae.encoder.outputs
    sigma = output if bias else keras.ops.exp(0.5 * output)
    heads = [z_mean, 2 * keras.ops.log(sigma)]  # NaN where σ is negative
    vae = VAE(keras.Model(x, heads), vae.decoder, seed=seed)
    sigmas, least = keras.Model(x, sigma), []

    def watch(batch, logs):
        least.append(np.min(sigmas(x_train)))

    watch = keras.callbacks.LambdaCallback(on_train_batch_end=watch)
    train(vae, x_train, [watch], once=1)
    runs[name] = {"least": np.array(least)}
negative = np.mean(new_vae().encoder(x_train)[1] < 0)
found["3: negative outputs of a new encoder, share"] = negative
lost = np.isnan(runs["output is σ"]["least"])
found["3: epoch of NaN"] = (np.argmax(lost) + 1) / 19
figure = draw(3, lambda low: low < 0.05, {}, runs, per=19, least="least σ")
run.save_figure(figure, "3_nan")

# %% [markdown]
# **Told early by** the least σ, here after each step: below 0.05 after 2.8 epochs. NaN comes
# after 4.1 epochs, where the curve ends. **Cure**: let the output be $\log \sigma^2$. Then
# $\sigma = e^{\frac12 \log \sigma^2}$ is positive whatever the layer puts out: the sound run.
#
# ## 4. Images left in 0–255
#
# The cross-entropy of targets above 1 has no floor: it falls and falls, while almost every
# pixel goes to white.

# %%
runs, copies = {}, {"originals": shown}
for name, scale in (("0 to 255", 255), ("0 to 1", 1)):
    keras.utils.set_random_seed(seed)
    encoder = dense_encoder(784, (), 32)
    decoder = dense_decoder(32, (), 784, output_activation="sigmoid")
    model = keras.Model(encoder.input, decoder(encoder.output))
    model.compile("adam", "binary_crossentropy", steps_per_execution=19)
    dataset = batches((scale * x_train, scale * x_train), 128, seed, 2)
    runs[name] = history_of(model, dataset, epochs)
    copies[f"copies, {name}"] = model.predict(scale * shown, verbose=0)
with mistake("The package refuses them:"):
    good.encode(255 * x_train)
figure = draw(4, lambda loss: loss < 0, copies, runs, loss="nats per pixel")
figure.axes[-1].set_yscale("symlog")
figure.axes[-1].set_yticks([0, -1e2, -1e4, -1e6, -1e8])
run.save_figure(figure, "4_bytes")

# %% [markdown]
# **Told early by** the sign, after epoch 1: no cross-entropy of pixels in [0, 1] is below zero.
# **Cure**: divide by 255. The package's models refuse other images, as printed above.
#
# ## 5. A discriminator that wins
#
# The generator learns at a fiftieth of the discriminator's rate. Soon the discriminator is
# never wrong, and what the generator draws stays a blot.

# %%
reader = KNeighborsClassifier(1).fit(x_train, y_train[:1200])


def digits(gan):
    """Return how many digits have 1 % or more of 500 generated images."""
    read = reader.predict(gan.generate(500, seed))
    return np.sum(np.bincount(read, minlength=10) >= 5)


def train_gan(g_rate, d_rate):
    """Return 16 images of a GAN in chapter 8's form, and its numbers."""
    keras.utils.set_random_seed(seed)
    generator = dense_generator(16, (128,), 784)
    discriminator = dense_discriminator(784, (128,), dropout=0.3)
    gan = GAN(generator, discriminator, label_smoothing=0.1, seed=seed)
    adams = [keras.optimizers.Adam(r, beta_1=0.5) for r in (g_rate, d_rate)]
    gan.compile(*adams, steps_per_execution=19)
    dataset = batches(x_train, 64, seed, passes=3)
    logs = history_of(gan, dataset, gan_epochs, digits=digits)
    both = [logs["d_accuracy_real"], logs["d_accuracy_fake"]]
    return gan.generate(16, seed), {**logs, "lesser": np.min(both, axis=0)}


cases = {"discriminator wins": (0.00002, 0.001), "fair": (0.001, 0.001)}
gans = {name: train_gan(*rates) for name, rates in cases.items()}
drawn, runs = ({name: gan[i] for name, gan in gans.items()} for i in (0, 1))
panels = {"lesser": "lesser accuracy", "g_loss": "generator's loss, nats"}
figure = draw(5, lambda lesser: lesser > 0.98, drawn, runs, **panels)
run.save_figure(figure, "5_discriminator_wins")

# %% [markdown]
# **Told early by** the accuracies on real and on generated images: the lesser one is above 0.98
# after epoch 2, and the generator's loss climbs. **Cure**: equal learning rates.
#
# ## 6. Mode collapse
#
# Now the discriminator learns at a twentieth of the generator's rate. The generator draws one
# picture for every noise (模式崩溃), here not even a digit. The discriminator's loss comes near
# 2 log 2 = 1.39, as in the equilibrium of the theory (chapter 8), so the loss looks fine.

# %%
gans = {"collapsed": train_gan(0.001, 0.00005), "fair": gans["fair"]}
drawn, runs = ({name: gan[i] for name, gan in gans.items()} for i in (0, 1))
panels = {"digits": "digits that appear", "d_loss": "D's loss, nats"}
late = np.arange(gan_epochs) + 1 >= gan_epochs // 3
figure = draw(6, lambda number: late & (number < 5), drawn, runs, **panels)
run.save_figure(figure, "6_mode_collapse")

# %% [markdown]
# **Told early by** the number of digits among 500 images, read by their nearest training image.
# Every GAN begins with blots, so the rule waits for a third of the epochs: fewer than five
# digits are suspect then, here after epoch 10. (The rule fits blots as in section 5, too.)
# **Cure**: players of equal strength, as in the fair run.
#
# ## 7. Holes in the latent space
#
# With β too small, a VAE is almost a plain autoencoder: its codes lie far apart, anywhere. A
# draw from the prior falls between them, where the decoder has never been.

# %%
holey = new_vae(beta=0.001)
logs = train(holey, distance=distance_from_prior)
runs = {"β = 0.001": logs, "β = 1": good_logs}
drawn = {"copies, β = 0.001": holey.reconstruct(shown)}
for name, vae in zip(runs, (holey, good)):
    drawn[f"drawn, {name}"] = vae.generate(16, seed)
figure = draw(7, lambda far: far > 20, drawn, runs, distance="Fréchet distance")
figure.axes[-1].set_yscale("log")
run.save_figure(figure, "7_holes")

# %% [markdown]
# The copies are good. **Told early by** the Fréchet distance of the codes from the prior (a
# square, as in chapter 9): above 20 after epoch 1, twice the mean squared length of a draw from
# the prior, which is 10. **Cure**: β = 1.
#
# ## 8. Overfitting
#
# There are 50 training images instead of 1200, and as many steps. The training loss goes on
# falling, while held-out images gain nothing more.

# %%
few, stopped = new_vae(), new_vae()
runs = {"50 images": train(few, x_train[:50]), "1200 images": good_logs}
stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
train(stopped, x_train[:50], [stop])
copies = {"new images": shown}
vaes = {"50 images": few, "50, stopped": stopped, "1200 images": good}
for name, vae in vaes.items():
    loss = vae.evaluate(x_test, verbose=0, return_dict=True)["loss"]
    found[f"8: test −ELBO, {name}, nats"] = loss
    copies[f"copies, {name}"] = vae.reconstruct(shown)
names = ("gap, nats", "training loss, nats", "held-out −ELBO, nats")
panels = dict(zip(("gap", "loss", "val_loss"), names))
figure = draw(8, lambda gap: gap > 10, copies, runs, **panels)
run.save_figure(figure, "8_overfitting")

# %% [markdown]
# **Told early by** the gap, held-out −ELBO less training loss: above 10 nats after epoch 3.
# **Cure**: more images. Without them, stop when the held-out loss no longer falls: on the test
# images that gains 3.2 nats; 1150 more images gain 25.9.
# In the table of all numbers that follows, `inf` means that no epoch was suspect.

# %%
run.finish("digits", found)
