"""Numbers: what a model is worth. Models and arrays in, floats out."""

import numpy as np
import scipy.optimize
import sklearn.metrics


def reconstruction_error(model, x):
    """Return {"mse": …, "cross_entropy": …} between x and the model's reconstruction, per pixel.

    Means over pixels and examples. The cross-entropy, in nats, is that of x in [0, 1] under the
    reconstruction as a probability, and NaN where either leaves [0, 1].

    Args:
        model: Anything with `predict(x, verbose=0)` that returns an array in x's shape.
        x: Array, (num, …).

    Raises:
        ValueError: x is empty, not floating point or not finite, or the reconstruction has another
            shape.
    """
    x = np.asarray(x)
    if not x.size or x.dtype.kind != "f" or not np.isfinite(x).all():
        raise ValueError(f"x must be floating point, finite and not empty, got {x.dtype} {x.shape}")
    reconstruction = np.asarray(model.predict(x, verbose=0))
    if reconstruction.shape != x.shape:
        raise ValueError(f"model must return x's shape, {x.shape}, got {reconstruction.shape}")
    mse = np.mean(np.square(x - reconstruction), dtype="float64")
    cross_entropy = np.nan
    if min(x.min(), reconstruction.min()) >= 0 and max(x.max(), reconstruction.max()) <= 1:
        p = reconstruction.astype("float64").clip(1e-7, 1 - 1e-7)
        cross_entropy = -np.mean(x * np.log(p) + (1 - x) * np.log1p(-p))
    return {"mse": float(mse), "cross_entropy": float(cross_entropy)}


def active_units(vae, x, threshold=0.01):
    """Return how many latent variables the VAE uses: those whose z_mean varies over the data.

    A unit is active if the variance of its z_mean over x is above the threshold.

    Args:
        vae: Model with `encode(x)` → z_mean, z_log_var, each (num, latent_dim).
        x: Array of examples, (num, …).
        threshold: Least variance of an active unit.

    Source: Burda et al. 2016, §5.2 and appendix C.
    """
    z_mean, _ = vae.encode(x)
    return int(np.sum(np.var(z_mean, axis=0) > threshold))


def cluster_accuracy(labels, clusters):
    """Return the share of examples whose cluster, best matched one to one, names their label.

    Args:
        labels: Integers, (num,).
        clusters: Integers, (num,): the cluster of each example, its number without meaning.

    Raises:
        ValueError: The arrays are empty or of different lengths.

    Source: Xie et al. 2016, eq. 10; the matching is Kuhn 1955 (the Hungarian method).
    """
    labels, clusters = np.asarray(labels), np.asarray(clusters)
    if labels.shape != clusters.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            "labels and clusters must be of one length, not 0, "
            f"got {labels.shape} and {clusters.shape}"
        )
    counts = sklearn.metrics.cluster.contingency_matrix(labels, clusters)  # (labels, clusters)
    rows, columns = scipy.optimize.linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(labels))
