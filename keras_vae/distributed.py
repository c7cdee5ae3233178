"""The same `train_step` on several devices or machines, and a small demo that it trains.

Every machine runs the same program. Which machines there are, and which of them this is, TensorFlow
reads from what the launcher sets:

- the environment variable TF_CONFIG, by hand or by a Kubernetes TFJob, is read by
  `tf.distribute.MultiWorkerMirroredStrategy()`, with nothing more;
- Slurm's variables, under srun, are read by a `tf.distribute.cluster_resolver.SlurmClusterResolver`
  that is handed to `MultiWorkerMirroredStrategy`. Without GPUs see `cluster_resolver` below.

`python -m keras_vae.distributed FOLDER` runs one worker of a small demo; `--help` tells more.
"""

import argparse
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import tensorflow as tf

from keras_vae.data import batches, load_images
from keras_vae.networks import dense_decoder, gaussian_encoder
from keras_vae.report import make_folder, write_aside
from keras_vae.vae import VAE


def fit_distributed(
    model, dataset, epochs, strategy, callbacks=(), checkpoint_dir=None, verbose=1
):
    """Train under a `tf.distribute` strategy, on one machine or many; return a Keras `History`.

    Every worker calls this with the same arguments. (`fit` of Keras 3 does not support
    `MultiWorkerMirroredStrategy`: keras#20585.) History holds the epochs of this call.

    Args:
        model: Compiled Keras model, made and compiled within `strategy.scope()`.
        dataset: `tf.data` pipeline of global batches, the same on every worker: seed its shuffling.
            Each replica takes its own part of every batch. Where a last, smaller batch cannot be
            shared out evenly, the examples of its smaller part count for more.
        epochs: Number of epochs in all, with those before an interruption.
        strategy: A synchronous one, such as `MirroredStrategy` or `MultiWorkerMirroredStrategy`.
            Make it once in a process: TensorFlow mixes up two of them on the same devices.
        callbacks: Keras callbacks. They run on every worker: one that writes files belongs on the
            chief alone, where `strategy.extended.should_checkpoint` is true. At the end of an epoch
            the logs are those of all replicas, after a batch those of one.
        checkpoint_dir: Folder that all workers see. After every epoch the chief leaves there the
            weights and the state of optimizers and noise, written aside and renamed. If
            it holds a checkpoint, the training goes on from there, with the data in the same order.
        verbose: 0, 1 or 2, as in `fit`, for the chief; the others are silent.

    Raises:
        ValueError: The model was not made and compiled within the scope, or the workers do not see
            the same checkpoint.
        TypeError: The pipeline is infinite or its length unknown.
        OSError: The folder cannot be made or written.
        tf.errors.OpError: Another worker was lost. Start all of them again.

    Source: A3 §6, A4 §5; TensorFlow's guide "Custom training with tf.distribute.Strategy".
    """
    if not model.compiled or model.distribute_strategy is not strategy:
        raise ValueError("model must be made and compiled within strategy.scope()")
    chief, steps, first = strategy.extended.should_checkpoint, len(dataset), 0
    with strategy.scope():
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
    if checkpoint_dir:
        checkpoint_dir = pathlib.Path(checkpoint_dir)
        if chief:
            make_folder(checkpoint_dir)
        saved = sorted(checkpoint_dir.glob("epoch_*.weights.h5"))
        first = int(saved[-1].name[len("epoch_") : -len(".weights.h5")]) if saved else 0

        @tf.function
        def mean_over_replicas():
            return strategy.reduce("MEAN", strategy.run(tf.constant, (float(first),)), axis=None)

        if mean_over_replicas() != first:
            raise ValueError(
                f"checkpoint_dir must be a folder that all workers see: in {checkpoint_dir} this "
                f"worker finds the checkpoint of epoch {first}, and another worker does not"
            )
        if saved:
            model.load_weights(saved[-1])
    for _ in range(first):
        for _ in dataset:  # the order of an epoch depends on how many the pipeline has given
            pass
    options = tf.data.Options()
    # Shares of each batch; files dealt out among the workers would make other batches.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    shared = strategy.experimental_distribute_dataset(dataset.with_options(options))

    @tf.function
    def train_step(iterator):
        return strategy.run(model.train_step, (next(iterator),))

    watchers = keras.callbacks.CallbackList(
        list(callbacks), add_history=True, add_progbar=bool(chief and verbose), model=model,
        epochs=epochs, steps=steps, verbose=verbose if chief else 0,
    )
    model.stop_training, logs = False, {}
    watchers.on_train_begin()
    for epoch in range(first, epochs):
        model.reset_metrics()
        watchers.on_epoch_begin(epoch)
        iterator = iter(shared)
        for step in range(steps):
            watchers.on_train_batch_begin(step)
            values = train_step(iterator)
            values = {k: strategy.experimental_local_results(v)[0] for k, v in values.items()}
            watchers.on_train_batch_end(step, values)
        logs = {name: float(value) for name, value in model.get_metrics_result().items()}
        watchers.on_epoch_end(epoch, logs)
        if checkpoint_dir and chief:
            path = checkpoint_dir / f"epoch_{epoch + 1:06d}.weights.h5"
            write_aside(path, model.save_weights)
            for old in checkpoint_dir.glob("epoch_*.weights.h5"):
                if old != path:
                    old.unlink()
        if model.stop_training:
            break
    watchers.on_train_end(logs)
    return model.history


def train_demo(
    strategy, folder, x_train, passes, seed=0, noise_seed=0, epochs=3, batch_size=200, verbose=1
):
    """Train A1's VAE, 784–64–64–64–784, under a strategy; return its `History`.

    Leaves checkpoints and, line by line, `history.csv` in the folder, and goes on from what it
    finds there. `noise_seed` None is no noise, z = z_mean: then no number depends on who draws it.
    """
    keras.utils.set_random_seed(seed)
    x_train = x_train[: len(x_train) // batch_size * batch_size]  # all batches are full
    with strategy.scope():
        vae = VAE(gaussian_encoder(784, (64,), 64), dense_decoder(64, (64,), 784), seed=noise_seed)
        vae.compile("adam")
    if noise_seed is None:
        vae.noise = lambda shape: tf.zeros(shape, vae.variable_dtype)
    callbacks = []
    if strategy.extended.should_checkpoint:
        make_folder(folder)
        callbacks.append(keras.callbacks.CSVLogger(f"{folder}/history.csv", append=True))
    dataset = batches(x_train, batch_size, seed, passes)
    return fit_distributed(vae, dataset, epochs, strategy, callbacks, folder, verbose)


@contextlib.contextmanager
def local_workers(num, folder, *arguments):
    """Start so many workers of the demo on this machine and yield their processes.

    What a worker prints goes to `worker_0.log` … in the folder, which is made. On leaving, those
    that still run are killed.
    """
    make_folder(folder)
    listeners = [socket.create_server(("localhost", 0)) for _ in range(num)]
    addresses = ["localhost:%d" % listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()  # its port is free, and not the next to be given out
    processes = []
    try:
        for index in range(num):
            task = {"type": "worker", "index": index}
            config = json.dumps({"cluster": {"worker": addresses}, "task": task})
            with open(pathlib.Path(folder) / f"worker_{index}.log", "w") as log:
                processes.append(subprocess.Popen(
                    [sys.executable, "-u", "-m", "keras_vae.distributed", str(folder), *arguments],
                    env={**os.environ, "TF_CONFIG": config}, stdout=log, stderr=subprocess.STDOUT,
                ))
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def cluster_resolver():
    """Return what tells the demo its machines and which it is: TF_CONFIG, or else Slurm."""
    if "SLURM_PROCID" in os.environ and "TF_CONFIG" not in os.environ:
        # Made for GPUs: told nothing, it asks nvidia-smi and fails where there is none.
        return tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=64, gpus_per_task=1, auto_set_gpu=False
        )
    return tf.distribute.cluster_resolver.TFConfigClusterResolver()


def main(arguments=None):
    """Run one worker of the demo: the one that TF_CONFIG, or else Slurm, says this is."""
    parser = argparse.ArgumentParser("python -m keras_vae.distributed", description=main.__doc__)
    parser.add_argument("folder", help="for checkpoints and history.csv; all workers see it")
    parser.add_argument("--data", default="digits", choices=["digits", "mnist"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=200, help="of all workers together")
    parser.add_argument("--noise-seed", type=int, default=0)
    parser.add_argument("--exact", dest="noise_seed", action="store_const", const=None,
                        help="without noise and in double precision, to compare with other runs")
    settings = vars(parser.parse_args(arguments))
    if settings["noise_seed"] is None:
        keras.config.set_floatx("float64")  # of the metrics
        keras.config.set_dtype_policy("float64")  # of the layers
    tf.config.set_visible_devices([], "GPU")  # workers on one machine would fight for it
    strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver())
    data, (x_train, _), _ = load_images(settings.pop("data"))
    passes = {"mnist": 1, "digits": 20}[data]  # on the small digits an epoch is twenty passes
    train_demo(strategy, x_train=x_train, passes=passes, **settings)


if __name__ == "__main__":
    main()
