# %% [markdown]
# # 1. Dense autoencoder
#
# *Reproduces A4 §2.1, §3.1 and §4.1. 1.1 minutes on two cores.*
#
# ![Ten handwritten digits, and under each the copy that the network
# of this chapter makes of it](../docs/images/01_copies.png)
#
# In the upper row are handwritten digits of 784 pixels each. The lower row was drawn from 32
# numbers per digit, by a network that trains in about a minute.
#
# An **autoencoder** (自编码器, 自动编码器) is a network that returns what it was given. On the way,
# everything has to pass through a narrow place, the **code** (编码). What survives is what 32
# numbers can hold. The half that makes the code is the **encoder** (编码器), and the half that
# reads it is the **decoder** (解码器).
#
# ![An hourglass: 784 pixels are narrowed by an encoder to a code of 32 numbers, and widened
# again by a decoder to 784 pixels](../docs/images/hourglass.svg)
#
# Nobody has to say which digit an image shows: the image is its own target. Such an answer from
# outside is called a **label** (标签), and learning without labels is **unsupervised learning**
# (无监督学习).
#
# This course rebuilds five Chinese articles. The README lists them under the keys A0 to A4.
# Here A4 §4.1 is the listing in section 4.1 of the last one, and A4-1 is the first error that
# we found in it, an *erratum*.

# %%
import keras
import numpy as np
import sklearn.decomposition

from keras_vae import Run, batches, dense_decoder, dense_encoder, load_images
from keras_vae import mistake, reconstructions, training_curves

# %% [markdown]
# ## Parameters
#
# This cell holds every number that you may want to change. The comments give the article's
# values.

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the first weights and of the order of the images
code_dim = 32  # A4: 32
epochs = 50  # A4: 50
batch_size = 256  # A4: 256

# %% [markdown]
# ## Data
#
# Each image is one row of 28 × 28 = 784 numbers between 0 (black) and 1 (white). MNIST has
# 70 000 of them. Where it cannot be had, the chapter takes 1797 *small digits* that come with
# scikit-learn, enlarged from 8 × 8 pixels. The network learns from the **training set** (训练集).
# The **test set** (测试集) is kept apart, to see what the network does with images that it has
# never met.

# %%
keras.utils.set_random_seed(seed)
run = Run("01_dense_autoencoder")
data, (x_train, y_train), (x_test, y_test) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # few digits: 20 passes an epoch
print("training images:", x_train.shape, "test images:", x_test.shape)

# %% [markdown]
# ## The article's model
#
# Keras builds a network from layers: start at an `Input`, apply one layer after another, and
# name both ends. This is the **functional API** (函数式 API). The encoder is the first half of the
# autoencoder: to train the one is to train the other.

# %%
image = keras.Input((784,))
code = keras.layers.Dense(code_dim, "relu")(image)
copy = keras.layers.Dense(784, "sigmoid")(code)
encoder = keras.Model(image, code)
autoencoder = keras.Model(image, copy, name="autoencoder")
autoencoder.summary()

# %% [markdown]
# The numbers that a network learns are its **weights** (权重). At first they are random. The
# **loss** (损失函数) is a single number that says how far the copies are from the images. Training
# takes one **batch** (批次) of images after another, and each time it moves the weights a small
# step downhill, so that the loss falls. The rule for the steps is the **optimizer** (优化器), here
# Adam. An **epoch** (轮次) is one pass over the training set. (The small digits are so few that
# here an epoch takes each of them twenty times: that is what `passes` says.)
#
# `batches` cuts the training set into batches, in a new order for each pass. `compile` names
# optimizer and loss, `fit` trains, and `val_loss` is the loss on the test set. Optimizer, loss
# and epochs are the article's; the loss is explained below.

# %%
autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
history = autoencoder.fit(
    batches((x_train, x_train), batch_size, seed, passes),  # input and target
    epochs=epochs,
    validation_data=(x_test, x_test),
    validation_batch_size=1000,
)

# %%
copies = autoencoder.predict(x_test, verbose=0)
run.save_figure(reconstructions(x_test[:10], copies[:10]), "copies")

# %% [markdown]
# The copies are a little soft, and there is hardly any doubt which digit each one is.
#
# ## Why it works
#
# **A layer is a formula.** A **dense layer** (全连接层) multiplies by a matrix, adds a **vector**
# (向量), a row of numbers, and applies an **activation function** (激活函数) to each result (A4
# §3.1). With an image as a row $x$, the encoder and the decoder are
#
# $$z = \max(0,\; x W + b) \qquad\qquad \hat x = \frac{1}{1 + e^{-(z V + c)}}$$
#
# The first function is called ReLU; it cuts off what is negative. The second is the sigmoid; it
# keeps every pixel between 0 and 1. Computed without Keras, from the weights that it has
# learned:

# %%
W, b, V, c = autoencoder.get_weights()  # (784, 32), (32,), (32, 784), (784,)
z = np.maximum(0, x_test @ W + b)  # (num, 32)
x_hat = 1 / (1 + np.exp(-(z @ V + c)))  # (num, 784)
print("largest difference from Keras's copies:", np.abs(x_hat - copies).max())

# %% [markdown]
# **How far is a copy from its image?** Two measures are common. Both are means over the pixels:
#
# $$\text{MSE} = \frac1{784} \sum_i (x_i - \hat x_i)^2 \qquad
# \text{cross-entropy} = -\frac1{784} \sum_i
# \big[ x_i \log \hat x_i + (1 - x_i) \log (1 - \hat x_i) \big]$$
#
# The first is the **mean squared error** (均方误差, MSE). The second, the **cross-entropy** (交叉熵),
# reads $\hat x_i$ as the probability that the pixel is white, and is the larger, the surer the
# copy is of the wrong colour; it is the loss above. Its unit is the **nat** (奈特), because its
# logarithm is the natural one. Of both, less is better.

# %%
p = x_hat.astype("float64").clip(1e-7, 1 - 1e-7)  # no log 0
cross_entropy = -np.mean(x_test * np.log(p) + (1 - x_test) * np.log(1 - p))
mse = float(np.mean((x_test - x_hat) ** 2))
in_keras = autoencoder.evaluate(x_test, x_test, batch_size=1000, verbose=0)
print(f"cross-entropy, NumPy {cross_entropy:.5f}, Keras {in_keras:.5f}")

# %% [markdown]
# **The floor of the loss.** A cross-entropy does not reach 0, even for a perfect copy: a grey
# pixel, read as a probability, stays uncertain. The least value is that at $\hat x = x$. For a
# grey pixel the slope with respect to $\hat x$, $(\hat x - x) / (\hat x (1 - \hat x))$, is 0
# there; for a black or white one, $\hat x = x$ lies at the edge of the range. On MNIST this
# floor is 0.058 of the 0.093 that the network reaches, so look at the distance to the floor,
# not to 0.

# %%
p = x_test.astype("float64").clip(1e-7, 1 - 1e-7)
floor = -np.mean(p * np.log(p) + (1 - p) * np.log(1 - p))
figure = training_curves(history, ["loss", "val_loss"], "nats per pixel")
figure.axes[0].axhline(floor, color="grey", linewidth=1)
figure.axes[0].annotate("floor: a perfect copy", (1, floor), va="bottom")
run.save_figure(figure, "training_curves")

# %% [markdown]
# ## The numbers
#
# Is a network better at this than linear algebra? The yardstick is **principal component
# analysis** (主成分分析, PCA). It describes an image by 32 numbers, too: how much of each of 32
# fixed patterns, its components, to add to the mean image. Of all linear encoders and decoders
# it finds those with the least squared error on the training images.

# %%
pca = sklearn.decomposition.PCA(code_dim, random_state=seed).fit(x_train)
x_pca = pca.inverse_transform(pca.transform(x_test))
pca_mse = float(np.mean((x_test - x_pca) ** 2))
used = int(np.sum(z.max(axis=0) > 0))
cut_mse = np.mean((x_test - x_pca.clip(0, 1)) ** 2)
print(f"MSE per test pixel: autoencoder {mse:.4f}, PCA {pca_mse:.4f}, "
      f"cut off to [0, 1] {cut_mse:.4f}")
print(f"{used} of {code_dim} numbers of the code are above 0 for some image")

# %%
run.save_figure(
    reconstructions(
        x_test[:10], copies[:10], x_pca[:10].clip(0, 1),
        labels=["original", "autoencoder", "PCA"],
    ),
    "reconstructions",
)

# %% [markdown]
# The copies of PCA have waves of grey around the stroke. A linear map even leaves the range
# from 0 to 1; the picture cuts that off, and so does the last of the three errors above. On
# MNIST the network's error is about six tenths of PCA's, although it was trained with another
# loss. It may do what no linear map can: its ReLU and its sigmoid cut off what is too small or
# too large. To cut off PCA's copies after the fact wins back only a part of the difference.
# (The small digits were 8 × 8 pixels, enlarged by a linear map. They lie in 64 dimensions, and
# there PCA wins.)
#
# A number of the code that is 0 for every image would tell the decoder nothing; the last line
# above counts the others.
#
# ## Side by side
#
# **A4-1.** The listing trains on `x_train`, which no line of it makes. Here is its last line,
# run where there is nothing but the model. (`exec` runs a text as code, with no other names
# than those of the dictionary behind it. `mistake` prints the error, and the chapter goes on.)

# %%
with mistake("A4-1"):
    exec("autoencoder.fit(x_train, x_train)", {"autoencoder": autoencoder})

# %% [markdown]
# The remedy is `load_images`, above. The rest of the listing is sound: with data supplied, it
# is one of only two of the eight listings that run.
#
# **A4-12.** It measures on the test set after every epoch, and calls this validation. So do we:
# looking is fine. But if you choose anything by such a number, for example when to stop, the
# test set is no longer a test. To choose, keep some training images aside, as chapter 10 does.
#
# **A4-13.** A4 §3.1 calls such an encoder a multilayer perceptron, a network with at least one
# hidden layer. It has none.
#
# ## From the sketch to the package
#
# The six lines of Keras are a *sketch*: the least that works. The next chapters take their
# networks from two builders of `keras_vae`. They put together the same layers, so the weights
# fit. The `()` below lists further layers in between, *hidden* ones: there are none here.
#
# | the sketch | `dense_encoder`, `dense_decoder` |
# |---|---|
# | one layer each | any number of hidden layers |
# | a wrong size fails somewhere inside Keras | the message names the argument |
# | | penalties on weights and on codes (chapter 3) |

# %%
built = keras.Sequential([
    dense_encoder(784, (), code_dim, latent_activation="relu"),  # of the code
    dense_decoder(code_dim, (), 784, output_activation="sigmoid"),
])
built.set_weights(autoencoder.get_weights())
difference = np.abs(built.predict(x_test, verbose=0) - copies).max()
print("largest difference, sketch against builders:", difference)

# %% [markdown]
# ## What to expect
#
# Each value, and the range in which it is expected with the parameters above, on any machine:

# %%
run.save_model(autoencoder, "autoencoder")
run.finish(data, {
    "test cross-entropy, nats per pixel": cross_entropy,
    "test mean squared error per pixel": mse,
    "the same of PCA": pca_mse,
    "floor of the cross-entropy": floor,
    "code units in use": used,
})

# %% [markdown]
# ## Three questions
#
# 1. What is the target of an autoencoder, and why does it need no labels?
#    <details><summary>Answer</summary>
#
#    The image itself. The loss compares the copy with the image, so the data hold all that
#    training needs.
#    </details>
# 2. The cross-entropy ends far above zero. Is the network bad?
#    <details><summary>Answer</summary>
#
#    No. Most of the value is the floor, which even a perfect copy would pay.
#    </details>
# 3. In what sense is PCA the best, and why can a network still beat it?
#    <details><summary>Answer</summary>
#
#    It is the best of all *linear* encoders and decoders, in squared error on the training
#    images. The network is not linear: its ReLU and its sigmoid cut off what is out of range.
#    </details>
#
# ## Exercises
#
# Write its central lines yourself: `python tutorials start 1`, and then `check 1`.
#
# 1. Predict first: what happens to both errors with eight numbers? Then run
#    `python tutorials 1 code_dim=8 epochs=10`. And with two?
#    <details><summary>Answer</summary>
#
#    Both rise. The copies melt into an average of similar digits: eight numbers keep only the
#    rough shape. The lead over PCA shrinks to little, and with `code_dim=2` the network even
#    loses, after these ten epochs.
#    </details>
# 2. How many components does PCA need to copy as well as the autoencoder does with 32 numbers?
#    Guess, then compute it.
#    <details><summary>Answer</summary>
#
#    On MNIST, between 56 and 64.
#
#    ```python
#    many = sklearn.decomposition.PCA(128, random_state=seed).fit(x_train)
#    scores = many.transform(x_test)  # (images, 128)
#    for num in (32, 48, 56, 64):
#        linear = many.mean_ + scores[:, :num] @ many.components_[:num]
#        print(num, "components: MSE", np.mean((x_test - linear) ** 2).round(4))
#    ```
#    </details>
