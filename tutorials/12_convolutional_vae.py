# %% [markdown]
# # 12. Convolutional VAE
#
# *Reproduces A2 §5 and A0 §5.2. Corrects erratum A2-13. 1.6 minutes on two cores.*
#
# Articles A0 and A2 complain of a VAE's many parameters and poor pictures, and A2 advises a **convolutional network** (卷积神经网络) as the
# simpler and cheaper one. None of them builds it. Here it is, beside the dense VAE: parameters, seconds, bound and pictures.

# %%
import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from keras_vae import VAE, Backup, Clock, Run, active_units, batches, conv_decoder, conv_encoder
from keras_vae import dense_decoder, elbo, gaussian_encoder, image_grid, load_images
from keras_vae import reconstruction_error, reconstructions

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the first weights, the noise and the batches
hidden_dims = (256,)  # of the dense VAE
filters = (16, 32)  # of the convolutional one: channels after each halving
latent_dim = 20
epochs = 5
batch_size = 128
learning_rate = 0.001

# %% [markdown]
# ## Data

# %%
keras.utils.set_random_seed(seed)
run = Run("12_convolutional_vae")
data, (x_train, _), (x_test, _) = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # on the small digits an epoch is twenty passes

# %% [markdown]
# ## The formulas
#
# A dense layer from $n$ inputs to $m$ outputs has $nm + m$ parameters, and multiplies $nm$ times for an image: each weight is used once. A
# **convolution** (卷积) slides one small kernel over the whole image. With kernels of $3 \times 3$, from $c$ channels (通道) to
# $d$, it has $9cd + d$ parameters, and multiplies $9cd$ times *for each pixel* of its output: each weight is used once a pixel.

# %%
print("dense, 784 to 256:          parameters", 784 * 256 + 256, "multiplications", 784 * 256)
print("3 × 3, 16 to 32, 7 × 7 out: parameters", 9 * 16 * 32 + 32, "multiplications", 9 * 16 * 32 * 7 * 7)

# %% [markdown]
# So few parameters do not mean little work. In the encoder a **stride** (步幅) of 2 lets the kernel visit every second pixel and so
# halves height and width. In the decoder a **transposed convolution** (转置卷积) with stride 2 doubles them:

# %%
image = keras.Input((28, 28, 1))
half = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(image)
small = keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(half)
back = keras.layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu")(small)
logits = keras.layers.Conv2DTranspose(1, 3, strides=2, padding="same")(back)
print("height, width, channels:", *(maps.shape[1:] for maps in (image, half, small, back, logits)))

# %% [markdown]
# ## The models
#
# `conv_encoder` stacks one such convolution for each number in `filters`, makes the last maps flat, and puts the two linear heads of the dense
# encoder on them. `conv_decoder` goes the way back: a dense layer makes small maps out of z, transposed convolutions make them larger, and what
# comes out are the logits of the pixels. Images stay flat outside, `(batch, 784)`, so that nothing else of the course has to change: the network
# reshapes them itself.

# %%
keras.utils.set_random_seed(seed)  # the layers above have drawn weights, too
conv_networks = (
    conv_encoder((28, 28), filters, latent_dim),
    conv_decoder(latent_dim, filters[::-1], (28, 28)),
)
dense_networks = (
    gaussian_encoder(784, hidden_dims, latent_dim),
    dense_decoder(latent_dim, hidden_dims[::-1], 784),
)
vaes = {
    "dense": VAE(*dense_networks, seed=seed, name="dense_vae"),
    "convolutional": VAE(*conv_networks, seed=seed, name="conv_vae"),
}


def multiplications(network):
    """Return how often a network multiplies for one image, by the formulas above."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dense):
            total += layer.kernel.shape[0] * layer.kernel.shape[1]
        elif isinstance(layer, keras.layers.Conv2DTranspose):  # slides over its input
            total += int(np.prod(layer.kernel.shape)) * int(np.prod(layer.input.shape[1:3]))
        elif isinstance(layer, keras.layers.Conv2D):  # slides over its output
            total += int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:3]))
    return total


parameters = {name: vae.encoder.count_params() + vae.decoder.count_params() for name, vae in vaes.items()}
work = {name: multiplications(vae.encoder) + multiplications(vae.decoder) for name, vae in vaes.items()}
for name in vaes:
    print(f"{name:14} {parameters[name]:8,} parameters, {work[name]:8,} multiplications an image")

# %% [markdown]
# ## Training

# %%
seconds, curves = {}, {}
for name, vae in vaes.items():
    print(name)
    vae.compile(keras.optimizers.Adam(learning_rate), steps_per_execution=20)
    dataset = batches(x_train, batch_size, seed, passes)
    history = vae.fit(
        dataset, epochs=epochs, shuffle=False, verbose=2,
        callbacks=[Clock(), Backup(run.backups / name, dataset)],
        validation_data=(x_test, None), validation_batch_size=1000,
    )
    seconds[name] = sum(history.history["seconds"])
    curves[name] = history.history["val_loss"]
run.save_model(vaes["dense"], "dense")
run.save_model(vaes["convolutional"], "convolutional")

# %% [markdown]
# ## The numbers

# %%
bounds, errors, active = {}, {}, {}
print(f"{'':14} parameters  seconds  test −ELBO  MSE per pixel  active units")
for name, vae in vaes.items():
    bounds[name] = -float(elbo(vae, x_test, num_samples=5).mean())
    errors[name] = reconstruction_error(vae, x_test)["mse"]
    active[name] = active_units(vae, x_test)
    print(
        f"{name:14} {parameters[name]:10,} {seconds[name]:8.0f} {bounds[name]:11.1f} "
        f"{errors[name]:14.4f} {active[name]:7} of {latent_dim}"
    )

# %% [markdown]
# After as many epochs the convolutional VAE has the better bound and the smaller error, with a quarter of the parameters; its seconds are more.
#
# A convolution treats every place of the image alike. Does the convolutional VAE then forgive an image that is shifted? Predict first. Here the
# test images are shifted by one and two pixels. Neither network has seen shifted images.

# %%
shifted = {}
for name, vae in vaes.items():
    for pixels in (0, 1, 2):
        images = np.roll(x_test.reshape(-1, 28, 28), pixels, axis=2).reshape(-1, 784)
        shifted[name, pixels] = -float(elbo(vae, images).mean())
    print(f"{name:14} −ELBO of images shifted by 0, 1, 2 pixels: "
          + ", ".join(f"{shifted[name, pixels]:.0f}" for pixels in (0, 1, 2)))

# %% [markdown]
# It does not: it loses about as many nats as the dense one. Between the small maps and z stand dense layers, and they know every place by
# itself. What the kernels bring is economy: one edge detector for the whole image, where the dense layer learns one for each place.
#
# ## The pictures

# %%
figure, axes = plt.subplots(1, 3, figsize=(14, 4.4), layout="constrained", width_ratios=(1.2, 1, 1))
plt.close(figure)
for (name, curve), style, colour in zip(curves.items(), ("s--", "o-"), ("#CC6677", "#332288")):
    axes[0].plot(np.arange(1, epochs + 1), curve, style, color=colour, label=f"{name}, {seconds[name]:.0f} s")
axes[0].set(xlabel="epoch", ylabel="test −ELBO, nats per image")
axes[0].xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
axes[0].grid(alpha=0.3)
axes[0].legend()
for ax, (name, vae) in zip(axes[1:], vaes.items()):
    image_grid(vae.generate(64, seed=seed), title=f"{name}: generated", ax=ax)
run.save_figure(figure, "curves_and_samples")

# %%
run.save_figure(
    reconstructions(
        x_test[:10], *(vae.reconstruct(x_test[:10]) for vae in vaes.values()), labels=["original", *vaes]
    ),
    "reconstructions",
)

# %% [markdown]
# ## What the article printed
#
# | erratum | what is printed | what stands here |
# |---|---|---|
# | A2-13 | a convolutional network has fewer parameters, and so costs less computing | for this pair: a quarter of the parameters, and 1.4 times the multiplications |
#
# ## What to expect

# %%
values = {
    "parameters: convolutional over dense": parameters["convolutional"] / parameters["dense"],
    "multiplications: convolutional over dense": work["convolutional"] / work["dense"],
}
for name in vaes:
    values |= {
        f"test −ELBO, {name}": bounds[name],
        f"test MSE per pixel, {name}": errors[name],
        f"active units, {name}": active[name],
        f"−ELBO of images shifted by two pixels, {name}": shifted[name, 2],
    }
values["−ELBO, dense minus convolutional"] = bounds["dense"] - bounds["convolutional"]
run.finish(data, values)

# %% [markdown]
# ## Exercises
#
# 1. Which layers of the convolutional VAE hold most of its parameters?
#    <details><summary>Answer</summary>
#
#    The dense ones, between the last $7 \times 7 \times 32$ numbers and z: more than nine in ten. The convolutions themselves have
#    9569.
#    </details>
# 2. Count the parameters of `conv_1` and `conv_2` by hand, then look: `vaes["convolutional"].encoder.summary()`.
#    <details><summary>Answer</summary>
#
#    From one channel to 16: $9 \cdot 1 \cdot 16 + 16 = 160$. From 16 to 32: $9 \cdot 16 \cdot 32 + 32 = 4640$.
#    </details>
# 3. Shuffle the pixels of all images, in one fixed order, and train the two again. Who suffers? Predict, then try it for an epoch.
#    <details><summary>Answer</summary>
#
#    The convolutional one. The dense network does not know which pixels are neighbours, so a fixed shuffle is nothing to it: on
#    MNIST, after an epoch, 133.7 nats where it was 132.7. The kernels now look at $3 \times 3$ pixels that have nothing to do with each
#    other: 168.8 nats where it was 129.8.
#
#    ```python
#    order = np.random.default_rng(seed).permutation(784)
#    for name, vae in vaes.items():
#        keras.utils.set_random_seed(seed)
#        fresh = VAE.from_config(vae.get_config())  # the same networks, with new weights
#        fresh.compile(keras.optimizers.Adam(learning_rate), steps_per_execution=20)
#        shuffled = batches(x_train[:, order], batch_size, seed, passes)
#        fresh.fit(shuffled, epochs=1, shuffle=False, verbose=0)
#        loss = fresh.evaluate(x_test[:, order], batch_size=1000, verbose=0)[0]
#        print(f"{name}: {loss:.1f} nats on shuffled pixels, {curves[name][0]:.1f} in order")
#    ```
#    </details>
