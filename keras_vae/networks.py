"""Builders of plain Keras networks: layers, no losses."""

import collections.abc
import math

import keras
import numpy as np


def check_sizes(**sizes):
    """Raise TypeError or ValueError unless every size is a positive integer, `hidden_dims` and
    `filters` sequences of them."""
    for name, value in sizes.items():
        if name in ("hidden_dims", "filters"):
            # An iterator would be used up here, and the network be built without hidden layers.
            if isinstance(value, (str, bytes)) or not isinstance(value, collections.abc.Sequence):
                raise TypeError(f"{name} must be a sequence such as (256,), got {value!r}")
            values = list(value)
        else:
            values = [value]
        for size in values:
            if isinstance(size, bool) or not hasattr(size, "__index__"):
                raise TypeError(f"{name} must be made of positive integers, got {value!r}")
            if size < 1:
                raise ValueError(f"{name} must be made of positive integers, got {value!r}")


def check_image(image_shape, filters, **sizes):
    """Return height and width; raise unless the sizes fit and the image can be halved so often."""
    if np.size(image_shape) != 2:
        raise ValueError(
            f"image_shape must be (height, width), got {image_shape!r}: for colour, give channels=3"
        )
    height, width = image_shape
    check_sizes(filters=filters, height=height, width=width, **sizes)
    if not len(filters) or height % 2 ** len(filters) or width % 2 ** len(filters):
        raise ValueError(
            "image_shape must be divisible by 2 once for each of the filters, of which there must "
            f"be at least one, got {tuple(image_shape)} and filters {tuple(filters)}"
        )
    return height, width


def halve(x, filters, image_shape, channels, activation):
    """Pass flat images, (batch, pixels), through a 3×3 convolution of stride 2 for each number of
    filters, and return the last maps, flat."""
    x = keras.layers.Reshape((*image_shape, channels), name="image")(x)
    for i, size in enumerate(filters, start=1):
        x = keras.layers.Conv2D(size, 3, 2, "same", activation=activation, name=f"conv_{i}")(x)
    return keras.layers.Flatten(name="flat")(x)


def double(x, filters, image_shape, channels):
    """Pass codes through a dense layer to small maps and a 3×3 transposed convolution of stride 2
    for each number of filters, the last one to flat images, (batch, pixels), without bounds."""
    height, width = image_shape
    small = (height // 2 ** len(filters), width // 2 ** len(filters), filters[0])
    x = keras.layers.Dense(math.prod(small), "relu", name="maps")(x)
    x = keras.layers.Reshape(small, name="small_image")(x)
    for i, size in enumerate(filters[1:], start=1):
        x = keras.layers.Conv2DTranspose(size, 3, 2, "same", activation="relu", name=f"conv_{i}")(x)
    x = keras.layers.Conv2DTranspose(
        channels, 3, 2, "same", dtype=output_dtype(), name="reconstruction"
    )(x)
    return keras.layers.Reshape((height * width * channels,), name="flat")(x)


def check_dropout(dropout):
    """Raise ValueError unless the share lies in [0, 1)."""
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must lie in [0, 1), got {dropout!r}")


def hidden_layers(x, hidden_dims, activation, kernel_regularizer=None):
    """Pass the symbolic tensor `x` through one dense layer a size, named hidden_1, hidden_2 …"""
    for i, units in enumerate(hidden_dims, start=1):
        x = keras.layers.Dense(
            units, activation, kernel_regularizer=kernel_regularizer, name=f"hidden_{i}"
        )(x)
    return x


def output_dtype():
    """Return the type for a network's outputs: under mixed precision they stay float32."""
    return keras.config.dtype_policy().variable_dtype


def dense_encoder(
    input_dim,
    hidden_dims,
    latent_dim,
    activation="relu",
    latent_activation=None,
    kernel_regularizer=None,
    activity_regularizer=None,
    name="encoder",
):
    """Build the encoder of an autoencoder: (batch, input_dim) → code, (batch, latent_dim).

    Args:
        input_dim: Width of an example, at least 1.
        hidden_dims: Sequence of the hidden layers' widths, in the order in which data passes;
            `()` for none.
        latent_dim: Width of the code, at least 1.
        activation: Of the hidden layers.
        latent_activation: Of the code; None is linear.
        kernel_regularizer: Penalty on every layer's weights (A3 §2.1), such as
            `keras.regularizers.L2(1e-4)`.
        activity_regularizer: Penalty on the code (A3 §2.1). Keras 3.15 divides it by the batch
            size; Keras 3.12 and older, the newest for Python 3.10, do not.
        name: Of the network.

    Returns:
        A functional `keras.Model`.

    Raises:
        TypeError, ValueError: A size is not a positive integer.
    """
    check_sizes(input_dim=input_dim, hidden_dims=hidden_dims, latent_dim=latent_dim)
    inputs = keras.Input((input_dim,), name="x")
    x = hidden_layers(inputs, hidden_dims, activation, kernel_regularizer)
    code = keras.layers.Dense(
        latent_dim,
        latent_activation,
        kernel_regularizer=kernel_regularizer,
        activity_regularizer=activity_regularizer,
        dtype=output_dtype(),
        name="code",
    )(x)
    return keras.Model(inputs, code, name=name)


def gaussian_encoder(input_dim, hidden_dims, latent_dim, activation="relu", name="encoder"):
    """Build a VAE's encoder: (batch, input_dim) → [z_mean, z_log_var], each (batch, latent_dim).

    Both heads are linear: a mean may be negative, and so may the log of a variance. The standard
    deviation is exp(0.5 * z_log_var), positive whatever the network puts out.

    Args:
        input_dim: Width of an example, at least 1.
        hidden_dims: Sequence of the hidden layers' widths, in the order in which data passes.
        latent_dim: Number of latent variables, at least 1.
        activation: Of the hidden layers.
        name: Of the network.

    Returns:
        A functional `keras.Model`.

    Raises:
        TypeError, ValueError: A size is not a positive integer.

    Source: Kingma & Welling 2014, appendix C.2; A2 §4.
    """
    check_sizes(input_dim=input_dim, hidden_dims=hidden_dims, latent_dim=latent_dim)
    inputs = keras.Input((input_dim,), name="x")
    x = hidden_layers(inputs, hidden_dims, activation)
    z_mean = keras.layers.Dense(latent_dim, dtype=output_dtype(), name="z_mean")(x)
    z_log_var = keras.layers.Dense(latent_dim, dtype=output_dtype(), name="z_log_var")(x)
    return keras.Model(inputs, [z_mean, z_log_var], name=name)


def dense_decoder(
    latent_dim,
    hidden_dims,
    output_dim,
    output_activation=None,
    activation="relu",
    kernel_regularizer=None,
    name="decoder",
):
    """Build a decoder: (batch, latent_dim) → (batch, output_dim).

    Args:
        latent_dim: Width of the code, at least 1.
        hidden_dims: Sequence of the hidden layers' widths, in the order in which data passes.
        output_dim: Width of an example, at least 1.
        output_activation: None for what a VAE's likelihood takes, logits or means, and for vectors
            without bounds; "sigmoid" for an autoencoder of images in [0, 1].
        activation: Of the hidden layers.
        kernel_regularizer: Penalty on every layer's weights.
        name: Of the network.

    Returns:
        A functional `keras.Model`.

    Raises:
        TypeError, ValueError: A size is not a positive integer.
    """
    check_sizes(latent_dim=latent_dim, hidden_dims=hidden_dims, output_dim=output_dim)
    inputs = keras.Input((latent_dim,), name="z")
    x = hidden_layers(inputs, hidden_dims, activation, kernel_regularizer)
    outputs = keras.layers.Dense(
        output_dim,
        output_activation,
        kernel_regularizer=kernel_regularizer,
        dtype=output_dtype(),
        name="reconstruction",
    )(x)
    return keras.Model(inputs, outputs, name=name)


def conv_encoder(image_shape, filters, latent_dim, channels=1, name="encoder"):
    """Build a VAE's convolutional encoder: flat images, (batch, pixels) → [z_mean, z_log_var].

    One 3×3 convolution with stride 2 and ReLU for each number of filters; then the two linear
    heads of `gaussian_encoder`, each (batch, latent_dim).

    Args:
        image_shape: Height and width in pixels, each divisible by 2 once for each convolution.
        filters: Sequence of the convolutions' channels, in the order in which data passes.
        latent_dim: Number of latent variables, at least 1.
        channels: Of the images: 1 for grey, 3 for colour. Then pixels = height · width · channels,
            in the order of an array (height, width, channels) made flat.
        name: Of the network.

    Returns:
        A functional `keras.Model`.

    Raises:
        TypeError, ValueError: A size is not a positive integer, or the image can't be halved.

    Source: LeCun et al. 1998; as a VAE's encoder, A2 §5 names it.
    """
    height, width = check_image(image_shape, filters, latent_dim=latent_dim, channels=channels)
    inputs = keras.Input((height * width * channels,), name="x")
    x = halve(inputs, filters, (height, width), channels, "relu")
    z_mean = keras.layers.Dense(latent_dim, dtype=output_dtype(), name="z_mean")(x)
    z_log_var = keras.layers.Dense(latent_dim, dtype=output_dtype(), name="z_log_var")(x)
    return keras.Model(inputs, [z_mean, z_log_var], name=name)


def conv_decoder(latent_dim, filters, image_shape, channels=1, name="decoder"):
    """Build a VAE's convolutional decoder: (batch, latent_dim) → logits of flat images.

    A dense layer to small maps with the first number of channels; then one 3×3 transposed
    convolution with stride 2 for each further number, and a last one to the image's channels.

    Args:
        latent_dim: Number of latent variables, at least 1.
        filters: Sequence of channels, in the order in which data passes: the encoder's reversed.
        image_shape: Height and width in pixels, each divisible by 2 once for each of them.
        channels: Of the images, as of `conv_encoder`.
        name: Of the network.

    Returns:
        A functional `keras.Model`.

    Raises:
        TypeError, ValueError: A size is not a positive integer, or the image can't be halved.

    Source: Radford et al. 2016, §3, in small.
    """
    check_image(image_shape, filters, latent_dim=latent_dim, channels=channels)
    inputs = keras.Input((latent_dim,), name="z")
    outputs = double(inputs, filters, image_shape, channels)
    return keras.Model(inputs, outputs, name=name)


def dense_generator(noise_dim, hidden_dims, output_dim, activation="relu", name="generator"):
    """Build a GAN's generator: noise, (batch, noise_dim) → images in [0, 1], (batch, output_dim).

    Args:
        noise_dim: Width of the noise, at least 1.
        hidden_dims: Sequence of the hidden layers' widths, in the order in which data passes.
        output_dim: Pixels of an image, at least 1.
        activation: Of the hidden layers.
        name: Of the network.

    Returns:
        A functional `keras.Model`.

    Raises:
        TypeError, ValueError: A size is not a positive integer.
    """
    check_sizes(noise_dim=noise_dim, hidden_dims=hidden_dims, output_dim=output_dim)
    inputs = keras.Input((noise_dim,), name="noise")
    x = hidden_layers(inputs, hidden_dims, activation)
    images = keras.layers.Dense(output_dim, "sigmoid", dtype=output_dtype(), name="images")(x)
    return keras.Model(inputs, images, name=name)


def dense_discriminator(
    input_dim, hidden_dims, activation="relu", dropout=0.0, name="discriminator"
):
    """Build a GAN's discriminator: images, (batch, input_dim) → one logit, (batch, 1).

    A positive logit means "real". There is no sigmoid: the loss takes the logit (A4 §4.2 has one).

    Args:
        input_dim: Pixels of an image, at least 1.
        hidden_dims: Sequence of the hidden layers' widths, in the order in which data passes.
        activation: Of the hidden layers.
        dropout: Share of the last hidden layer's units that is dropped in training, in [0, 1).
        name: Of the network.

    Returns:
        A functional `keras.Model`.

    Raises:
        TypeError, ValueError: A size is not a positive integer, or dropout is outside.
    """
    check_sizes(input_dim=input_dim, hidden_dims=hidden_dims)
    check_dropout(dropout)
    inputs = keras.Input((input_dim,), name="x")
    x = hidden_layers(inputs, hidden_dims, activation)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    logit = keras.layers.Dense(1, dtype=output_dtype(), name="logit")(x)
    return keras.Model(inputs, logit, name=name)


def conv_generator(noise_dim, filters, image_shape, channels=1, name="generator"):
    """Build a GAN's convolutional generator: noise, (batch, noise_dim) → flat images in [0, 1].

    The layers of `conv_decoder`, and a sigmoid.

    Args:
        noise_dim: Width of the noise, at least 1.
        filters, image_shape, channels: As of `conv_decoder`.
        name: Of the network.

    Returns:
        A functional `keras.Model`.

    Raises:
        TypeError, ValueError: A size is not a positive integer, or the image can't be halved.

    Source: Radford et al. 2016, §3, in small, without batch normalisation.
    """
    check_image(image_shape, filters, noise_dim=noise_dim, channels=channels)
    inputs = keras.Input((noise_dim,), name="noise")
    x = double(inputs, filters, image_shape, channels)
    images = keras.layers.Activation("sigmoid", dtype=output_dtype(), name="images")(x)
    return keras.Model(inputs, images, name=name)


def conv_discriminator(image_shape, filters, channels=1, dropout=0.0, name="discriminator"):
    """Build a GAN's convolutional discriminator: flat images, (batch, pixels) → one logit.

    One 3×3 convolution with stride 2 and leaky ReLU for each number of filters; then one linear
    unit, (batch, 1): a positive logit means "real".

    Args:
        image_shape, filters, channels: As of `conv_encoder`.
        dropout: Share of the last maps' units that is dropped in training, in [0, 1).
        name: Of the network.

    Returns:
        A functional `keras.Model`.

    Raises:
        TypeError, ValueError: A size is not a positive integer, the image can't be halved, or
            dropout is outside.

    Source: Radford et al. 2016, §3, in small, without batch normalisation.
    """
    height, width = check_image(image_shape, filters, channels=channels)
    check_dropout(dropout)
    inputs = keras.Input((height * width * channels,), name="x")
    x = halve(inputs, filters, (height, width), channels, "leaky_relu")
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    logit = keras.layers.Dense(1, dtype=output_dtype(), name="logit")(x)
    return keras.Model(inputs, logit, name=name)
