"""What watches a training run: a warm-up of the KL, a film, a clock, a backup."""

import collections
import json
import math
import pathlib
import re
import time
import zipfile
import zlib

import keras
import numpy as np
import PIL.Image
import tensorflow as tf

from keras_vae.figures import image_grid
from keras_vae.report import hold, let_go, make_folder, remove_half_written, write_aside


class KLWarmUp(keras.callbacks.Callback):
    """Raise a VAE's beta in a straight line from 0, at the start, to its target.

    Args:
        beta: Target, kept once it is reached. It is given here, not read from the model, so that a
            resumed run knows it.
        epochs: Length of the warm-up in epochs, at least 1: the target is reached at the start of
            epoch number `epochs`, counted from 0, and beta is constant within an epoch.
        steps: Its length in steps of the optimizer instead, at least 1, counted since it was made:
            a second `fit` goes on. With steps_per_execution above 1, beta changes once an
            execution.

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
        self.model.beta = self.beta  # the setting of the run, which a backup compares

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
        decode: Function, (num, latent_dim) → images in [0, 1], (num, …): `vae.decode`, or the
            generator of a GAN.
        z: The latent points, an array, (num, latent_dim).
        folder: Where the pictures go; made if it is not there. At the start the pictures of later
            epochs are removed, so that a resumed run goes on with its film and a new one begins it.
        every: Draw after every so many epochs, at least 1, and once at the start.
        image_shape: (height, width) of an image in pixels, in colour (height, width, 3).

    Raises:
        ValueError: `every` is below 1. In a run: the images have another shape, are NaN or not in
            [0, 1].
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
        """Draw the picture of the state after this many epochs."""
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
        found = [p for p in self.folder.glob("epoch_*.png") if p.stem[6:].isdecimal()]
        number = {path: int(path.stem[6:]) for path in found}
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
        mode = "RGB" if tuple(self.image_shape[2:]) == (3,) else "L"
        frames = [PIL.Image.open(path).convert(mode) for path in self.paths]
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
    History and the number of the epoch, and the settings that the run began with: those of the
    networks, of the losses and of the optimizers, and what is known of the data. A run with others
    is refused and told which. (What Keras cannot write down is not compared: the code of functions
    and of classes of one's own; nor are batch sizes that give as many steps, and
    `keras.utils.set_random_seed`.) The file is written aside and renamed, so it is always whole;
    delete it to begin anew. (`keras.callbacks.BackupAndRestore` writes weights
    and epoch in place, one after the other, compares no setting, and keeps no History and no seed
    generator of a Dropout layer.)

    Args:
        path: Of the file; its folder is made if it is not there.
        dataset: What `fit` is given: the array or the tuple of arrays, or the `tf.data` pipeline of
            one epoch. A run that goes on reads the earlier epochs of a pipeline through, and so
            meets the next one in its own order. The values of arrays and of the pipelines of
            `batches` and `binarise` are compared; of other pipelines, types, shapes and the number
            of steps. None: the number of steps alone.

    Raises:
        TypeError: The dataset is neither.
        ValueError: At the start of a run: the file is damaged or is another run's, the pipeline has
            no end or another one than the epoch, or the model is not built.
        RuntimeError: At the start of a run: another process trains with this file.
        OSError: The folder cannot be written.
    """

    ended = set()  # paths whose run ended in this process: called again, it begins anew

    def __init__(self, path, dataset=None):
        super().__init__()
        parts = dataset if isinstance(dataset, tuple) else (dataset,)
        self.given = [part for part in parts if hasattr(part, "__array__")]
        self.dataset = None if self.given else dataset
        if not isinstance(self.dataset, (tf.data.Dataset, type(None))):
            kind = type(dataset).__name__
            raise TypeError(f"dataset must be a tf.data.Dataset or arrays, got {kind}")
        self.path = pathlib.Path(path).absolute()
        self.lock = self.path.with_name(f".{self.path.name}.lock")

    def on_train_begin(self, logs=None):
        if not self.model.trainable_variables:
            raise ValueError(
                "Backup needs a model that has its variables before fit: call it once on a batch, "
                "or begin it with keras.Input"
            )
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        steps, length = self.params["steps"], None
        if self.dataset is not None:
            length = int(self.dataset.cardinality())  # -1: it has no end; -2: not known
        if length == -1 or length is not None and steps not in (None, length):
            raise ValueError(
                "dataset must be a pipeline of one epoch, or a run could not go on in its order: "
                f"fit makes {steps} steps an epoch, the pipeline has {length} (-1: no end)"
            )
        make_folder(self.path.parent)
        hold(self.lock)
        remove_half_written(self.path.parent, f".writing_*_{self.path.name}")
        self.data = self.describe_data()
        self.settings = self.describe()
        self.epochs_before = []
        if self.path in self.ended:
            self.ended.remove(self.path)
            self.path.unlink(missing_ok=True)
        if self.path.exists():
            self.restore()

    def on_epoch_begin(self, epoch, logs=None):
        self.model._initial_epoch = None  # else Keras begins the model's next run there, too
        if self.model.history.epoch:
            self.save()  # only now does the History hold the epoch that has ended

    def on_epoch_end(self, epoch, logs=None):
        # As they are before a schedule changes them for the next epoch, which may be done again.
        self.arrays = [keras.ops.convert_to_numpy(variable) for variable in self.variables()]

    def on_train_end(self, logs=None):
        self.model._initial_epoch = None
        history = self.model.history
        if history.epoch:
            self.on_epoch_end(history.epoch[-1])  # other callbacks may have changed the weights
            self.save()
        history.epoch = self.epochs_before + history.epoch
        self.ended.add(self.path)
        let_go(self.lock)

    def optimizers(self):
        """Return the optimizers: a GAN has two, and one of them two names."""
        parts = vars(self.model).values()
        return [*{id(p): p for p in parts if isinstance(p, keras.optimizers.Optimizer)}.values()]

    def variables(self):
        """Return the variables of the model, of its layers' seed generators and its optimizers."""
        own = [part for part in vars(self.model).values() if isinstance(part, tf.Variable)]  # beta
        return sum((o.variables for o in self.optimizers()), [*self.model.variables, *own])

    def describe_data(self):
        """Return what is known of the data, as a dictionary."""
        tensors = map(np.asarray, [*self.given, *getattr(self.dataset, "tensors", [])])
        tensors = [repr(t.tolist()).encode() if t.dtype == object else t for t in tensors]
        return {
            "steps": self.params["steps"],
            "elements": str(getattr(self.dataset, "element_spec", None)),
            "order": getattr(self.dataset, "order", None),
            "checksum": [zlib.crc32(np.ascontiguousarray(array)) for array in tensors],
        }

    def describe(self):
        """Return {name: value} of the settings of model, losses, optimizers and data."""
        model = self.model
        try:
            networks, losses = model.get_config(), model.get_compile_config()
        except (NotImplementedError, TypeError, ValueError):  # a class or a loss of one's own
            networks, losses = [[type(part).__name__, written(part)] for part in model.layers], {}
        return flat({
            "model": {"class": type(model).__name__, "networks": networks},
            "losses": {key: losses.get(key) for key in ("loss", "loss_weights")},
            "optimizer": [[type(part).__name__, written(part)] for part in self.optimizers()],
            "data": self.data,
        })

    def save(self):
        """Write the file."""
        history = self.model.history
        notes = {
            "epochs": self.epochs_before + history.epoch,
            "history": history.history,
            # A schedule may have changed some since: an interrupted model may begin with either.
            "settings": [self.settings, self.describe()],
            "stopped": self.model.stop_training,
        }
        notes = json.dumps(notes, default=float)

        def write(aside):
            with open(aside, "wb") as file:
                np.savez(file, *self.arrays, notes=notes)

        write_aside(self.path, write)

    def restore(self):
        """Put what the file holds into the model, and tell `fit` where to go on."""
        delete = f"delete {self.path} to begin anew"
        try:
            with np.load(self.path, allow_pickle=False) as file:
                notes = json.loads(str(file["notes"]))
                arrays = [file[f"arr_{i}"] for i in range(len(file.files) - 1)]
            began, ended = notes["settings"]
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"the backup is damaged ({error}): {delete}") from error
        done, epochs = notes["epochs"][-1] + 1, self.params["epochs"]
        if done > epochs:
            raise ValueError(f"the backup holds {done} epochs, fit asks for {epochs}: {delete}")
        differences = [
            f"{key} was {began.get(key)!r}, is {self.settings.get(key)!r}"
            for key in dict.fromkeys([*self.settings, *began])
            if self.settings.get(key) not in (began.get(key), ended.get(key))
        ]
        if differences:
            more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
            raise ValueError(
                f"the backup is of a run with other settings: {'; '.join(differences[:3])}{more}. "
                f"Set them as they were to go on, or {delete}"
            )
        variables = self.variables()
        if [a.shape for a in arrays] != [tuple(v.shape) for v in variables]:
            raise ValueError(f"the backup is of another model or optimizer: {delete}")
        for variable, array in zip(variables, arrays):
            variable.assign(array)
        self.epochs_before = notes["epochs"]
        self.model.history.history.update(notes["history"])
        # As Keras's own callback does. A run that was stopped early has no epochs left.
        self.model._initial_epoch = max(done, epochs) if notes["stopped"] else done
        stopped = " (a callback had stopped the run: none is left)" if notes["stopped"] else ""
        print(f"Going on after epoch {done} of {epochs}{stopped}; {delete}.")
        for _ in self.epochs_before if self.dataset is not None else ():
            for _ in self.dataset:
                pass
            iter(self.dataset)  # fit, too, makes one at the end of an epoch that it never reads


def written(part):
    """Return the settings of a layer or an optimizer; its plain attributes where it can't say."""
    try:
        return part.get_config()
    except (NotImplementedError, TypeError, ValueError):
        plain = bool, int, float, str, np.number
        return {name: value for name, value in vars(part).items() if isinstance(value, plain)}


def flat(settings):
    """Return nested dictionaries and lists as one, {"a.b.0": value}, of what JSON can hold.

    Names that Keras numbers over a whole process (dense_7) are numbered anew, from their first one.
    """
    names, counts, found = {}, collections.Counter(), {}

    def number(part):
        if isinstance(part, dict):
            name = part.get("name")
            if isinstance(name, str) and name not in names:
                base = re.sub(r"_\d+$", "", name)
                names[name] = f"{base}_{counts[base]}" if counts[base] else base
                counts[base] += 1
            part = part.values()
        elif not isinstance(part, (list, tuple)):
            return
        for item in part:
            number(item)

    def spread(part, path):
        if isinstance(part, (list, tuple)) and len(part) > 100:  # such as an initializer's matrix
            part = f"{len(part)} parts, checksum {zlib.crc32(repr(part).encode())}"
        if isinstance(part, dict) and part.get("class_name") == "__lambda__":
            part = "lambda"  # its bytes hold the file and the line where it stands
        if isinstance(part, (list, tuple)):
            part = dict(enumerate(part))
        if not isinstance(part, dict):
            found[".".join(path)] = names.get(part, part) if isinstance(part, str) else part
            return
        for key, item in part.items():
            if key != "shared_object_id":  # an address
                spread(item, path if key == "config" else (*path, str(names.get(key, key))))

    number(settings)
    spread(settings, ())

    def plain(other):
        return other.item() if hasattr(other, "item") else type(other).__name__

    return json.loads(json.dumps(found, default=plain))
