"""Pictures: arrays in, a matplotlib Figure out. Nothing here trains or loads.

Images are floating point in [0, 1]; `image_shape` is (height, width) of grey images and
(height, width, 3) of colour. They come flat, (num, pixels), or in this shape.

Every function draws on `ax` if one is given, else on a new figure that is already closed, so that
it can be saved, and a notebook shows it once. Every function raises ValueError where the arrays are
not of the shapes and the range that it names.
"""

import math

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import scipy.stats

# Ten colours that stay apart for colour-blind readers: Paul Tol's "muted" scheme and black.
COLOURS = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933",
    "#DDCC77", "#CC6677", "#882255", "#AA4499", "#000000",
)


def new_axes(ax, figsize):
    """Return the given Axes, or those of a new figure, closed so that nothing shows it twice."""
    if ax is not None:
        return ax
    figure, ax = plt.subplots(figsize=figsize, layout="constrained")
    plt.close(figure)
    return ax


def as_pictures(images, image_shape):
    """Return images as (num, height, width, channels), of one channel or three, in [0, 1]."""
    images, shape = np.asarray(images), (*np.atleast_1d(image_shape).tolist(), 1)
    if len(shape) not in (3, 4) or shape[2] not in (1, 3):
        raise ValueError(
            "image_shape must be (height, width) of grey images or (height, width, 3) of colour, "
            f"got {image_shape}"
        )
    shape = shape[:3]
    flat, own = (math.prod(shape),), shape if shape[2] == 3 else shape[:2]
    if images.shape[1:] not in (flat, own, shape) or not len(images):
        wanted = " or ".join(f"(num, {', '.join(map(str, each))})" for each in (flat, own))
        colour = math.prod(images.shape[1:]) == 3 * math.prod(shape)
        raise ValueError(
            f"images must have shape {wanted} for image_shape {image_shape}, with num at least 1, "
            f"got {images.shape}{': of colour images it is (height, width, 3)' if colour else ''}"
        )
    if images.dtype.kind not in "fb":
        raise ValueError(
            f"images must be floating point in [0, 1], got {images.dtype}: "
            "for bytes of 0 to 255, images.astype('float32') / 255"
        )
    low, high = images.min(), images.max()  # NaN if there is one
    if not (low >= -1e-3 and high <= 1.001):  # a little way out is rounding
        raise ValueError(f"images must lie in [0, 1], without NaN, got {low:g} to {high:g}")
    return images.reshape(-1, *shape).clip(0, 1)


def tile(images, columns, image_shape, gap=1):
    """Return the images as one picture, row by row, with a white gap of so many pixels."""
    images = as_pictures(images, image_shape)
    _, height, width, channels = images.shape
    rows = -(-len(images) // columns)
    picture = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, channels))
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        picture[top : top + height, left : left + width] = image
    return picture[..., 0] if channels == 1 else picture


def show(ax, picture, title):
    """Show a picture of values in [0, 1], grey or colour, without ticks; return its Figure."""
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_frame_on(False)
    if title:
        ax.set_title(title)
    return ax.figure


def image_grid(images, columns=None, image_shape=(28, 28), title=None, ax=None):
    """Draw images, (num, …) in [0, 1], row by row; `columns` is about a square by default."""
    columns = columns or int(np.ceil(np.sqrt(len(images)))) or 1
    picture = tile(images, columns, image_shape)
    ax = new_axes(ax, (0.5 * columns + 0.3, 0.5 * -(-len(images) // columns) + 0.5))
    return show(ax, picture, title)


def reconstructions(x, *copies, labels=None, image_shape=(28, 28), title=None, ax=None):
    """Draw originals in the first row and their copies under them, a row a set of copies.

    Args:
        x: Originals, (num, …) in [0, 1]; about ten read well.
        *copies: One or more arrays of as many images.
        labels: Names of the rows; "original", then "copy" by default.
        image_shape: (height, width), in colour (height, width, 3).
        title, ax: Of the picture; the Axes to draw on.
    """
    labels = labels or ["original"] + ["copy"] * len(copies)
    rows = [as_pictures(images, image_shape) for images in (x, *copies)]
    if not copies or {len(row) for row in rows} != {len(x)} or len(labels) != len(rows):
        raise ValueError(
            f"copies must be one or more arrays of as many images as x, {len(x)}, and labels name "
            f"all rows, got {[len(row) for row in rows[1:]]} and {labels}"
        )
    picture = tile(np.concatenate(rows), len(x), image_shape)
    ax = new_axes(ax, (0.55 * len(x) + 1.2, 0.55 * (1 + len(copies)) + 0.4))
    figure = show(ax, picture, title)
    height = image_shape[0] + 1
    ax.set_yticks([height * (i + 0.5) for i in range(1 + len(copies))], labels)
    ax.tick_params(length=0)
    return figure


def decoded(decode, z, image_shape):
    """Return what decode makes of latent points, (num, latent_dim): one picture of each."""
    images = as_pictures(decode(z.astype("float32")), image_shape)
    if len(images) != len(z):
        raise ValueError(f"decode must return {len(z)} images, one a point, got {len(images)}")
    return images


def latent_plane(decode, steps=20, image_shape=(28, 28), title=None, ax=None):
    """Draw the plane of two latent variables, decoded at equal steps of the prior's probability.

    Args:
        decode: Function, (num, 2) → images in [0, 1], (num, …), such as `vae.decode`.
        steps: Images along each side.
        image_shape: (height, width), in colour (height, width, 3).
        title, ax: Of the picture; the Axes to draw on.

    Source: Kingma & Welling 2014, appendix A.
    """
    # N(0, 1) is split into parts of equal probability; each point is the median of its part.
    values = scipy.stats.norm.ppf((np.arange(steps) + 0.5) / steps)
    z1, z2 = np.meshgrid(values, values[::-1])  # z2 grows upwards
    images = decoded(decode, np.stack([z1.ravel(), z2.ravel()], axis=1), image_shape)
    picture = tile(images, steps, image_shape, gap=0)
    ax = new_axes(ax, (7, 7.2))
    figure = show(ax, picture, title)
    shown = np.linspace(0, steps - 1, 5).round().astype(int)
    height, width = image_shape[:2]
    ax.set_xticks((shown + 0.5) * width, [f"{values[i]:.1f}" for i in shown])
    ax.set_yticks((shown + 0.5) * height, [f"{values[::-1][i]:.1f}" for i in shown])
    ax.set_xlabel("$z_1$")
    ax.set_ylabel("$z_2$")
    return figure


def latent_scatter(z, labels, title=None, axis_names=("$z_1$", "$z_2$"), ax=None):
    """Draw points of a latent plane coloured by label, with a legend and each label at its median.

    Args:
        z: Points, (num, 2).
        labels: Integers, (num,), of at most ten different values.
        title: Of the picture.
        axis_names: Of the two coordinates.
        ax: The Axes to draw on.
    """
    z, labels = np.asarray(z), np.asarray(labels)
    classes = np.unique(labels)
    if z.ndim != 2 or z.shape[1] != 2 or labels.shape != (len(z),) or not 1 <= len(classes) <= 10:
        raise ValueError(
            "z must have shape (num, 2) and labels (num,) of one to ten values, "
            f"got {z.shape}, {labels.shape}, {len(classes)} values"
        )
    if not np.isfinite(z).all():
        raise ValueError("z must be finite, it holds NaN or infinity")
    ax = new_axes(ax, (6.6, 5.6))
    size = 4 if len(z) > 2000 else 16  # square points
    for colour, value in zip(COLOURS, classes):
        points = z[labels == value]
        ax.scatter(*points.T, s=size, alpha=0.5, color=colour, linewidths=0, label=str(value))
    for colour, value in zip(COLOURS, classes):
        x, y = np.median(z[labels == value], axis=0)
        ax.text(x, y, str(value), color="white", ha="center", va="center", weight="bold",
                bbox={"boxstyle": "circle,pad=0.2", "facecolor": colour, "edgecolor": "white"})
    ax.legend(title="label", markerscale=8 / size**0.5, loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set_xlabel(axis_names[0])
    ax.set_ylabel(axis_names[1])
    if title:
        ax.set_title(title)
    return ax.figure


def interpolations(decode, z_from, z_to, steps=10, image_shape=(28, 28), title=None, ax=None):
    """Draw straight walks between pairs of latent points, a row a pair.

    Args:
        decode: Function, (num, latent_dim) → images in [0, 1], (num, …).
        z_from, z_to: Ends of the walks, (num, latent_dim) each.
        steps: Images of a walk, both ends included.
        image_shape: (height, width), in colour (height, width, 3).
        title, ax: Of the picture; the Axes to draw on.
    """
    z_from, z_to = np.asarray(z_from), np.asarray(z_to)
    if z_from.shape != z_to.shape or z_from.ndim != 2 or steps < 2:
        raise ValueError(
            "z_from and z_to must have one shape, (num, latent_dim), and steps be at least 2, "
            f"got {z_from.shape}, {z_to.shape}, {steps}"
        )
    walks = np.linspace(z_from, z_to, steps, axis=1)  # (num, steps, latent_dim)
    images = decoded(decode, walks.reshape(-1, z_from.shape[1]), image_shape)
    picture = tile(images, steps, image_shape)
    ax = new_axes(ax, (0.55 * steps + 0.3, 0.55 * len(z_from) + 0.4))
    return show(ax, picture, title)


def training_curves(history, names=None, ylabel="loss", title=None, ax=None):
    """Draw quantities of a training run against the epoch.

    Args:
        history: What `fit` returned, or its `.history`: {name: values, one an epoch}.
        names: Which to draw; all by default.
        ylabel: What they are, with the unit.
        title: Of the picture.
        ax: The Axes to draw on.
    """
    numbers = [epoch + 1 for epoch in getattr(history, "epoch", [])]
    history = getattr(history, "history", history)
    names = list(history) if names is None else list(names)
    unknown = [name for name in names if name not in history]
    if unknown or not names:
        raise ValueError(f"names must be among {list(history)}, got {names}")
    ax = new_axes(ax, (5.6, 3.6))
    styles = ("-", "--", "-.", ":")
    for i, name in enumerate(names):
        epochs = np.arange(1, len(history[name]) + 1)
        if numbers:  # fewer values than epochs: every so many, as with validation_freq
            every = len(numbers) // len(history[name])
            epochs = np.array(numbers[every - 1 :: every])[: len(history[name])]
        ax.plot(epochs, history[name], styles[i % 4], color=COLOURS[(3 * i) % 10], label=name,
                marker="o" if len(epochs) == 1 else None)
    ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel(ylabel)
    ax.grid(alpha=0.3)
    ax.legend()
    if title:
        ax.set_title(title)
    return ax.figure
