"""Cluster all images of a data set at once, as the papers do; benchmarks/quality.py runs this.

    python benchmarks/clusters.py --seed 0 --neighbors 20       a VAE's means, and UMAP of them
    python benchmarks/clusters.py --seed 0 --neighbors 20 --vade    an autoencoder's codes, and VaDE

The methods and the VAE are those of chapter 7. UMAP needs `pip install -e ".[benchmark]"`. Labels
enter no training; but VaDE's settings were chosen by trials on seed 1, its accuracy in sight. The
last line printed is a JSON object, {measure: value}.
"""

import argparse
import json
import sys

import keras
import numpy as np
import sklearn.cluster
import sklearn.mixture

import keras_vae


def scores(name, features, labels, seed, methods=("k-means", "mixture")):
    """Return {measure: value} of ten clusters of the features, five starts a method."""
    found = {}
    for method in methods:
        clustering = (
            sklearn.cluster.KMeans(10, n_init=5, random_state=seed)
            if method == "k-means"
            else sklearn.mixture.GaussianMixture(10, n_init=5, max_iter=300, random_state=seed)
        )
        found |= named(f"{method} on {name}", labels, clustering.fit_predict(features))
    return found


def named(name, labels, clusters):
    """Return {measure: value} of these clusters."""
    scored = keras_vae.cluster_scores(labels, clusters)
    return {f"{name}, {score}": value for score, value in scored.items()}


def of_a_vae(x, y, seed, passes, epochs, neighbors):
    """Return the scores on pixels, on the means of chapter 7's VAE, and on UMAP of these."""
    vae = keras_vae.VAE(
        keras_vae.gaussian_encoder(784, (256, 256), 10),
        keras_vae.dense_decoder(10, (256, 256), 784),
        seed=seed,
    )
    vae.compile(keras.optimizers.Adam(0.002), steps_per_execution=20)
    vae.fit(keras_vae.batches(x, 256, seed, passes), epochs=epochs, verbose=2)
    means = vae.encode(x)[0]
    found = scores("pixels", x, y, seed, ["k-means"]) | scores("z_mean", means, y, seed)
    if neighbors:
        import umap

        flat = umap.UMAP(neighbors, 10, min_dist=0.0, random_state=seed).fit_transform(means)
        found |= scores("UMAP of z_mean", flat, y, seed, ["mixture"])
    return found


def falling(epochs, dataset):
    """Return Adam with a learning rate that falls by a cosine to a hundredth."""
    steps = epochs * len(dataset)
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.001, steps, alpha=0.01))


def scoring(found, score):
    """Return a callback that adds score(epochs) to found after 1, 2, 4, 8 … epochs."""

    def end(epoch, logs):
        if (epoch + 1) & epoch == 0:  # a power of two
            new = score(epoch + 1)
            found.update(new)
            name, accuracy = next(iter(new.items()))
            print(f"{name}: {accuracy:.3f}, loss {logs['loss']:.5f}", file=sys.stderr, flush=True)

    return keras.callbacks.LambdaCallback(on_epoch_end=end)


def dec_networks():
    """Return encoder with the heads of a VAE, decoder, and the layer of the log-variance.

    Shape, 784–500–500–2000–10 and back, linear outputs and first weights of the mean's way are
    those of a published Keras version of DEC (github.com/XifengGuo/DEC-keras).
    """
    # Uniform within ± (fan in)^−½.
    initializer = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")

    def hidden(h, *widths):
        for width in widths:
            h = keras.layers.Dense(width, "relu", kernel_initializer=initializer)(h)
        return h

    image, code = keras.Input((784,)), keras.Input((10,))
    h = hidden(image, 500, 500, 2000)
    z_mean = keras.layers.Dense(10, kernel_initializer=initializer)
    spread = keras.layers.Dense(10, kernel_initializer="zeros")
    last = keras.layers.Dense(784, kernel_initializer=initializer)
    encoder = keras.Model(image, [z_mean(h), spread(h)])
    return encoder, keras.Model(code, last(hidden(code, 2000, 500, 500))), spread


def starts(codes, y, seed, neighbors):
    """Return mixtures of the codes, not yet fitted, by name, and the scores of UMAP's groups.

    One has diagonal covariances, as in the paper; one full ones; and the full one "UMAP" starts
    from the clusters of UMAP of the codes (`neighbors` not 0).
    """

    def mixture(covariance_type, **start):
        return sklearn.mixture.GaussianMixture(
            10, covariance_type=covariance_type, max_iter=300, random_state=seed, **start
        )

    mixtures = {"diagonal": mixture("diag", n_init=5), "full": mixture("full", n_init=5)}
    if not neighbors:
        return mixtures, {}
    import umap

    flat = umap.UMAP(neighbors, 2, min_dist=0.0, random_state=seed).fit_transform(codes)
    clusters = mixture("full", n_init=5).fit_predict(flat)
    groups = [codes[clusters == c] for c in range(10)]
    mixtures["UMAP"] = mixture(
        "full",
        weights_init=[len(group) / len(codes) for group in groups],
        means_init=[group.mean(axis=0) for group in groups],
        precisions_init=[np.linalg.inv(np.cov(group.T)) for group in groups],
    )
    return mixtures, named("mixture on UMAP of an autoencoder's codes", y, clusters)


def of_a_vade(x, y, seed, passes, epochs, neighbors, vade_epochs=12):
    """Return the scores on an autoencoder's codes, and of VaDEs that start from it.

    DEC-keras has 0.88 with k-means on such codes, after 300 epochs of SGD. A VaDE is Gaussian with
    beta 0.05, as good as a variance of 0.05 a pixel, so that its loss is −ELBO / 20 and a constant;
    Jiang et al. have a Bernoulli one, diagonal covariances, and 3000 epochs in their code.
    """
    encoder, decoder, spread = dec_networks()
    mean = keras.Model(encoder.input, encoder.outputs[0])
    autoencoder = keras_vae.Autoencoder(mean, decoder)
    dataset = keras_vae.batches(x, 256, seed, passes)
    autoencoder.compile(falling(epochs, dataset), "mse", steps_per_execution=20)
    found = {}

    def of_codes(epoch):
        return scores(f"codes after {epoch} epochs", autoencoder.encode(x), y, seed, ["k-means"])

    history = autoencoder.fit(
        dataset, epochs=epochs, verbose=0, callbacks=[scoring(found, of_codes)]
    ).history
    found["squared error of the autoencoder, per pixel"] = history["loss"][-1]
    codes = autoencoder.encode(x).astype("float64")
    found |= scores("an autoencoder's codes", codes, y, seed, ["k-means"])
    mixtures, of_groups = starts(codes, y, seed, neighbors)
    found |= of_groups
    weights = encoder.get_weights(), decoder.get_weights()
    for name, prior in mixtures.items():
        clusters = prior.fit_predict(codes)
        found |= named(f"mixture on an autoencoder's codes, {name}", y, clusters)
        found[f"log density of the codes, {name}, nats"] = prior.lower_bound_
        encoder.set_weights(weights[0])
        decoder.set_weights(weights[1])
        # q(z | x) begins with a twentieth of the variance within a cluster.
        within = np.var(codes - prior.means_[clusters], axis=0)
        spread.bias.assign(np.log(within / 20))
        vade = keras_vae.VaDE(
            encoder, decoder, 10, prior.covariance_type, beta=0.05, likelihood="gaussian", seed=seed
        )
        vade.start_from(prior)
        vade.compile(falling(vade_epochs, dataset), steps_per_execution=20)

        def of_vade(epoch):
            return named(f"VaDE, {name}, epoch {epoch}", y, vade.cluster(x))

        vade.fit(dataset, epochs=vade_epochs, verbose=0, callbacks=[scoring(found, of_vade)])
        found |= named(f"VaDE, {name}", y, vade.cluster(x))
        found[f"VaDE, {name}, loss"] = vade.evaluate(x, batch_size=1000, verbose=0)[0]
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=["mnist", "digits"], default="mnist")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="30, or 20 of the autoencoder")
    parser.add_argument("--neighbors", type=int, default=0, help="of UMAP; 0: without it")
    parser.add_argument("--vade", action="store_true")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    data, *splits = keras_vae.load_images(arguments.data)
    x, y = (np.concatenate(parts) for parts in zip(*splits))
    settings = x, y, arguments.seed, {"mnist": 1, "digits": 20}[data]
    if arguments.vade:
        values = of_a_vade(*settings, arguments.epochs or 20, arguments.neighbors)
    else:
        values = of_a_vae(*settings, arguments.epochs or 30, arguments.neighbors)
    print(json.dumps(values))
