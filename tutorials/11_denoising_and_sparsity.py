# %% [markdown]
# # 11. Denoising and sparse codes
#
# *Reproduces A3 §5.1, §7.1 and §7.2. Corrects errata A3-9 and A3-19. 3.0 minutes on two cores.*
#
# Article A3 says of the VAE that it denoises, by its random variables, and that the KL makes its codes sparse, which an
# autoencoder can't. Both can be counted. **Denoising** (去噪) is measured in decibels against the clean image, beside a network trained for
# it and beside linear algebra. **Sparsity** (稀疏性) is the share of code numbers near zero, beside an L1 penalty.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import sklearn.decomposition
import sklearn.linear_model
import tensorflow as tf

from keras_vae import VAE, Autoencoder, Backup, Run, batches, dense_decoder, dense_encoder
from keras_vae import gaussian_encoder, load_images, reconstructions

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the first weights, the noise and the batches
noise_levels = (0.1, 0.2, 0.3, 0.5, 0.7)  # standard deviations, where white is 1
hidden_dims = (256,)
latent_dim = 64
epochs = 5
denoiser_latent_dim = 1024  # wider than an image: noise, not width, keeps it from copying
denoiser_epochs = 6
batch_size = 128
learning_rate = 0.001
l1 = 0.001  # weight of the penalty on the codes; with Keras 3.12 or older, 0.000008

# %% [markdown]
# ## Data

# %%
keras.utils.set_random_seed(seed)
run = Run("11_denoising_and_sparsity")
data, (x_train, _), (x_test, _) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # on the small digits an epoch is twenty passes

# %% [markdown]
# ## The formulas
#
# Noise of level $\sigma$ is added to each pixel, and what leaves [0, 1] is cut off, as in a camera:
# $\tilde x = \operatorname{clip}(x + \sigma \varepsilon, 0, 1)$. How good a copy $\hat x$ is, is told by the
# **peak signal-to-noise ratio** (峰值信噪比), in decibels (分贝, dB). White is 1, so that
#
# $$\mathrm{PSNR} = 10 \log_{10} \frac{1}{\mathrm{MSE}}$$
#
# Ten decibels more are a tenth of the squared error, three are half of it.

# %%
def add_noise(x, level, noise_seed):
    """Return the array of images with noise of that level, cut to [0, 1]."""
    noise = np.random.default_rng(noise_seed).normal(0, level, x.shape)
    return np.clip(x + noise, 0, 1).astype("float32")


def psnr(x, copies):
    """Return the peak signal-to-noise ratio of copies of x, in decibels."""
    return float(10 * np.log10(1 / np.mean((x - copies) ** 2)))


for level in noise_levels:
    print(f"noise {level}: {psnr(x_test, add_noise(x_test, level, seed)):.1f} dB before any denoising")

# %% [markdown]
# ## The models
#
# A **denoising autoencoder** (去噪自编码器; Vincent et al. 2008) is an autoencoder that is shown the noisy image and asked for the clean
# one. That is all. The others are trained on clean images, as in the article.

# %%
def make_autoencoder(code_activation=None, code_penalty=None):
    """Return an autoencoder, not yet trained, whose first weights depend on the seed alone."""
    keras.utils.set_random_seed(seed)
    return Autoencoder(
        dense_encoder(784, hidden_dims, latent_dim, latent_activation=code_activation,
                      activity_regularizer=code_penalty),
        dense_decoder(latent_dim, hidden_dims[::-1], 784, output_activation="sigmoid"),
    )


plain = make_autoencoder()
relu = make_autoencoder("relu")
sparse = make_autoencoder("relu", keras.regularizers.L1(l1))
denoiser = Autoencoder(
    dense_encoder(784, (), denoiser_latent_dim, latent_activation="relu"),
    dense_decoder(denoiser_latent_dim, (), 784, output_activation="sigmoid"),
)
keras.utils.set_random_seed(seed)
vae = VAE(
    gaussian_encoder(784, hidden_dims, latent_dim),
    dense_decoder(latent_dim, hidden_dims[::-1], 784),
    seed=seed,
)

# %% [markdown]
# ## Training
#
# The denoiser sees a new noise each time that it sees an image. Its level is the strongest one times the square of a random number between 0
# and 1, so that weak noise, where there is least to gain, comes more often. The denoiser is not told the level.

# %%
def noisy_pairs(images, key):
    """Return pairs of noisy and clean images; each image gets a level of its own."""
    strongest = max(noise_levels)
    level = strongest * tf.random.stateless_uniform((tf.shape(images)[0], 1), key) ** 2
    noise = level * tf.random.stateless_normal(tf.shape(images), key + 1)
    return tf.clip_by_value(images + noise, 0.0, 1.0), images


keys = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
pairs = tf.data.Dataset.zip(batches(x_train, batch_size, seed, passes), keys)
pairs = pairs.map(noisy_pairs).prefetch(2)
falling = keras.optimizers.schedules.CosineDecay(learning_rate, denoiser_epochs * len(pairs), alpha=0.05)
denoiser.compile(keras.optimizers.Adam(falling), "mse", steps_per_execution=20)
backup = Backup(run.backups / "denoiser", pairs)
denoiser.fit(pairs, epochs=denoiser_epochs, callbacks=[backup], shuffle=False, verbose=2)
run.save_model(denoiser, "denoiser")

# %%
for name, model in (("plain", plain), ("ReLU", relu), ("L1", sparse)):
    model.compile(keras.optimizers.Adam(learning_rate), "binary_crossentropy", steps_per_execution=20)
    dataset = batches(x_train, batch_size, seed, passes)
    backup = Backup(run.backups / name, dataset)
    model.fit(dataset, epochs=epochs, callbacks=[backup], shuffle=False, verbose=0)
    print(f"autoencoder, {name}: {epochs} epochs")
vae.compile(keras.optimizers.Adam(learning_rate), steps_per_execution=20)
dataset = batches(x_train, batch_size, seed, passes)
backup = Backup(run.backups / "vae", dataset)
vae.fit(dataset, epochs=epochs, callbacks=[backup], shuffle=False, verbose=2)

# %% [markdown]
# PCA denoises too: it keeps some components and drops the rest, and with them most of the noise. How many to keep depends on the noise. For each
# level the best number is chosen on noisy training images, so that PCA, unlike the networks, is told the level. There are two more linear methods that
# are told still more. Noise that is cut to [0, 1] makes an image brighter on average, and PCA may subtract that. And least squares
# (`Ridge`, 岭回归) can look for the linear map from noisy to clean images that is best for the level: a linear map that is trained for the task.

# %%
components = (8, 16, 32, 64, 96, 128, 192, 256, 320, 384)
pca = sklearn.decomposition.PCA(max(components), random_state=seed).fit(x_train[:10000])
some = x_train[:2000]


def pca_denoise(x, num, mean=pca.mean_):
    """Return the projection of x, less a mean, onto the first components, cut to [0, 1]."""
    axes = pca.components_[:num]
    return np.clip(pca.mean_ + (x - mean) @ axes.T @ axes, 0, 1)


chosen, means, linear_maps = {}, {}, {}
for level in noise_levels:
    noisy = add_noise(x_train[:10000], level, seed + 1)
    means[level] = noisy.mean(axis=0)
    linear_maps[level] = sklearn.linear_model.Ridge(1.0).fit(noisy, x_train[:10000])
    chosen[level] = max(components, key=lambda num: psnr(some, pca_denoise(noisy[:2000], num)))
print("components of PCA by noise level:", chosen)

# %% [markdown]
# ## The numbers

# %%
methods = {
    "nothing": lambda noisy, level: noisy,
    "PCA": lambda noisy, level: pca_denoise(noisy, chosen[level]),
    "PCA, told the noise's mean": lambda noisy, level: pca_denoise(noisy, chosen[level], means[level]),
    "linear map, trained for it": lambda noisy, level: linear_maps[level].predict(noisy).clip(0, 1),
    "autoencoder, trained clean": lambda noisy, level: plain.reconstruct(noisy),
    "VAE, trained clean": lambda noisy, level: vae.reconstruct(noisy),
    "denoising autoencoder": lambda noisy, level: denoiser.reconstruct(noisy),
}
decibels, cleaned = {}, {}  # {(method, level): …}
for level in noise_levels:
    noisy = add_noise(x_test, level, seed)
    for name, method in methods.items():
        images = method(noisy, level)
        decibels[name, level] = psnr(x_test, images)
        cleaned[name, level] = images[:10]  # for the pictures
print(f"{'PSNR in dB, noise':28}" + "".join(f"{level:8}" for level in noise_levels))
for name in methods:
    print(f"{name:28}" + "".join(f"{decibels[name, level]:8.1f}" for level in noise_levels))
gains = [decibels["denoising autoencoder", level] - decibels["PCA", level] for level in noise_levels]
print("gain of the denoising autoencoder over PCA: " + ", ".join(f"{gain:.1f}" for gain in gains))
print(f"the VAE's copies of clean images: {psnr(x_test, vae.reconstruct(x_test)):.1f} dB")

# %% [markdown]
# On MNIST: the VAE was never asked to denoise, and it shows. At noise 0.1 its copies are worse than the noisy image itself: it copies even
# a clean image at under 20 dB. At 0.7 it does halve the squared error, but so does the plain autoencoder, which denoises better than
# the VAE up to 0.5. PCA comes before both at every level.
#
# The network that was trained for the task is better than PCA at every level, and from 0.2 on better than everything else. At 0.1 a linear map that was trained
# for the task does best, and PCA that is told the noise's mean is level with the network: they know that the noise is weak, and so may leave the
# image nearly as it is. Much of what looks like the merit of a deep network is the merit of being trained for the task. (The small digits are 64 numbers resized: there linear methods win more often.)
#
# Now the codes. "Near zero" means below a hundredth of the standard deviation of all the code's numbers. A unit that is near
# zero for every image is not sparse but off, so the share is also given over the units in use: those with a variance above a
# hundredth of that of all the code's numbers. The last column counts the units that choose: near zero for more than 5 % of the images, but not for 95 %.

# %%
codes = {
    "neither, linear code": plain.encode(x_test),
    "neither, ReLU code": relu.encode(x_test),
    "L1, ReLU code": sparse.encode(x_test),
    "KL (the VAE's z_mean)": vae.encode(x_test)[0],
}
share = {}
print(f"{'':24} near zero  units in use  near zero among those  units that choose")
for name, code in codes.items():
    near = np.abs(code) < 0.01 * code.std()
    in_use = code.var(axis=0) > 0.01 * code.var()
    often = near.mean(axis=0)  # of each unit
    choose = int(((often > 0.05) & (often < 0.95)).sum())
    share[name] = (float(near.mean()), int(in_use.sum()), float(near[:, in_use].mean()), choose)
    print(f"{name:24} {share[name][0]:8.1%} {share[name][1]:7} of {latent_dim} {share[name][2]:17.1%} {choose:17}")
copy_error = {name: float(np.mean((model.reconstruct(x_test) - x_test) ** 2)) for name, model in
              (("neither, ReLU code", relu), ("L1, ReLU code", sparse), ("KL (the VAE's z_mean)", vae))}

# %% [markdown]
# The KL makes next to nothing zero: the means are spread like a normal distribution. What it can do, in longer training or with a larger β, is to
# switch whole units off (chapters 4 and 10). Those are the same ones for every image: the code gets shorter, not sparse. L1 switches many units off
# too. But of those that it leaves, nearly all choose: they are zero for some images and not for others. That is sparse, and an autoencoder
# can do it. It has its price in the error of the copies.
#
# ## The pictures

# %%
shown = [noise_levels[0], noise_levels[len(noise_levels) // 2], noise_levels[-1]]
figure, axes = plt.subplots(len(shown), 1, figsize=(6.6, 3.4 * len(shown)), layout="constrained")
plt.close(figure)
for ax, level in zip(axes, shown):
    rows = {"noisy": cleaned["nothing", level], "PCA": cleaned["PCA", level],
            "VAE": cleaned["VAE, trained clean", level], "denoiser": cleaned["denoising autoencoder", level]}
    reconstructions(x_test[:10], *rows.values(), labels=["original", *rows], title=f"noise {level}", ax=ax)
run.save_figure(figure, "denoised")

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
plt.close(figure)
styles = zip(methods, (":", "s--", "s:", "x-", "^-.", "D-.", "o-"),
             ("#000000", "#CC6677", "#882255", "#DDCC77", "#999933", "#44AA99", "#332288"))
for name, style, colour in styles:
    values = [decibels[name, level] for level in noise_levels]
    axes[0].plot(noise_levels, values, style, color=colour, label=name)
axes[0].set(xlabel="noise level (white is 1)", ylabel="PSNR, dB")
axes[0].legend(fontsize=8)
for (name, code), colour, style in zip(codes.items(), ("#999933", "#CC6677", "#332288", "#44AA99"), ("-.", "--", "-", ":")):
    sizes = np.sort(np.abs(code), axis=1)[:, ::-1].mean(axis=0)  # largest first, mean over images
    axes[1].plot(np.arange(1, latent_dim + 1), sizes / sizes[0], style, color=colour, label=name)
axes[1].set(xlabel="units of an image, largest first", ylabel="size, relative to the largest")
axes[1].legend(fontsize=8)
for ax in axes:
    ax.grid(alpha=0.3)
run.save_figure(figure, "decibels_and_codes")

# %% [markdown]
# ## What the article printed
#
# | erratum | what is printed | what stands here |
# |---|---|---|
# | A3-9 | the KL makes codes sparse, which an autoencoder can't | they stay dense under the KL; an autoencoder with L1 has the sparse ones |
# | A3-19 | the VAE denoises, by its random variables | measured: PCA denoises better, and whatever is trained for the task better still |
#
# ## What to expect

# %%
values = {
    f"PSNR in dB, noise {level}, {name}": decibels[name, level]
    for level in noise_levels
    for name in methods
}
values["least gain over PCA, dB"] = min(gains)
for name, (near, in_use, near_in_use, choose) in share.items():
    values |= {
        f"near zero, {name}": near,
        f"units in use, {name}": in_use,
        f"near zero among those, {name}": near_in_use,
        f"units that choose, {name}": choose,
    }
values |= {f"MSE per pixel, {name}": value for name, value in copy_error.items()}
run.finish(data, values)

# %% [markdown]
# ## Exercises
#
# 1. The noisy image has 23 dB at noise 0.1, not 20. Where do three decibels come from?
#    <details><summary>Answer</summary>
#
#    From the cut to [0, 1]. Without it the mean squared error would be 0.1² = 0.01, which is 20 dB. Most pixels are 0, and there every negative noise is
#    cut off: half of the squared error is gone.
#    </details>
# 2. PCA is told the noise level, the denoiser is not. How can the denoiser know it?
#    <details><summary>Answer</summary>
#
#    It sees it: in the margin, where every digit is black, what is left is noise. A network with a hidden layer can measure that and act on it;
#    a linear map can't, since it does the same to every image.
#    </details>
# 3. A VAE's `z_mean` of a unit that is switched off is near zero for every image. Why is that not a sparse code?
#    <details><summary>Answer</summary>
#
#    A sparse code has many units and uses few of them for each image, different ones for different images. A unit that is off for all images could
#    be taken away: the code is shorter, not sparse.
#    </details>
# 4. If one pass through the denoiser helps, do two help more? Predict for the weakest and for the strongest noise, then send its output
#    through it once more.
#    <details><summary>Answer</summary>
#
#    No. On MNIST at noise 0.1 the second pass costs more than two decibels (25.5, then 23.2); at 0.5 and 0.7 it changes nothing (18.6 and 16.3
#    both times). Even a clean image comes out with 26.2 dB: each pass through the 1024 numbers loses a little, and after the first there is no noise left to win back.
#
#    ```python
#    for level in noise_levels:
#        once = denoiser.reconstruct(add_noise(x_test, level, seed))
#        twice = denoiser.reconstruct(once)
#        print(f"noise {level}: {psnr(x_test, once):.1f} dB, twice {psnr(x_test, twice):.1f} dB")
#    print(f"a clean image: {psnr(x_test, denoiser.reconstruct(x_test)):.1f} dB")
#    ```
#    </details>
