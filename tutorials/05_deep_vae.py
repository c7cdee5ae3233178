# %% [markdown]
# # 5. A deeper VAE, β, and the latent plane
#
# *Reproduces A0 §3 and §4. 1.9 minutes on two cores.*
#
# ![A plane covered with digits that change into each other, decoded from two latent
# variables](../docs/images/05_latent_plane.png)
#
# This is what a VAE with two latent variables can draw: the places of its plane, decoded. You
# will make the picture, walk through it in a browser, and see what the weight β trades for
# what. First comes the VAE of article A0, deeper than that of chapter 4 and with another
# reconstruction loss. You need chapter 4.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import scipy.stats
import tensorflow as tf

from keras_vae import VAE, Autoencoder, Run, SampleGrid, active_units, batches
from keras_vae import dense_decoder, dense_encoder, gaussian_encoder, image_grid
from keras_vae import latent_explorer, latent_plane, latent_scatter, load_images
from keras_vae import mistake, reconstruction_error

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the first weights, the noise and the order of the images
hidden_dims = (128, 64)  # A0: 128 and 64
latent_dim = 32  # A0: 32
decoder_hidden_dims = (32, 64, 128)  # A0: 32, 64 and 128
beta = 1.0  # A0 §3.3 names it and gives no value
epochs = 10  # A0: 100
batch_size = 256  # A0: Keras's default, 32
high_beta = 4.0  # of a third model
plane_epochs = 12  # of the models with two latent variables

# %%
keras.utils.set_random_seed(seed)
run = Run("05_deep_vae")
data, (x_train, y_train), (x_test, y_test) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # few digits: 20 passes an epoch

# %% [markdown]
# ## The article's model
#
# Its encoder has layers of 128 and 64 and 32 latent variables, its decoder 32, 64, 128 and a
# sigmoid. A0 §3.3 weighs the squared error against the KL:
#
# $$L = \lVert x - \hat x \rVert^2 + \beta\, D_{KL}$$
#
# `keras_vae.VAE` takes pixels for normally distributed around the copy, with variance 1, if it
# is told `likelihood="gaussian"`. Its reconstruction loss is then
# $\frac12 \lVert x - \hat x \rVert^2$ plus a constant. With $\beta / 2$, its loss is
# $\frac12 L$ plus that constant: the same weights are best.

# %%
def build(num_latent, **settings):
    """Return a VAE of the article's layers."""
    keras.utils.set_random_seed(seed)
    sigmoid = "sigmoid" if "likelihood" in settings else None
    encoder = gaussian_encoder(784, hidden_dims, num_latent)
    decoder = dense_decoder(num_latent, decoder_hidden_dims, 784, sigmoid)
    vae = VAE(encoder, decoder, seed=seed, **settings)
    vae.compile(optimizer="adam")
    return vae


article = build(latent_dim, likelihood="gaussian", beta=beta / 2)
article.fit(batches(x_train, batch_size, seed, passes), epochs=epochs)
drawn = article.generate(50, seed=seed)
run.save_figure(image_grid(drawn, columns=10), "article_generated")

# %% [markdown]
# They are digits, rather soft ones.
#
# ## Why it works
#
# **What does a squared error cost?** Chapter 4 measured its reconstruction loss in nats. So can
# we: if each pixel is normal around the copy with variance $s^2$, then
#
# $$-\log p(x | z) = \frac{1}{2 s^2} \lVert x - \hat x \rVert^2 + \text{a constant}$$
#
# The article's loss leaves out the factor; at β = 1 it has chosen $s^2 = \frac12$, and takes
# pixels between 0 and 1 to be off by $s = 0.7$. If pixels are that noisy, an error costs little
# beside the KL, and the code need not tell much about the image. β and $s^2$ turn the same
# knob, and the article turns it without saying so (**A0-15**). The cross-entropy has no $s$: it
# takes each pixel for black or white by chance, a *Bernoulli* variable. Here is the same VAE
# with it, and nothing else changed:

# %%
bernoulli = build(latent_dim, beta=beta)
bernoulli.fit(batches(x_train, batch_size, seed, passes), epochs=epochs)

# %% [markdown]
# **What β trades.** A nat is also a unit of information: 1 nat is 1.44 bits, answers of yes or
# no. Averaged over images, the KL is called the **rate** (码率). It is an upper bound (not proven
# here) on what the code tells about an image. The reconstruction loss says how wrong the copy
# is: the **distortion** (失真). Training minimises distortion + β · rate. All pairs with the same
# sum lie on a line of slope −β, so it seeks the lowest such line that touches what can be
# reached. A higher β makes each nat of rate cost more:
#
# ![A falling curve in the plane of rate and distortion; a high beta leads to its upper left, a
# low beta to its lower right](../docs/images/rate_distortion.svg)

# %%
high = build(latent_dim, beta=high_beta)
high.fit(batches(x_train, batch_size, seed, passes), epochs=epochs)

# %% [markdown]
# ## The numbers
#
# The squared error can be compared between all three models. −ELBO, rate plus distortion, can
# be compared between the last two, whatever β they were trained with.

# %%
models = {"article": article, "cross-entropy": bernoulli, "high β": high}
mse, rate, minus_elbo = {}, {}, {}
figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), layout="constrained")
plt.close(figure)
print("on the test set  MSE per pixel   rate   active   rate + distortion")
for ax, (name, vae) in zip(axes, models.items()):
    logs = vae.evaluate(x_test, verbose=0, return_dict=True)
    mse[name] = reconstruction_error(vae, x_test)["mse"]
    rate[name] = logs["kl_loss"]
    minus_elbo[name] = logs["kl_loss"] + logs["reconstruction_loss"]
    print(f"{name:15} {mse[name]:14.4f} {rate[name]:6.1f} "
          f"{active_units(vae, x_test):8} {minus_elbo[name]:19.1f}")
    image_grid(vae.generate(64, seed=seed), title=f"generated: {name}", ax=ax)
run.save_figure(figure, "generated")

# %% [markdown]
# With the cross-entropy it pays to tell more about each image, so the rate is higher and the
# copies are closer. (A latent variable is *active* if its mean differs between images, chapter
# 4.) At the high β the rate falls, and the sum rises: the distortion has risen by more. The
# article's sum holds a large constant, and cannot be compared.
#
# ## The latent plane
#
# The space of all codes is the **latent space** (隐空间). With two latent variables it is a plane,
# and we can look at all of it. While the model trains, `SampleGrid` draws the plane every other
# epoch: `film/samples.gif` in the run's folder is the animation. In the picture below, a random
# code falls into each step with the same probability, so steps are wider far from 0.

# %%
plane = build(2)
side = np.linspace(-1.6, 1.6, 10)
z_film = np.stack(np.meshgrid(side, side[::-1]), axis=-1).reshape(-1, 2)
film = SampleGrid(plane.decode, z_film, run.folder / "film", every=2)
dataset = batches(x_train, batch_size, seed, passes)
plane.fit(dataset, epochs=plane_epochs, callbacks=[film])
run.save_figure(latent_plane(plane.decode), "latent_plane")

# %%
keras.utils.set_random_seed(seed)
autoencoder = Autoencoder(
    dense_encoder(784, hidden_dims, 2),
    dense_decoder(2, decoder_hidden_dims, 784, output_activation="sigmoid"),
)
autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
dataset = batches(x_train, batch_size, seed, passes)
autoencoder.fit(dataset, epochs=plane_epochs)

# %% [markdown]
# This was a plain autoencoder of the same layers, to compare. It may put a code anywhere, so it
# leaves **holes** (空洞): places where no image lies, and whose pictures the decoder never
# learned. To count them, lay 15 × 15 fields over the codes of training images (without the
# outermost hundredth at each edge). How many fields are empty? (The small digits are too few
# for this count.)

# %%
figure, axes = plt.subplots(1, 2, figsize=(13, 5.6), layout="constrained")
plt.close(figure)
codes = {"VAE": plane.encode(x_train)[0], "AE": autoencoder.encode(x_train)}
empty = {}
for ax, (name, z) in zip(axes, codes.items()):
    edges = np.percentile(z, (1, 99), axis=0).T
    fields, _, _ = np.histogram2d(*z.T, bins=15, range=edges)
    empty[name] = np.mean(fields == 0)
    title = f"{name}: {empty[name]:.0%} of the fields are empty"
    latent_scatter(z[:10000], y_train[:10000], title, ax=ax)
run.save_figure(figure, "latent_scatter")

# %% [markdown]
# On MNIST the autoencoder leaves more fields empty: no KL pulled its codes to one prior, and no
# noise pushed them apart. Both planes are on one web page. Open it with a double click, move
# over the plane, and walk from A to B by the slider, in both models. Where does the digit fall
# to pieces on the way?

# %%
page = run.folder / "latent_explorer.html"
both = {"VAE": plane, "autoencoder": autoencoder}
latent_explorer(page, both, x_test[:500], y_test[:500])
run.saved.append(page.name)
print(page.absolute())

# %% [markdown]
# ## Side by side
#
# The listing of A0 stops five times. **A0-1**: a model is no layer. **A0-4**: there is no layer
# of a divergence, and a divergence is a number, not a sample. **A0-3**: for the variance it
# applies the encoder, which reads pixels, to a code. **A0-6**: its data are noise of 28 × 28; a
# dense layer reads rows of 28, puts out 784 numbers for each, and meets 28 targets. **A0-5**:
# `fit` gets no target, and the model returns three outputs.

# %%
with mistake("A0-1"):
    tf.keras.layers.Model
with mistake("A0-4"):
    tf.keras.layers.KLDivLoss(alpha=1.0)
with mistake("A0-3"):
    plane.encoder(keras.Input((2,)))
with mistake("A0-6"):
    rows, outputs = np.zeros((2, 28, 28)), np.zeros((2, 28, 784))
    keras.losses.MeanSquaredError()(rows, outputs)
image, heads = plane.encoder.input, plane.encoder.output
three = keras.Model(image, [plane.decoder(heads[0]), *heads])
three.compile(optimizer="adam", loss="mse")
with mistake("A0-5"):
    three.fit(x_test, verbose=0)

# %% [markdown]
# **A0-2**: its encoder has no variance, and its mean comes out of a ReLU. In the plane you see
# what that does, after a few epochs: no mean is negative, so three of the four quarters are
# empty.

# %%
relu = build(2)
relu.encoder.get_layer("z_mean").activation = keras.activations.relu
dataset = batches(x_train, batch_size, seed, passes)
relu.fit(dataset, epochs=max(1, plane_epochs // 4), verbose=0)
figure = latent_scatter(relu.encode(x_test)[0], y_test, "means behind a ReLU")
figure.axes[0].set(xlim=(-4, 4), ylim=(-4, 4))
run.save_figure(figure, "relu_mean")

# %% [markdown]
# **A0-7**: β and the KL are in the formula, and the listing's loss has neither (chapter 4,
# A1-11). **A0-10**: the formula takes the mean of $\log q - \log p$ over the *prior*. That is
# minus a KL divergence, so to minimise it drives the clouds away from the prior:

# %%
q, p = scipy.stats.norm(1.0, 0.6), scipy.stats.norm(0.0, 1.0)
for name, over in (("q(z|x)", q), ("the prior, A0-10", p)):
    z = over.rvs(100_000, random_state=seed)
    print("mean over", name, np.mean(q.logpdf(z) - p.logpdf(z)).round(2))

# %% [markdown]
# **A0-9**: A0 §3 calls the KL the encoder's uncertainty. But it is 0 for the prior's own mean
# and variance, and grows when the variance rises or falls, or the mean moves. **A0-8**,
# **A0-11**, **A0-12**, **A0-14** and **A0-16**, sentences, stand in `tutorials/errata.md`.
#
# ## What to expect

# %%
run.save_model(article, "article_vae")
run.save_model(bernoulli, "deep_vae")
run.save_model(plane, "plane_vae")
run.save_model(autoencoder, "plane_autoencoder")
run.finish(data, {
    "the article's loss: test MSE per pixel": mse["article"],
    "the article's loss: rate, nats": rate["article"],
    "cross-entropy: test MSE per pixel": mse["cross-entropy"],
    "cross-entropy: rate": rate["cross-entropy"],
    "cross-entropy: test −ELBO, nats": minus_elbo["cross-entropy"],
    "high β: rate": rate["high β"],
    "high β: −ELBO": minus_elbo["high β"],
    "empty fields, VAE": empty["VAE"],
    "empty fields, autoencoder": empty["AE"],
})

# %% [markdown]
# ## Three questions
#
# 1. Why does the article's loss lead to poorer copies?
#    <details><summary>Answer</summary>
#
#    Its factor treats pixels as if they were off by 0.7. Then an error costs little beside the
#    KL, and the code tells little about the image.
#    </details>
# 2. Which of rate and distortion rises with β?
#    <details><summary>Answer</summary>
#
#    The distortion. Each nat of rate costs more, so the rate falls.
#    </details>
# 3. Why does a VAE have fewer holes than an autoencoder?
#    <details><summary>Answer</summary>
#
#    The KL pulls all clouds towards one prior, and the noise spreads them. An autoencoder may
#    put a code anywhere.
#    </details>
#
# ## Exercises
#
# Write its central lines yourself: `python tutorials start 5`, and then `check 5`.
#
# 1. Predict first: which digits survive at `high_beta=20.0`? Run
#    `python tutorials 5 high_beta=20.0`.
#    <details><summary>Answer</summary>
#
#    Hardly any: to tell digits apart costs rate, and rate now costs too much. The pictures are
#    a few blurs.
#    </details>
# 2. `generate` draws from N(0, I). What if it drew from half that width, or twice? Predict,
#    then look.
#    <details><summary>Answer</summary>
#
#    Half: soft digits, much alike. Twice: sharper strokes, and more pictures that are no digit.
#
#    ```python
#    z = np.random.default_rng(seed).normal(size=(20, latent_dim)).astype("float32")
#    rows = np.concatenate([bernoulli.decode(width * z) for width in (0.5, 1.0, 2.0)])
#    run.save_figure(image_grid(rows, columns=20, title="half, once, twice"), "widths")
#    ```
#    </details>
