"""`python -m keras_vae diagnose model.keras data.npz`: what is wrong with a saved model."""

import argparse
import pathlib
import sys
import zipfile


def load(path, shape, labels=False):
    """Return {"x": array, "x_test": array or None} of an .npz or .npy file, in this shape.

    Of an .npz the array x, x_train, or the only one; and x_test, where there is one. Where labels
    are asked for, y or y_train and y_test stand beside them. Never unpickles.

    Args:
        path: Of the file.
        shape: Of an example, or None; arrays of as many numbers are reshaped to it.
        labels: Whether the model is trained with labels.

    Raises:
        ValueError: It is no such file, or does not say which array is x.
    """
    import numpy as np

    try:
        loaded = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} must be an .npz or .npy file of arrays: {error}") from error
    arrays = dict(loaded) if hasattr(loaded, "files") else {"x": loaded}
    name = next((n for n in ("x", "x_train") if n in arrays), None)
    if name is None and len(arrays) == 1:
        name = next(iter(arrays))
    if name is None:
        raise ValueError(f"{path} must hold an array x or x_train, got {sorted(arrays)}")

    def fitted(array):
        if array is None or shape is None or None in shape:
            return array
        if array[:1].size != np.prod(shape):
            raise ValueError(f"{name} must be of examples of shape {shape}, got {array.shape}")
        return array.reshape(len(array), *shape).astype("float32")

    found = {"x": fitted(arrays[name]), "x_test": fitted(arrays.get("x_test"))}
    if not labels:
        return found
    y = {"x": arrays.get("y", arrays.get("y_train")), "x_test": arrays.get("y_test")}
    if y["x"] is None:
        raise ValueError(f"{path} must hold labels, y or y_train: got {sorted(arrays)}")
    return {part: None if y[part] is None or found[part] is None else (found[part], y[part])
            for part in found}


def main(words=None):
    """Diagnose a saved model; return 1 if there is an error in it, else 0."""
    parser = argparse.ArgumentParser("python -m keras_vae", description=__doc__)
    parser.add_argument("what", choices=["diagnose"], metavar="diagnose")
    parser.add_argument("model", type=pathlib.Path, help="a .keras file; safe mode stays on")
    parser.add_argument("data", type=pathlib.Path, help=".npz with x or x_train, and x_test; .npy")
    arguments = parser.parse_args(words)
    for path in (arguments.model, arguments.data):
        if not path.is_file():
            parser.error(f"there is no file {path}")

    import keras

    from keras_vae.doctor import diagnose

    try:
        model = keras.saving.load_model(arguments.model)
    except (ValueError, TypeError, OSError, zipfile.BadZipFile) as error:
        line = str(error).strip().splitlines()[0].partition(" Full object config")[0][:300]
        parser.error(f"{arguments.model} cannot be loaded: {line}\nA class of your own is known in "
                     "your program alone: call keras_vae.diagnose(model, x) there.")
    maker = getattr(model, "decoder", None) or getattr(model, "generator", None)
    try:
        shape = getattr(maker, "output_shape", (None,))[1:] or None
        data = load(arguments.data, shape, hasattr(model, "num_classes"))
        return int(any(f.level == "error" for f in diagnose(model, **data)))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
