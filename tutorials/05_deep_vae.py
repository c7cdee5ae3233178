# %% [markdown]
# # 5. A deeper VAE, β, and the latent plane
#
# *Reproduces A0 §3 and §4. Corrects errata A0-1, A0-2, A0-3, A0-4, A0-5, A0-6, A0-7, A0-8, A0-9, A0-10, A0-11 and A0-12. 2.2 minutes on two cores.*
#
# Chapter 4's encoder had one hidden layer. Article A0 has two before the latent layer: 784–128–64–32, and back. Does
# depth help? Then the weight β of the KL divergence: what does it trade for what? Finally we shrink the latent
# space (隐空间) to a plane, so that the whole of it can be looked at.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np

from keras_vae import VAE, Autoencoder, Backup, KLWarmUp, Run, SampleGrid, batches
from keras_vae import dense_decoder, dense_encoder, gaussian_encoder, image_grid
from keras_vae import latent_explorer, latent_plane, latent_scatter, load_images, training_curves

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the first weights, the noise and the order of the batches
hidden_dims = (128, 64)  # A0: 128 and 64
latent_dim = 32  # A0: 32
decoder_hidden_dims = (32, 64, 128)  # A0: 32, 64 and 128
epochs = 24  # A0: 100
plane_epochs = 21  # of the VAE with two latent variables
batch_size = 256  # A0: Keras's default, 32
warm_up_epochs = 5  # β rises from 0 to 1 in so many epochs
high_beta = 4.0  # A0 §3.3 names β and gives no value

# %% [markdown]
# ## Data
#
# The article trains on normal noise in the shape 28 × 28, which does not fit its own network (erratum
# A0-6). Here are real digits, flat and within [0, 1].

# %%
keras.utils.set_random_seed(seed)
run = Run("05_deep_vae")
data, (x_train, y_train), (x_test, y_test) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # on the small digits an epoch is twenty passes

# %% [markdown]
# ## The formulas
#
# A0 §3.3 weighs the two terms:
#
# $$L = L_{\text{reconstruction}} + \beta L_{KL}$$
#
# The KL, averaged over images, is an upper limit of how many nats z can tell about the image: the **rate** (码率). The
# reconstruction loss tells how wrong the copy is: the **distortion** (失真). β is the price of a nat of rate. Only at β = 1 is $L$
# the bound −ELBO. (The article's code has no KL at all, erratum A0-7. And the KL does not measure the
# encoder's uncertainty, as A0 §3.1 says: it is zero for an encoder as wide as the prior and grows in both directions.)

# %%
log_var = np.array([-4.0, -2.0, 0.0, 2.0])
kl = -0.5 * (1 + log_var - 0 - np.exp(log_var))  # at a mean of 0
print("log variance", log_var)
print("KL, nats    ", kl.round(2))

# %% [markdown]
# At the start of training the KL is easy to make small and the reconstruction is not. A network can
# then switch latent variables off before it has found a use for them. A **warm-up** (KL 预热) lets β rise from 0 to its target. The
# callback `KLWarmUp` does this: at the start of epoch $e$, counted from 0, it sets
#
# $$\beta_e = \beta \min(1, e / E)$$
#
# where $\beta$ is the target and $E$ the length of the warm-up, here `warm_up_epochs`. (It can count steps instead.)

# %%
print("β, epoch by epoch:", [1.0 * min(1, epoch / warm_up_epochs) for epoch in range(8)])

# %% [markdown]
# ## The models
#
# The deep one, with the article's sizes; and the shape of chapter 4 with the same number of latent
# variables, to compare.

# %%
def build(encoder_dims, num_latent, decoder_dims):
    """Return a compiled VAE."""
    keras.utils.set_random_seed(seed)
    vae = VAE(
        gaussian_encoder(784, encoder_dims, num_latent),
        dense_decoder(num_latent, decoder_dims, 784),
        seed=seed,
    )
    vae.compile(optimizer="adam", steps_per_execution=20)
    return vae


deep = build(hidden_dims, latent_dim, decoder_hidden_dims)
shallow = build((64,), latent_dim, (64,))
for name, vae in (("deep", deep), ("shallow", shallow)):
    print(f"{name}: {vae.count_params():,} parameters")

# %% [markdown]
# ## Training

# %%
settings = {"validation_data": (x_test, None), "validation_batch_size": 1000, "verbose": 2}
settings["shuffle"] = False  # the pipeline has shuffled already
dataset = batches(x_train, batch_size, seed, passes)
deep_history = deep.fit(
    dataset,
    epochs=epochs,
    callbacks=[KLWarmUp(1.0, warm_up_epochs), Backup(run.backups / "deep", dataset)],
    **settings,
)

# %%
dataset = batches(x_train, batch_size, seed, passes)
shallow_history = shallow.fit(
    dataset,
    epochs=epochs,
    callbacks=[KLWarmUp(1.0, warm_up_epochs), Backup(run.backups / "shallow", dataset)],
    **settings,
)

# %% [markdown]
# The latent plane: the same layers and two latent variables. An animation shows how the decoded plane forms:
# `film/samples.gif` in the run's folder.

# %%
plane = build(hidden_dims, 2, decoder_hidden_dims)
side = np.linspace(-1.6, 1.6, 10)
z_film = np.stack(np.meshgrid(side, side[::-1]), axis=-1).reshape(-1, 2)
film = SampleGrid(plane.decode, z_film, run.folder / "film", every=3)
dataset = batches(x_train, batch_size, seed, passes)
plane_history = plane.fit(
    dataset,
    epochs=plane_epochs,
    callbacks=[film, Backup(run.backups / "plane", dataset)],
    **settings,
)

# %% [markdown]
# β may be set at any time, also on a trained model. A copy of the deep VAE, loaded from its file, goes on
# for a few epochs at a high price of the rate:

# %%
run.save_model(deep, "deep_vae")
high = keras.saving.load_model(run.folder / "deep_vae.keras")
high.beta = high_beta
dataset = batches(x_train, batch_size, seed + 1, passes)
high.fit(dataset, epochs=max(1, epochs // 8), shuffle=False, verbose=2)
run.save_model(high, "deep_vae_high_beta")
run.save_model(plane, "plane_vae")

# %% [markdown]
# ## The numbers
#
# All at β = 1, whatever each was trained with: otherwise the sums could not be compared.

# %%
elbo = {}
models = {"deep": deep, "shallow": shallow, "plane": plane, "deep, high β": high}
print("nats per test image    −ELBO  distortion  rate")
for name, vae in models.items():
    vae.beta = 1.0
    elbo[name] = vae.evaluate(x_test, batch_size=1000, verbose=0, return_dict=True)
    row = elbo[name]
    print(
        f"{name:20} {row['loss']:8.2f} {row['reconstruction_loss']:11.2f} {row['kl_loss']:5.2f}"
    )

# %% [markdown]
# The deep network's copies are a little worse and its rate is lower by more, so its bound is better. (It also has
# twice as many parameters: this is no proof that depth alone does it.) At a high β the rate falls to about half. The
# sum at β = 1 gets worse, because the model was now trained for another sum.
#
# ## The pictures

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
plt.close(figure)
both = {"deep": deep_history.history, "shallow": shallow_history.history}
for ax, term in zip(axes, ("reconstruction_loss", "kl_loss")):
    curves = {name: values[f"val_{term}"] for name, values in both.items()}
    training_curves(curves, ylabel="nats per test image", title=term, ax=ax)
axes[0].set_ylim(60, 160)
axes[1].set_ylim(0, 60)  # at β = 0, in the first epoch, the KL is far above
run.save_figure(figure, "training_curves")

# %%
run.save_figure(latent_plane(plane.decode, title="the decoded plane"), "latent_plane")

# %%
z_mean, _ = plane.encode(x_test)
run.save_figure(
    latent_scatter(z_mean, y_test, title="the test images' means in the same plane"),
    "latent_scatter",
)

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), layout="constrained")
plt.close(figure)
for ax, name in zip(axes, ("deep", "deep, high β", "plane")):
    images = models[name].generate(64, seed=seed)
    image_grid(images, title=f"generated: {name}", ax=ax)
run.save_figure(figure, "generated")

# %% [markdown]
# ## The plane, to touch
#
# To compare, a plain autoencoder (自动编码器) with the same layers and a code of two numbers. It pays nothing for the place of a
# code, so it leaves **holes** (空洞): places where no image lies, and for which the decoder was never trained.
# How large are they? Lay 15 × 15 fields over the codes of training images (1 % cut off at each edge), and count the empty ones.
# On MNIST that gave 8 % for the VAE and 35 % for the autoencoder; the few images of the small digits leave a quarter of
# the fields empty in both.

# %%
keras.utils.set_random_seed(seed)
autoencoder = Autoencoder(
    dense_encoder(784, hidden_dims, 2),
    dense_decoder(2, decoder_hidden_dims, 784, output_activation="sigmoid"),
)
autoencoder.compile(optimizer="adam", loss="binary_crossentropy", steps_per_execution=20)
dataset = batches(x_train, batch_size, seed, passes)
backup = Backup(run.backups / "plane_autoencoder", dataset)
few = max(1, plane_epochs // 2)
autoencoder.fit(dataset, epochs=few, callbacks=[backup], shuffle=False, verbose=2)
run.save_model(autoencoder, "plane_autoencoder")

some = x_train[:20000]
for name, codes in (("VAE", plane.encode(some)[0]), ("autoencoder", autoencoder.encode(some))):
    edges = np.percentile(codes, (1, 99), axis=0).T
    fields, _, _ = np.histogram2d(*codes.T, bins=15, range=edges)
    print(f"{name}: {np.mean(fields == 0):.0%} of the fields are empty")

# %% [markdown]
# Both planes on one web page. It carries the decoders' weights and computes every picture itself: no server, no network.

# %%
page = latent_explorer(
    run.folder / "latent_explorer.html",
    {"VAE": plane, "autoencoder": autoencoder},
    x_test[:500],
    y_test[:500],
)
run.saved.append(page.name)
print(f"Open it in a browser: {page.absolute()}")

# %% [markdown]
# Open it with a double click. Move over the plane and watch the digit change. Then switch to the autoencoder and go far from all
# points. Last, walk from A to B by the slider, in both models: where does the digit fall to pieces on the way?
#
# ## What the article printed
#
# | erratum | what is printed | what stands here |
# |---|---|---|
# | A0-1 | classes derive from `layers.Model`: an `AttributeError`, there is none | `keras.Model` |
# | A0-2 | the encoder ends in one ReLU layer: no variance, and no negative mean | two linear heads |
# | A0-3 | an `Input` made inside `call`, and the encoder applied to it: a shape error | both heads from one pass |
# | A0-4 | a `KLDivLoss` layer that makes z: there is none, and a divergence is a number, not a sampler | $z = \mu + \sigma \varepsilon$, and the KL in the loss |
# | A0-5 | `fit(data)` with a loss, three outputs and no target: an error | a `train_step` of its own |
# | A0-6 | noise of shape 28 × 28 where flat rows of 784 are meant: a shape error; flattened, half of it lies below 0, where a sigmoid can't reach | images in [0, 1] |
# | A0-7 | β times the KL in the formula, no KL in the code | β in the loss |
# | A0-8 | a VAE is said to join autoencoder and GAN | there is no adversary, and the VAE is the older one |
# | A0-9 | the KL is said to measure the encoder's uncertainty | how far $q(z \mid x)$ is from the prior |
# | A0-10 | the KL as a mean over the prior: that is $-D_{KL}(p \,\|\, q)$, never above 0 | the mean over $q(z \mid x)$ |
# | A0-11 | the error of the decoder on the encoder's output, with no z drawn | one draw of z an image |
# | A0-12 | the prior has parameters, z is noise | the prior is N(0, I), the noise is ε |

# %% [markdown]
# A0-2 at work, in the plane: the same model with a mean behind a ReLU, trained for a few epochs. No mean is negative, so three
# quarters of the plane hold no image's mean, and the decoder knows little of what is drawn there.

# %%
keras.utils.set_random_seed(seed)
relu_encoder = gaussian_encoder(784, hidden_dims, 2)
relu_encoder.get_layer("z_mean").activation = keras.activations.relu
relu_vae = VAE(relu_encoder, dense_decoder(2, decoder_hidden_dims, 784), seed=seed)
relu_vae.compile(optimizer="adam", steps_per_execution=20)
dataset = batches(x_train, batch_size, seed, passes)
relu_vae.fit(dataset, epochs=max(1, plane_epochs // 5), shuffle=False, verbose=2)
relu_mean = relu_vae.encode(x_test)[0]
figure, axes = plt.subplots(1, 2, figsize=(13, 5.6), layout="constrained")
plt.close(figure)
latent_scatter(relu_mean, y_test, "means behind a ReLU", ax=axes[0])
axes[0].set(xlim=(-4, 4), ylim=(-4, 4))
latent_plane(relu_vae.decode, steps=15, title="decoded", ax=axes[1])
run.save_figure(figure, "relu_mean")

# %% [markdown]
# ## What to expect

# %%
run.finish(
    data,
    {
        "deep: test −ELBO, nats per image": elbo["deep"]["loss"],
        "shallow, chapter 4's shape: the same": elbo["shallow"]["loss"],
        "shallow − deep": elbo["shallow"]["loss"] - elbo["deep"]["loss"],
        "deep: rate": elbo["deep"]["kl_loss"],
        "deep, high β: rate": elbo["deep, high β"]["kl_loss"],
        "deep, high β: −ELBO": elbo["deep, high β"]["loss"],
        "two latent variables: −ELBO": elbo["plane"]["loss"],
        "least mean behind a ReLU": relu_mean.min(),
    },
)

# %% [markdown]
# ## Exercises
#
# 1. In the decoded plane, walk from a 1 to a 0. Which digits do you cross, and what do the pictures
#    between two digits look like?
#    <details><summary>Answer</summary>
#
#    The plane has no empty places: between two digits lie pictures that are half the one and half the other.
#    The KL fills the plane; a plain autoencoder has nothing that would fill it.
#    </details>
# 2. The distortion of the plane is far above that of the deep VAE. Is the network too small?
#    <details><summary>Answer</summary>
#
#    No: the layers are the same. Two latent variables can't hold which digit it is, its slant, its width and the
#    thickness of its strokes. Compare the rates in the table.
#    </details>
# 3. Predict first: which digits survive at `high_beta=20.0`? Run `python tutorials 5 high_beta=20.0 epochs=16`.
#    <details><summary>Answer</summary>
#
#    Hardly any. In our run the rate falls to half a nat, and the copies are three blurs: one for 0; one for 2, 3, 5 and 8; one
#    for 4, 7 and 9. To tell digits apart costs rate, and the price is now higher than what it saves in distortion.
#    </details>
# 4. `generate` draws z from N(0, I). What if it drew from half that width, or from twice? Predict both grids, then look.
#    <details><summary>Answer</summary>
#
#    Half the width: soft digits, much alike, because every z lies near the middle. Twice the width: sharp strokes, and more pictures
#    that are no digit, because z lies where few images were. In our run on MNIST the variance over the images goes from 0.039 down to
#    0.020 and up to 0.058 (that of the test images is 0.067), and the share of grey pixels from 18 % up to 22 % and down to
#    12 %; that of the test images is 9 %.
#
#    ```python
#    z = np.random.default_rng(seed).normal(size=(1000, latent_dim)).astype("float32")
#    drawn = {width: deep.decode(width * z) for width in (0.5, 1.0, 2.0)}
#    for width, images in drawn.items():
#        grey = np.mean((images > 0.1) & (images < 0.9))
#        print(f"width {width}: variance over images {images.var(axis=0).mean():.3f}, grey {grey:.0%}")
#    rows = np.concatenate([images[:20] for images in drawn.values()])
#    run.save_figure(image_grid(rows, columns=20, title="half the width, the width, twice"), "widths")
#    ```
#    </details>
