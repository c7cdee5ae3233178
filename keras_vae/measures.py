"""Numbers: what a model is worth. Models and arrays in, floats out."""

import itertools
import math
import warnings

import keras
import numpy as np
import scipy.linalg
import scipy.optimize
import sklearn
import tensorflow as tf


def reconstruction_error(model, x):
    """Return {"mse": …, "cross_entropy": …} between x and the model's reconstruction, per pixel.

    Means over pixels and examples. The cross-entropy, in nats, is that of x in [0, 1] under the
    reconstruction as a probability, kept 1e-7 away from 0 and 1, and NaN where either leaves
    [0, 1], as the means of a Gaussian VAE may.

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
    mse = np.mean(np.square(np.subtract(x, reconstruction, dtype="float64")))
    cross_entropy = np.nan
    if min(x.min(), reconstruction.min()) >= 0 and max(x.max(), reconstruction.max()) <= 1:
        p = reconstruction.astype("float64").clip(1e-7, 1 - 1e-7)
        rest = np.subtract(1, x, dtype="float64")
        cross_entropy = -np.mean(x * np.log(p) + rest * np.log1p(-p))
    return {"mse": float(mse), "cross_entropy": float(cross_entropy)}


def check_counts(**numbers):
    """Raise ValueError unless every number is an integer of at least 1."""
    for name, number in numbers.items():
        if not hasattr(number, "__index__") or number < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {number!r}")


def posterior(vae, x):
    """Return z_mean and z_log_var of the array x, float64, each (num, latent_dim).

    Raises:
        TypeError: The prior is not N(0, I), as a `VaDE`'s, or labels belong to x.
    """
    if hasattr(vae, "prior_mean") or hasattr(vae, "num_classes"):
        raise TypeError(
            f"vae must have the prior N(0, I) and no labels, got a {type(vae).__name__}: its bound "
            "is minus the loss that evaluate gives at beta = 1"
        )
    heads = vae.encode(np.asarray(x))  # raises where the type, the shape or the values do not fit
    if not isinstance(heads, (tuple, list)) or len(heads) != 2:
        raise TypeError(
            "vae must be a VAE, whose encode returns z_mean and z_log_var, got a "
            f"{type(vae).__name__}, whose encode returns a {type(heads).__name__}"
        )
    return tuple(np.asarray(head, "float64") for head in heads)


def draws(vae, x, num_samples, batch_size, seed):
    """Yield, for each batch of images, a generator of portions of draws of z from q(z | x).

    A portion is a pair of arrays, (batch, draws), in nats: −log p(x | z), and
    log q(z | x) − log p(z). Portions are small, so that memory does not grow with num_samples.
    """
    x = np.asarray(x)
    heads = posterior(vae, x)
    check_counts(num_samples=num_samples, batch_size=batch_size)
    if not hasattr(seed, "__index__"):
        raise ValueError(f"seed must be an integer, got {seed!r}")
    portion = max(1, 5000 // batch_size)
    counter = itertools.count()

    @tf.function(reduce_retracing=True)
    def draw(images, z_mean, z_log_var, num, key):
        log_var = tf.repeat(z_log_var, num, axis=0)  # (batch · num, latent_dim)
        epsilon = tf.random.stateless_normal(tf.shape(log_var), key)
        z = tf.repeat(z_mean, num, axis=0) + tf.exp(0.5 * log_var) * epsilon
        copies = tf.repeat(images, num, axis=0)  # (batch · num, features)
        output = vae.decoder(z, training=False)
        nats = tf.cast(vae.negative_log_likelihood(copies, output), "float32")
        # The constants of the two normal densities cancel.
        kl = 0.5 * (tf.square(z) - tf.square(epsilon) - log_var)
        kl = tf.reduce_sum(kl, axis=range(1, len(kl.shape)))
        return tf.reshape(nats, (-1, num)), tf.reshape(kl, (-1, num))

    def portions(*batch):
        batch = [tf.constant(part, "float32") for part in batch]
        for first in range(0, num_samples, portion):
            num = tf.constant(min(portion, num_samples - first))
            pair = draw(*batch, num, tf.constant([int(seed), next(counter)]))
            yield tuple(part.numpy().astype("float64") for part in pair)

    for start in range(0, len(x), batch_size):
        yield portions(*(part[start : start + batch_size] for part in (x, *heads)))


def log_likelihood(vae, x, num_samples=500, batch_size=100, seed=0, verbose=0):
    """Return the importance-weighted bound on log p(x) of each image, in nats, (num,).

    With K draws of z from q(z | x),

        log p(x) ≥ E log (1/K) Σ p(x, z_k) / q(z_k | x),

    a bound that rises with K towards log p(x); K = 1 is the ELBO. Of the bound on a data set, say
    its mean with the standard error over images, `result.std() / len(result) ** 0.5`.

    Args:
        vae: `VAE`; its beta plays no part.
        x: Array of examples, (num, …). The published figures are of binary images.
        num_samples: K, draws of z per image, at least 1. Memory does not grow with it.
        batch_size: Images at a time.
        seed: Of the draws: an integer.
        verbose: 1 shows a progress bar.

    Raises:
        ValueError: x does not fit the VAE, or a number is below 1.
        TypeError: The prior is not N(0, I), as a `VaDE`'s, or labels belong to x.

    Source: Burda et al. 2016, eq. 8.
    """
    bar = keras.utils.Progbar(len(x), verbose=verbose, unit_name="image")
    bounds = []
    for portions in draws(vae, x, num_samples, batch_size, seed):
        total = -np.inf  # log of the sum of the weights
        for nats, kl in portions:
            total = np.logaddexp(total, np.logaddexp.reduce(-nats - kl, axis=1))
        bounds.append(total - math.log(num_samples))
        if verbose:
            bar.add(len(total))
    return np.concatenate(bounds)


def distortion(vae, x, num_samples, batch_size, seed):
    """Return the mean of −log p(x | z) over draws of z from q(z | x), nats, (num,)."""
    return np.concatenate([
        sum(nats.sum(axis=1) for nats, _ in portions) / num_samples
        for portions in draws(vae, x, num_samples, batch_size, seed)
    ])


def elbo(vae, x, num_samples=1, batch_size=100, seed=0):
    """Return the evidence lower bound on log p(x) of each image, in nats, (num,).

    ELBO = E log p(x | z) − KL(q(z | x) ‖ p(z)): the first term as a mean over draws of z, the
    second in closed form. It is taken at beta = 1, whatever the VAE was trained with.

    Args and Raises: as of `log_likelihood`.

    Source: Kingma & Welling 2014, eq. 3 and eq. 7 (their estimator B).
    """
    nats = distortion(vae, x, num_samples, batch_size, seed)
    return -nats - latent_kl(vae, x).reshape(len(nats), -1).sum(axis=1)


def latent_kl(vae, x):
    """Return KL(q(z_j | x) ‖ N(0, 1)) of each example and latent variable, nats, of shape
    (num, latent_dim)."""
    z_mean, z_log_var = posterior(vae, x)
    return -0.5 * (1 + z_log_var - np.square(z_mean) - np.exp(z_log_var))


def kl_per_latent(vae, x):
    """Return the KL of each latent variable, a mean over x, in nats, (latent_dim,).

    It tells how much a VAE uses each of them; their sum is the rate, what a code costs.

    Args:
        vae: `VAE`.
        x: Array of examples, (num, …).

    Raises:
        ValueError: x does not fit the VAE.
        TypeError: The prior is not N(0, I), as a `VaDE`'s, or labels belong to x.

    Source: Kingma & Welling 2014, appendix B.
    """
    return latent_kl(vae, x).mean(axis=0)


def rate_distortion(vae, x, num_samples=1, batch_size=100, seed=0):
    """Return {"rate": …, "distortion": …}, means over x in nats an example; their sum is −ELBO.

    The rate is the mean KL: what a code z costs a receiver who knows the prior. The distortion is
    the mean of −log p(x | z). Divide by log 2 for bits.

    Args and Raises: as of `log_likelihood`.

    Source: Alemi et al. 2018, §2.
    """
    nats = distortion(vae, x, num_samples, batch_size, seed)
    return {"rate": float(kl_per_latent(vae, x).sum()), "distortion": float(nats.mean())}


def active_units(vae, x, threshold=0.01):
    """Return how many latent variables the VAE uses: those whose z_mean varies over the data.

    A unit is active if the variance of its z_mean over x is above the threshold.

    Args:
        vae: Model with `encode(x)` → z_mean, z_log_var, each (num, latent_dim).
        x: Array of examples, (num, …), at least two.
        threshold: Least variance of an active unit.

    Raises:
        ValueError: x is a single example or does not fit the VAE, or z_mean is not finite.
        TypeError: `encode` returns no such pair; the prior is not N(0, I), or labels belong to x.

    Source: Burda et al. 2016, §5.2 and appendix C.
    """
    z_mean, _ = posterior(vae, x)
    if len(z_mean) < 2:
        raise ValueError(f"x must hold at least two examples, got {len(z_mean)}")
    if not np.isfinite(z_mean).all():
        raise ValueError("z_mean must be finite, the encoder puts out NaN or infinity")
    return int(np.sum(np.var(z_mean, axis=0) > threshold))


def cluster_accuracy(labels, clusters):
    """Return the share of examples whose cluster, best matched one to one, names their label.

    Args:
        labels: Integers, (num,).
        clusters: Integers, (num,): the cluster of each example, its number without meaning.

    Raises:
        ValueError: The arrays are empty, of different lengths, or hold fractions or NaN.

    Source: Xie et al. 2016, eq. 10; the matching is Kuhn 1955 (the Hungarian method).
    """
    labels, clusters = np.asarray(labels), np.asarray(clusters)
    fractions = any(part.dtype.kind == "f" and np.any(part % 1) for part in (labels, clusters))
    if labels.shape != clusters.shape or labels.ndim != 1 or not len(labels) or fractions:
        raise ValueError(
            "labels and clusters must be integers of one length, not 0, got "
            f"{labels.dtype} {labels.shape} and {clusters.dtype} {clusters.shape}"
        )
    counts = sklearn.metrics.cluster.contingency_matrix(labels, clusters)  # (labels, clusters)
    rows, columns = scipy.optimize.linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(labels))


def cluster_scores(labels, clusters):
    """Return {"accuracy": …, "NMI": …, "ARI": …} of a clustering against the labels.

    NMI is the mutual information divided by the mean of the two entropies, ARI the adjusted Rand
    index; both are scikit-learn's.

    Args and Raises: as of `cluster_accuracy`.
    """
    return {
        "accuracy": cluster_accuracy(labels, clusters),
        "NMI": float(sklearn.metrics.normalized_mutual_info_score(labels, clusters)),
        "ARI": float(sklearn.metrics.adjusted_rand_score(labels, clusters)),
    }


def balanced_draw(labels, num, rng):
    """Return the rows of `num` labels, as many of each class, or one more of some, drawn too."""
    classes = np.unique(labels)
    each, rest = divmod(num, len(classes))
    more = rng.permutation(len(classes)) < rest if rest else np.zeros(len(classes), bool)
    return np.concatenate(
        [rng.choice(np.flatnonzero(labels == c), each + m, False) for c, m in zip(classes, more)]
    )


def label_efficiency(h_train, y_train, h_test, y_test, num_labels, num_draws=5, seed=0):
    """Return {number of labels: test errors, one a draw} of a softmax regression.

    The draws hold as many labels of each class, or one more of some where the number is no multiple
    of the classes, and are the same for all features. All labels are drawn once, and there a
    hundred steps of the solver are enough.

    Args:
        h_train, h_test: Features, (num, width): pixels, or the means of a VAE.
        y_train, y_test: Labels, (num,).
        num_labels: Sequence of numbers of labels, each at least the number of classes.
        num_draws: Draws for each number of labels.
        seed: Of the draws.

    Raises:
        ValueError: Features and labels are not of one length; a number of labels is below the
            number of classes, or above what the smallest class allows; there is no draw. Also what
            scikit-learn raises of features that are not finite.
    """
    h_train, y_train, h_test, y_test = map(np.asarray, (h_train, y_train, h_test, y_test))
    for name, h, y in (("train", h_train, y_train), ("test", h_test, y_test)):
        if h.ndim != 2 or y.shape != (len(h),):
            raise ValueError(
                f"h_{name} must have shape (num, width) and y_{name} (num,), "
                f"got {h.shape} and {y.shape}"
            )
    if np.ndim(num_labels) != 1:
        raise ValueError(f"num_labels must be a sequence such as (100, 1000), got {num_labels!r}")
    check_counts(num_draws=num_draws)
    classes, counts = np.unique(y_train, return_counts=True)
    errors = {}
    for num in num_labels:
        whole = num == len(y_train)
        most = len(classes) * counts.min()
        if not whole and not (hasattr(num, "__index__") and len(classes) <= num <= most):
            raise ValueError(
                f"num_labels must lie between {len(classes)}, one a class, and {most}, or be all "
                f"{len(y_train)}, integers, got {num!r}"
            )
        rng = np.random.default_rng(seed)
        rows = [slice(None)]
        if not whole:
            rows = [balanced_draw(y_train, num, rng) for _ in range(num_draws)]
        found = []
        for r in rows:
            steps = 100 if whole else 1000
            classifier = sklearn.linear_model.LogisticRegression(max_iter=steps)
            with warnings.catch_warnings():  # with all labels the solver is stopped on purpose
                warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
                classifier.fit(h_train[r], y_train[r])
            found.append(1 - classifier.score(h_test, y_test))
        errors[num] = np.array(found)
    return errors


def frechet_distance(a, b):
    """Return the Fréchet distance between normal distributions fitted to two sets of features.

        ‖μ_a − μ_b‖² + tr(C_a + C_b − 2 (C_a C_b)^½)

    Strictly this is the square of the distance; the field drops the word.

    Args:
        a, b: Arrays, (num, width); at least two rows each.

    Raises:
        ValueError: The arrays are of different widths, too short, empty, or not finite.

    Source: Dowson & Landau 1982; as a score of generated images, Heusel et al. 2017, eq. 6.
    """
    a, b = (np.asarray(part, "float64") for part in (a, b))
    if a.ndim != 2 or not a.size or a.shape[1:] != b.shape[1:] or min(len(a), len(b)) < 2:
        raise ValueError(
            "a and b must have shape (num, width), of one width and at least two rows each, "
            f"got {a.shape} and {b.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a and b must be finite, they hold NaN or infinity")
    covariances = [np.atleast_2d(np.cov(part, rowvar=False)) for part in (a, b)]
    # tr (C_a C_b)^½ is the sum of the roots of the eigenvalues, which are real and not negative.
    eigenvalues = scipy.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(0)
    trace = np.trace(covariances[0] + covariances[1]) - 2 * np.sqrt(eigenvalues).sum()
    return max(0.0, float(np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + trace))  # rounding


def feature_network(classifier):
    """Return the network images → [features, scores] of a classifier: what its last layer is
    given, and what it puts out."""
    try:
        inputs, (scores,) = classifier.inputs, classifier.outputs
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            "classifier must be a functional Keras model with one output, or a Sequential one that "
            f"was given its input's shape or called once, got {classifier!r}"
        ) from error
    # The layer's own `input` is that of its first call, which may be in another network.
    last, call, _ = scores._keras_history
    features = last._inbound_nodes[call].input_tensors[0]
    if features is inputs[0]:
        raise ValueError("classifier must have two layers or more: the last is given the features")
    if len(scores.shape) != 2 or scores.shape[1] < 2:
        raise ValueError(f"classifier must put out (num, classes) scores, got {scores.shape}")
    return keras.Model(inputs, [features, scores])


def sample_quality(images, x_train, x_test, classifier):
    """Return what generated images are worth, each figure beside that of real test images.

    The test images of even number are the reference, those of odd number, as many as there are
    generated ones, the floor: what even real images reach.

    Args:
        images: Generated images in [0, 1], (num, …), grey or colour.
        x_train: The images that the generator was trained on, of the same shape and scale.
        x_test: Real images that it was not trained on; at least twice as many as `images`, or the
            floor is of fewer.
        classifier: Functional or built Sequential Keras model, images → one score a class, trained
            on real images. What its last layer is given are the features.

    Returns:
        {"frechet", "frechet_floor"}: Fréchet distances of the features to those of the reference;
        {"classes", "classes_floor", "entropy", "entropy_floor"}: how many classes the classifier
        finds, and the entropy of their frequencies in nats (log 10 = 2.30 for ten equal ones);
        {"nearest", "nearest_floor"}: mean Euclidean distance to the nearest training image (0 if
        images were memorised).

    Raises:
        ValueError: The arrays do not fit each other, hold NaN or leave [0, 1], or the classifier is
            not as above.

    Source: Heusel et al. 2017, §A1, with a small classifier in place of Inception.
    """
    parts = [np.asarray(part, "float32") for part in (images, x_train, x_test)]
    images, x_train, x_test = parts
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) != 1 or images.ndim < 2 or min(len(images), len(x_train), len(x_test) // 2) < 2:
        raise ValueError(
            "images, x_train and x_test must have one shape, (num, …), with num at least 2, 2 and "
            f"4, got {images.shape}, {x_train.shape} and {x_test.shape}"
        )
    for name, part in zip(("images", "x_train", "x_test"), parts):
        low, high = part.min(), part.max()  # NaN if there is one
        if not (low >= -1e-3 and high <= 1.001):
            raise ValueError(f"{name} must lie in [0, 1], without NaN, got {low:g} to {high:g}")
    reference, real = x_test[::2], x_test[1::2][: len(images)]
    network = feature_network(classifier)
    features = network.predict(reference, verbose=0)[0]
    neighbours = sklearn.neighbors.NearestNeighbors(n_neighbors=1)
    neighbours.fit(x_train.reshape(len(x_train), -1))
    found = {}
    for suffix, part in (("", images), ("_floor", real)):
        h, scores = network.predict(part, verbose=0)
        counts = np.bincount(scores.argmax(axis=1), minlength=scores.shape[1])
        share = counts[counts > 0] / counts.sum()
        found[f"frechet{suffix}"] = frechet_distance(h, features)
        found[f"classes{suffix}"] = int((counts > 0).sum())
        found[f"entropy{suffix}"] = float(abs(np.sum(share * np.log(share))))
        distances, _ = neighbours.kneighbors(part.reshape(len(part), -1))
        found[f"nearest{suffix}"] = float(distances.mean())
    return found
