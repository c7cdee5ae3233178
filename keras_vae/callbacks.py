"""What watches a training run: a warm-up of the KL divergence, and a film of what is generated."""

import math
import pathlib

import keras
import numpy as np
import PIL.Image

from keras_vae.figures import image_grid
from keras_vae.report import make_folder, write_aside


class KLWarmUp(keras.callbacks.Callback):
    """Raise a VAE's beta in a straight line from 0, in the first epoch, to its target.

    Args:
        beta: Target, reached in epoch number `epochs` (counted from 0) and kept from there on. It
            is given here, not read from the model, so that a resumed run knows it.
        epochs: Length of the warm-up in epochs, at least 1.

    Raises:
        ValueError: beta is negative or epochs below 1.
        TypeError: At the start of a run, if the model has no beta.

    Source: Bowman et al. 2016, §3.1; Sønderby et al. 2016, §2.3.
    """

    def __init__(self, beta, epochs):
        super().__init__()
        if not 0 <= beta < math.inf:
            raise ValueError(f"beta must be a number of at least 0, got {beta!r}")
        if not epochs >= 1:
            raise ValueError(f"epochs must be at least 1, got {epochs!r}")
        self.beta = beta
        self.epochs = epochs

    def on_train_begin(self, logs=None):
        if not hasattr(self.model, "beta"):
            raise TypeError(f"KLWarmUp needs a model with a beta, got {self.model!r}")

    def on_epoch_begin(self, epoch, logs=None):
        self.model.beta = self.beta * min(1, epoch / self.epochs)


class SampleGrid(keras.callbacks.Callback):
    """Draw what a decoder or generator makes of fixed latent points, epoch by epoch.

    Leaves `epoch_001.png` … in a folder, and at the end `samples.gif`, an animation of them.

    Args:
        network: Keras model, (num, latent_dim) → images, (num, pixels).
        z: The latent points, an array, (num, latent_dim).
        folder: Where the pictures go; made if it is not there. What an earlier run left of them
            is removed at the start.
        every: Draw after every so many epochs, at least 1, and once at the start.
        image_shape: Height and width of an image in pixels.

    Raises:
        ValueError: `every` is below 1.
        OSError: At the start of a run, if the folder cannot be written.
    """

    def __init__(self, network, z, folder, every=1, image_shape=(28, 28)):
        super().__init__()
        if not every >= 1:
            raise ValueError(f"every must be at least 1, got {every!r}")
        self.network = network
        self.z = np.asarray(z)
        self.folder = pathlib.Path(folder)
        self.every = every
        self.image_shape = image_shape
        self.paths = []

    def draw(self, epoch):
        """Draw the picture of the time after so many epochs."""
        images = self.network.predict(self.z, verbose=0)
        title = f"after epoch {epoch}" if epoch else "before training"
        figure = image_grid(images, image_shape=self.image_shape, title=title)
        path = self.folder / f"epoch_{epoch:03d}.png"
        write_aside(path, lambda aside: figure.savefig(aside, dpi=100))
        self.paths.append(path)

    def on_train_begin(self, logs=None):
        make_folder(self.folder)
        for old in (*self.folder.glob("epoch_*.png"), *self.folder.glob("samples.gif")):
            old.unlink()
        self.paths = []

    def on_epoch_begin(self, epoch, logs=None):
        if not self.paths:
            self.draw(epoch)  # a resumed run does not begin at 0

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            self.draw(epoch + 1)

    def on_train_end(self, logs=None):
        if not self.paths:
            return  # a run of no epochs
        frames = [PIL.Image.open(path).convert("L") for path in self.paths]
        durations = [400] * (len(frames) - 1) + [2000]  # milliseconds; the last frame rests
        write_aside(
            self.folder / "samples.gif",
            lambda aside: frames[0].save(
                aside, save_all=True, append_images=frames[1:], duration=durations, loop=0
            ),
        )
