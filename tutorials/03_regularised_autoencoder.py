# %% [markdown]
# # 3. Regularised autoencoder
#
# *Reproduces A3 §2.1, §3.1, §3.3.1 and §4.1. 1.1 minutes on two cores.*
#
# ![Two clouds of points, each the copy of a number against the number itself: on the left the
# article's model, where no copy is negative and little is copied; on the right the mended one,
# whose points lie close to the diagonal](../docs/images/03_copied_numbers.png)
#
# Each point is one number: its horizontal position is what went into an autoencoder, its
# vertical position what came out. On the left is the article's model. It learned next to
# nothing, and its listing prints a thousand errors instead of their mean. On the right is the
# network after three changes, which you will make one by one; the last one changes the data.
#
# The data are rows of 100 numbers of any sign. Two questions: what can a narrow code keep, and
# what happens if the loss charges for large weights or codes as well, that is, *regularises*
# them? Real digits come back at the end. You need chapters 1 and 2.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import sklearn.decomposition
import tensorflow as tf

from keras_vae import Autoencoder, Run, batches, dense_decoder, dense_encoder
from keras_vae import load_images, make_vectors, mistake
from keras_vae import reconstruction_error, reconstructions

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # of the images at the end: "mnist", "digits", or what can be had
seed = 0  # of the vectors, the first weights and the order of the rows
code_dim = 10  # A3: 100, as many as the data; at most 100
hidden_dims = (50, 50)  # A3: 50 and 50
epochs = 100  # A3: 100
batch_size = 32  # A3: 32
num_samples = 1000  # A3: 1000; at least 100
l2 = 0.001  # factor of the charge on weights
l1 = 0.01  # of that on codes (0.0003 with Keras 3.12, which sums over a batch)
image_epochs = 10  # of the autoencoder for digits

# %% [markdown]
# ## Data
#
# The article's data are 1000 rows of 100 normal random numbers, each independent of all others.
# We draw as many again, to test on rows that were not trained on.

# %%
run = Run("03_regularised_autoencoder")
rng = np.random.default_rng(seed)
noise, fresh_noise = rng.normal(size=(2, num_samples, 100)).astype("float32")

# %% [markdown]
# ## The article's model
#
# The encoder has layers of 50, 50 and 100, and so has the decoder, which ends in a sigmoid. The
# loss is the mean squared error. A `Sequential` applies one network after another.

# %%
def train(x, code, output=None, on_code=None, on_weights=None, on_codes=None):
    """Return an autoencoder, 100 – 50 – 50 – code – 50 – 50 – 100, trained."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([
        dense_encoder(100, hidden_dims, code, latent_activation=on_code,
                      kernel_regularizer=on_weights,  # explained below
                      activity_regularizer=on_codes),
        dense_decoder(code, hidden_dims[::-1], 100, output_activation=output,
                      kernel_regularizer=on_weights),
    ])
    model.compile("adam", loss="mse", steps_per_execution=8)  # 8 a call
    model.fit(batches((x, x), batch_size, seed), epochs=epochs, verbose=0)
    return model


printed = train(noise, code=100, output="sigmoid")

# %%
def copied_numbers(ax, model, x, title):
    """Draw each number's copy against the number."""
    x, copy = x[:30], model.predict(x[:30], verbose=0)
    ax.plot(x.ravel(), copy.ravel(), ".", ms=2, color="#332288")
    ax.plot([-3, 3], [-3, 3], color="grey", linewidth=1)
    ax.set(title=title, xlabel="number", ylabel="copy")
    ax.set(xlim=(-4, 4), ylim=(-4, 4))


figure, ax = plt.subplots(figsize=(4, 4), layout="constrained")
plt.close(figure)
copied_numbers(ax, printed, noise, "the article's model")
run.save_figure(figure, "article")

# %% [markdown]
# Good copies would lie on the line. No copy is below 0, and few follow their number.
#
# ## Side by side: three changes
#
# **A3-2, the output.** A sigmoid gives numbers from 0 to 1, and half of the targets are
# negative. Whatever the network learns, its best copy is the target cut off at 0 and at 1. So
# the first change is an output layer without activation: a *linear* one.
# (`keras_vae.Autoencoder` refuses targets that its sigmoid cannot reach.)
#
# **A3-15, the rows to test on.** The article measures its error on the rows that it trained on.
# We measure on fresh ones as well.

# %%
table = {}


def measure(name, model, *rows):
    """Print the mean squared error on training rows and on fresh ones."""
    table[name] = [reconstruction_error(model, x)["mse"] for x in rows]
    trained_on, fresh = table[name]
    print(f"{name:24} training rows {trained_on:.3f}  fresh {fresh:.3f}")


best = np.mean((noise - noise.clip(0, 1)) ** 2)
print(f"best possible behind a sigmoid: {best:.3f} of a variance of 1")
measure("as printed", printed, noise, fresh_noise)
measure("linear output", train(noise, code=100), noise, fresh_noise)

# %% [markdown]
# To copy nothing, to answer 0 always, would cost 1, the variance. The network now does better
# than that, and better on its own rows than on fresh ones: a part of these rows it has learned
# by heart. This is **overfitting** (过拟合).
#
# **A3-1, the code.** The article's "code" has 100 numbers for 100 numbers: it is no smaller
# than the row. The second change is a code of ten.
#
# **A3-3, the data.** In independent numbers there is nothing to find: no number tells anything
# about another. The third change is data with structure. `make_vectors` draws a point $u$ in
# ten dimensions, from one of five groups, carries it to 100 dimensions by a matrix $M$, and
# adds a little noise: $x = u M + 0.3\, \varepsilon$.

# %%
(x_train, _), (x_test, _) = make_vectors(num_samples, 1000, seed=seed)
mended = train(x_train, code_dim)
measure("and a code of ten", train(noise, code_dim), noise, fresh_noise)
measure("and data with structure", mended, x_train, x_test)

# %% [markdown]
# When noise passes through ten numbers, its copies on fresh rows are worse than copying
# nothing. The structure gets through.

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
plt.close(figure)
copied_numbers(axes[0], printed, fresh_noise, "as printed")
copied_numbers(axes[1], mended, x_test, "after three changes")
run.save_figure(figure, "copied_numbers")

# %% [markdown]
# ## Why it works
#
# **How good can a code of ten be?** The best linear one is PCA's (chapter 1). PCA turns the
# axes of the 100 dimensions so that the first new axis carries as much variance as one axis
# can, the second as much of the rest, and so on. Linear algebra has these variances: they are
# the eigenvalues $\lambda_1 \ge \lambda_2 \ge \dots$ of the covariance matrix $C$, the table of
# how any two of the 100 numbers vary together (an axis $v$ has $C v = \lambda v$). What PCA
# with $k$ numbers leaves out is the variance along all other axes. Per number of a training
# row, that is
#
# $$\frac1{100} \sum_{i > k} \lambda_i$$

# %%
for name, x in (("structure", x_train), ("noise", noise)):
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    left = eigenvalues[code_dim:].sum() / 100
    print(name, eigenvalues[:12].round(1), f"… the formula: {left:.3f}")


def pca_error(train, test, components):
    """Return the mean squared error on `test` of PCA fitted to `train`."""
    pca = sklearn.decomposition.PCA(components, random_state=0).fit(train)
    copies = pca.inverse_transform(pca.transform(test))
    return float(np.mean((test - copies) ** 2))


floor = pca_error(x_train, x_test, code_dim)
noise_floor = pca_error(noise, fresh_noise, code_dim)
print(f"PCA, fresh rows: structure {floor:.3f}, noise {noise_floor:.3f}")

# %% [markdown]
# Ten eigenvalues are large and ninety are small: ten numbers suffice for the structure. Those
# of the noise would all be 1 if there were endlessly many rows, so ten numbers would leave nine
# tenths. (PCA overfits, too: of the rows it was fitted to, it leaves less than of fresh ones.)
# No linear code of ten can hold more of such noise.
#
# ## Penalties
#
# **A3-10.** A3 §2.1 adds a *regularisation loss* to the error, and the listing leaves it out. A
# **penalty** (惩罚项) is a term of the loss that grows with something unwanted, and to add one is
# called **regularisation** (正则化). Two kinds are common:
#
# $$L_2 = \alpha_2 \sum_{\text{weights}} w^2 \qquad\qquad
# L_1 = \alpha_1 \sum_{\text{code}} |z_j|$$
#
# The factors $\alpha$ are `l2` and `l1`. $L_2$ pulls large weights towards zero more strongly
# than small ones. $L_1$ pulls each number of the code with the same force, however small it is.
# Behind a ReLU the small ones then become exactly zero: the code is **sparse** (稀疏). In Keras
# both are arguments of a layer: `kernel_regularizer` for its weights, `activity_regularizer`
# for what it puts out.

# %%
penalty = keras.regularizers
settings = {
    "ReLU code": {},
    "L2 on weights": {"on_weights": penalty.L2(l2)},
    "L1 on codes": {"on_codes": penalty.L1(l1)},
}
size, zeros = {}, {}
for name, added in settings.items():
    model = train(x_train, code_dim, on_code="relu", **added)
    measure(name, model, x_train, x_test)
    codes = model.layers[0].predict(x_test, verbose=0)
    size[name] = np.mean([np.abs(w).mean() for w in model.get_weights()[::2]])
    zeros[name] = np.mean(np.abs(codes) < 0.01)
    print(f"    mean |weight| {size[name]:.3f}, near 0 {zeros[name]:.0%}")

# %% [markdown]
# Each penalty does what it says: the weights are smaller, and more numbers of the codes are
# near 0 (below 0.01). Each costs something in error. Penalties are meant for networks that
# overfit, as this one hardly does, or for codes to be read.
#
# ## Digits
#
# The vectors were made by a linear map, so no network can beat linear algebra by much. Digits
# are not made that way: as a stroke moves, its images lie along a curve, and the axes of PCA
# are straight. (The loss is the squared error, by which PCA is the best linear map.)

# %%
data, (images, _), (test_images, _) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # few digits: 20 passes an epoch
keras.utils.set_random_seed(seed)
image_model = Autoencoder(
    dense_encoder(784, (256,), code_dim),
    dense_decoder(code_dim, (256,), 784, output_activation="sigmoid"),
)
image_model.compile(optimizer="adam", loss="mse")
image_model.fit(batches(images, 256, seed, passes), epochs=image_epochs)
image_mse = reconstruction_error(image_model, test_images)["mse"]
image_floor = pca_error(images, test_images, code_dim)
print(f"digits: autoencoder {image_mse:.4f}, PCA {image_floor:.4f}")
copies = image_model.reconstruct(test_images[:10])
run.save_figure(reconstructions(test_images[:10], copies), "real_digits")

# %% [markdown]
# On MNIST the network leaves half of PCA's error.
#
# ## Side by side: the end of the listing
#
# **A3-13.** Its last lines compute the error by a function that `tf.keras` no longer has.
# **A3-14.** In `keras.losses`, where it still is, it takes the mean over a row: a thousand
# numbers come out, not one. (**A3-20** is told in `tutorials/errata.md`.)

# %%
copies = printed.predict(noise, verbose=0)
with mistake("A3-13"):
    tf.keras.losses.mean_squared_error(noise, copies)
rows = keras.losses.mean_squared_error(noise, copies)
print(f"A3-14  {len(rows)} numbers. Their mean: {np.mean(rows):.3f}")

# %% [markdown]
# ## What to expect

# %%
run.save_model(mended, "autoencoder")
run.finish(data, {
    "as printed, training rows": table["as printed"][0],
    "best possible behind a sigmoid": float(best),
    "linear output, fresh rows": table["linear output"][1],
    "code of ten, noise, fresh rows": table["and a code of ten"][1],
    "the same of PCA": noise_floor,
    "structure, fresh rows": table["and data with structure"][1],
    "structure, fresh rows, PCA": floor,
    "ratio of the two": table["and data with structure"][1] / floor,
    "mean |weight|, ReLU code": size["ReLU code"],
    "mean |weight|, with L2": size["L2 on weights"],
    "codes near zero, ReLU code": zeros["ReLU code"],
    "codes near zero, with L1": zeros["L1 on codes"],
    "digits, test MSE, autoencoder": image_mse,
    "digits, test MSE, PCA": image_floor,
})

# %% [markdown]
# ## Three questions
#
# 1. The error on the training rows falls. Has the network learned something about the data?
#    <details><summary>Answer</summary>
#
#    Not necessarily: on noise it fell, too. Ask for that on fresh rows, beside that of PCA.
#    </details>
# 2. Why can no network beat PCA by much on these vectors?
#    <details><summary>Answer</summary>
#
#    They are a linear map of ten numbers, and noise. Ten linear numbers keep almost all of the
#    structure, and nothing can predict noise.
#    </details>
# 3. Why does an L1 penalty make numbers of the code exactly zero?
#    <details><summary>Answer</summary>
#
#    It pulls small numbers as strongly as large ones, down to 0 and below, and there the ReLU
#    cuts them off.
#    </details>
#
# ## Exercises
#
# 1. Predict first: what does `code_dim=5` do to the floor and to the network? Run
#    `python tutorials 3 code_dim=5`.
#    <details><summary>Answer</summary>
#
#    Five of the ten directions are lost, and both errors more than double.
#    </details>
