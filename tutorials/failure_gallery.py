# %% [markdown]
# # Failure gallery
#
# *Eight ways in which autoencoders, VAEs and GANs fail: each is made to happen, told early by a
# number, and cured; and a doctor who names them. 1.5 minutes on two cores.*
#
# A failed model often trains without complaint. Each section makes one failure on purpose, on
# scikit-learn's small digits, beside a sound run. It shows what the models make (except in
# section 3, where that is NaN) and draws, epoch by epoch, a number that tells the runs apart.
# A rule says when that number is suspect. A dotted line marks the first suspect epoch of the
# failing run; the sound run has none. *Early* means within the first third of the training,
# and in section 3 before the first NaN. The numbers in the text are those of seed 0, and the
# rules are tried on these runs alone: other data or networks may need other thresholds. You
# need chapters 1 to 8.

# %%
import contextlib

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from sklearn.neighbors import KNeighborsClassifier

from keras_vae import GAN, VAE, KLWarmUp, Run, active_units, batches
from keras_vae import dense_decoder, dense_discriminator, dense_encoder
from keras_vae import dense_generator, diagnose, frechet_distance
from keras_vae import gaussian_encoder, image_grid, kl_per_latent, load_digits
from keras_vae import mistake

# %% tags=["parameters"]
seed = 0  # of the first weights, the noise and the order of the batches
epochs = 20  # of each VAE, at least 2; an epoch has 19 steps
gan_epochs = 30  # of each GAN; an epoch has 57 steps

# %%
run = Run("failure_gallery")
(x_train, y_train), (x_test, _) = load_digits()
x_train, x_held = x_train[:1200], x_train[1200:]  # 237 are held out
shown = x_test[:16]
found = {}
patients = {}  # {(section, name): what `diagnose` is asked in section 9}


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
    """Draw images, and the curves {key: label} of the runs.

    The curves have `per` values an epoch; the first key is what the rule
    looks at.
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
        ax.locator_params(axis="x", integer=True)
    ax.legend()
    told = {name: round(float(epoch), 1) for name, epoch in told.items()}
    print("first suspect epoch:", told)
    return figure

# %% [markdown]
# ## 1. Posterior collapse
#
# In a **posterior collapse** (后验坍塌) the encoder gives every image the prior for its cloud, and
# the decoder draws the mean image. It happens even at β = 1. Here the decoder has six hidden
# layers, and in the first steps hardly anything of z gets through them. So z already costs its
# KL and is worth nothing yet, and training removes it.

# %%
runs, copies = {}, {"originals": shown}
ways = {"collapsed": [], "warm-up": [KLWarmUp(1.0, max(1, epochs // 2))]}
units = {"units": lambda vae: active_units(vae, x_held)}
for name, callbacks in ways.items():
    vae = new_vae(decoder_dims=6 * (64,))
    runs[name] = train(vae, x_train, callbacks, rate=0.01, **units)
    copies[f"copies, {name}"] = vae.reconstruct(shown)
    patients[1, name] = {"model": vae, "x": x_train}
panels = {"val_kl_loss": "KL, held out, nats", "units": "active units of 10"}
figure = draw(1, lambda kl: kl < 1, copies, runs, **panels)
figure.axes[3].set_yscale("log")
run.save_figure(figure, "1_posterior_collapse")

# %% [markdown]
# **Told early by** a KL below 1 nat, after epoch 1; no latent variable is active, either.
# **Cure**: a **warm-up** (预热), which is the sound run. β rises from 0 to 1 in ten epochs, so
# the decoder learns to use the latent variables while they still cost little. They stay in use
# when β has reached 1.
#
# ## 2. A mean for a sum
#
# Both terms must be sums: the one over pixels, the other over latent variables. A mean in one
# of them silently changes β. `keras.losses.binary_crossentropy` takes a mean over the 784
# pixels, so that the KL weighs 784 times too much. A mean of the KL over the ten latent
# variables leaves it a tenth of its weight.

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
    patients[2, name] = {"model": good, "x": x_train}
good_logs, most = runs["sums"], 2 * np.log(len(x_train))
figure = draw(2, lambda k: (k < 1) | (k > most), drawn, runs, kl="KL, nats")
run.save_figure(figure, "2_mean_for_sum")

# %% [markdown]
# **Told early by** the KL, *summed*, below 1 nat or above $2 \log N$: both after epoch 1. It
# takes no more than $\log N$ nats to tell $N$ images apart, here $\log 1200 = 7.1$. Whatever
# the mean KL has beyond that is a divergence of all codes together from the prior, and draws
# from the prior suffer (section 7). Even the sound run ends at 11.2 nats, since no training
# reaches the prior exactly; the rule allows twice $\log N$.
# **Cure**: write the reductions where they can be seen, and sum. `VAE` does.
#
# ## 3. NaN from a scale without bounds
#
# A1 takes the output of a linear layer for σ, and computes with its logarithm (erratum A1-4).
# Where the output is negative, the logarithm is NaN, and so is all that is
# computed from it, soon every weight. A new encoder fails at once: 57 % of its outputs are
# negative. Here the layer starts with weights 0 and bias 1, so that every σ is 1 at first, in
# both runs. Then the failure comes later and can be foreseen.

# %%
runs, biases = {}, {"output is σ": 1.0, "output is log σ²": 0.0}  # σ = 1
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
    patients[3, name] = {"model": vae, "x": x_train}
negative = np.mean(new_vae().encoder(x_train)[1] < 0)
found["3: negative outputs of a new encoder, share"] = negative
lost = np.flatnonzero(np.isnan(runs["output is σ"]["least"]))
found["3: epoch of NaN"] = (lost[0] + 1) / 19 if len(lost) else np.inf
figure = draw(3, lambda low: low < 0.05, {}, runs, per=19, least="least σ")
run.save_figure(figure, "3_nan")

# %% [markdown]
# **Told early by** the least σ of all training images and latent variables, here after each
# step: below 0.05 after 2.8 epochs. NaN comes after 4.1 epochs: the curve ends just before, at
# a negative σ. **Cure**: let the output be $\log \sigma^2$, as in the sound run. Then
# $\sigma = e^{\frac12 \log \sigma^2}$ is positive whatever the layer puts out.
#
# ## 4. Images left in 0–255
#
# An autoencoder with a sigmoid at its end is trained on images of 0 to 255. The cross-entropy
# of targets above 1 has no floor: it falls and falls, while almost every pixel goes to white.

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
    parts = {"encoder": encoder, "decoder": decoder}
    patients[4, name] = {"model": model, "x": scale * x_train, **parts}
with mistake("The package refuses them:"):
    good.encode(255 * x_train)
figure = draw(4, lambda loss: loss < 0, copies, runs, loss="nats per pixel")
figure.axes[-1].set_yscale("symlog")
figure.axes[-1].set_yticks([0, -1e2, -1e4, -1e6, -1e8])
run.save_figure(figure, "4_bytes")

# %% [markdown]
# **Told early by** the sign, after epoch 1: no cross-entropy of pixels in [0, 1] is below zero.
# **Cure**: divide by 255. The classes of the package refuse other images, as printed above; the
# failing run is a plain `keras.Model`, which does not.
#
# ## 5. A discriminator that wins
#
# The generator learns at a fiftieth of the discriminator's rate. Soon the discriminator is
# hardly ever wrong, and every picture of the generator stays a blot.

# %%
reader = KNeighborsClassifier(1).fit(x_train, y_train[:1200])


def digits(gan):
    """Return how many digits have 1 % or more of 500 generated images."""
    read = reader.predict(gan.generate(500, seed))
    return np.sum(np.bincount(read, minlength=10) >= 5)


def train_gan(g_rate, d_rate):
    """Return 16 images of a GAN in chapter 8's form, its numbers, and it."""
    keras.utils.set_random_seed(seed)
    generator = dense_generator(16, (128,), 784)
    discriminator = dense_discriminator(784, (128,), dropout=0.3)
    gan = GAN(generator, discriminator, label_smoothing=0.1, seed=seed)
    adams = [keras.optimizers.Adam(r, beta_1=0.5) for r in (g_rate, d_rate)]
    gan.compile(*adams, steps_per_execution=19)
    dataset = batches(x_train, 64, seed, passes=3)
    logs = history_of(gan, dataset, gan_epochs, digits=digits)
    both = [logs["d_accuracy_real"], logs["d_accuracy_fake"]]
    logs["lesser"] = np.min(both, axis=0)
    return gan.generate(16, seed), logs, {"model": gan, "x": x_train}


cases = {"discriminator wins": (0.00002, 0.001), "fair": (0.001, 0.001)}
gans = {name: train_gan(*rates) for name, rates in cases.items()}
patients.update({(5, name): gan[2] for name, gan in gans.items()})
drawn, runs = ({name: gan[i] for name, gan in gans.items()} for i in (0, 1))
panels = {"lesser": "lesser accuracy", "g_loss": "generator's loss, nats"}
figure = draw(5, lambda lesser: lesser > 0.98, drawn, runs, **panels)
run.save_figure(figure, "5_discriminator_wins")

# %% [markdown]
# **Told early by** the discriminator's accuracies on real and on generated images: the lesser
# one is above 0.98 after epoch 2, and the generator's loss climbs. **Cure**: equal learning
# rates. (The accuracies do not say why the discriminator wins: whether the generator gets no
# gradients to speak of or, as its rate suggests here, makes too small steps.)
#
# ## 6. Mode collapse
#
# Now the discriminator learns at a twentieth of the generator's rate. The generator draws one
# picture whatever the noise: mode collapse (模式崩溃), and here the picture is not even a digit.
# The discriminator's loss comes near 2 log 2 = 1.39, as in the equilibrium of the theory
# (chapter 8; label smoothing makes it 1.38). So the loss looks fine.

# %%
gans = {"collapsed": train_gan(0.001, 0.00005), "fair": gans["fair"]}
patients[6, "collapsed"] = gans["collapsed"][2]
drawn, runs = ({name: gan[i] for name, gan in gans.items()} for i in (0, 1))
panels = {"digits": "digits that appear", "d_loss": "D's loss, nats"}
late = np.arange(gan_epochs) + 1 >= gan_epochs // 3
figure = draw(6, lambda number: late & (number < 5), drawn, runs, **panels)
run.save_figure(figure, "6_mode_collapse")

# %% [markdown]
# **Told early by** the number of digits that make up 1 % or more of 500 images; each image is
# read as the digit of its nearest training image. A GAN begins with blots, and in its first
# epochs even the fair run would be suspect. So the rule waits for a third of the epochs. From
# then on fewer than five digits are suspect, here in epoch 10, the first that it looks at. (It
# cannot tell one picture from blots that are read as one digit, as those of section 5 may be.
# And ten digits do not prove variety: there might be ten pictures.)
# **Cure**: equal learning rates, as in the fair run.
#
# ## 7. Holes in the latent space
#
# With β too small, a VAE is almost a plain autoencoder: nothing keeps its codes together, and
# they lie far apart. A draw from the prior falls between them, where the decoder was never
# trained.
#
# How far all codes are from the prior can be measured by the **Fréchet distance** (弗雷歇距离). It
# fits a normal distribution to each of two sets, here to the codes and to draws from the prior.
# It adds up the squared distance of the two means and a number that is 0 where the covariances
# are equal, so it is a square. (Chapter 9 judges images by it.)

# %%
holey = new_vae(beta=0.001)
logs = train(holey, distance=distance_from_prior)
runs = {"β = 0.001": logs, "β = 1": good_logs}
patients[7, "β = 0.001"] = {"model": holey, "x": x_train}
drawn = {"copies, β = 0.001": holey.reconstruct(shown)}
for name, vae in zip(runs, (holey, good)):
    drawn[f"drawn, {name}"] = vae.generate(16, seed)
figure = draw(7, lambda far: far > 20, drawn, runs, distance="Fréchet distance")
figure.axes[-1].set_yscale("log")
run.save_figure(figure, "7_holes")

# %% [markdown]
# The copies are good. **Told early by** the Fréchet distance of the codes from the prior: above
# 20 after epoch 1. (The mean squared length of a draw from the prior is 10, and the rule allows
# twice that.) A small distance does not prove that there are no holes, because it compares
# means and covariances only. **Cure**: β = 1.
#
# ## 8. Overfitting
#
# There are 50 training images instead of 1200, and as many steps. The training loss goes on
# falling, while the loss of held-out images soon stops.

# %%
few, stopped = new_vae(), new_vae()
runs = {"50 images": train(few, x_train[:50]), "1200 images": good_logs}
stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
train(stopped, x_train[:50], [stop])
patients[8, "50 images"] = {"model": few, "x": x_train[:50], "x_test": x_test}
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
# **Told early by** the gap, held-out −ELBO less training loss: above 10 nats after epoch 3. (In
# the first epochs it is below 0, even where nothing is wrong: the training loss is a mean over
# the epoch, the held-out loss is measured at its end.) The gap is a warning and no reason to
# stop: in epoch 3 the held-out loss is still falling.
# **Cure**: more images. Without them, stop when the held-out loss no longer falls. On the test
# images that gains 3.1 nats; 1150 more images gain 25.9.
#
# ## 9. A doctor
#
# Which of these failures is *yours*? `diagnose` looks at a trained model and says what is wrong
# with it, causes before consequences. It reads no code, but runs the model's own training step on
# weights of its choice, and compares the gradients with those of the formulas (the page
# `docs/diagnose.md` says how). Here it sees the models of this page (but the one that was stopped
# early), without being told which of them failed. The sound runs and cures are those called warm-up, sums, output is log σ², 0 to 1
# and fair.

# %%
for (section, name), patient in patients.items():
    with contextlib.redirect_stdout(None):  # it prints more than this page has room for
        findings = diagnose(**patient)
    errors = [f for f in findings if f.level != "note"]
    first = f"{errors[0].name}: {errors[0].value}" if errors else "nothing"
    print(f"{section}, {name}: {first}")
    found[f"9: errors and warnings, {section}, {name}"] = len(errors)

# %% [markdown]
# Of the sound runs it finds nothing (notes aside, which are not printed here). Of the failures it
# names the mistake where there is one in the code, and what came of it where there is none. Where
# two findings come together, such as a mean for a sum and the collapse that follows, the cause
# comes first.
#
# The table that follows has all numbers. In it, `inf` means that no epoch was suspect.

# %%
run.finish("digits", found)
