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
from keras_vae.callbacks import Backup, Clock, KLWarmUp, SampleGrid  # noqa: E402
from keras_vae.data import (  # noqa: E402
    batches,
    binarise,
    load_digits,
    load_images,
    load_mnist,
    make_vectors,
)
from keras_vae.explorer import latent_explorer  # noqa: E402
from keras_vae.figures import (  # noqa: E402
    image_grid,
    interpolations,
    latent_plane,
    latent_scatter,
    reconstructions,
    training_curves,
)
from keras_vae.gan import GAN  # noqa: E402
from keras_vae.iwae import IWAE  # noqa: E402
from keras_vae.measures import (  # noqa: E402
    active_units,
    cluster_accuracy,
    cluster_scores,
    elbo,
    frechet_distance,
    kl_per_latent,
    label_efficiency,
    log_likelihood,
    rate_distortion,
    reconstruction_error,
    sample_quality,
)
from keras_vae.networks import (  # noqa: E402
    conv_decoder,
    conv_discriminator,
    conv_encoder,
    conv_generator,
    dense_decoder,
    dense_discriminator,
    dense_encoder,
    dense_generator,
    gaussian_encoder,
)
from keras_vae.report import Run  # noqa: E402
from keras_vae.vae import VAE  # noqa: E402

__all__ = [
    "Autoencoder",
    "Backup",
    "Clock",
    "GAN",
    "IWAE",
    "KLWarmUp",
    "Run",
    "SampleGrid",
    "VAE",
    "active_units",
    "batches",
    "binarise",
    "cluster_accuracy",
    "cluster_scores",
    "conv_decoder",
    "conv_discriminator",
    "conv_encoder",
    "conv_generator",
    "dense_decoder",
    "dense_discriminator",
    "dense_encoder",
    "dense_generator",
    "elbo",
    "fit_distributed",
    "frechet_distance",
    "gaussian_encoder",
    "image_grid",
    "interpolations",
    "kl_per_latent",
    "label_efficiency",
    "latent_explorer",
    "latent_plane",
    "latent_scatter",
    "load_digits",
    "load_images",
    "load_mnist",
    "log_likelihood",
    "make_vectors",
    "rate_distortion",
    "reconstruction_error",
    "reconstructions",
    "sample_quality",
    "training_curves",
]


def __getattr__(name):
    # Late: `python -m keras_vae.distributed` must find that module not yet imported.
    if name == "fit_distributed":
        from keras_vae.distributed import fit_distributed

        return fit_distributed
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
