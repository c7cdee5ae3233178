"""Seconds an epoch of `fit`, beside other ways to train the same networks, as ratios.

    pip install -e ".[benchmark]"
    python benchmarks/speed.py run               all rows: half an hour on two quiet cores
    python benchmarks/speed.py run --epochs 3
    python benchmarks/speed.py table             the README's table, from what was saved

The epochs of all rows are interleaved, so that a change of the machine's speed meets all of them;
the first epoch of each is not counted. What was measured is saved in benchmarks/speed.json.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = pathlib.Path(__file__).parent
SAVED = HERE / "speed.json"

# The networks: those of A2 §4, 784–256–256–256–784, and of A4 §4.2, 100–128–784 and 784–128–1.
RUNS = {"VAE, batch 256": 256, "GAN, batch 32": 32, "GAN, batch 256": 256}
OURS = "fit with FusedAdam"
OTHERS = {
    "a, Adam": "the same with Keras's Adam, as in the chapters",
    "b": "Keras, the step that circulates, default compile",
    "c": "PyTorch, DataLoader",
    "d": "PyTorch, indexed tensors, fused Adam",
    "d, compiled": "the same under torch.compile",
    "e": "the matrix products alone, TensorFlow",
}


# -- (a) and (b): Keras ---------------------------------------------------------------------------
def keras_rows(kind, batch, x, **settings):
    """Return {row: function that trains one epoch} of this package and of the circulated step."""
    import circulated
    import keras

    from keras_vae import GAN, VAE, FusedAdam, batches, dense_decoder, dense_discriminator
    from keras_vae import dense_generator, gaussian_encoder

    keras.utils.set_random_seed(0)
    if kind == "VAE":
        def networks():
            return gaussian_encoder(784, (256,), 256), dense_decoder(256, (256,), 784)

        def ours(adam):
            vae = VAE(*networks(), seed=0)
            vae.compile(adam(1e-4), steps_per_execution=20, **settings)
            return vae

        theirs = circulated.VAE(*networks())
        theirs.compile(keras.optimizers.Adam(1e-4))
    else:
        def networks():
            return (
                dense_generator(100, (128,), 784), dense_discriminator(784, (128,), dropout=0.3)
            )

        def ours(adam):
            gan = GAN(*networks(), noise_dim=100, seed=0)
            optimizers = [adam(2e-4, beta_1=0.5) for _ in range(2)]
            gan.compile(*optimizers, steps_per_execution=50, **settings)
            return gan

        theirs = circulated.GAN(*networks(), noise_dim=100)
        theirs.compile(*[keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2)])
    fused, plain = ours(FusedAdam), ours(keras.optimizers.Adam)
    pipeline = batches(x, batch)
    return {
        OURS: lambda: fused.fit(pipeline, verbose=0),
        "a, Adam": lambda: plain.fit(pipeline, verbose=0),
        "b": lambda: theirs.fit(x, batch_size=batch, verbose=0),
    }


# -- (c) and (d): PyTorch -------------------------------------------------------------------------
def torch_rows(kind, batch, x):
    """Return {row: function that trains one epoch} of PyTorch's ways."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.manual_seed(0)

    def vae_step(parts, optimizers, batch_x):
        encoder, mean_head, log_var_head, decoder = parts
        hidden = encoder(batch_x)
        mean, log_var = mean_head(hidden), log_var_head(hidden)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        logits = decoder(z)
        reconstruction = F.binary_cross_entropy_with_logits(logits, batch_x, reduction="sum")
        kl = -0.5 * (1 + log_var - mean.square() - log_var.exp()).sum()
        loss = (reconstruction + kl) / len(batch_x)
        optimizers[0].zero_grad(set_to_none=True)
        loss.backward()
        optimizers[0].step()

    def gan_step(parts, optimizers, real):
        generator, discriminator = parts
        fake = generator(torch.randn(len(real), 100))
        ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        nats = F.binary_cross_entropy_with_logits
        d_loss = nats(discriminator(real), 0.9 * ones) + nats(discriminator(fake.detach()), zeros)
        optimizers[1].zero_grad(set_to_none=True)
        d_loss.backward()
        optimizers[1].step()
        g_loss = nats(discriminator(fake), ones)
        optimizers[0].zero_grad(set_to_none=True)
        g_loss.backward()
        optimizers[0].step()

    def build(fused):
        if kind == "VAE":
            parts = nn.ModuleList([
                nn.Sequential(nn.Linear(784, 256), nn.ReLU()), nn.Linear(256, 256),
                nn.Linear(256, 256),
                nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 784)),
            ])
            return parts, [torch.optim.Adam(parts.parameters(), 1e-4, fused=fused)], vae_step
        generator = nn.Sequential(
            nn.Linear(100, 128), nn.ReLU(), nn.Linear(128, 784), nn.Sigmoid())
        discriminator = nn.Sequential(
            nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 1))
        parts = nn.ModuleList([generator, discriminator])
        optimizers = [
            torch.optim.Adam(part.parameters(), 2e-4, (0.5, 0.999), fused=fused) for part in parts
        ]
        return parts, optimizers, gan_step

    images = torch.from_numpy(x)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(images), batch_size=batch, shuffle=True)
    loaded, expert, compiled = build(None), build(True), build(True)
    compiled_step = torch.compile(compiled[2])

    def with_loader():
        parts, optimizers, step = loaded
        for (batch_x,) in loader:
            step(parts, optimizers, batch_x)

    def indexed(parts, optimizers, step):
        order = torch.randperm(len(images))
        for start in range(0, len(images), batch):
            step(parts, optimizers, images[order[start : start + batch]])

    return {
        "c": with_loader,
        "d": lambda: indexed(*expert),
        "d, compiled": lambda: indexed(*compiled[:2], compiled_step),
    }


# -- (e): what the arithmetic costs at the least --------------------------------------------------
def product_row(kind, batch, x):
    """Return {"e": function}: the forward and backward matrix products of an epoch, and no more."""
    import tensorflow as tf

    if kind == "VAE":
        shapes = [(784, 256), (256, 512), (256, 256), (256, 784)]  # both heads in one product
        counts = {shape: (1, 1, 1) for shape in shapes}
        counts[(784, 256)] = (1, 1, 0)  # no gradient with respect to the images
    else:
        # Times forward, gradient of the weight, gradient of the input, as GAN.train_step needs
        # them: the discriminator sees real and fake images; its weights learn from both, its
        # input's gradient is needed for the fake ones alone.
        counts = {
            (100, 128): (1, 1, 0), (128, 784): (1, 1, 1), (784, 128): (2, 2, 1), (128, 1): (2, 2, 3)
        }
    weights = {shape: tf.random.normal(shape) for shape in counts}
    inputs = {shape: tf.random.normal((batch, shape[0])) for shape in counts}
    outputs = {shape: tf.random.normal((batch, shape[1])) for shape in counts}
    steps = -(-len(x) // batch)

    @tf.function
    def epoch():
        total = tf.constant(0.0)
        for _ in tf.range(steps):
            # The sum makes each step depend on the last, so that none is left out.
            for shape, (forward, of_weight, of_input) in counts.items():
                a, b, w = inputs[shape] + total, outputs[shape], weights[shape]
                products = [tf.matmul(a, w) for _ in range(forward)]
                products += [tf.matmul(a, b, transpose_a=True) for _ in range(of_weight)]
                products += [tf.matmul(b, w, transpose_b=True) for _ in range(of_input)]
                total += 1e-30 * tf.add_n([product[0, 0] for product in products])
        return total

    return {"e": epoch}


def gpu_rows(kind, batch, x):
    """Return rows of `fit` at other precisions and with XLA, where there is a GPU."""
    import keras
    import tensorflow as tf

    rows = {}
    if tf.config.list_physical_devices("GPU"):
        for precision in ("float32", "mixed_bfloat16"):
            for xla in (False, True):
                keras.config.set_dtype_policy(precision)
                found = keras_rows(kind, batch, x, jit_compile=xla)
                rows[f"fit, {precision}, XLA {'on' if xla else 'off'}"] = found[OURS]
        keras.config.set_dtype_policy("float32")
    return rows


def measure(epochs):
    """Return {run: {row: [seconds of each epoch]}} and the seconds of the first epochs."""
    from keras_vae import load_images

    _, (x, _), _ = load_images("mnist")
    seconds, first = {}, {}
    for name, batch in RUNS.items():
        kind = name[:3]
        rows = {
            **keras_rows(kind, batch, x), **torch_rows(kind, batch, x),
            **product_row(kind, batch, x), **gpu_rows(kind, batch, x),
        }
        times = {row: [] for row in rows}
        for epoch in range(epochs + 1):
            for row, train in rows.items():
                start = time.perf_counter()
                train()
                times[row].append(time.perf_counter() - start)
                print(f"{name}, epoch {epoch}, {row}: {times[row][-1]:.2f} s", flush=True)
        first[name] = {row: found[0] for row, found in times.items()}  # it traces or compiles
        seconds[name] = {row: found[1:] for row, found in times.items()}
    return seconds, first


# -- Ten times the data ---------------------------------------------------------------------------
def stream(path, num):
    """Train A2's VAE for two epochs on rows of bytes in a file, and print seconds and memory."""
    import numpy as np
    import tensorflow as tf

    from keras_vae import VAE, FusedAdam, dense_decoder, gaussian_encoder

    rows = np.memmap(path, dtype="uint8", mode="r", shape=(num, 784))

    def read(index):
        return rows[np.sort(index)].astype("float32") / 255

    def gather(index):
        return tf.ensure_shape(tf.numpy_function(read, [index], tf.float32), (None, 784))

    # A shuffle of all row numbers would itself grow with the data: blocks are shuffled instead.
    data = tf.data.Dataset.range(num).shuffle(60000, seed=0).batch(256)
    data = data.map(gather, tf.data.AUTOTUNE, deterministic=True).prefetch(2)
    vae = VAE(gaussian_encoder(784, (256,), 256), dense_decoder(256, (256,), 784), seed=0)
    vae.compile(FusedAdam(1e-4), steps_per_execution=20)
    vae.fit(data.take(40), verbose=0)  # traces
    start = time.perf_counter()
    vae.fit(data, verbose=0)
    took = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"microseconds an image": 1e6 * took / num, "peak MiB": peak / 1024}))


def measure_streams(repeats=3):
    """Return what `stream` printed with MNIST once and ten times in a file, repeated in turn."""
    import numpy as np

    from keras_vae import load_images

    _, (x, _), _ = load_images("mnist")
    found = {"1": [], "10": []}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "rows.bin"
        block = np.round(255 * x).astype("uint8").tobytes()
        with open(path, "wb") as file:
            for _ in range(10):
                file.write(block)
        for _ in range(repeats):
            for times in found:
                command = [sys.executable, __file__, "stream", str(path), str(int(times) * len(x))]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[times].append(json.loads(done.stdout.splitlines()[-1]))
                print(f"{times}× the data: {found[times][-1]}", flush=True)
    return found


def spread(values, digits=2):
    """Return "median (least to greatest)"."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def table(report):
    """Return the README's tables as Markdown."""
    lines = [
        "| seconds an epoch of `fit` with `FusedAdam`, over those of | "
        f"{' | '.join(report['seconds'])} |",
        "|---|" + "---|" * len(report["seconds"]),
    ]
    extra = [row for row in next(iter(report["seconds"].values())) if row.startswith("fit, f")]
    for row, text in [*OTHERS.items(), *((row, row) for row in extra)]:
        cells = []
        for times in report["seconds"].values():
            pairs = zip(times[OURS], times[row])
            cells.append(spread([ours / theirs for ours, theirs in pairs]))
        lines.append(f"| {text} | {' | '.join(cells)} |")
    cells = [spread(times[OURS]) for times in report["seconds"].values()]
    lines.append(f"| *seconds of `fit` itself* | {' | '.join(cells)} |")
    streams = report["streams"]
    ratios = {
        measure: [b[measure] / a[measure] for a, b in zip(streams["1"], streams["10"])]
        for measure in streams["1"][0]
    }
    lines += [
        "",
        f"Ten times the data, read from a memory-mapped file: "
        f"{spread(ratios['microseconds an image'])} times the seconds an image, "
        f"{spread(ratios['peak MiB'])} times the peak memory "
        f"({statistics.median(s['peak MiB'] for s in streams['10']):.0f} MiB).",
    ]
    return "\n".join(lines)


def load():
    """Return the saved report."""
    return json.loads(SAVED.read_text(encoding="utf-8"))


def run(epochs):
    """Measure all and save."""
    import chapters
    import keras
    import tensorflow as tf
    import torch

    seconds, first = measure(epochs)
    chapters.save(SAVED, {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__,
                     "torch": torch.__version__},
        "seconds": seconds, "first epoch": first, "streams": measure_streams(),
    })


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["run", "table", "stream"])
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("stream", nargs="*", help=argparse.SUPPRESS)  # run starts itself with it
    arguments = parser.parse_args()
    if arguments.what == "stream":
        stream(arguments.stream[0], int(arguments.stream[1]))
    else:
        if arguments.what == "run":
            run(arguments.epochs)
        print(table(load()))
