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
import keras
import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae import VAE, Backup, Run, active_units, batches, dense_decoder, gaussian_encoder
from keras_vae import image_grid, interpolations, load_images, reconstructions, training_curves

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
# We check it against its definition, the mean of $\log q(z) - \log p(z)$ over draws from $q$. It is not a distance: exchange the two
# distributions and the value changes (erratum A1-8).

# %%
mu, log_var = 1.0, -1.0
sigma = np.exp(0.5 * log_var)
closed_form = -0.5 * (1 + log_var - mu**2 - np.exp(log_var))
draws = np.random.default_rng(seed).normal(mu, sigma, 1_000_000)
monte_carlo = np.mean(
    scipy.stats.norm.logpdf(draws, mu, sigma) - scipy.stats.norm.logpdf(draws, 0, 1)
)
print(f"KL: closed form {closed_form:.4f} nats, mean over a million draws {monte_carlo:.4f}")
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
# **The reconstruction term.** With pixels in [0, 1] the copy $\hat x$ is read as the probability of white, a Bernoulli
# likelihood:
#
# $$-\log p(x | z) = -\sum_i \big[ x_i \log \hat x_i + (1 - x_i) \log (1 - \hat x_i) \big]$$
#
# Our decoder does not put out $\hat x$ but the **logit** (对数几率) $l$, any number, with $\hat x = \sigma(l) = 1 / (1 + e^{-l})$. In logits
# the same sum is shorter, and it stays exact where $\hat x$ would round to 0 or 1, because no logarithm of 0 can occur:
#
# $$-\log p(x | z) = \sum_i \big[ \log (1 + e^{l_i}) - x_i l_i \big]$$
#
# The first term is called the softplus of $l_i$.
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
# The encoder ends in two linear layers side by side, its **heads**: `z_mean` puts out $\mu$ and `z_log_var` puts out $\log \sigma^2$. (In
# the article the mean is a ReLU layer, which can't be negative: the negative half of every coordinate is out of its reach, erratum
# A1-3.) The decoder ends in a linear layer too: its 784 numbers are logits.

# %%
inputs = keras.Input((784,))
hidden = inputs
for units in hidden_dims:
    hidden = keras.layers.Dense(units, "relu")(hidden)
z_mean = keras.layers.Dense(latent_dim, name="z_mean")(hidden)
z_log_var = keras.layers.Dense(latent_dim, name="z_log_var")(hidden)
encoder = keras.Model(inputs, [z_mean, z_log_var])
decoder = dense_decoder(latent_dim, hidden_dims[::-1], 784)

# %% [markdown]
# Now a sketch of the model. Read `compute_losses` first: it is the formulas above, line by line. The noise asks for its
# shape while the program runs, since the batch size is not known before (erratum A1-5). `train_step` is what Keras's `fit` calls
# for each batch, `test_step` what validation calls; what they return is shown beside the progress bar. `trackers` hold the means over
# the epoch so far, and `metrics` tells Keras to empty them when the next begins. `SeedGenerator` gives new noise at each step, and the
# same when the program is run again.

# %%
class SketchVAE(keras.Model):
    def __init__(self, encoder, decoder, beta=1.0, seed=None):
        super().__init__()
        self.encoder, self.decoder, self.beta = encoder, decoder, beta
        self.seed_generator = keras.random.SeedGenerator(seed)
        names = ("loss", "reconstruction_loss", "kl_loss")
        self.trackers = [keras.metrics.Mean(name=name) for name in names]

    @property
    def metrics(self):
        return self.trackers

    def compute_losses(self, x):
        mu, log_var = self.encoder(x)  # (batch, latent_dim) each
        epsilon = keras.random.normal(tf.shape(mu), seed=self.seed_generator)
        z = mu + tf.exp(0.5 * log_var) * epsilon
        logits = self.decoder(z)  # (batch, 784)
        reconstruction = tf.reduce_sum(tf.nn.softplus(logits) - x * logits, axis=1)
        kl = -0.5 * tf.reduce_sum(1 + log_var - mu**2 - tf.exp(log_var), axis=1)
        return reconstruction + self.beta * kl, reconstruction, kl  # (batch,) each

    def train_step(self, x):
        with tf.GradientTape() as tape:
            losses = self.compute_losses(x)
            loss = tf.reduce_mean(losses[0])
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return self.track(losses)

    def test_step(self, x):
        return self.track(self.compute_losses(x))

    def track(self, losses):
        for tracker, values in zip(self.trackers, losses):
            tracker.update_state(values)
        return {tracker.name: tracker.result() for tracker in self.trackers}

# %% [markdown]
# ## Training
#
# `compile` gets no loss: `train_step` has its own. A batch is x alone, for there is no target; hence the `None` in `validation_data`.

# %%
sketch = SketchVAE(encoder, decoder, beta, seed)
sketch.compile(optimizer="adam", steps_per_execution=20)
dataset = batches(x_train, batch_size, seed, passes)
history = sketch.fit(
    dataset,
    epochs=epochs,
    callbacks=[Backup(run.backups / "vae", dataset)],
    validation_data=(x_test, None),
    validation_batch_size=1000,
    shuffle=False,  # the pipeline has shuffled already
)

# %% [markdown]
# Does it draw? Take points from the prior, decode them, and pass the logits through the sigmoid. (The article's `sample` sends its
# points through a layer that reads pixels, and raises an error: erratum A1-7.)

# %%
z = keras.random.normal((50, latent_dim), seed=seed)
run.save_figure(image_grid(tf.sigmoid(decoder(z)), columns=10), "generated")

# %% [markdown]
# Nearly. Many are digits, all are soft, and some lie between two digits.
#
# ## From the sketch to the package
#
# `keras_vae.VAE` is the same model. A test holds the two together: with equal weights and equal noise they give equal losses and
# equal gradients, to twelve digits in double precision. What the package's class adds:
#
# | the sketch | `keras_vae.VAE` |
# |---|---|
# | trains on whatever comes | refuses pixels of 0 to 255 as integers, and a batch with NaN or values outside [0, 1], which then moves no weight, however it is fed |
# | takes any two networks | refuses networks that do not fit, and a decoder that ends in a sigmoid (erratum A2-3) |
# | can't be saved: it has no `get_config` (chapter 2) | saves and loads, and goes on as if never stopped; `predict` |
# | β is frozen when the step is first run | `vae.beta = 4.0` is obeyed at once, also by a running `fit` |
# | Bernoulli likelihood | Gaussian too, for vectors without bounds |
# | one device, single precision | several devices (chapter 15), each with its own noise; mixed precision |
# | | `encode`, `decode`, `reconstruct`, `generate` |
#
# (On a GPU Keras compiles the step with XLA, which drops the checks of values; the README says how to keep them.) It takes the
# networks that the sketch has trained, and the optimizer with its state. From here on encoders like this one come from
# `gaussian_encoder`, which builds the layers above.

# %%
vae = VAE(encoder, decoder, beta=beta, seed=seed)
vae.compile(sketch.optimizer)
run.save_model(vae, "vae")

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
nats = -scipy.special.xlogy(x_test, x_hat) - (1 - x_test) * np.log1p(-x_hat)
numpy_reconstruction = float(np.mean(np.sum(nats, axis=1)))
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

# %%
ends = vae.encode(x_test[:10])[0]
walks = interpolations(vae.decode, ends[:5], ends[5:], title="straight walks between test images")
run.save_figure(walks, "interpolations")

# %%
curves = training_curves(history, ["loss", "val_loss"], ylabel="−ELBO, nats per image")
run.save_figure(curves, "training_curves")

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
few = batches(x_train, batch_size, seed, passes)
without_kl.fit(few, epochs=max(1, epochs // 3), shuffle=False, verbose=0)
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
    vae.draws.assign(1)  # the model's count of its draws: the same noise before and after
    with tf.GradientTape() as tape:
        _, error_before, kl = (tf.reduce_mean(values) for values in vae.compute_losses(batch))
        bound = -kl + sign * error_before
    variables = vae.decoder.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(bound, variables)):
        variable.assign_add(1e-4 * gradient)
    vae.draws.assign(1)
    change = float(tf.reduce_mean(vae.compute_losses(batch)[1]) - error_before)
    vae.decoder.set_weights(kept)
    print(f"a step up {name:24} the error changes by {change:+.1e} nats")

# %% [markdown]
# ## What to expect

# %%
run.finish(
    data,
    {
        "test −ELBO, nats per image": elbo["loss"],
        "  reconstruction loss": elbo["reconstruction_loss"],
        "  KL loss": elbo["kl_loss"],
        "predicting the mean image": mean_image,
        "KL, Keras against NumPy: difference": abs(elbo["kl_loss"] - numpy_kl),
        "reconstruction, the same": abs(elbo["reconstruction_loss"] - numpy_reconstruction),
        "active units": active,
        "trained without the KL: −ELBO": bound_without_kl,
    },
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
