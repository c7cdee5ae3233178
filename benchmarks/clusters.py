"""Cluster all images of a data set at once, as the papers do; benchmarks/quality.py runs this.

    python benchmarks/clusters.py --seed 0 --neighbors 20       a VAE's means, and UMAP of them
    python benchmarks/clusters.py --seed 0 --autoencoder        an autoencoder's codes, by epoch

The methods and the VAE are those of chapter 7. UMAP needs `pip install -e ".[benchmark]"`. No label
chooses anything. The last line printed is a JSON object, {measure: value}.
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
        clusters = clustering.fit_predict(features)
        for score, value in keras_vae.cluster_scores(labels, clusters).items():
            found[f"{method} on {name}, {score}"] = value
    return found


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


def of_an_autoencoder(x, y, seed, passes, epochs):
    """Return the scores on the codes of an autoencoder, 784–500–500–2000–10 and back.

    Shape, loss, linear outputs and first weights are those of a published Keras version of DEC
    (github.com/XifengGuo/DEC-keras), where k-means then has 0.88, after 300 epochs of SGD. The
    scores after some epochs are printed and returned, too.
    """
    # Uniform within ± (fan in)^−½.
    initializer = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")

    def network(first, *widths):
        layers = [
            keras.layers.Dense(width, "relu", kernel_initializer=initializer)
            for width in widths[:-1]
        ]
        last = keras.layers.Dense(widths[-1], kernel_initializer=initializer)
        return keras.Sequential([keras.Input((first,)), *layers, last])

    autoencoder = keras_vae.Autoencoder(
        network(784, 500, 500, 2000, 10), network(10, 2000, 500, 500, 784)
    )
    dataset = keras_vae.batches(x, 256, seed, passes)
    rate = keras.optimizers.schedules.CosineDecay(0.001, epochs * len(dataset), alpha=0.01)
    autoencoder.compile(keras.optimizers.Adam(rate), "mse", steps_per_execution=20)
    found = {}

    def score(epoch, logs):
        if epoch + 1 in (1, 2, 4, 8, 16, 32, 64, 128, 256):
            name = f"codes after {epoch + 1} epochs"
            found.update(scores(name, autoencoder.encode(x), y, seed, ["k-means"]))
            accuracy = found[f"k-means on {name}, accuracy"]
            print(f"{name}: loss {logs['loss']:.5f}, accuracy {accuracy:.3f}", file=sys.stderr)

    scoring = keras.callbacks.LambdaCallback(on_epoch_end=score)
    history = autoencoder.fit(dataset, epochs=epochs, verbose=0, callbacks=[scoring]).history
    found |= scores("an autoencoder's codes", autoencoder.encode(x), y, seed)
    return found | {"squared error of the autoencoder, per pixel": history["loss"][-1]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=["mnist", "digits"], default="mnist")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="30, or 20 of the autoencoder")
    parser.add_argument("--neighbors", type=int, default=0, help="of UMAP; 0: without it")
    parser.add_argument("--autoencoder", action="store_true")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    data, *splits = keras_vae.load_images(arguments.data)
    x, y = (np.concatenate(parts) for parts in zip(*splits))
    settings = x, y, arguments.seed, {"mnist": 1, "digits": 20}[data]
    if arguments.autoencoder:
        values = of_an_autoencoder(*settings, arguments.epochs or 20)
    else:
        values = of_a_vae(*settings, arguments.epochs or 30, arguments.neighbors)
    print(json.dumps(values))
