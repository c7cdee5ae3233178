# %% [markdown]
# # 13. How well does a VAE learn p(x)?
#
# *Reproduces A0 §3 and A3 §2.2. Corrects erratum A3-18. 1.2 minutes on two cores.*
#
# The articles say that a VAE learns the **probability distribution** (概率分布) of the data. None of them gives a
# number for it. There is one: the **log-likelihood** (对数似然), the log of the probability that the trained model gives to
# images that it has never seen. The higher, the better the model. This chapter measures it in the way of Burda,
# Grosse and Salakhutdinov (2016), so that the numbers can be laid beside those of their paper.
#
# Four things must be the same for that: the images are made binary; each image counts with all its 784 pixels, in nats;
# there are 50 latent variables; and no test image is used in training or to choose anything.

# %%
import math

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from keras_vae import IWAE, VAE, Backup, Run, active_units, batches, binarise, dense_decoder, elbo
from keras_vae import gaussian_encoder, image_grid, load_images, log_likelihood
from keras_vae import rate_distortion

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the first weights, the noise, the batches and the binary pixels
hidden_dims = (200, 200)  # Burda et al.: 200 and 200
latent_dim = 50  # Burda et al.: 50
activation = "relu"  # Burda et al.: "tanh"
num_importance_samples = 1  # draws of z in training: 1 is the VAE, more the IWAE
epochs = 12  # Burda et al.: 3280
batch_size = 256  # Burda et al.: 20
learning_rate = 0.002  # falls to a hundredth by a cosine; Burda et al.: 0.001, in steps to 0.0001
precision = "float32"  # "mixed_bfloat16" is faster where the processor knows it
num_images = 1000  # test images for the bound, the first so many
num_samples = 500  # K, draws of z an image for the bound; Burda et al.: 5000
num_more_samples = 5000  # what so many draws would change,
num_more_images = 100  # on so many images

# %% [markdown]
# ## Data
#
# A grey value is read as a probability: the pixel is 1 with that probability, else 0. In training, pixels are drawn
# anew every time that an image is seen (**dynamic binarisation**, 动态二值化); the package's `binarise` does that to a pipeline. For the
# test images they are drawn once. Either way it is one comparison with a uniform random number, in the last line but one here:

# %%
keras.utils.set_random_seed(seed)
keras.config.set_dtype_policy(precision)
run = Run("13_likelihood")
data, (x_train, _), (x_test, _) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # on the small digits an epoch is twenty passes
x_test = (np.random.default_rng(seed).uniform(size=x_test.shape) < x_test).astype("float32")
x_some = x_test[:num_images]

# %% [markdown]
# ## The formulas
#
# The probability of an image is an integral over all codes, $p(x) = \int p(x \mid z)\, p(z)\, dz$. With 50 latent variables no
# sum over a grid can reach it. But it is also a mean over draws from the encoder, if each draw is weighted:
#
# $$p(x) = \mathbb E_{z \sim q(z \mid x)}\, w(z), \qquad w(z) = \frac{p(x \mid z)\, p(z)}{q(z \mid x)}$$
#
# The log of a mean of K weights is, on average, too small, and less so the larger K is. So it is a lower bound,
# the **importance-weighted bound** (重要性加权下界):
#
# $$\log p(x) \ge \mathbb E \log \frac1K \sum_{k=1}^K w(z_k)$$
#
# For K = 1 it is the ELBO of chapter 4. A model that can be solved by hand shows how it closes in: $z \sim N(0, 1)$ and
# $x \mid z \sim N(z, 1)$, so that $x \sim N(0, 2)$. Take x = 1, and a poor encoder $q(z \mid x) = N(0, 1)$, which ignores x:

# %%
rng = np.random.default_rng(seed)
exact = -0.5 * (1 / 2 + math.log(2 * math.pi * 2))
print(f"exact: log p(x) = {exact:.4f}")
for k in (1, 10, 100, 1000):
    z = rng.normal(size=(2000, k))  # 2000 repetitions of K draws from q = p(z): w(z) = p(x | z)
    log_w = -0.5 * ((1 - z) ** 2 + math.log(2 * math.pi))
    bound = np.logaddexp.reduce(log_w, axis=1) - math.log(k)
    print(f"K = {k:4}: {bound.mean():.4f}")

# %% [markdown]
# ## The model
#
# A VAE as before. With `num_importance_samples` above 1 it is an **IWAE**: it trains on the importance-weighted bound itself.

# %%
encoder = gaussian_encoder(784, hidden_dims, latent_dim, activation)
decoder = dense_decoder(latent_dim, hidden_dims[::-1], 784, activation=activation)
if num_importance_samples == 1:
    vae = VAE(encoder, decoder, seed=seed)
else:
    vae = IWAE(encoder, decoder, num_importance_samples=num_importance_samples, seed=seed)
print(f"{vae.count_params():,} parameters")

# %% [markdown]
# The package's `IWAE` is a `VAE` with another loss. Here is that loss in short: K codes for each image, each with its weight. In
# $\log q(z \mid x) - \log p(z)$ the constants of the two normal densities cancel.

# %%
def iwae_loss(x, k):
    """Return minus the importance-weighted bound of each image by K draws of z, in nats, (num,)."""
    z_mean, z_log_var = (tf.repeat(head, k, axis=0) for head in encoder(x))  # (num · K, latent_dim)
    epsilon = tf.random.stateless_normal(tf.shape(z_mean), (seed, k))
    z = z_mean + tf.exp(0.5 * z_log_var) * epsilon
    nats = vae.negative_log_likelihood(tf.repeat(x, k, axis=0), decoder(z))
    kl = 0.5 * tf.reduce_sum(z**2 - epsilon**2 - z_log_var, axis=1)
    log_weights = tf.reshape(-nats - kl, (-1, k))
    return math.log(k) - tf.reduce_logsumexp(log_weights, axis=1)


for k in (1, 5, 50):
    print(f"before training, K = {k:2}: {np.mean(iwae_loss(x_some[:100], k)):.2f} nats")

# %% [markdown]
# ## Training
#
# After the first epoch and after each quarter of the way the bound is measured on 200 test images, with 50 draws each. This is to look at only:
# nothing is chosen by it.

# %%
quarters = [n for n in range(1, epochs + 1) if n == 1 or n % max(1, epochs // 4) == 0]


def measure(epoch, logs):
    """Put the bound on 200 images into the History, at each quarter of the training."""
    if epoch + 1 in quarters:
        logs["bound"] = -float(log_likelihood(vae, x_some[:200], 50).mean())


dataset = binarise(batches(x_train, batch_size, seed, passes), seed)
rate = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * len(dataset), alpha=0.01)
vae.compile(keras.optimizers.Adam(rate), steps_per_execution=20)
history = vae.fit(
    dataset,
    epochs=epochs,
    shuffle=False,  # the pipeline has shuffled already
    verbose=2,
    callbacks=[
        keras.callbacks.LambdaCallback(on_epoch_end=measure),
        Backup(run.backups / "vae", dataset),
    ],
)
bounds = dict(zip(quarters, history.history["bound"]))
run.save_model(vae, "vae")
print("bound on 200 images by epoch:", {epoch: round(value, 1) for epoch, value in bounds.items()})

# %% [markdown]
# ## The numbers
#
# The ELBO on all test images, and the bound on the first of them, with its standard error over images. The error says how far
# the mean of other images might lie. Two models are measured on the same images, so the difference between them is surer than these errors suggest.

# %%
elbos = elbo(vae, x_test, num_samples=5)
likelihoods = log_likelihood(vae, x_some, num_samples, verbose=1)
error = likelihoods.std() / len(likelihoods) ** 0.5
same_elbos = elbos[:num_images]
parts = rate_distortion(vae, x_test)
active = active_units(vae, x_test)
print(f"−ELBO, {len(x_test)} images: {-elbos.mean():.2f} nats")
print(f"−ELBO, {len(x_some)} images: {-same_elbos.mean():.2f} nats")
print(f"the bound, K = {num_samples}, {len(x_some)} images: {-likelihoods.mean():.2f} ± {error:.2f} nats")
print(f"rate {parts['rate']:.1f} + distortion {parts['distortion']:.1f} nats; {active} of {latent_dim} units active")

# %% [markdown]
# Does K suffice? Here are some of the images under growing K. On average the bound can only rise, and where it has stopped, more draws
# would change little.

# %%
curve = {}
for k in (1, 5, 50, num_samples, num_more_samples):
    curve[k] = -float(log_likelihood(vae, x_some[:num_more_images], k, seed=1).mean())
    print(f"K = {k:4}: {curve[k]:.2f} nats on {num_more_images} images")

# %% [markdown]
# What do nats of likelihood mean? Compare with a model that knows the mean image only, each pixel on its own:

# %%
mean_image = x_train.mean(axis=0).clip(1e-4, 1 - 1e-4)
plain = -float(np.mean(np.sum(x_test * np.log(mean_image) + (1 - x_test) * np.log1p(-mean_image), axis=1)))
print(f"independent pixels: {plain:.1f} nats on {len(x_test)} images; the VAE's −ELBO is {-elbos.mean():.1f}")
print(f"so the VAE gives a new image at least e^{plain + elbos.mean():.0f} times that probability (geometric mean)")

# %% [markdown]
# Beside the paper (Burda et al. 2016, Table 1, one stochastic layer, MNIST, K = 5000, all 10 000 test images):
#
# | model | negative bound, nats | active units |
# |---|---|---|
# | VAE | 86.76 | 19 |
# | IWAE, 5 draws | 85.54 | 22 |
# | IWAE, 50 draws | 84.78 | 25 |
#
# The defaults here train for a minute and stay a good way behind: the paper trained 3280 epochs. This comes level:
# `python tutorials 13 "hidden_dims=(500,500)" num_importance_samples=5 epochs=80 precision=mixed_bfloat16`. The results page, docs/results.md,
# says what it gave, and in how many minutes.
#
# ## The pictures

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
plt.close(figure)
axes[0].plot(np.arange(1, epochs + 1), history.history["loss"], color="#332288", label="−ELBO, training")
axes[0].plot(list(bounds), list(bounds.values()), "s--", color="#CC6677", label="−bound, K = 50, 200 test images")
axes[0].set(xlabel="epoch", ylabel="nats per image")
axes[0].legend()
axes[1].plot(list(curve), list(curve.values()), "o-", color="#332288")
axes[1].set(xscale="log", xlabel="K, draws of z per image", ylabel=f"−bound, nats ({num_more_images} images)")
for ax in axes:
    ax.grid(alpha=0.3)
run.save_figure(figure, "bound")

# %% [markdown]
# The test images that the model finds least and most probable. The least are rare shapes; the most are nearly all 1s, which
# have few pixels to get wrong. A high likelihood does not mean a typical image: chapter 14 comes back to this.

# %%
order = np.argsort(likelihoods)
run.save_figure(
    image_grid(np.concatenate([x_some[order[:20]], x_some[order[-20:]]]), columns=10,
               title="least probable (two rows), most probable (two rows)"),
    "least_and_most",
)

# %%
run.save_figure(image_grid(vae.generate(50, seed=seed), columns=10, title="generated: means of p(x | z)"), "generated")

# %% [markdown]
# ## What the article printed
#
# | erratum | what is printed | what stands here |
# |---|---|---|
# | A3-18 | a VAE that "learns the distribution" is judged by its reconstruction error alone | the bound on log p(x) |
#
# A3-18 at work. Train the same networks with β = 0, for three epochs: without the KL they reconstruct better. As a model of the data they
# are useless, since the prior never draws the codes that they use. Their bound says so (it is a bound: log p(x) itself may be better), and so does what they generate:

# %%
keras.utils.set_random_seed(seed)
wrong = VAE(
    gaussian_encoder(784, hidden_dims, latent_dim, activation),
    dense_decoder(latent_dim, hidden_dims[::-1], 784, activation=activation),
    beta=0.0,
    seed=seed,
)
wrong.compile(keras.optimizers.Adam(learning_rate), steps_per_execution=20)
dataset = binarise(batches(x_train, batch_size, seed, passes), seed)
wrong.fit(dataset, epochs=3, shuffle=False, verbose=0)
errors, bound_of = {}, {}
for name, model in (("β = 1", vae), ("β = 0", wrong)):
    errors[name] = 100 * float(np.mean((model.reconstruct(x_some) > 0.5) != x_some))
    bound_of[name] = -float(log_likelihood(model, x_some[:200], 50).mean())
    print(f"{name}: {errors[name]:.1f} % of the pixels wrong, −bound {bound_of[name]:.0f} nats")
run.save_figure(image_grid(wrong.generate(20, seed=seed), columns=10, title="generated with β = 0"), "beta_zero")

# %% [markdown]
# ## What to expect

# %%
values = {
    "−ELBO, nats, all test images": -float(elbos.mean()),
    "−bound, nats": -float(likelihoods.mean()),
    "its standard error": float(error),
    "−ELBO of the same images": -float(same_elbos.mean()),
    "active units": active,
    "independent pixels, nats": plain,
    f"what {num_more_samples} draws add to {num_samples}, nats":
        curve[num_samples] - curve[num_more_samples],
    "pixels wrong, %, β = 1": errors["β = 1"],
    "pixels wrong, %, β = 0": errors["β = 0"],
    "−bound, nats, β = 0": bound_of["β = 0"],
}
run.finish(data, values)

# %% [markdown]
# ## Exercises
#
# 1. The gap between the bound and the ELBO is several nats. What does it measure?
#    <details><summary>Answer</summary>
#
#    How far the encoder's normal distribution is from the true posterior $p(z \mid x)$: for K = 1 the gap to log p(x) is exactly
#    $\mathrm{KL}(q(z \mid x) \Vert p(z \mid x))$. The bound with K = 500 has closed most of it.
#    </details>
# 2. Why must pixels be binary for this comparison? Grey pixels fit into the same loss.
#    <details><summary>Answer</summary>
#
#    For grey x the cross-entropy is no log-probability of anything: it does not integrate to 1 over [0, 1]. Numbers of grey and of
#    binary images can't be compared, and grey ones look better or worse for no reason of the model's.
#    </details>
# 3. An IWAE may have a worse −ELBO than a VAE, and yet a better bound. How can that be?
#    <details><summary>Answer</summary>
#
#    The ELBO is a mean over single draws: every draw of z must explain the image. The bound takes the log of the mean weight: one good draw among five
#    is enough. An encoder trained on it may spread its draws wider. To see both, run
#    `python tutorials 13 num_importance_samples=5` and compare the two rows with those of the VAE.
#    </details>
# 4. $p(x)$ is also the mean of $p(x \mid z)$ over z from the prior: no encoder, no weights. Why not do that? Guess what 5000 such draws
#    give, then compute it.
#    <details><summary>Answer</summary>
#
#    In our run on MNIST: 128.4 nats, where the encoder's draws gave 103.8 with one draw and 99.3 with 5000. With 50 draws from the prior it is 192.7. Hardly any
#    draw from the prior decodes to this image, and the mean lives on those few. The encoder says where to look.
#
#    ```python
#    z = np.random.default_rng(seed).normal(size=(5000, latent_dim)).astype("float32")
#    p = vae.decode(z).astype("float64").clip(1e-6, 1 - 1e-6)
#    x = x_some[:num_more_images]
#    log_p = x @ np.log(p).T + (1 - x) @ np.log1p(-p).T  # log p(x | z), (images, draws)
#    for k in (50, 500, 5000):
#        naive = np.logaddexp.reduce(log_p[:, :k], axis=1) - math.log(k)
#        print(f"{k} draws from the prior: {-naive.mean():.1f} nats")
#    print("with the encoder:", {k: round(value, 1) for k, value in curve.items()})
#    ```
#    </details>
