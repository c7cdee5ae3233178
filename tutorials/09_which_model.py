# %% [markdown]
# # 9. Which model: autoencoder, VAE or GAN?
#
# *Reproduces A0 §2 and §6, A1 §6, A2 §6, A3 §1, §5.1 and §7, A4 §6. 2.5 minutes on two cores.*
#
# ![Digits drawn by an autoencoder, a VAE and a GAN](../docs/images/09_generated.png)
#
# How does a VAE differ from an autoencoder, and from a GAN? The articles end with such
# questions. Four of them complain of a VAE's cost or parameters, two of its pictures; only A2
# says compared with what. Here the three models see the same images, have about as many
# parameters and train for about the same time. Then we measure. You need chapters 2, 4, 7
# (mixture) and 8.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import sklearn.mixture

from keras_vae import GAN, VAE, Autoencoder, Clock, Run, batches
from keras_vae import dense_decoder, dense_discriminator, dense_encoder
from keras_vae import dense_generator, frechet_distance, gaussian_encoder
from keras_vae import image_grid, load_images, reconstruction_error
from keras_vae import sample_quality

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the first weights, the noise, the batches and the draws
hidden_dims = (256,)
latent_dim = 32  # also the width of the GAN's noise
batch_size = 128
autoencoder_epochs = 8  # so many that all three
vae_epochs = 8  # train for about the same
gan_epochs = 7  # time on our two cores
learning_rate = 0.001
gan_learning_rate = 0.0005
num_images = 1000  # drawn by each model and scored; at least 2

# %% [markdown]
# ## Data

# %%
run = Run("09_which_model")
data, (x_train, y_train), (x_test, y_test) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # few digits: 20 passes an epoch
num_drawn = min(num_images, len(x_test) // 2)  # half the test set at most

# %% [markdown]
# ## Three models, one budget
#
# The GAN has a generator in the decoder's place, and a discriminator of the encoder's size.

# %%
keras.utils.set_random_seed(seed)
autoencoder = Autoencoder(
    dense_encoder(784, hidden_dims, latent_dim),
    dense_decoder(latent_dim, hidden_dims[::-1], 784, "sigmoid"),
)
vae = VAE(
    gaussian_encoder(784, hidden_dims, latent_dim),
    dense_decoder(latent_dim, hidden_dims[::-1], 784),
    seed=seed,
)
gan = GAN(
    dense_generator(latent_dim, hidden_dims[::-1], 784),
    dense_discriminator(784, hidden_dims, dropout=0.3),
    label_smoothing=0.1,
    seed=seed,
)

# %% [markdown]
# The VAE and the GAN decode draws from N(0, I). An autoencoder was never told where its codes
# should lie, so we try two ways: draws from N(0, I) all the same, and draws from a mixture of
# ten normal distributions fitted to the codes of training images. The mixture can be fitted to
# the VAE's means, too. Each model draws after 1, 2, 4, 8 epochs and after the last.

# %%
rng = np.random.default_rng(seed)
normal = rng.normal(size=(num_drawn, latent_dim)).astype("float32")
some = x_train[:10000]


def mixture_codes(codes):
    """Return draws from a mixture of ten normals fitted to these codes."""
    mixture = sklearn.mixture.GaussianMixture(10, random_state=seed)
    drawn, _ = mixture.fit(codes.astype("float64")).sample(num_drawn)
    return rng.permutation(drawn).astype("float32")  # they come sorted


draw = {
    "autoencoder, N(0, I)": lambda: autoencoder.decode(normal),
    "autoencoder, mixture": lambda: autoencoder.decode(
        mixture_codes(autoencoder.encode(some))
    ),
    "VAE, N(0, I)": lambda: vae.decode(normal),
    "VAE, mixture": lambda: vae.decode(mixture_codes(vae.encode(some)[0])),
    "GAN": lambda: gan.generate(num_drawn, seed=seed),
}

drawn, seconds = {}, {}  # {(way, epoch): images}, {model: seconds by epoch}


def train(name, model, epochs):
    """Train a model and keep drawings, whose time is not counted."""

    def keep(epoch, logs):
        if epoch + 1 in (1, 2, 4, 8, epochs):
            for way in draw:
                if way.startswith(name):
                    drawn[way, epoch + 1] = draw[way]()

    callbacks = [Clock(), keras.callbacks.LambdaCallback(on_epoch_end=keep)]
    dataset = batches(x_train, batch_size, seed, passes)
    history = model.fit(dataset, epochs=epochs, callbacks=callbacks)
    seconds[name] = np.cumsum(history.history["seconds"])


autoencoder.compile(keras.optimizers.Adam(learning_rate), "binary_crossentropy")
vae.compile(keras.optimizers.Adam(learning_rate))
both = [keras.optimizers.Adam(gan_learning_rate, beta_1=0.5) for _ in range(2)]
gan.compile(*both)
train("autoencoder", autoencoder, autoencoder_epochs)
train("VAE", vae, vae_epochs)
train("GAN", gan, gan_epochs)

# %%
last = {way: images for (way, _), images in drawn.items()}  # the latest
figure, axes = plt.subplots(1, 5, figsize=(15, 3.6), layout="constrained")
plt.close(figure)
for ax, (way, images) in zip(axes, last.items()):
    image_grid(images[:36], columns=6, title=way, ax=ax)
run.save_figure(figure, "generated")

# %% [markdown]
# From N(0, I) the autoencoder draws blots, with the mixture it draws digits. The VAE's digits
# are soft, the GAN's sharper and torn.
#
# ## How good is a drawing?
#
# A copy has an original to be compared with, a drawing has none. So we compare
# **distributions**: pass real and drawn images through a classifier, take its last hidden layer
# as features, fit a normal distribution to each set, and measure how far apart the two are.
# This is the **Fréchet distance** (弗雷歇距离). Papers report it as FID, with a large network named
# Inception as the classifier. (Strictly, it is the square of the distance.)
#
# $$\lVert \mu_a - \mu_b \rVert^2 + \mathrm{tr}\,(C_a + C_b - 2\,(C_a C_b)^{1/2})$$
#
# Here $\mu$ and $C$ are a set's mean and covariance matrix; tr adds up a diagonal, and the
# power ½ is a matrix root. In one dimension, with variance $\sigma^2$, it is
# $(\mu_a - \mu_b)^2 + (\sigma_a - \sigma_b)^2$:

# %%
a, b = rng.normal(0, 1, (100000, 1)), rng.normal(3, 2, (100000, 1))
print(f"by the formula {(0 - 3) ** 2 + (1 - 2) ** 2}")
print(f"from samples {frechet_distance(a, b):.2f}")

# %% [markdown]
# The features come from a classifier 784–256–64–10, trained on real images: the ruler, the same
# for every seed. All sets are compared with the test images of even number. Those of odd
# number, as many as a model draws, give the **floor**: what real images reach.

# %%
keras.utils.set_random_seed(0)  # the same ruler for every seed above
inputs = keras.Input((784,))
h = keras.layers.Dropout(0.3)(keras.layers.Dense(256, "relu")(inputs))
h = keras.layers.Dense(64, "relu")(h)
classifier = keras.Model(inputs, keras.layers.Dense(10)(h))
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
classifier.compile("adam", loss)
classifier.fit(batches((x_train, y_train), 128, 0, passes), epochs=6, verbose=0)
scores = classifier.predict(x_test, verbose=0)
accuracy = float(np.mean(scores.argmax(axis=1) == y_test))
features = keras.Model(inputs, h)
real = features.predict(x_test[::2], verbose=0)
distance = {
    key: frechet_distance(features.predict(images, verbose=0), real)
    for key, images in drawn.items()
}
others = features.predict(x_test[1::2][:num_drawn], verbose=0)
floor = frechet_distance(others, real)
print(f"classifier: {accuracy:.1%} right; Fréchet floor {floor:.2f}")

# %% [markdown]
# ## The numbers
#
# **Is the VAE slow** (A0 §5.2, A1 §5)? Here is the distance against the seconds of training.

# %%
figure, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
plt.close(figure)
styles = ("x:", "s--", "^-.", "D-.", "o-")
colours = ("#000000", "#CC6677", "#332288", "#44AA99", "#999933")
for way, style, colour in zip(draw, styles, colours):
    epochs = [epoch for other, epoch in drawn if other == way]
    name = way.partition(",")[0]  # "VAE, mixture": "VAE"
    times = seconds[name][np.array(epochs) - 1]
    values = [distance[way, epoch] for epoch in epochs]
    ax.plot(times, values, style, color=colour, label=way)
ax.axhline(floor, color="grey", linewidth=1, label="real images")
ax.set(xlabel="seconds of training", ylabel="Fréchet distance", yscale="log")
figure.legend(loc="outside right upper")
run.save_figure(figure, "seconds")

# %% [markdown]
# `sample_quality` gives the distance and three more numbers. How many of the ten digits appear?
# How evenly? The **entropy** (熵) of their shares $p_k$, $-\sum_k p_k \log p_k$, is
# $\log 10 = 2.30$ nats where all are equally frequent, and 0 where there is only one. And how
# far is a drawing from the nearest training image? (0 would be a copy.)

# %%
quality = {
    way: sample_quality(images, x_train, x_test, classifier)
    for way, images in last.items()
}
names = ("frechet", "classes", "entropy", "nearest")
rows = {way: [q[name] for name in names] for way, q in quality.items()}
floors = quality["GAN"]  # the same for all
rows["real images"] = [floors[f"{name}_floor"] for name in names]
print(f"{'':21} Fréchet  digits  entropy  nearest")
for way, (frechet, classes, entropy, nearest) in rows.items():
    print(f"{way:21} {frechet:7.1f} {classes:7} {entropy:8.2f} {nearest:8.2f}")
models = {"autoencoder": autoencoder, "VAE": vae, "GAN": gan}
parameters = {
    name: sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    for name, model in models.items()
}
errors = {
    name: reconstruction_error(models[name], x_test)["mse"]
    for name in ("autoencoder", "VAE")
}
for name, times in seconds.items():
    error = f"{errors[name]:.4f}" if name in errors else "no encoder"
    print(f"{name:12} {parameters[name]:,} parameters,", end=" ")
    print(f"{times[-1]:.0f} seconds, MSE of copies {error}")

# %% [markdown]
# The articles' questions, answered from these numbers on MNIST:
#
# - **How does a VAE differ from an autoencoder** (A0, A1, A2, A3)? In one output, one draw and
#   one term of the loss. Its copies are further off: the noise and the KL take something. In
#   return, draws from N(0, I) decode to digits.
# - **Why randomness** (A1)? The noise is meant to make neighbouring codes decode alike, and the
#   KL brings codes to where N(0, I) is. Nothing puts an autoencoder's codes there, and that is
#   most of its blots: exercise 1 gives it one normal distribution of its own.
# - **Can an autoencoder generate** (A2 §6 says no)? Yes, if its codes are drawn from where they
#   lie. With a mixture it comes far closer to real images than the VAE that draws from N(0, I).
#   With a mixture of its means, without their noise, the VAE ends only a little behind it
#   (Ghosh et al. 2020 say more on this).
# - **How does a VAE differ from a GAN** (A0, A4)? The GAN has no encoder: it cannot
#   reconstruct, compress or denoise. From N(0, I), the distance cannot tell here which of the
#   two draws better; with a mixture the VAE is far ahead. Its digits are soft, the GAN's torn
#   and less evenly spread.
# - **Is the VAE slow, are its parameters many** (A0, A1, A2, A3)? It has 2 % more parameters
#   than the autoencoder, and an epoch takes about as long. The GAN starts more slowly, at half
#   the learning rate.
# - **What is it good for**? It draws (this chapter), and we try it on few labels (chapter 6),
#   clusters (7), compression (10), denoising (11), p(x) (13) and anomalies (14), but not on
#   text or audio.
#
# **Do drawings help as more data?** A3 §5.1 says that a VAE can expand a data set. Take a
# hundred labelled images of each digit, fit a normal distribution to the VAE's means of each
# digit, and decode draws from it: new images with labels. One classifier is trained on the 1000
# images, another on these and as many drawings, a third on these and 5000 drawings, each for
# 1500 steps.

# %%
def classifier_error(x, y):
    """Return the test error in % of a network 784–256–10, 1500 steps on x."""
    keras.utils.set_random_seed(seed)
    h = keras.layers.Dense(256, "relu")(inputs)
    network = keras.Model(inputs, keras.layers.Dense(10)(h))
    network.compile("adam", loss)
    network.fit(batches((x, y), 128, seed).repeat().take(1500), verbose=0)
    wrong = network.predict(x_test, verbose=0).argmax(axis=1) != y_test
    return 100 * float(wrong.mean())


x_few, x_new = [], []
for digit in range(10):
    images = rng.permutation(x_train[y_train == digit])[:100]
    z_mean, _ = vae.encode(images)
    spread = np.atleast_2d(np.cov(z_mean.T))
    z = rng.multivariate_normal(z_mean.mean(axis=0), spread, 500)
    x_few.append(images)
    x_new.append(vae.decode(z.astype("float32")))
expansion = {}  # {name: error}
for num in (0, 100, 500):  # drawings of each digit
    x = np.concatenate([*x_few, *(images[:num] for images in x_new)])
    y = np.repeat(np.tile(np.arange(10), 2), [100] * 10 + [num] * 10)
    name = f"1000 images and {10 * num} drawings"
    expansion[name] = classifier_error(x, y)
for name, error in expansion.items():
    print(f"{name:31} {error:.2f} % wrong")

# %% [markdown]
# By this recipe the drawings do not help. On MNIST a thousand of them raise the error by 0.7
# percentage points (five seeds, 0.2 to 1.1), and 5000 by as much (0.3 to 1.1). Drawings are
# softer than real images, and the normal distribution has seen only those hundred codes.
#
# ## Side by side
#
# **A0-13** calls the VAE slow, with many parameters: it has 2 % more than the same autoencoder
# (12 % in A2's own network). **A2-11** finds a VAE's pictures too poor and a GAN's better: from
# N(0, I) we cannot tell between these small ones, and with a mixture the VAE is nearer to real
# images. **A2-12** says that an autoencoder cannot generate. By itself it names no distribution
# to draw from; with a mixture it can. **A4-11**: A4 says that VAEs draw images of high quality,
# A0 and A2 say of poor quality, all without a number. The table has one, and its floor.
#
# ## What to expect

# %%
run.save_model(autoencoder, "autoencoder")
run.save_model(vae, "vae")
run.save_model(gan, "gan")
ratio = parameters["VAE"] / parameters["autoencoder"]
values = {
    "classifier's accuracy %": 100 * accuracy,
    "parameters: VAE over autoencoder": ratio,
    "MSE per pixel, autoencoder": errors["autoencoder"],
    "MSE per pixel, VAE": errors["VAE"],
    "Fréchet distance of real images, the floor": floor,
    "distance to the nearest, real images": rows["real images"][3],
}
for way, q in quality.items():
    values |= {
        f"{way}: Fréchet distance": q["frechet"],
        f"{way}: digits that appear": q["classes"],
        f"{way}: entropy, nats": q["entropy"],
        f"{way}: distance to the nearest": q["nearest"],
        f"{way}: Fréchet distance after an epoch": distance[way, 1],
    }
values |= {f"test error %, {name}": e for name, e in expansion.items()}
run.finish(data, values)

# %% [markdown]
# ## Three questions
#
# 1. Why does the autoencoder, decoded from N(0, I), give blots?
#    <details><summary>Answer</summary>
#
#    Nothing in its loss says where codes should lie, and N(0, I) is not where they do: their
#    spread and their correlations are others. One normal distribution fitted to them mends most
#    of it (exercise 1).
#    </details>
# 2. With a mixture, the VAE's drawings lie nearer to training images than real test images do.
#    Does it copy?
#    <details><summary>Answer</summary>
#
#    No. A soft image lies near to many images at once, as the mean of a crowd is nearer to most
#    of its members than they are to each other. A copy would have distance 0.
#    </details>
# 3. The Fréchet distance of real images is not 0. Why, and what follows for the others?
#    <details><summary>Answer</summary>
#
#    The mean and covariance of a thousand images differ by chance from those of five thousand.
#    A model near the floor cannot be told from real images by this score.
#    </details>
#
# ## Exercises
#
# 1. The mixture has ten normal distributions. Does the autoencoder draw better with one, or
#    with thirty? Predict the order, then measure.
#    <details><summary>Answer</summary>
#
#    On MNIST with seed 0 the distance is 18.3 with one, 4.9 with ten and 2.5 with thirty; the
#    floor is 1.9. Even one is far better than N(0, I): it knows at least where the codes lie
#    and how wide they spread.
#
#    ```python
#    codes = autoencoder.encode(some).astype("float64")
#    for num in (1, 10, 30):
#        gaussians = sklearn.mixture.GaussianMixture(num, random_state=seed)
#        z = gaussians.fit(codes).sample(num_drawn)[0].astype("float32")
#        h = features.predict(autoencoder.decode(z), verbose=0)
#        print(f"{num}: Fréchet distance {frechet_distance(h, real):.1f}")
#    ```
#    </details>
