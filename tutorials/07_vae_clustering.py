# %% [markdown]
# # 7. Clusters in the latent space
#
# *Reproduces A3 §3.2, §4.2 and §5. Corrects errata A3-4, A3-5, A3-6, A3-7, A3-8, A3-9, A3-11, A3-12, A3-16 and A3-17. 1.9 minutes on two cores.*
#
# Article A3 is about **clustering** (聚类): to find groups without labels. It trains a network and
# stops; nothing is ever clustered (erratum A3-8). Here we do it: a VAE first, then two standard methods on its
# latent means, and the first of them on the raw data too, to see what the VAE is worth.
#
# - **k-means** (k 均值) assigns every point to the nearest of $k$ centres. It suits clusters that are balls of one size.
# - A **Gaussian mixture** (高斯混合模型) fits $k$ normal distributions. Clusters are ellipsoids of any
#   size and direction.
#
# The labels are used at the end only, to score what was found.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import scipy.optimize
import sklearn.cluster
import sklearn.decomposition
import sklearn.metrics
import sklearn.mixture

from keras_vae import VAE, Autoencoder, Backup, Run, batches, cluster_scores, dense_decoder
from keras_vae import dense_encoder, gaussian_encoder, image_grid, latent_scatter, load_images
from keras_vae import make_vectors

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the first weights, the noise, the batches and the clusterings
vector_hidden_dims = (50, 50)  # A3: 50 and 50
vector_latent_dim = 10  # A3: 10
vector_epochs = 100  # A3: 100
vector_batch_size = 32  # A3: 32
num_samples = 1000  # A3: 1000
hidden_dims = (256, 256)
latent_dim = 10  # A3: 10
learning_rate = 0.002
epochs = 30
batch_size = 256
num_starts = 5  # of each clustering method; the best by its own measure is kept
score_on = "test"  # "all": train, cluster and score all images, as the papers do
autoencoder_epochs = 0  # above 0: k-means on the codes of an autoencoder of the same shape, too
manifold_neighbors = 0  # above 0: UMAP before a last mixture; pip install umap-learn

# %% [markdown]
# ## Data
#
# The vectors of chapter 3, five clusters in a subspace of 10 dimensions out of 100, with more noise; and images.

# %%
keras.utils.set_random_seed(seed)
run = Run("07_vae_clustering")
(v_train, v_labels), (v_test, v_test_labels) = make_vectors(num_samples, 1000, noise=1.0, seed=seed)
data, (x_train, y_train), (x_test, y_test) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # on the small digits an epoch is twenty passes
if score_on == "all":
    x_train = x_test = np.concatenate([x_train, x_test])
    y_train = y_test = np.concatenate([y_train, y_test])

# %% [markdown]
# ## The formulas
#
# How good is a clustering, if the cluster numbers have no meaning? **Accuracy** (准确率) tries every way $\pi$ of naming
# clusters after labels, one to one, and takes the best:
#
# $$\max_\pi \frac1n \sum_i 1[\, y_i = \pi(c_i) \,]$$
#
# The search is over a table of counts:

# %%
labels = np.array([0, 0, 0, 1, 1, 1])
clusters = np.array([1, 1, 0, 0, 0, 0])
print(sklearn.metrics.cluster.contingency_matrix(labels, clusters))  # rows: labels

# %% [markdown]
# The best naming takes one entry of every row and column: here 2 + 3 of 6. The package's function is this:

# %%
def cluster_accuracy(labels, clusters):
    """Return the share of examples whose cluster, best matched one to one, names their label.

    Args:
        labels: Integers, (num,).
        clusters: Integers, (num,): the cluster of each example, its number without meaning.

    Raises:
        ValueError: The arrays are empty, of different lengths, or hold fractions or NaN.

    Source: Xie et al. 2016, eq. 10; the matching is Kuhn 1955 (the Hungarian method).
    """
    labels, clusters = np.asarray(labels), np.asarray(clusters)
    fractions = any(part.dtype.kind == "f" and np.any(part % 1) for part in (labels, clusters))
    if labels.shape != clusters.shape or labels.ndim != 1 or not len(labels) or fractions:
        raise ValueError(
            "labels and clusters must be integers of one length, not 0, got "
            f"{labels.dtype} {labels.shape} and {clusters.dtype} {clusters.shape}"
        )
    counts = sklearn.metrics.cluster.contingency_matrix(labels, clusters)  # (labels, clusters)
    rows, columns = scipy.optimize.linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(labels))

# %%
print("accuracy", cluster_accuracy(labels, clusters))

# %% [markdown]
# Two more scores are scikit-learn's. **NMI** (归一化互信息) is the mutual information of labels and clusters, divided
# by the mean of their entropies: 0 for independent, 1 for equal up to names. **ARI** (调整兰德指数)
# counts pairs that both keep together or both separate, subtracts what chance would give, and scales so that 1 is perfect
# and 0 is chance. The package's `cluster_scores` returns all three.

# %%
def k_means(h_train, h_test, k):
    """Return the clusters of h_test after k-means on h_train, the best of several starts."""
    method = sklearn.cluster.KMeans(k, n_init=num_starts, random_state=seed)
    return method.fit(h_train).predict(h_test)


def mixture(h_train, h_test, k):
    """Return the clusters of h_test after a Gaussian mixture on h_train, likewise."""
    method = sklearn.mixture.GaussianMixture(k, n_init=num_starts, max_iter=300, random_state=seed)
    return method.fit(h_train).predict(h_test)

# %% [markdown]
# ## The models
#
# For vectors without bounds the likelihood is Gaussian with variance 1, and the decoder puts out means, which may be any number:
# the article squares a sigmoid (erratum A3-5). The reconstruction loss is then
# $\tfrac12 \lVert x - \hat x \rVert^2 + 50 \log 2 \pi$: half the squared error and a constant. For images it is Bernoulli, as
# in chapter 4.

# %%
vector_vae = VAE(
    gaussian_encoder(100, vector_hidden_dims, vector_latent_dim),
    dense_decoder(vector_latent_dim, vector_hidden_dims[::-1], 100),
    likelihood="gaussian",
    seed=seed,
    name="vector_vae",
)
image_vae = VAE(
    gaussian_encoder(784, hidden_dims, latent_dim),
    dense_decoder(latent_dim, hidden_dims[::-1], 784),
    seed=seed,
    name="image_vae",
)

# %% [markdown]
# ## Training

# %%
vector_vae.compile(optimizer="adam", steps_per_execution=8)
dataset = batches(v_train, vector_batch_size, seed)
vector_history = vector_vae.fit(
    dataset,
    epochs=vector_epochs,
    callbacks=[Backup(run.backups / "vectors", dataset)],
    validation_data=(v_test, None),
    validation_batch_size=len(v_test),
    shuffle=False,  # the pipeline has shuffled already
    verbose=0,  # a hundred short epochs: one line for all
)
print(f"vectors: {vector_epochs} epochs, −ELBO {vector_history.history['val_loss'][-1]:.2f} nats")

# %%
image_vae.compile(keras.optimizers.Adam(learning_rate), steps_per_execution=20)
dataset = batches(x_train, batch_size, seed, passes)
backup = Backup(run.backups / "images", dataset)
image_vae.fit(dataset, epochs=epochs, callbacks=[backup], shuffle=False, verbose=2)
run.save_model(vector_vae, "vector_vae")
run.save_model(image_vae, "image_vae")

# %% [markdown]
# ## The numbers
#
# Fitted on the training set, scored on the test set.

# %%
z_vectors, z_vectors_test = vector_vae.encode(v_train)[0], vector_vae.encode(v_test)[0]
z_train, z_test = image_vae.encode(x_train)[0], image_vae.encode(x_test)[0]
found = {
    "vectors: k-means on the raw numbers": (v_test_labels, k_means(v_train, v_test, 5)),
    "vectors: k-means on z_mean": (v_test_labels, k_means(z_vectors, z_vectors_test, 5)),
    "vectors: mixture on z_mean": (v_test_labels, mixture(z_vectors, z_vectors_test, 5)),
    "images: k-means on pixels": (y_test, k_means(x_train, x_test, 10)),
    "images: k-means on z_mean": (y_test, k_means(z_train, z_test, 10)),
    "images: mixture on z_mean": (y_test, mixture(z_train, z_test, 10)),
}
if autoencoder_epochs:
    autoencoder = Autoencoder(
        dense_encoder(784, hidden_dims, latent_dim),
        dense_decoder(latent_dim, hidden_dims[::-1], 784, output_activation="sigmoid"),
    )
    autoencoder.compile(keras.optimizers.Adam(0.001), "mse", steps_per_execution=20)
    dataset = batches(x_train, batch_size, seed, passes)
    backup = Backup(run.backups / "autoencoder", dataset)
    autoencoder.fit(
        dataset, epochs=autoencoder_epochs, callbacks=[backup], shuffle=False, verbose=2
    )
    codes = autoencoder.encode(x_train), autoencoder.encode(x_test)
    found["images: k-means on an autoencoder's codes"] = (y_test, k_means(*codes, 10))
    found["images: mixture on an autoencoder's codes"] = (y_test, mixture(*codes, 10))
if manifold_neighbors:
    import umap

    flat = umap.UMAP(manifold_neighbors, 10, min_dist=0.0, random_state=seed).fit_transform(z_test)
    found["images: mixture on UMAP of z_mean"] = (y_test, mixture(flat, flat, 10))
table = {name: cluster_scores(y, clusters) for name, (y, clusters) in found.items()}
print(f"{'':41} accuracy   NMI    ARI")
for name, row in table.items():
    print(f"{name:41} {row['accuracy']:8.3f} {row['NMI']:6.3f} {row['ARI']:6.3f}")

# %% [markdown]
# On the vectors the VAE gains nothing: k-means on the raw numbers is all but perfect, probably because over 100 numbers the
# noise averages out. On images the best score is that of the mixture on `z_mean`. k-means on the same means scores lower, as
# one expects where clusters are not balls of one size.
#
# Papers cluster all 70 000 images at once. Published accuracies: k-means on pixels 0.53, on an autoencoder's codes 0.82, DEC 0.84 (Xie et al.
# 2016). To compare, run `python tutorials 7 score_on=all`. Two more parameters make longer runs: `autoencoder_epochs=8
# "hidden_dims=(500,500,2000)"` clusters the codes of an autoencoder in the shape of those papers, and `manifold_neighbors=20` puts UMAP (McInnes et al. 2018), which
# keeps neighbours together, between `z_mean` and the mixture. The README's table of published figures says what they gave here.
#
# The article also says that the KL makes codes sparse. Here is the share of codes near zero:

# %%
near_zero = float(np.mean(np.abs(z_test) < 0.01))
print(f"codes below 0.01 in size: {near_zero:.1%}; of N(0, 1) it would be 0.8 %")

# %% [markdown]
#
# ## The pictures
#
# Each row is one cluster of the mixture, with ten test images from it:

# %%
clusters = found["images: mixture on z_mean"][1]
kept = np.unique(clusters)
rows = [x_test[clusters == c][:10] for c in kept]
rows = [np.pad(row, ((0, 10 - len(row)), (0, 0)), constant_values=1.0) for row in rows]
run.save_figure(image_grid(np.concatenate(rows), columns=10, title="a row a cluster"), "clusters")

# %% [markdown]
# The same in colours. A cluster takes the colour of the label that it is named after.

# %%
counts = sklearn.metrics.cluster.contingency_matrix(y_test, clusters)
names_of_clusters = dict(zip(*scipy.optimize.linear_sum_assignment(counts.T, maximize=True)))
named = np.array([names_of_clusters.get(c, 9) for c in np.searchsorted(kept, clusters)])
figure, axes = plt.subplots(1, 2, figsize=(13, 5), layout="constrained")
plt.close(figure)
z_plane = sklearn.decomposition.PCA(2, random_state=seed).fit_transform(z_test)
names = ("first principal component of z_mean", "second")
latent_scatter(z_plane, y_test, "labels", names, ax=axes[0])
latent_scatter(z_plane, named, "clusters of the mixture", names, ax=axes[1])
run.save_figure(figure, "latent_clusters")

# %% [markdown]
# ## What the article printed
#
# | erratum | what is printed | what stands here |
# |---|---|---|
# | A3-4 | the model derives from `Layer` and is compiled: an `AttributeError` | `keras.Model` |
# | A3-5 | a decoder that computes two layers, drops them and squares a third | a decoder |
# | A3-6 | no mean, no variance, no sample, no KL: it is no VAE | `VAE` |
# | A3-7 | two losses for one output: the second is ignored | one loss |
# | A3-8 | nothing is ever clustered | k-means and a mixture on `z_mean` |
# | A3-9 | the KL is said to make codes sparse | it pulls them to a dense Gaussian, as the share above shows; chapter 3's L1 makes them sparse |
# | A3-11 | the encoder's output through a sigmoid or tanh: a third of N(0, 1) and more is out of reach | linear heads |
# | A3-12 | eight steps of a VAE, in none of which z is drawn | encode, draw, decode |
# | A3-16 | random forests as a clustering algorithm: they need labels | k-means and a mixture |
# | A3-17 | three terms in the VAE's loss, and SGD needed for it alone | two terms, Adam for both |

# %% [markdown]
# A3-5 and A3-2 at work: a decoder that returns a sigmoid squared, on the vectors. Only values from 0 to 1 can come out of it:

# %%
squared = 1 / (1 + np.exp(-np.random.default_rng(seed).normal(0, 3, v_test.shape))) ** 2
best = np.mean((v_test - v_test.clip(0, 1)) ** 2) / v_test.var()
ours = np.mean((v_test - vector_vae.reconstruct(v_test)) ** 2) / v_test.var()
print(f"a sigmoid, squared, gives {squared.min():.2f} to {squared.max():.2f}; the data go from {v_test.min():.1f}")
print(f"share of the variance left: at best {best:.2f} behind a sigmoid, {ours:.2f} with a linear output")

# %% [markdown]
# ## What to expect

# %%
values = {f"{name}, {score}": row[score] for name, row in table.items() for score in row}
values["share of codes near zero"] = near_zero
run.finish(data, values)

# %% [markdown]
# ## Exercises
#
# 1. A clustering has accuracy 0.5 on ten digits. Is that as bad as a coin?
#    <details><summary>Answer</summary>
#
#    No: naming ten clusters by chance gives little above 0.1. But a clustering that puts 4 and 9 into one
#    cluster loses almost a tenth at once, since a cluster has one name.
#    </details>
# 2. Look at the rows of clusters. Which digit got two clusters, and which two share one?
#    <details><summary>Answer</summary>
#
#    That differs by seed. Often 1 is split by its slant, and 4 and 9 share a cluster. The mixture finds
#    groups in shape; it can't know which groups people have names for.
#    </details>
# 3. Predict first: do 2 latent variables cluster better or worse than 10? Run
#    `python tutorials 7 latent_dim=2`.
#    <details><summary>Answer</summary>
#
#    Worse: a mixture on the plane of chapter 5 reaches an accuracy of 0.52. Several digits lie over each other there.
#    </details>
# 4. A 7 with a bar and one without are both 7s. Give the mixture 20 clusters instead of 10. What becomes of the accuracy, and what of
#    the share of images that lie in a cluster which is mostly of their own digit (the **purity**, 纯度)?
#    <details><summary>Answer</summary>
#
#    On MNIST the purity rises from 0.83 to 0.91, and the accuracy falls from 0.82 to 0.63: it gives each digit one cluster, so at best ten of the
#    twenty count. The digits 0 to 5 got two clusters each, 6 and 7 three, 8 and 9 one. Each score answers its own question. (Purity rises with the number of
#    clusters all by itself: with one cluster an image it is 1.)
#
#    ```python
#    for num in (10, 20):
#        found_now = mixture(z_train, z_test, num)
#        counts = sklearn.metrics.cluster.contingency_matrix(y_test, found_now)  # (labels, clusters)
#        purity = counts.max(axis=0).sum() / counts.sum()
#        accuracy = cluster_accuracy(y_test, found_now)
#        print(f"{num} clusters: purity {purity:.2f}, accuracy {accuracy:.2f}")
#        print("clusters of each digit:", np.bincount(counts.argmax(axis=0), minlength=10))
#    ```
#    </details>
