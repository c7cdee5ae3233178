"""What watches a training run: a warm-up of the KL, a film, a clock, a backup."""

import json
import math
import pathlib
import time
import zipfile
import zlib

import keras
import numpy as np
import PIL.Image
import tensorflow as tf

from keras_vae.figures import image_grid
from keras_vae.report import make_folder, write_aside


class KLWarmUp(keras.callbacks.Callback):
    """Raise a VAE's beta in a straight line from 0, at the start, to its target.

    Args:
        beta: Target, kept once it is reached. It is given here, not read from the model, so that a
            resumed run knows it.
        epochs: Length of the warm-up in epochs, at least 1: the target is reached at the start of
            epoch number `epochs`, counted from 0, and beta is constant within an epoch.
        steps: Its length in steps of the optimizer instead, at least 1. With steps_per_execution
            above 1, beta changes once an execution.

    Raises:
        ValueError: beta is negative, or there is not one length of at least 1.
        TypeError: At the start of a run, if the model has no beta.

    Source: Bowman et al. 2016, §3.1; Sønderby et al. 2016, §2.3.
    """

    def __init__(self, beta, epochs=None, steps=None):
        super().__init__()
        if not 0 <= beta < math.inf:
            raise ValueError(f"beta must be a number of at least 0, got {beta!r}")
        lengths = [length for length in (epochs, steps) if length is not None]
        if len(lengths) != 1 or not lengths[0] >= 1:
            raise ValueError(
                f"one of epochs and steps must be given, at least 1, got {epochs!r} and {steps!r}"
            )
        self.beta = beta
        self.epochs = epochs
        self.steps = steps

    def on_train_begin(self, logs=None):
        if not hasattr(self.model, "beta"):
            raise TypeError(f"KLWarmUp needs a model with a beta, got {self.model!r}")

    def on_epoch_begin(self, epoch, logs=None):
        if self.epochs:
            self.model.beta = self.beta * min(1, epoch / self.epochs)

    def on_train_batch_begin(self, batch, logs=None):
        if self.steps:
            done = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
            self.model.beta = self.beta * min(1, done / self.steps)


class SampleGrid(keras.callbacks.Callback):
    """Draw what a decoder or generator makes of fixed latent points, epoch by epoch.

    Leaves `epoch_001.png` … in a folder, and at the end `samples.gif`, an animation of them.

    Args:
        decode: Function, (num, latent_dim) → images in [0, 1], (num, pixels): `vae.decode`, or the
            generator of a GAN.
        z: The latent points, an array, (num, latent_dim).
        folder: Where the pictures go; made if it is not there. At the start the pictures of later
            epochs are removed, so that a resumed run goes on with its film and a new one begins it.
        every: Draw after every so many epochs, at least 1, and once at the start.
        image_shape: Height and width of an image in pixels.

    Raises:
        ValueError: `every` is below 1.
        OSError: At the start of a run, if the folder cannot be written.
    """

    def __init__(self, decode, z, folder, every=1, image_shape=(28, 28)):
        super().__init__()
        if not every >= 1:
            raise ValueError(f"every must be at least 1, got {every!r}")
        self.decode = decode
        self.z = np.asarray(z)
        self.folder = pathlib.Path(folder)
        self.every = every
        self.image_shape = image_shape
        self.paths = []

    def draw(self, epoch):
        """Draw the picture of the time after so many epochs."""
        images = np.asarray(self.decode(self.z))
        title = f"after epoch {epoch}" if epoch else "before training"
        figure = image_grid(images, image_shape=self.image_shape, title=title)
        path = self.folder / f"epoch_{epoch:03d}.png"
        write_aside(path, lambda aside: figure.savefig(aside, dpi=100))
        self.paths.append(path)

    def on_train_begin(self, logs=None):
        make_folder(self.folder)
        self.paths = []

    def on_epoch_begin(self, epoch, logs=None):
        if self.paths:
            return
        # Only now is it known with which epoch the run begins.
        number = {path: int(path.stem[6:]) for path in self.folder.glob("epoch_[0-9]*.png")}
        self.paths = sorted(number, key=number.get)
        while self.paths and (epoch == 0 or number[self.paths[-1]] > epoch):
            self.paths.pop().unlink()
        (self.folder / "samples.gif").unlink(missing_ok=True)
        if not self.paths:
            self.draw(epoch)

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


class Clock(keras.callbacks.Callback):
    """Put the seconds of each epoch into the History, under "seconds", validation included.

    Give it before a `Backup`: then the History of a run that goes on holds all of its epochs.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.perf_counter() - self.start


class Backup(keras.callbacks.Callback):
    """Keep in one file what `fit` needs to go on after an interruption, epoch by epoch.

    The same `fit`, called again in a new process, goes on after the last whole epoch, to the
    weights and the History of a run that was never interrupted: to the bit, where the operations
    are deterministic. A `fit` that had come to its end trains no more. Put it last in the list of
    callbacks. What others remember, such as the patience of `EarlyStopping`, begins anew.

    The file holds the variables of the model, of its seed generators and of its optimizers, the
    History and the number of the epoch. It is written aside and renamed, so it is always whole;
    delete it to begin anew. (`keras.callbacks.BackupAndRestore` writes weights and epoch in place,
    one after the other, and keeps no History and no seed generator of a Dropout layer.)

    Args:
        path: Of the file; its folder is made if it is not there.
        dataset: The `tf.data` pipeline that `fit` is given, if its order differs from epoch to
            epoch, as that of `batches` does. A run that goes on reads the earlier epochs through,
            and so meets the next one in its own order.

    Raises:
        TypeError: The dataset is no `tf.data` pipeline.
        ValueError: At the start of a run, if the file is damaged or is another run's.
        OSError: The folder cannot be written.
    """

    ended = set()  # paths whose run ended in this process: called again, it begins anew

    def __init__(self, path, dataset=None):
        super().__init__()
        if not isinstance(dataset, (tf.data.Dataset, type(None))):
            raise TypeError(f"dataset must be a tf.data.Dataset, got {type(dataset).__name__}")
        self.path = pathlib.Path(path).absolute()
        self.dataset = dataset

    def on_train_begin(self, logs=None):
        make_folder(self.path.parent)
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        self.epochs_before = []
        if self.path in self.ended:
            self.ended.remove(self.path)
            self.path.unlink(missing_ok=True)
        if self.path.exists():
            self.restore()

    def on_epoch_begin(self, epoch, logs=None):
        self.model._initial_epoch = None  # else Keras begins the model's next run there, too
        if self.model.history.epoch:
            self.save()  # now that all callbacks have seen the end of the epoch before

    def on_train_end(self, logs=None):
        self.model._initial_epoch = None
        history = self.model.history
        if history.epoch:
            self.save()
        history.epoch = self.epochs_before + history.epoch
        self.ended.add(self.path)

    def variables(self):
        """Return the variables of the model, of its layers' seed generators and its optimizers."""
        parts = vars(self.model).values()  # a GAN has two optimizers, and one of them two names
        optimizers = {id(p): p for p in parts if isinstance(p, keras.optimizers.Optimizer)}
        return sum((o.variables for o in optimizers.values()), list(self.model.variables))

    def save(self):
        """Write the file."""
        history = self.model.history
        notes = {
            "epochs": self.epochs_before + history.epoch,
            "history": history.history,
            "steps": self.params["steps"],
            "stopped": self.model.stop_training,
        }
        notes = json.dumps(notes, default=float)
        arrays = [keras.ops.convert_to_numpy(variable) for variable in self.variables()]

        def write(aside):
            with open(aside, "wb") as file:
                np.savez(file, *arrays, notes=notes)

        write_aside(self.path, write)

    def restore(self):
        """Put what the file holds into the model, and tell `fit` where to go on."""
        delete = f"delete {self.path} to begin anew"
        try:
            with np.load(self.path, allow_pickle=False) as file:
                notes = json.loads(str(file["notes"]))
                arrays = [file[f"arr_{i}"] for i in range(len(file.files) - 1)]
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"the backup is damaged ({error}): {delete}") from error
        variables = self.variables()
        if [a.shape for a in arrays] != [tuple(v.shape) for v in variables]:
            raise ValueError(f"the backup is of another model or optimizer: {delete}")
        if notes["steps"] != self.params["steps"]:
            came = f"{notes['steps']} steps an epoch, this run has {self.params['steps']}"
            raise ValueError(f"the backup is of other data: {came}: {delete}")
        for variable, array in zip(variables, arrays):
            variable.assign(array)
        self.epochs_before = notes["epochs"]
        self.model.history.history.update(notes["history"])
        done, epochs = self.epochs_before[-1] + 1, self.params["epochs"]
        # As Keras's own callback does. A run that was stopped early has no epochs left.
        self.model._initial_epoch = max(done, epochs) if notes["stopped"] else done
        print(f"Going on after epoch {done} of {epochs}; {delete}.")
        for _ in range(done if self.dataset is not None else 0):
            for _ in self.dataset:
                pass
            iter(self.dataset)  # fit, too, makes one at the end of an epoch that it never reads
