"""Corrected Keras models (autoencoder, VAE, GAN) and what a course about them needs."""

import importlib.util
import json
import os
import pathlib
import sys

if importlib.util.find_spec("tensorflow") is None:
    raise ModuleNotFoundError(
        "keras_vae needs TensorFlow: pip install tensorflow, "
        "or the smaller one, without GPU: pip install tensorflow-cpu",
        name="tensorflow",
    )


def _backend():
    """Return the name of Keras's backend, found as Keras finds it, but without importing it yet."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend()
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    home = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    try:
        text = pathlib.Path(home, "keras.json").read_text("utf-8")
        return json.loads(text).get("backend", "tensorflow")
    except (OSError, ValueError):
        return "tensorflow"  # Keras's own choice


if _backend() != "tensorflow":  # asked first: with TensorFlow loaded, torch can abort the process
    raise ImportError(
        f"keras_vae needs Keras on TensorFlow, but Keras runs on {_backend()}: "
        "set the environment variable KERAS_BACKEND=tensorflow before the first import"
    )

from keras_vae.autoencoder import Autoencoder  # noqa: E402
from keras_vae.callbacks import Backup, Clock, KLWarmUp, SampleGrid  # noqa: E402
from keras_vae.conditional import ConditionalVAE  # noqa: E402
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
from keras_vae.report import Run, mistake  # noqa: E402
from keras_vae.semisupervised import SemisupervisedVAE  # noqa: E402
from keras_vae.vade import VaDE  # noqa: E402
from keras_vae.vae import VAE  # noqa: E402

__all__ = [
    "Autoencoder",
    "Backup",
    "Clock",
    "ConditionalVAE",
    "GAN",
    "IWAE",
    "KLWarmUp",
    "Run",
    "SampleGrid",
    "SemisupervisedVAE",
    "VAE",
    "VaDE",
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
    "diagnose",
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
    "mistake",
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
    if name == "diagnose":  # needs parts of scikit-learn that nothing else does
        from keras_vae.doctor import diagnose

        return diagnose
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
