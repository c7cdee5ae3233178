# %% [markdown]
# # 7. Clusters in the latent space
#
# *Reproduces A3 §1, §3.2, §4.2 and §5. 1.8 minutes on two cores.*
#
# ![Ten rows of digits, each row a group that was found without any
# label](../docs/images/07_clusters.png)
#
# Each row is a group of digits that was found without labels; in most rows one kind of digit
# prevails. To find groups without labels is called **clustering** (聚类), and a group that was
# found is a **cluster** (簇). Article A3 is about clustering with a VAE, but its listing stops
# before any cluster is made (**A3-8**). We first finish what it began, on its own data, then do
# the same with data that have clusters, and with digits. You need chapters 3 and 4.

# %%
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import scipy.optimize
import sklearn.cluster
import sklearn.decomposition
import sklearn.metrics
import sklearn.mixture
import tensorflow as tf

from keras_vae import VAE, Run, batches, cluster_scores, dense_decoder
from keras_vae import gaussian_encoder, image_grid, latent_scatter, load_images
from keras_vae import make_vectors, mistake

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the vectors, the first weights, the noise and the clusterings
vector_hidden_dims = (50, 50)  # A3: 50 and 50
latent_dim = 10  # A3: 10; at least 2
vector_epochs = 100  # A3: 100
vector_batch_size = 32  # A3: 32
num_samples = 1000  # A3: 1000
hidden_dims = (256, 256)  # of the VAE for digits
learning_rate = 0.002
epochs = 25
batch_size = 256
num_starts = 5  # of each clustering, at other first centres; the best is kept

# %% [markdown]
# ## Data
#
# The article's data are 1000 rows of 100 independent normal numbers. Beside them are vectors of
# chapter 3, in five clusters, with noise as large as the signal.

# %%
run = Run("07_vae_clustering")
rng = np.random.default_rng(seed)
three = rng.normal(size=(3, num_samples, 100)).astype("float32")
noise, other_noise, test_noise = three
vectors = make_vectors(2 * num_samples, 1000, noise=1.0, seed=seed)
(v_both, _), (v_test, v_labels) = vectors
v_train, v_more = np.split(v_both, 2)  # the same clusters, different rows

# %% [markdown]
# ## The article's model
#
# It has hidden layers of 50 and 50, and ten latent variables. Vectors of any sign get a normal
# likelihood: the reconstruction loss is half the squared error, and a constant (chapter 5).

# %%
def vector_vae(x, seed=seed):
    """Return the article's VAE, trained on the rows of x."""
    keras.utils.set_random_seed(seed)
    encoder = gaussian_encoder(100, vector_hidden_dims, latent_dim)
    decoder = dense_decoder(latent_dim, vector_hidden_dims[::-1], 100)
    vae = VAE(encoder, decoder, likelihood="gaussian", seed=seed)
    vae.compile(optimizer="adam", steps_per_execution=8)  # 8 a call
    dataset = batches(x, vector_batch_size, seed)
    vae.fit(dataset, epochs=vector_epochs, verbose=0)
    return vae


noise_vae, structure_vae = vector_vae(noise), vector_vae(v_train)

# %% [markdown]
# **k-means** (k 均值) is the best-known way to find clusters: it moves $k$ centres about, until
# each point belongs to its nearest centre, and each centre is the mean of its points. We ask it
# for five clusters of the means that the encoder gives.

# %%
def k_means(h_train, h_test, k):
    """Return the clusters of h_test after k-means on h_train."""
    method = sklearn.cluster.KMeans(k, n_init=num_starts, random_state=seed)
    return method.fit(h_train).predict(h_test)


figure, axes = plt.subplots(1, 2, figsize=(13, 5.6), layout="constrained")
plt.close(figure)
cases = {"noise": (noise_vae, noise), "five clusters": (structure_vae, v_train)}
for ax, (name, (vae, x)) in zip(axes, cases.items()):
    z = vae.encode(x)[0]
    plane = sklearn.decomposition.PCA(2, random_state=seed).fit_transform(z)
    names = ("first principal component of the means", "second")
    title = f"{name}: what k-means found"
    latent_scatter(plane, k_means(z, z, 5), title, names, ax=ax)
    ax.get_legend().set_title("cluster")
run.save_figure(figure, "vectors")

# %% [markdown]
# k-means found five clusters in the noise, too. It always finds as many as it is asked for.
# Look at the scales of the axes: the means of the noise hardly differ at all.
#
# ## Why it works, or does not
#
# **Are the clusters real?** Then other data from the same source must lead to the same ones. So
# train a second VAE on other rows, from other first weights, and compare how both divide the
# *same* test rows. The **adjusted Rand index** (调整兰德指数, ARI) counts the pairs of rows that both
# keep together or both separate. It is 1 for equal clusterings, and scaled to be 0 by chance.

# %%
rows = {  # other rows of the same kind, and shared ones
    "noise": (other_noise, test_noise),
    "five clusters": (v_more, v_test),
}
agreement = {}
for name, (vae, x) in cases.items():
    others, shared = rows[name]
    again = vector_vae(others, seed + 1)
    agreement[name] = sklearn.metrics.adjusted_rand_score(
        k_means(vae.encode(x)[0], vae.encode(shared)[0], 5),
        k_means(again.encode(others)[0], again.encode(shared)[0], 5),
    )
    kl = vae.evaluate(shared, verbose=0, return_dict=True)["kl_loss"]
    print(f"{name}: agreement {agreement[name]:.2f}, KL {kl:.2f} nats")

# %% [markdown]
# The five clusters come out alike both times. On noise the two agree no more than by chance:
# there was nothing to find. The VAE has told its decoder next to nothing, as its KL says. The
# likelihood expects noise of variance 1, and these numbers are just that. A decoder that always
# answers 0 is the true distribution, which no ELBO can beat: a code costs what it saves.
#
# **How good is a clustering?** Where labels are known, they can score it; they took no part in
# finding it. A cluster has a number and no name, so the scoring may choose names. The
# **accuracy** (准确率) of a clustering is that of the best way to name clusters after labels, one
# to one. (Many images in ten random clusters would get little more than 0.1.)
#
# $$\max_\pi \frac1n \sum_i 1[\, y_i = \pi(c_i) \,]$$
#
# Here $y_i$ is the label of row $i$, $c_i$ its cluster, and $\pi(c_i)$ the name of that
# cluster; $1[\,\dots]$ is 1 where the two agree, else 0.

# %%
labels, found = np.array([0, 0, 0, 1, 1, 1]), np.array([1, 1, 0, 0, 0, 0])
counts = sklearn.metrics.cluster.contingency_matrix(labels, found)  # of pairs
best = scipy.optimize.linear_sum_assignment(counts, maximize=True)  # naming
print(counts, "best naming:", counts[best].sum(), "of", counts.sum())

# %% [markdown]
# `cluster_scores` gives the accuracy, the ARI, and the **normalised mutual information**
# (归一化互信息, NMI): how much the clusters tell about the labels, from 0 to 1. More is better.
#
# ## Digits
#
# k-means goes by the distance to a centre, which suits balls of one size. Clusters of digits
# need not be such. A **Gaussian mixture** (高斯混合模型) fits $k$ normal distributions, so a cluster
# may be long, flat or tilted; a point belongs to the one that most probably drew it.

# %%
data, (x_train, y_train), (x_test, y_test) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # few digits: 20 passes an epoch
keras.utils.set_random_seed(seed)
encoder = gaussian_encoder(784, hidden_dims, latent_dim)
decoder = dense_decoder(latent_dim, hidden_dims[::-1], 784)
vae = VAE(encoder, decoder, seed=seed)
vae.compile(optimizer=keras.optimizers.Adam(learning_rate))
start = time.perf_counter()
vae.fit(batches(x_train, batch_size, seed, passes), epochs=epochs)
vae_seconds = time.perf_counter() - start


def mixture(h_train, h_test, k):
    """Return the clusters of h_test after a Gaussian mixture on h_train."""
    method = sklearn.mixture.GaussianMixture(
        k, n_init=num_starts, max_iter=300, random_state=seed
    )
    return method.fit(h_train).predict(h_test)

# %% [markdown]
# ## The numbers
#
# All methods are fitted to the training set and scored on the test set.

# %%
z_train, z_test = vae.encode(x_train)[0], vae.encode(x_test)[0]
v, v_new = (structure_vae.encode(x)[0] for x in (v_train, v_test))
clusters = mixture(z_train, z_test, 10)
found = {
    "vectors: k-means on raw numbers": (v_labels, k_means(v_train, v_test, 5)),
    "vectors: k-means on z_mean": (v_labels, k_means(v, v_new, 5)),
    "images: k-means on pixels": (y_test, k_means(x_train, x_test, 10)),
    "images: k-means on z_mean": (y_test, k_means(z_train, z_test, 10)),
    "images: mixture on z_mean": (y_test, clusters),
}
table = {}
print(f"{'':35} accuracy    NMI    ARI")
for name, pair in found.items():
    scores = cluster_scores(*pair)
    print(f"{name:35}", "".join(f"{s:7.3f}" for s in scores.values()))
    table |= {f"{name}, {score}": value for score, value in scores.items()}

# %%
groups = [x_test[clusters == c] for c in np.unique(clusters)]
rows = [np.resize(group, (10, 784)) for group in groups]
figure = image_grid(np.concatenate(rows), 10, title="a row per cluster")
run.save_figure(figure, "clusters")

# %% [markdown]
# On the vectors the VAE gains nothing over k-means on the raw numbers. On MNIST the mixture on
# its means is best by all three scores: about four of five digits are right, with k-means on
# pixels about one of two. (On the small digits k-means on pixels is ahead with seed 0.)
# Chapter 17 makes the mixture the VAE's prior; `docs/results.md` has published methods.
#
# **A3-21, the time.** A3 §1 calls k-means inefficient for large data. A round of it measures
# each row against each centre, so its work is proportional to the number of rows. Here are
# whole runs of k-means, from one start (which is timed, too), on more and more images:

# %%
figure, ax = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
plt.close(figure)
sizes = [len(x_train) // part for part in (16, 4, 1)]
for name, h, style in (("pixels", x_train, "o-"), ("z_mean", z_train, "s--")):
    seconds = []
    for num in sizes:
        method = sklearn.cluster.KMeans(10, n_init=1, random_state=seed)
        start = time.perf_counter()
        method.fit(h[:num])
        seconds.append(time.perf_counter() - start)
        each = 1e6 * seconds[-1] / method.n_iter_ / num
        print(f"{name}, {num} images: {each:.2f} µs for a round and an image")
    ax.plot(sizes, seconds, style, color="#332288", label=f"k-means, {name}")
ax.plot(sizes[-1], vae_seconds, "D", color="#CC6677", label="VAE, training")
ax.set(xscale="log", yscale="log", xlabel="images", ylabel="seconds")
ax.set_xticks(sizes, sizes)
ax.xaxis.set_minor_locator(plt.NullLocator())
ax.legend()
run.save_figure(figure, "seconds")

# %% [markdown]
# k-means on ten means is faster than on 784 pixels. But the VAE has to be trained first, and
# that takes far longer than k-means on the pixels. What it buys, on MNIST, is quality, not
# time. (A3 §1 also says that k-means suffers from many dimensions. Not from their number alone:
# on the raw vectors, of 100 numbers, it was almost perfect.)
#
# ## Side by side
#
# **A3-4** stops: the listing's model is a layer, and a layer cannot be compiled. **A3-5** is
# silent: its decoder returns a sigmoid, squared, so only numbers from 0 to 1 come out. And
# **A3-9** is a claim: the KL is said to make codes sparse. On MNIST as few of these ten numbers
# are near 0 as of N(0, 1). (Where latent variables can be spared, the KL may switch whole ones
# off, for every image. In a sparse code, each image uses a few.)

# %%
with mistake("A3-4"):
    tf.keras.layers.Layer().compile(optimizer="adam", loss=["mse", "mse"])
least = np.mean((v_test - v_test.clip(0, 1)) ** 2)
print(f"A3-5  least error behind it {least:.2f}, variance {v_test.var():.2f}")
near_zero = np.mean(np.abs(z_test) < 0.01)
print(f"A3-9  codes below 0.01: {100 * near_zero:.1f} %; of N(0, 1), 0.8 %")

# %% [markdown]
# **A3-6**: the listing has no variance, no draw and no KL; it is no VAE. **A3-11**: A3 §3.3.2
# passes the means through a tanh, from −1 to 1, which misses a third of N(0, 1), or through a
# sigmoid, which misses two thirds. **A3-7**, **A3-12**, **A3-16**: `tutorials/errata.md`.
#
# ## What to expect

# %%
run.save_model(structure_vae, "vector_vae")
run.save_model(vae, "image_vae")
run.finish(data, {
    **table,
    "agreement of two clusterings, noise": agreement["noise"],
    "agreement of two clusterings, vectors": agreement["five clusters"],
    "share of codes near zero": near_zero,
})

# %% [markdown]
# ## Three questions
#
# 1. k-means finds five clusters. Does that mean that there are five?
#    <details><summary>Answer</summary>
#
#    No, it always finds as many as it is asked for. If other data lead to other clusters, they
#    are not there. (If to the same, there may still be another number of them.)
#    </details>
# 2. A clustering of ten digits has accuracy 0.5. Is that as bad as tossing a coin?
#    <details><summary>Answer</summary>
#
#    No: many images in ten random clusters, named in the best way, would get little more than
#    0.1.
#    </details>
# 3. Why can a mixture do better than k-means on the same means?
#    <details><summary>Answer</summary>
#
#    k-means suits balls of one size. The mixture's clusters may be long, flat or tilted.
#    </details>
#
# ## Exercises
#
# 1. Predict first: do two latent variables cluster better than ten, or worse? Run
#    `python tutorials 7 latent_dim=2`.
#    <details><summary>Answer</summary>
#
#    Worse: in a plane, several digits lie over each other.
#    </details>
