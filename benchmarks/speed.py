"""Seconds an epoch of `VAE.fit`, beside the step that circulates in copies of the Keras example.

The network is that of A2 §4, 784–256–256–256–784, batch 256, all training images. The epochs of
the two are interleaved, so that a change of the machine's speed meets both; the first epoch of each
is not counted. Run: python benchmarks/speed.py [--epochs 10]
"""

import argparse
import os
import time

from chapters import spread

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_vae import VAE, Sampling, batches, dense_decoder, gaussian_encoder  # noqa: E402
from keras_vae import load_images  # noqa: E402


class CirculatedVAE(keras.Model):
    """The step as it circulates: z made inside the encoder, three trackers, no test step."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        names = ("loss", "reconstruction_loss", "kl_loss")
        self.trackers = [keras.metrics.Mean(name=name) for name in names]

    @property
    def metrics(self):
        return self.trackers

    def train_step(self, data):
        with tf.GradientTape() as tape:
            z_mean, z_log_var, z = self.encoder(data)
            reconstruction = self.decoder(z)
            # The loss is a mean over the pixels: times their number, it is the sum.
            pixel_mean = keras.losses.binary_crossentropy(data, reconstruction)  # (batch,)
            reconstruction_loss = keras.ops.mean(784 * pixel_mean)
            kl = -0.5 * (1 + z_log_var - keras.ops.square(z_mean) - keras.ops.exp(z_log_var))
            kl_loss = keras.ops.mean(keras.ops.sum(kl, axis=1))
            loss = reconstruction_loss + kl_loss
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
        for tracker, value in zip(self.trackers, (loss, reconstruction_loss, kl_loss)):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}


def ours(**settings):
    """Return the package's model."""
    vae = VAE(gaussian_encoder(784, (256,), 256), dense_decoder(256, (256,), 784), seed=0)
    vae.compile(keras.optimizers.Adam(1e-4), **settings)
    return vae


def circulated(**settings):
    """Return the same networks under the circulated step."""
    heads = gaussian_encoder(784, (256,), 256)
    encoder = keras.Model(heads.input, [*heads.output, Sampling()(heads.output)])
    vae = CirculatedVAE(encoder, dense_decoder(256, (256,), 784))
    vae.compile(optimizer=keras.optimizers.Adam(1e-4), **settings)
    return vae


def main(epochs, data):
    data, (x_train, _), _ = load_images(data)
    keras.utils.set_random_seed(0)
    arrays = {"x": x_train, "batch_size": 256}
    pipeline = {"x": batches(x_train, 256), "shuffle": False}
    runs = {
        "keras_vae, as in the chapters": (ours(steps_per_execution=20), pipeline),
        "circulated step, fed likewise": (circulated(steps_per_execution=20), pipeline),
        "keras_vae, arrays, plain compile": (ours(), arrays),
        "circulated step, likewise": (circulated(), arrays),
    }
    seconds = {name: [] for name in runs}
    for epoch in range(epochs + 1):
        for name, (model, arguments) in runs.items():
            start = time.perf_counter()
            loss = model.fit(**arguments, verbose=0).history["loss"][0]
            seconds[name].append(time.perf_counter() - start)
            print(f"epoch {epoch} {name}: {seconds[name][-1]:.2f} s, loss {loss:.1f}", flush=True)
    seconds = {name: times[1:] for name, times in seconds.items()}  # the first one traces
    print(f"\nseconds an epoch on {data}, {epochs} interleaved epochs: median (least to greatest)")
    for name, times in seconds.items():
        print(f"{name:34} {spread(times, 2)}")
    chapters, likewise, plain, plain_likewise = seconds.values()
    print("ratios, epoch by epoch")
    for text, a, b in (
        ("the step alone, fed by a pipeline", chapters, likewise),
        ("the step alone, fed by arrays", plain, plain_likewise),
        ("as in the chapters / as circulated", chapters, plain_likewise),
    ):
        print(f"{text:34} {spread([i / j for i, j in zip(a, b)], 2)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--data", choices=["auto", "mnist", "digits"], default="auto")
    arguments = parser.parse_args()
    main(arguments.epochs, arguments.data)
