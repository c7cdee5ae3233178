"""Corrected Keras models (autoencoder, VAE, GAN) and what a course about them needs."""

try:
    import tensorflow  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "tensorflow":
        raise
    raise ModuleNotFoundError(
        'keras_vae needs TensorFlow: pip install "keras_vae[tensorflow]", '
        'or "keras_vae[tensorflow-cpu]" for the smaller one',
        name="tensorflow",
    ) from None

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"keras_vae needs Keras on TensorFlow, but Keras runs on {keras.backend.backend()}: "
        "set the environment variable KERAS_BACKEND=tensorflow before the first import"
    )

from keras_vae.autoencoder import Autoencoder  # noqa: E402
from keras_vae.callbacks import KLWarmUp, SampleGrid  # noqa: E402
from keras_vae.data import (  # noqa: E402
    batches,
    check_images,
    load_digits,
    load_images,
    load_mnist,
    make_vectors,
)
from keras_vae.figures import (  # noqa: E402
    image_grid,
    interpolations,
    latent_plane,
    latent_scatter,
    reconstructions,
    training_curves,
)
from keras_vae.gan import GAN  # noqa: E402
from keras_vae.measures import (  # noqa: E402
    active_units,
    cluster_accuracy,
    reconstruction_error,
)
from keras_vae.networks import (  # noqa: E402
    dense_decoder,
    dense_discriminator,
    dense_encoder,
    dense_generator,
    gaussian_encoder,
)
from keras_vae.report import Run  # noqa: E402
from keras_vae.vae import VAE, Sampling  # noqa: E402

__all__ = [
    "Autoencoder",
    "GAN",
    "KLWarmUp",
    "Run",
    "SampleGrid",
    "Sampling",
    "VAE",
    "active_units",
    "batches",
    "check_images",
    "cluster_accuracy",
    "dense_decoder",
    "dense_discriminator",
    "dense_encoder",
    "dense_generator",
    "gaussian_encoder",
    "image_grid",
    "interpolations",
    "latent_plane",
    "latent_scatter",
    "load_digits",
    "load_images",
    "load_mnist",
    "make_vectors",
    "reconstruction_error",
    "reconstructions",
    "training_curves",
]
