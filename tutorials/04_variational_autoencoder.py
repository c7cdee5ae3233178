# %% [markdown]
# # 4. Variational autoencoder
#
# *Reproduces A1 §3.2, §4.2; A2 §2, §3; A3 §2.2, §3.2; A4 §3.2.1. 1.0 minutes on two cores.*
#
# ![Fifty drawings by the model of this chapter](../docs/images/04_generated.png)
#
# Decode a random code of an autoencoder, as chapter 9 does, and you see noise or pieces of
# strokes, because most codes belong to no image. A **variational autoencoder** (变分自编码器, VAE)
# gives each image a small cloud of codes, and pulls all clouds towards one large cloud, the
# **prior** (先验分布). It is $N(0, I)$: independent normal numbers of mean 0 and variance 1. A
# random code then lies nearer to the images' codes. You need chapters 1 and 2.
#
# ![Image, encoder, a cloud with mean and spread, a point drawn from it, decoder, copy. One loss
# compares image and copy, the other the cloud and the prior](../docs/images/vae.svg)

# %%
import keras
import numpy as np
import scipy.stats
import tensorflow as tf

from keras_vae import VAE, Run, active_units, batches, dense_decoder
from keras_vae import gaussian_encoder, image_grid, load_images, mistake
from keras_vae import reconstructions

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the first weights, the noise and the order of the images
hidden_dim = 64  # A1: 64
latent_dim = 64  # A1: 64
beta = 1.0  # weight of the loss of the clouds; A1 §3.2.2 gives no value
epochs = 10  # A1: 10
batch_size = 256  # A1: 256

# %%
keras.utils.set_random_seed(seed)
run = Run("04_variational_autoencoder")
data, (x_train, y_train), (x_test, y_test) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # few digits: 20 passes an epoch

# %% [markdown]
# ## The article's model
#
# The encoder has a hidden layer (the article's mean, A1-3) and two outputs, its heads: the
# cloud's mean $\mu$ and the logarithm of its variance, $\log \sigma^2$. The decoder is one
# layer, whose **logits** (对数几率) a sigmoid turns into pixels. The numbers of a code are now
# **latent variables** (隐变量). (`compute_losses` is explained below.)

# %%
image, z = keras.Input((784,)), keras.Input((latent_dim,))
hidden = keras.layers.Dense(hidden_dim, "relu")(image)
heads = [keras.layers.Dense(latent_dim)(hidden) for _ in range(2)]
encoder = keras.Model(image, heads)
decoder = keras.Model(z, keras.layers.Dense(784)(z))


class SketchVAE(keras.Model):
    def __init__(self, encoder, decoder, beta=1.0, seed=None):
        super().__init__()
        self.encoder, self.decoder, self.beta = encoder, decoder, beta
        self.seed_generator = keras.random.SeedGenerator(seed)
        names = ("loss", "reconstruction_loss", "kl_loss")
        self.means = [keras.metrics.Mean(name=name) for name in names]

    @property
    def metrics(self):  # Keras empties these at each epoch's start
        return self.means

    def compute_losses(self, x):
        mu, log_var = self.encoder(x)  # (batch, latent_dim) each
        epsilon = keras.random.normal(tf.shape(mu), seed=self.seed_generator)
        z = mu + tf.exp(0.5 * log_var) * epsilon
        logits = self.decoder(z)  # (batch, 784)
        nats = tf.nn.softplus(logits) - x * logits
        reconstruction = tf.reduce_sum(nats, axis=1)
        kl = -0.5 * tf.reduce_sum(1 + log_var - mu**2 - tf.exp(log_var), axis=1)
        return reconstruction + self.beta * kl, reconstruction, kl

    def train_step(self, x):  # `fit` calls this for each batch,
        with tf.GradientTape() as tape:
            losses = self.compute_losses(x)
            loss = tf.reduce_mean(losses[0])
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return self.track(losses)

    def test_step(self, x):  # and this for validation
        return self.track(self.compute_losses(x))

    def track(self, losses):
        for mean, values in zip(self.means, losses):
            mean.update_state(values)
        return {mean.name: mean.result() for mean in self.means}

# %%
article = SketchVAE(encoder, decoder, beta, seed)
article.compile(optimizer="adam")
article.fit(batches(x_train, batch_size, seed, passes), epochs=epochs)


def draw(vae, num):
    z = keras.random.normal((num, latent_dim), seed=seed)  # from N(0, 1)
    return tf.sigmoid(vae.decoder(z))


run.save_figure(image_grid(draw(article, 50), columns=10), "article_generated")

# %% [markdown]
# Blots. A decoder of one layer can only add up 64 patterns. For a copy, the encoder chooses how
# much of each; at random they make no digit. So here is one change: a hidden layer in the
# decoder, as in the encoder. The builders of the package make the same layers.

# %%
def train(beta=beta, of_mean="linear"):
    """Return a sketch with a hidden layer on both sides, trained."""
    keras.utils.set_random_seed(seed)
    encoder = gaussian_encoder(784, (hidden_dim,), latent_dim)
    encoder.get_layer("z_mean").activation = keras.activations.get(of_mean)
    decoder = dense_decoder(latent_dim, (hidden_dim,), 784)
    vae = SketchVAE(encoder, decoder, beta, seed)
    vae.compile(optimizer="adam")
    vae.fit(batches(x_train, batch_size, seed, passes), epochs=epochs)
    return vae


sketch = train()
run.save_figure(image_grid(draw(sketch, 50), columns=10), "generated")

# %% [markdown]
# Many are digits now, at least on MNIST; all are soft, and some lie between two digits. The
# whole idea is in `compute_losses`; here it is line by line. (`train_step` moves the weights
# down the gradient, and `track` keeps the means that `fit` shows.)
#
# ## Why it works
#
# **The cloud** is a **normal distribution** (正态分布). The encoder says with which mean and
# variance, for each latent variable by itself. Given the image $x$, the cloud's density is
# written $q(z | x) = N(\mu, \sigma^2)$. Its second head puts out $\log \sigma^2$, any number;
# $\sigma = e^{\frac12 \log \sigma^2}$ is positive.
#
# **A draw that lets gradients through.** A sampler that takes $\mu$ and $\sigma$ as mere
# settings passes no gradient to them. So draw $\varepsilon$ from $N(0, 1)$ first, and compute
#
# $$z = \mu + \sigma\, \varepsilon$$
#
# Now $z$ is a formula in $\mu$ and $\sigma$. This is the **reparameterisation trick** (重参数化技巧).
# `GradientTape` records what is computed, so that TensorFlow can differentiate it. Try it on
# the mean of $z^2$, which is $\mu^2 + \sigma^2$, for $\mu = 1$ and $\log \sigma^2 = -1$: the
# derivatives with respect to these two should be $2 \mu = 2$ and $\sigma^2 = 0.37$.

# %%
both = tf.Variable(1.0), tf.Variable(-1.0)  # μ and log σ²
with tf.GradientTape() as tape:
    epsilon = tf.random.stateless_normal((100_000,), (seed, 0))
    z_draws = both[0] + tf.exp(0.5 * both[1]) * epsilon
    mean_square = tf.reduce_mean(z_draws**2)
print([f"{gradient:.2f}" for gradient in tape.gradient(mean_square, both)])

# %% [markdown]
# **The reconstruction loss** (重建损失) says how far the copy is from the image. With logits $l$
# and the copy $\hat x = 1 / (1 + e^{-l})$ it is chapter 1's cross-entropy, summed over the
# pixels:
#
# $$\begin{aligned} -\log p(x|z) &= -\sum_i [ x_i \log \hat x_i + (1 - x_i) \log (1 - \hat x_i)]
# \\ &= \sum_i [ \log (1 + e^{l_i}) - x_i l_i ] \end{aligned}$$
#
# The second form follows from $\log \hat x = l - \log (1 + e^l)$ and
# $\log (1 - \hat x) = -\log (1 + e^l)$. Nothing in it can become infinite; `softplus` is its
# first term. The sum is written $-\log p(x | z)$ because, for pixels that are 0 or 1,
# $p(x | z)$ is the probability of the image, its **likelihood** (似然), if each pixel is white
# with probability $\hat x_i$, independently: probabilities multiply, logarithms add up.
#
# **The KL loss** holds the clouds together. How far a cloud is from the prior $p(z)$ is
# measured by the **KL divergence** (KL 散度), the mean over the cloud of
# $\log q(z | x) - \log p(z)$. For one latent variable that difference is
# $\frac12 (z^2 - \varepsilon^2 - \log \sigma^2)$, and the means of $z^2$ and $\varepsilon^2$
# are $\mu^2 + \sigma^2$ and 1. Summed over the latent variables:
#
# $$D_{KL} = -\tfrac12 \sum_j \big(1 + \log \sigma_j^2 - \mu_j^2 - \sigma_j^2\big)$$

# %%
cloud, prior = scipy.stats.norm(1.0, np.exp(-0.5)), scipy.stats.norm(0.0, 1.0)
print("formula:", round(-0.5 * (1 + -1.0 - 1.0**2 - np.exp(-1.0)), 3), "nats")
for name, q, p in (("draws", cloud, prior), ("exchanged", prior, cloud)):
    draws = q.rvs(1_000_000, random_state=seed)
    print(f"{name}:", np.mean(q.logpdf(draws) - p.logpdf(draws)).round(3))

# %% [markdown]
# **A1-8.** In the last line cloud and prior have changed places, and the value differs. So the
# KL is not the distance that A1 §3.2.2 calls it: a distance is the same both ways.
#
# The reconstruction loss alone would make the clouds small and move them far apart, since noise
# in z spoils the copy: fine copies, but a random code lies between the clouds. The KL loss
# alone would make each cloud equal to the prior: z tells nothing, and copies have nothing to do
# with their images. Their sum finds a middle, and a weight of the KL, **beta** (权重系数 β), moves
# it. A1 §3.2.2 calls the two losses *generator loss* and *encoder loss* (**A1-15**), but the
# first trains both networks.
#
# **Why this very sum?** A model that can draw gives each image a probability $p(x)$: the mean
# of $p(x | z)$ over all $z$ from the prior. That mean is out of reach, since almost no $z$
# gives the image a probability that counts. So take a detour. Some codes are more likely than
# others to have led to the image $x$; their distribution $p(z | x)$ is its **posterior**
# (后验分布). The probability of code and image together can be written in two ways,
# $p(x)\, p(z|x) = p(x|z)\, p(z)$. Solve for $p(x)$, divide and multiply by $q(z | x)$, and take
# the logarithm:
#
# $$\log p(x) = \log p(x|z) - \log \frac{q(z|x)}{p(z)} + \log \frac{q(z|x)}{p(z|x)}$$
#
# The left side does not depend on $z$, so it is also the mean of the right side over the cloud
# $q(z | x)$. Then the first term becomes minus the reconstruction loss (training takes one draw
# of $z$ for the mean), the second minus the KL loss, and the third the KL divergence of the
# cloud from the posterior. That is never negative: as $\log t \le t - 1$, minus a KL is at most
# the mean over $q$ of $p / q - 1$, and $p / q$ has mean 1. So
#
# $$\log p(x) \;\ge\; -\text{reconstruction loss} - \text{KL loss} \;=\; \text{ELBO}$$
#
# The right side is the **evidence lower bound** (证据下界, ELBO). Training raises it: the smaller
# −ELBO, the better. (All this is for pixels of 0 or 1, as in chapter 13. The loss of a grey
# image is the mean loss of black-and-white images drawn from it, each pixel white with a
# probability equal to its grey.) A4 §3.2.1 leaves out the KL (**A4-2**), A2 §3.3 and §3.4 have
# the reconstruction twice (**A2-8**).
#
# ## The numbers
#
# Losses are in nats per image, on the test set. Beside Keras's are the same formulas in NumPy,
# with noise of its own. The yardstick is a model that knows the mean image only.

# %%
def minus_elbo(vae):
    """Return −ELBO on the test set, and the two losses that it is made of."""
    logs = vae.evaluate(x_test, batch_size=1000, verbose=0, return_dict=True)
    return logs["reconstruction_loss"] + logs["kl_loss"], logs


(ours, logs), (one_layer, _) = minus_elbo(sketch), minus_elbo(article)
mu, log_var = map(np.float64, sketch.encoder.predict(x_test, verbose=0))
noise = np.random.default_rng(seed).normal(size=mu.shape)
z = mu + np.exp(0.5 * log_var) * noise
logits = np.float64(sketch.decoder.predict(z, verbose=0))
nats = np.logaddexp(0, logits) - x_test * logits  # (images, 784)
kl = -0.5 * (1 + log_var - mu**2 - np.exp(log_var))  # (images, latent_dim)
for name, value in (("reconstruction_loss", nats), ("kl_loss", kl)):
    in_numpy = value.sum(axis=1).mean()
    print(f"{name:20} Keras {logs[name]:7.3f}  NumPy {in_numpy:7.3f}")
p = np.float64(x_train.mean(axis=0)).clip(1e-6, 1 - 1e-6)
mean_image = -np.mean(x_test @ np.log(p) + (1 - x_test) @ np.log(1 - p))
print(f"−ELBO: the article's networks {one_layer:.1f}, "
      f"with a hidden layer {ours:.1f}, the mean image {mean_image:.1f}")

# %% [markdown]
# ## Side by side
#
# With data supplied, two things stop the listing. **A1-5**: it draws its noise in the shape of
# a batch, whose size is not known while Keras builds the model. **A1-6**: its model returns
# three outputs, and `compile` gets a loss for one. (Two more wait for whoever changes it or
# calls its `sample`: **A1-7** and **A1-9**, in `tutorials/errata.md`.)

# %%
with mistake("A1-5"):
    tf.random.normal(shape=tf.TensorShape((None, latent_dim)))
three = keras.Model(image, [decoder(heads[0]), *heads])
three.compile(optimizer="adam", loss=keras.losses.Huber())  # or any one loss
with mistake("A1-6"):
    three.fit(x_test, x_test, verbose=0)
output = tf.constant([-1.0, 0.5, 2.0])
print("A1-4  σ, article:", tf.exp(tf.math.log(output)).numpy())
print("      σ, here:   ", tf.exp(0.5 * output).numpy())

# %% [markdown]
# **A1-4** raises no error: the listing takes the logarithm of a linear output, and then the
# exponential. So its $\sigma$ is the output itself, and not a number (NaN) wherever that is
# negative. Two more raise none. **A1-11**: with all else mended, the loss still has no KL.
# **A1-3**: the mean comes out of a ReLU and is never negative. Each model below differs from
# ours in one point:

# %%
without_kl, relu_mean = train(beta=0.0), train(of_mean="relu")
bounds = [ours, minus_elbo(without_kl)[0], minus_elbo(relu_mean)[0]]
names = ("ours", "without the KL", "with a ReLU mean")
print("−ELBO", dict(zip(names, np.round(bounds, 1).tolist())))
pictures = [draw(vae, 20) for vae in (sketch, without_kl, relu_mean)]
figure = image_grid(np.concatenate(pictures), 20, title=", ".join(names))
run.save_figure(figure, "side_by_side")

# %% [markdown]
# Trained without the KL, a model has a far worse −ELBO (where the KL counts all the same), and
# a far worse picture. With a ReLU mean, −ELBO is worse by more than ten nats on MNIST, and the
# eye hardly sees it. The article's networks are as bad, and draw blots. So look at both: −ELBO
# says how well a model knows the images, and not how its own drawings look.
#
# **A2-5** and **A2-14** stand in `tutorials/errata.md`.
#
# ## From the sketch to the package
#
# `keras_vae.VAE` is the same model: with equal weights and equal noise both give equal losses
# and gradients, to twelve digits in double precision (a test holds them to that). What it adds:
#
# | the sketch | `keras_vae.VAE` |
# |---|---|
# | trains on data of any type and range | refuses a wrong one before a weight moves |
# | cannot be saved | saves, loads, goes on (chapter 2) |
# | β is fixed when training starts | `vae.beta = 4.0` acts at once |
# | rows of pixels | any shape; any numbers, by `likelihood="gaussian"` (chapters 5 and 7) |
# | plain layers | penalties and random layers act, too; `encode`, `decode`, `reconstruct`, `generate` |

# %%
vae = VAE(sketch.encoder, sketch.decoder, beta=beta, seed=seed)
vae.compile(optimizer=sketch.optimizer)
run.save_model(vae, "vae")
copies = vae.reconstruct(x_test[:10])
run.save_figure(reconstructions(x_test[:10], copies), "reconstructions")

# %% [markdown]
# A latent variable is **active** (活跃) if its mean differs between images: if the variance of
# $\mu$ over the test set is above 0.01. The others tell the decoder next to nothing.
#
# ## What to expect

# %%
run.finish(data, {
    "test −ELBO, nats per image": ours,
    "reconstruction loss": logs["reconstruction_loss"],
    "KL loss": logs["kl_loss"],
    "the article's networks: −ELBO": one_layer,
    "predicting the mean image": mean_image,
    "KL, Keras against NumPy: difference": abs(logs["kl_loss"] - in_numpy),
    "active units": active_units(vae, x_test),
    "trained without the KL: −ELBO": bounds[1],
    "with a ReLU mean: −ELBO": bounds[2],
})

# %% [markdown]
# ## Three questions
#
# 1. What would happen to clouds and copies if the loss had only one of its two terms?
#    <details><summary>Answer</summary>
#
#    With the reconstruction loss alone, the clouds shrink and move apart: fine copies, and
#    noise from a random code. With the KL alone, every cloud is the prior, and the decoder
#    learns nothing.
#    </details>
# 2. Why is z computed as μ + σ ε, and not drawn from N(μ, σ²) directly?
#    <details><summary>Answer</summary>
#
#    Both give z of the same distribution. But the formula has a derivative with respect to μ
#    and σ, so the encoder can be trained through it.
#    </details>
# 3. Why does the second head put out the logarithm of the variance?
#    <details><summary>Answer</summary>
#
#    A linear layer gives any number, and a variance must be positive. The exponential of any
#    number is positive.
#    </details>
#
# ## Exercises
#
# Write its central lines yourself: `python tutorials start 4`, and then `check 4`.
#
# 1. Predict first: what do `beta=0.0` and `beta=10.0` do to copies, drawn digits and both
#    losses? Run `python tutorials 4 beta=0.0` and `python tutorials 4 beta=10.0`.
#    <details><summary>Answer</summary>
#
#    With 0, fine copies and drawn noise. With 10 the KL falls below one nat, the code tells
#    almost nothing, and the reconstruction loss comes close to that of the mean image.
#    </details>
