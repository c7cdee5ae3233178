# %% [markdown]
# # 3. Regularised autoencoder
#
# *Reproduces A3 §2.1, §3.1, §3.3.1 and §4.1. Corrects errata A3-1, A3-2, A3-3, A3-10, A3-13, A3-14 and A3-15. 1.4 minutes on two cores.*
#
# This chapter leaves images for a while. The data are **vectors** (向量) of 100 numbers without bounds, as
# in article A3; real digits come back at the end. Three questions. What can a narrow code keep, and what not? What do
# penalties (惩罚项) on weights and on codes do? This is **regularisation** (正则化); the article names it and leaves it out
# of its code. And how far is a network from the best that linear algebra can do?

# %%
import re

import keras
import matplotlib.pyplot as plt
import numpy as np
import sklearn.decomposition
import tensorflow as tf

from keras_vae import Autoencoder, Backup, Run, batches, dense_decoder, dense_encoder
from keras_vae import load_images, make_vectors, reconstruction_error, reconstructions
from keras_vae import training_curves

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # of the images at the end: "mnist", "digits", or what can be had
seed = 0  # of the vectors, the first weights and the order of the batches
code_dim = 10  # A3: 100, as wide as the data (erratum A3-1)
hidden_dims = (50, 50)  # A3: 50 and 50
epochs = 100  # A3: 100
batch_size = 32  # A3: 32
num_samples = 1000  # A3: 1000
l2 = 0.001  # weight of the penalty on the weights
l1 = 0.01  # weight of the penalty on the codes
image_epochs = 10  # of the autoencoder for real digits

# %% [markdown]
# ## Data
#
# The article trains on 100 independent normal numbers a row. In such data there is nothing to find: no
# number tells anything about another (erratum A3-3). `make_vectors` makes data that have a
# structure: five clusters in 10 dimensions, carried into 100 dimensions by a matrix, and some noise.
#
# $$x = W u + \varepsilon, \qquad u = c_y + \tfrac12 \eta, \qquad W \in \mathbb R^{100 \times 10}$$
#
# Here $c_y$ is the centre of cluster $y$, and $\eta$ and $\varepsilon$ are normal noise, $\varepsilon$ of standard deviation
# 0.3. In the code a row is an example, so $W$ is the transpose of `linear_map`. Here is the formula in five lines, and then the
# package's function, which does the same for both splits.

# %%
rng = np.random.default_rng(seed)
centres, linear_map = rng.normal(size=(5, 10)), rng.normal(size=(10, 100)) / np.sqrt(10)
y = rng.integers(5, size=num_samples)
u = centres[y] + 0.5 * rng.normal(size=(num_samples, 10))
x = u @ linear_map + 0.3 * rng.normal(size=(num_samples, 100))

# %%
keras.utils.set_random_seed(seed)
run = Run("03_regularised_autoencoder")
(x_train, y_train), (x_test, y_test) = make_vectors(num_samples, 1000, seed=seed)
print("the five lines give the same vectors:", np.allclose(x, x_train))
rng = np.random.default_rng(seed)
noise_train, noise_test = rng.normal(size=(2, num_samples, 100)).astype("float32")
print("variance per number: structured", x_train.var().round(2), "noise", noise_train.var().round(2))

# %% [markdown]
# ## The formulas
#
# **The floor.** No linear code of $k$ numbers beats PCA with $k$ components. Its mean squared error on the training rows
# is the sum of the variances that it leaves out, divided by 100. These are the smallest eigenvalues
# $\lambda_1 \ge \lambda_2 \ge \dots$ of the covariance matrix:
#
# $$\min \tfrac1{100} E \lVert x - \hat x \rVert^2 = \tfrac1{100} \sum_{i > k} \lambda_i$$

# %%
eigenvalues = np.linalg.eigvalsh(np.cov(x_train.T, bias=True))[::-1]  # (100,), largest first
print("first twelve eigenvalues:", eigenvalues[:12].round(2))
print(f"left out by {code_dim} components:", (eigenvalues[code_dim:].sum() / 100).round(4))

# %% [markdown]
# Ten eigenvalues are large and ninety are small: the structure has ten dimensions. For the article's
# noise all hundred are about equal, so $k$ components leave $1 - k/100$ of the variance on fresh data:
# for ten, 90 %.

# %%
def pca_error(train, test, components):
    """Return the mean squared error per number of PCA fitted to `train`, on `test`."""
    pca = sklearn.decomposition.PCA(components).fit(train)
    return float(np.mean((test - pca.inverse_transform(pca.transform(test))) ** 2))


floor = pca_error(x_train, x_test, code_dim)
noise_floor = pca_error(noise_train, noise_test, code_dim)
print(f"PCA on fresh data, {code_dim} components: structured {floor:.4f}, noise {noise_floor:.3f}")

# %% [markdown]
# **The penalties.** A3 §2.1 adds a regularisation loss to the reconstruction loss. Two kinds are common:
#
# $$L_2 = \alpha_2 \sum_{\text{weights}} w^2 \qquad\qquad
# L_1 = \alpha_1 \sum_{\text{code}} |z_j|$$
#
# ($\alpha_2$ is `l2` and $\alpha_1$ is `l1`. Keras 3.15 takes the mean of $L_1$ over the batch; on Python 3.10, with Keras 3.12 or
# older, it is the sum: there, set `l1=0.0003`.) $L_2$ pulls every weight towards zero, large
# ones more strongly. $L_1$ pulls every code unit towards zero with the same force, however small it is. With a ReLU the
# small ones then become exactly zero: the code is **sparse** (稀疏).
# In both cases the builders take a Keras regulariser and Keras adds the penalty to the loss.

# %%
w = np.array([-2.0, 0.0, 0.5])
print("L2:", l2 * np.sum(w**2), "as Keras:", float(keras.regularizers.L2(l2)(w)))
print("L1:", l1 * np.sum(np.abs(w)), "as Keras:", float(keras.regularizers.L1(l1)(w)))

# %% [markdown]
# **The output.** The article's decoder ends in a sigmoid, and half of its targets are negative (erratum
# A3-2). Whatever the network learns, the best that a sigmoid can say is the target cut off at 0 and 1.
# The error of that is a floor no training can pass:

# %%
sigmoid_floor = float(np.mean((noise_test - noise_test.clip(0, 1)) ** 2))
print(f"article's data, sigmoid output: at least {sigmoid_floor:.3f} of a variance of 1")

# %% [markdown]
# `Autoencoder` therefore refuses such targets when its decoder ends in a sigmoid:

# %%
refusing = Autoencoder(
    dense_encoder(100, (50, 50), 10),
    dense_decoder(10, (50, 50), 100, output_activation="sigmoid"),
)
refusing.compile(optimizer="adam", loss="mse")
try:
    refusing.fit(noise_train, verbose=0)
except tf.errors.InvalidArgumentError as error:
    print("InvalidArgumentError:", re.search("assertion failed.*", str(error))[0])

# %% [markdown]
# ## The models
#
# All have the article's hidden layers, 50 and 50, a code of 10, and a linear output. (In the article
# the encoder ends in a layer as wide as the data, so that its "code" is no smaller than what it
# encodes: erratum A3-1.) The code passes through a ReLU where sparsity is the question.

# %%
def build(weight_penalty=None, code_penalty=None, code_activation="relu"):
    """Return a compiled autoencoder, 100 – 50 – 50 – code – 50 – 50 – 100, linear output."""
    keras.utils.set_random_seed(seed)
    autoencoder = Autoencoder(
        dense_encoder(
            100,
            hidden_dims,
            code_dim,
            latent_activation=code_activation,
            kernel_regularizer=weight_penalty,
            activity_regularizer=code_penalty,
        ),
        dense_decoder(code_dim, hidden_dims[::-1], 100, kernel_regularizer=weight_penalty),
    )
    autoencoder.compile(optimizer="adam", loss="mse", metrics=["mse"], steps_per_execution=8)
    return autoencoder


models = {
    "linear code": build(code_activation=None),
    "ReLU code": build(),
    "ReLU code, L2 on weights": build(weight_penalty=keras.regularizers.L2(l2)),
    "ReLU code, L1 on codes": build(code_penalty=keras.regularizers.L1(l1)),
    "linear code, on noise": build(code_activation=None),
}

# %% [markdown]
# ## Training
#
# `fit` of an `Autoencoder` takes the input as its own target. `mse` is the mean squared error alone, `loss` the error and the penalty
# together.

# %%
histories = {}
for name, model in models.items():
    x, x_fresh = (noise_train, noise_test) if "noise" in name else (x_train, x_test)
    dataset = batches(x, batch_size, seed)
    histories[name] = model.fit(
        dataset,
        epochs=epochs,
        callbacks=[Backup(run.backups / name, dataset)],
        validation_data=(x_fresh, x_fresh),
        validation_batch_size=len(x_fresh),
        shuffle=False,  # the pipeline has shuffled already
        verbose=0,  # a hundred short epochs: one line for all
    )
    print(f"{name}: {epochs} epochs, training MSE {histories[name].history['mse'][-1]:.4f}")

# %% [markdown]
# ## The numbers
#
# Error on fresh data against the floor, the size of the weights, and the share of codes that are near
# zero (below 0.01).

# %%
table = {}
print(f"{'':26} train MSE  fresh MSE  mean |weight|  codes near 0")
for name, model in models.items():
    x, x_fresh = (noise_train, noise_test) if "noise" in name else (x_train, x_test)
    kernels = [w for w in model.get_weights() if w.ndim == 2]
    table[name] = {
        "train": reconstruction_error(model, x)["mse"],
        "fresh": reconstruction_error(model, x_fresh)["mse"],
        "weights": float(np.mean(np.abs(np.concatenate([k.ravel() for k in kernels])))),
        "zeros": float(np.mean(np.abs(model.encode(x_fresh)) < 0.01)),
    }
    row = table[name]
    print(
        f"{name:26} {row['train']:9.4f}  {row['fresh']:9.4f}  {row['weights']:13.4f}"
        f"  {row['zeros']:12.0%}"
    )
print(f"{'PCA, structured data':26} {'':9}  {floor:9.4f}")
print(f"{'PCA, noise':26} {'':9}  {noise_floor:9.4f}")

# %% [markdown]
# Read the last network's row. On noise the error on the training rows falls below that on fresh rows: it
# has learned rows by heart, and fresh rows are no better off than under PCA. Nothing reduces the
# dimension of noise.
#
# **Real data.** The vectors were made by a linear map, so linear algebra is the best there is. Digits
# are not made that way: to shift a stroke by a pixel is no straight line in the space of images. There a network with
# the same ten numbers has something to win.

# %%
data, (images_train, _), (images_test, _) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # on the small digits an epoch is twenty passes
keras.utils.set_random_seed(seed)
image_model = Autoencoder(
    dense_encoder(784, (256,), code_dim),
    dense_decoder(code_dim, (256,), 784, output_activation="sigmoid"),
)
image_model.compile(optimizer="adam", loss="mse", steps_per_execution=20)
dataset = batches(images_train, 256, seed, passes)
backup = Backup(run.backups / "images", dataset)
image_model.fit(dataset, epochs=image_epochs, callbacks=[backup], shuffle=False)
image_mse = reconstruction_error(image_model, images_test)["mse"]
image_pca = sklearn.decomposition.PCA(code_dim, random_state=seed).fit(images_train)
image_copies = image_pca.inverse_transform(image_pca.transform(images_test))
image_floor = float(np.mean((images_test - image_copies) ** 2))
print(f"digits, {code_dim} numbers: autoencoder {image_mse:.4f}, PCA {image_floor:.4f}")

# %% [markdown]
# ## The pictures

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
plt.close(figure)
training_curves(
    histories["linear code"], ["mse", "val_mse"], "MSE per number", "structured data", ax=axes[0]
)
axes[0].axhline(floor, color="grey", linewidth=1)
axes[0].annotate("PCA", (epochs, floor), va="bottom", ha="right", color="dimgrey")
training_curves(
    histories["linear code, on noise"], ["mse", "val_mse"], "MSE per number", "noise", ax=axes[1]
)
axes[1].axhline(noise_floor, color="grey", linewidth=1)
axes[1].annotate("PCA", (epochs, noise_floor), va="bottom", ha="right", color="dimgrey")
for ax in axes:
    ax.set_ylim(0, 1.4)
run.save_figure(figure, "structure_and_noise")

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
plt.close(figure)
shown = ["ReLU code", "ReLU code, L2 on weights", "ReLU code, L1 on codes"]
looks = (("-", "#332288"), ("--", "#CC6677"), (":", "#117733"))
for name, (style, colour) in zip(shown, looks):
    kernels = [w for w in models[name].get_weights() if w.ndim == 2]
    sizes = np.sort(np.abs(np.concatenate([k.ravel() for k in kernels])))
    codes = np.sort(np.abs(models[name].encode(x_test)).ravel())
    axes[0].plot(sizes, np.linspace(0, 1, len(sizes)), style, color=colour, label=name)
    axes[1].plot(codes, np.linspace(0, 1, len(codes)), style, color=colour, label=name)
axes[0].set(xlabel="size of a weight", ylabel="share of weights at most as large", xlim=(0, 0.5))
axes[1].set(xlabel="size of a code", ylabel="share of codes at most as large", xlim=(-0.2, 15))
for ax in axes:
    ax.grid(alpha=0.3)
axes[1].legend()
run.save_figure(figure, "penalties")

# %%
run.save_figure(
    reconstructions(
        images_test[:10],
        image_model.reconstruct(images_test[:10]),
        image_copies[:10].clip(0, 1),
        labels=["original", "autoencoder", "PCA"],
    ),
    "real_digits",
)

# %%
run.save_model(models["linear code"], "autoencoder")

# %% [markdown]
# ## What the article printed
#
# | erratum | what is printed | what stands here |
# |---|---|---|
# | A3-1 | the encoder returns a "code" of 100 numbers for 100 numbers | a code of 10, returned by the encoder |
# | A3-2 | a sigmoid output for targets of N(0, 1): every negative value is out of reach | a linear output |
# | A3-3 | 100 independent normals as data: nothing to compress | data of ten dimensions, and noise beside them |
# | A3-10 | a regularisation loss in the text, none in the code | L1 and L2, measured |
# | A3-13 | `keras.losses.mean_squared_error`, which Keras 3.15 no longer has: an `AttributeError` | `reconstruction_error` |
# | A3-14 | a thousand numbers under the name of the mean squared error | one number |
# | A3-15 | the error on the rows that were trained on | fresh rows beside them |

# %% [markdown]
# Two of them at work. The article's "code" is as wide as the data (A3-1) and the error is measured on the rows that were
# trained on (A3-15). Give such a network noise, and 100 numbers to say it with: it learns to copy its rows.

# %%
keras.utils.set_random_seed(seed)
wide = Autoencoder(dense_encoder(100, (400,), 100), dense_decoder(100, (400,), 100))
wide.compile(optimizer="adam", loss="mse", steps_per_execution=8)
dataset = batches(noise_train, batch_size, seed)
backup = Backup(run.backups / "wide", dataset)
wide.fit(dataset, epochs=epochs, callbacks=[backup], shuffle=False, verbose=0)
wide_error = reconstruction_error(wide, noise_train)["mse"]
print(f"noise through a code of 100: {wide_error:.3f} of a variance of 1 is left on the training rows")

# %% [markdown]
# A small error, and nothing learned: there was nothing to learn. And the article's last line prints a row's error for every row
# (A3-14):

# %%
row_errors = np.mean((noise_train - wide.reconstruct(noise_train)) ** 2, axis=-1)
print("Mean Squared Error:", row_errors[:4].round(3), f"… {len(row_errors)} numbers; their mean {row_errors.mean():.3f}")

# %% [markdown]
# ## What to expect

# %%
linear, relu = table["linear code"], table["ReLU code"]
weighted, sparse = table["ReLU code, L2 on weights"], table["ReLU code, L1 on codes"]
noise = table["linear code, on noise"]
run.finish(
    data,
    {
        "fresh MSE, linear code": linear["fresh"],
        "fresh MSE, PCA with as many components": floor,
        "ratio of the two": linear["fresh"] / floor,
        "fresh MSE on noise, linear code": noise["fresh"],
        "fresh MSE on noise, PCA with as many": noise_floor,
        "train MSE on noise, linear code": noise["train"],
        "MSE of the best sigmoid output on noise": sigmoid_floor,
        "mean |weight|, ReLU code": relu["weights"],
        "mean |weight|, with L2": weighted["weights"],
        "codes near zero, ReLU code": relu["zeros"],
        "codes near zero, with L1": sparse["zeros"],
        "fresh MSE, ReLU code": relu["fresh"],
        "fresh MSE, with L2": weighted["fresh"],
        "fresh MSE, with L1": sparse["fresh"],
        "digits, test MSE, autoencoder": image_mse,
        "digits, test MSE, PCA": image_floor,
    },
)

# %% [markdown]
# ## Exercises
#
# 1. Why can the network not beat PCA here by much, however long it trains?
#    <details><summary>Answer</summary>
#
#    The data are a linear map of ten numbers, and noise. A linear code of ten numbers keeps all of the
#    structure. What is left is noise, and nothing can predict noise.
#    </details>
# 2. Predict first: what does `code_dim=5` do to the floor and to the network? Run
#    `python tutorials 3 code_dim=5`.
#    <details><summary>Answer</summary>
#
#    Five of ten directions are lost, and both errors more than double. Five clusters lie in a space
#    of four dimensions, though, so the differences between clusters survive.
#    </details>
# 3. Set `l1=1.0`. What becomes of the codes, and of the error?
#    <details><summary>Answer</summary>
#
#    All but two in a thousand codes go to zero: the penalty wins before the decoder has learned to use them. The decoder
#    then returns nearly one vector for every input, and the error, 1.05, is close to the variance of the data, 1.14.
#    </details>
# 4. Code and PCA hold ten numbers each, and nearly the same error is left. Are they the same ten numbers? Guess, then compare.
#    <details><summary>Answer</summary>
#
#    No, and yes. No code number is a component: the correlations, at best, are from 0.5 to 0.85. But a linear map of the whole code
#    gives 83 to 99.9 % of the variance of each component. The network found the same space, and has no reason to take PCA's axes in it.
#
#    ```python
#    code = models["linear code"].encode(x_test)
#    components = sklearn.decomposition.PCA(code_dim).fit(x_train).transform(x_test)
#    correlations = np.corrcoef(code.T, components.T)[:code_dim, code_dim:]
#    print("best correlation of each code number:", np.abs(correlations).max(axis=1).round(2))
#    inputs = np.c_[code, np.ones(len(code))]
#    residual = components - inputs @ np.linalg.lstsq(inputs, components, rcond=None)[0]
#    print("share of each component:", (1 - residual.var(axis=0) / components.var(axis=0)).round(3))
#    ```
#    </details>
