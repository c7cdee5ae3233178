"""The latent plane as one web page, which carries the decoders' weights and decodes by itself."""

import base64
import html
import importlib.resources
import io
import json
import pathlib
import re

import keras
import numpy as np
import PIL.Image
import scipy.special

from keras_vae.report import write_aside

# What the page can compute; the same four stand in explorer.html.
ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": scipy.special.expit,
    "tanh": np.tanh,
}
COLUMNS = 25  # of the picture in which the originals travel
MAX_BYTES = 3_000_000  # of the page


def latent_explorer(
    path, models, images, labels, image_shape=(28, 28), title="An interactive latent plane"
):
    """Write a web page that shows the plane of two latent variables and decodes any place in it.

    The page is one file that needs no server and no network. It computes what the decoders do, in
    float32: within 1e-3 of Keras. The images' codes are drawn over the decoded plane; of a VAE the
    code is z_mean.

    Args:
        path: Of the page, such as "latent_explorer.html". Its folder must exist.
        models: {name: model} to compare, each with Keras networks `encoder`, whose first output is
            the code, (batch, 2), and `decoder`, a chain of Dense layers with the activation
            linear, relu, sigmoid or tanh. A VAE's logits pass through a sigmoid.
        images: Floating point in [0, 1], (num, pixels); about 500, best from the test set.
        labels: Integers, (num,), of at most ten different values.
        image_shape: Height and width in pixels.
        title: Of the page.

    Returns:
        The path.

    Raises:
        TypeError: `models` is no such dictionary.
        ValueError: The arrays, a network's shape, layer or activation are not as above, or the
            page would be larger than 3 MB.
        OSError: The file cannot be written.
    """
    if not isinstance(models, dict) or not models:
        raise TypeError(f'models must be a dictionary such as {{"VAE": vae}}, got {models!r}')
    images, labels = np.asarray(images), np.asarray(labels)
    check_arrays(images, labels, image_shape)
    content = {
        "height": image_shape[0],
        "width": image_shape[1],
        "labels": labels.tolist(),
        "columns": COLUMNS,
        "originals": as_png(images, image_shape),
        "models": [page_model(name, model, images) for name, model in models.items()],
    }
    parts = {
        "title": html.escape(title),
        # Inside a script element, "<" could end it.
        "content": json.dumps(content, ensure_ascii=False).replace("<", "\\u003c"),
    }
    template = importlib.resources.files("keras_vae").joinpath("explorer.html")
    template = template.read_text(encoding="utf-8")
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template).encode()
    if len(page) > MAX_BYTES:
        raise ValueError(
            f"the page must be at most {MAX_BYTES / 1e6:g} MB, got {len(page) / 1e6:.1f} MB from "
            f"{len(images)} images and {len(models)} models: give fewer (500 images are enough), "
            "or decoders with smaller layers"
        )
    path = pathlib.Path(path)
    write_aside(path, lambda aside: aside.write_bytes(page))
    return path


def check_arrays(images, labels, image_shape):
    """Raise ValueError unless images are (num, pixels) in [0, 1] and labels num integers."""
    if np.size(image_shape) != 2:
        raise ValueError(f"image_shape must be (height, width) of grey images, got {image_shape}")
    height, width = image_shape
    if images.ndim != 2 or not len(images) or images.shape[1] != height * width:
        raise ValueError(
            f"images must have shape (num, {height * width}) for image_shape {image_shape}, with "
            f"num at least 1, got {images.shape}"
        )
    if images.dtype.kind != "f":
        raise ValueError(
            f"images must be floating point in [0, 1], got {images.dtype}: "
            "for bytes of 0 to 255, images.astype('float32') / 255"
        )
    if not np.isfinite(images).all():
        raise ValueError("images must be finite, they hold NaN or infinity")
    if images.min() < -1e-3 or images.max() > 1.001:  # a little way out is rounding
        raise ValueError(f"images must lie in [0, 1], got {images.min():g} to {images.max():g}")
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be one integer for each of the {len(images)} images, "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    if len(np.unique(labels)) > 10:
        raise ValueError(
            f"labels must be of at most ten different values, got {len(np.unique(labels))}"
        )


def page_model(name, model, images):
    """Return what the page needs of a model: its name, the images' codes, the decoder's layers."""
    networks = [getattr(model, role, None) for role in ("encoder", "decoder")]
    if not isinstance(name, str) or not all(isinstance(n, keras.Model) for n in networks):
        raise TypeError(
            "models must be {name: model}, each model with the Keras networks encoder and decoder, "
            f"got {name!r}: {model!r}"
        )
    encoder, decoder = networks
    for network, side, shape in (
        (decoder, "input", (None, 2)),
        (encoder, "input", (None, images.shape[1])),
        (decoder, "output", (None, images.shape[1])),
    ):
        found = getattr(network, f"{side}_shape")
        if found != shape:
            raise ValueError(
                f"{name}: the {side} of the {network.name} must have shape {shape} "
                f"(a code of two numbers, images of {images.shape[1]} pixels), got {found}"
            )
    layers = dense_layers(name, decoder)
    if getattr(model, "likelihood", None) == "bernoulli":  # a VAE's decoder puts out logits
        layers[-1] = (*layers[-1][:2], "sigmoid")
    codes = encoder.predict(images, verbose=0)
    codes = np.asarray(codes[0] if isinstance(codes, (list, tuple)) else codes, "float32")
    if codes.shape != (len(images), 2) or not np.isfinite(codes).all():
        raise ValueError(
            f"{name}: the codes must be finite, of shape ({len(images)}, 2), got {codes.shape}, "
            f"finite: {np.isfinite(codes).mean():.0%}"
        )
    # Layers that are not one chain, or compute in half precision, would show something else.
    shown = model.decode(codes) if hasattr(model, "decode") else decoder.predict(codes, verbose=0)
    difference = np.abs(decode(layers, codes) - shown).max()
    if not difference < 1e-3:
        raise ValueError(
            f"{name}: the decoder must be a chain of its Dense layers, computed in float32; "
            f"such a chain differs from what it returns by up to {difference:.2g}"
        )
    return {
        "name": name,
        "codes": as_base64(codes),
        "layers": [
            {
                "inputs": kernel.shape[0],
                "units": kernel.shape[1],
                "kernel": as_base64(kernel),
                "bias": as_base64(bias),
                "activation": activation,
            }
            for kernel, bias, activation in layers
        ],
    }


def dense_layers(name, decoder):
    """Return a decoder's layers: [(kernel (inputs, units), bias (units,), activation name), …]."""
    layers = []
    for layer in decoder.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if not isinstance(layer, keras.layers.Dense):
            raise ValueError(
                f"{name}: the decoder must be made of Dense layers, "
                f"got a {type(layer).__name__}, {layer.name!r}"
            )
        activation = getattr(layer.activation, "__name__", repr(layer.activation))
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"{name}: the activation of the decoder's layer {layer.name!r} must be one of "
                f"{', '.join(ACTIVATIONS)}, got {activation}"
            )
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        bias = np.zeros(layer.units) if layer.bias is None else layer.bias
        layers.append((kernel, keras.ops.convert_to_numpy(bias), activation))
    return layers


def decode(layers, z):
    """Return images, (num, pixels), of the codes z, (num, 2), as the page computes them."""
    for kernel, bias, activation in layers:
        z = ACTIVATIONS[activation](z @ kernel + bias)
    return z


def as_base64(array):
    """Return an array's numbers as text: float32, least byte first, base64."""
    return base64.b64encode(np.asarray(array, "<f4").tobytes()).decode()


def as_png(images, image_shape):
    """Return images in [0, 1] as one grey PNG, `COLUMNS` to a row, in base64."""
    height, width = image_shape
    rows = -(-len(images) // COLUMNS)
    cells = np.zeros((rows * COLUMNS, height, width), "uint8")
    cells[: len(images)] = np.rint(255 * images).reshape(-1, height, width)
    picture = cells.reshape(rows, COLUMNS, height, width).swapaxes(1, 2)
    file = io.BytesIO()
    picture = picture.reshape(rows * height, COLUMNS * width)
    PIL.Image.fromarray(picture).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
