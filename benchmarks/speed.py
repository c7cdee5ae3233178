"""Seconds an epoch of `fit`, beside other ways to train the same networks, as ratios.

    pip install -e ".[benchmark]"
    python benchmarks/speed.py run               all rows: a quarter of an hour on two cores
    python benchmarks/speed.py run --epochs 9
    python benchmarks/speed.py table             puts its table into docs/results.md

Every row is a process of its own, since the threads of two libraries in one process disturb each
other. The rows take turns, one epoch each, so that a change of the machine's speed meets all of
them. The first epoch of each is not counted: it traces or compiles. Where TensorFlow finds a GPU,
`fit` is also run in float32 and in mixed_bfloat16, with XLA and without, and PyTorch, which would
be on the processor here, is left out. What was measured is saved in benchmarks/speed.json.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # many processes share the GPU
HERE = pathlib.Path(__file__).parent
SAVED = HERE / "speed.json"

# The networks: those of A2 §4, 784–256–256–256–784, and of A4 §4.2, 100–128–784 and 784–128–1.
RUNS = {"VAE, batch 256": 256, "GAN, batch 32": 32, "GAN, batch 256": 256}
ROWS = {
    "a": "`fit` as in the chapters: fed by `batches`, twenty steps or fifty per execution",
    "a, plain": "`fit` on arrays, default `compile`",
    "b": "Keras, a step as copies of its examples have it, on arrays, default `compile`",
    "b, fed as a": "the same step, fed and compiled as `fit` here",
    "c": "PyTorch, `DataLoader`",
    "d": "PyTorch, indexed tensors, fused Adam",
    "d, compiled": "the same under `torch.compile`",
    "e": "the matrix products alone, TensorFlow",
}
GPU_ROWS = {
    f"a, {precision}{', XLA' * xla}": f"`fit`, {precision}, XLA {'on' if xla else 'off'}"
    for precision in ("float32", "mixed_bfloat16") for xla in (False, True)
}


# -- (a) and (b): Keras ---------------------------------------------------------------------------
def keras_epoch(row, kind, batch, x):
    """Return a function that trains one epoch: of this package's model, or the circulated step."""
    import circulated
    import keras

    from keras_vae import GAN, VAE, batches, dense_decoder, dense_discriminator
    from keras_vae import dense_generator, gaussian_encoder

    keras.utils.set_random_seed(0)
    on_arrays = row in ("a, plain", "b")
    settings = {} if on_arrays else {"steps_per_execution": 20 if kind == "VAE" else 50}
    if row in GPU_ROWS:
        keras.config.set_dtype_policy(row.split(", ")[1])
        settings["jit_compile"] = row.endswith("XLA")
    ours = row.startswith("a")
    if kind == "VAE":
        encoder = gaussian_encoder(784, (256,), 256)
        decoder = dense_decoder(256, (256,), 784, None if ours else "sigmoid")
        model = VAE(encoder, decoder, seed=0) if ours else circulated.VAE(encoder, decoder)
        model.compile(keras.optimizers.Adam(1e-4), **settings)
    else:
        networks = dense_generator(100, (128,), 784), dense_discriminator(784, (128,), dropout=0.3)
        model = GAN(*networks, seed=0) if ours else circulated.GAN(*networks, noise_dim=100)
        adams = [keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2)]
        model.compile(*adams, **settings)
    if on_arrays:
        return lambda: model.fit(x, batch_size=batch, verbose=0)
    pipeline = batches(x, batch)
    return lambda: model.fit(pipeline, shuffle=False, verbose=0)


# -- (c) and (d): PyTorch -------------------------------------------------------------------------
def torch_epoch(row, kind, batch, x):
    """Return a function that trains one epoch in PyTorch."""
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

    images, fused = torch.from_numpy(x), None if row == "c" else True
    if kind == "VAE":
        parts = nn.ModuleList([
            nn.Sequential(nn.Linear(784, 256), nn.ReLU()), nn.Linear(256, 256),
            nn.Linear(256, 256),
            nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 784)),
        ])
        optimizers = [torch.optim.Adam(parts.parameters(), 1e-4, fused=fused)]
        step = vae_step
    else:
        parts = nn.ModuleList([
            nn.Sequential(nn.Linear(100, 128), nn.ReLU(), nn.Linear(128, 784), nn.Sigmoid()),
            nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 1)),
        ])
        optimizers = [
            torch.optim.Adam(part.parameters(), 2e-4, (0.5, 0.999), fused=fused) for part in parts
        ]
        step = gan_step
    if row == "d, compiled" and kind == "VAE":
        step = torch.compile(step)
    elif row == "d, compiled":  # a step with two backward passes cannot be compiled as a whole
        parts = [torch.compile(part) for part in parts]
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(images), batch_size=batch, shuffle=True)

    def with_loader():
        for (batch_x,) in loader:
            step(parts, optimizers, batch_x)

    def indexed():
        order = torch.randperm(len(images))
        for start in range(0, len(images), batch):
            step(parts, optimizers, images[order[start : start + batch]])

    return with_loader if row == "c" else indexed


# -- (e): what the arithmetic costs at the least --------------------------------------------------
def products_epoch(row, kind, batch, x):
    """Return a function with the forward and backward matrix products of an epoch, and no more."""
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

    return epoch


# -- One process a row ----------------------------------------------------------------------------
def work(row, name, path):
    """Train an epoch for each line that comes in, and print its seconds."""
    kind, batch, x = name[:3], RUNS[name], np.load(path)
    make = {"c": torch_epoch, "d": torch_epoch, "e": products_epoch}.get(row[0], keras_epoch)
    train = make(row, kind, batch, x)
    for _ in sys.stdin:
        start = time.perf_counter()
        train()
        print(f"seconds {time.perf_counter() - start}", flush=True)


def measure(name, rows, epochs, path):
    """Return {row: seconds of each epoch} of a run, the rows in turn."""
    command = [sys.executable, __file__, "work"]
    log = path.with_suffix(".log").open("w+")
    workers = {
        row: subprocess.Popen([*command, row, name, str(path)], text=True, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=log)
        for row in rows
    }
    seconds = {row: [] for row in rows}
    try:
        for epoch in range(epochs + 1):
            for row, worker in workers.items():
                print("go", file=worker.stdin, flush=True)
                answer = next((s for s in worker.stdout if s.startswith("seconds ")), None)
                if answer is None:
                    log.seek(0)
                    raise RuntimeError(f"row {row!r} of {name} stopped: {log.read()[-3000:]}")
                seconds[row].append(float(answer.split()[1]))
                print(f"{name}, epoch {epoch}, {row}: {seconds[row][-1]:.2f} s", flush=True)
    finally:
        for worker in workers.values():
            worker.kill()
            worker.communicate()
        log.close()
    return seconds


# -- Ten times the data ---------------------------------------------------------------------------
def stream(path, num, passes):
    """Train A2's VAE on rows of bytes in a file, so many times; print seconds and memory."""
    import keras
    import tensorflow as tf

    from keras_vae import VAE, dense_decoder, gaussian_encoder

    rows = np.memmap(path, dtype="uint8", mode="r", shape=(num, 784))
    memory = []

    def read(index):
        return rows[np.sort(index)].astype("float32") / 255

    def gather(index):
        return tf.ensure_shape(tf.numpy_function(read, [index], tf.float32), (None, 784))

    def mebibytes(what):
        status = pathlib.Path("/proc/self/status").read_text()
        return int(status.partition(f"{what}:")[2].split()[0]) / 1024

    def look(batch, logs):
        memory.append(mebibytes("RssAnon"))

    # Row numbers, too, are shuffled in a window: a shuffle of all would grow with the data.
    data = tf.data.Dataset.range(num).shuffle(60000, seed=0).repeat(passes).batch(256)
    options = tf.data.Options()
    options.autotune.enabled = False  # as in `batches`
    data = data.map(gather).prefetch(2).with_options(options)
    vae = VAE(gaussian_encoder(784, (256,), 256), dense_decoder(256, (256,), 784), seed=0)
    vae.compile(keras.optimizers.Adam(1e-4), steps_per_execution=20)
    vae.fit(data.take(40), verbose=0)  # traces
    start = time.perf_counter()
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=look)
    vae.fit(data, callbacks=[watch], verbose=0)
    took = time.perf_counter() - start
    print(json.dumps({
        "microseconds an image": 1e6 * took / num / passes,
        "peak MiB of its own": max(memory), "peak MiB": mebibytes("VmHWM"),
    }))


def measure_streams(x, folder, repeats=3):
    """Return what `stream` printed with MNIST once and ten times in a file, in turn.

    The small file is passed over ten times, so that both trainings are of one length.
    """
    path = pathlib.Path(folder) / "rows.bin"
    block = np.round(255 * x).astype("uint8").tobytes()
    with open(path, "wb") as file:
        for _ in range(10):
            file.write(block)
    found = {"1": [], "10": []}
    for _ in range(repeats):
        for times in found:
            size = [int(times) * len(x), 10 // int(times)]
            command = [sys.executable, __file__, "stream", str(path), *map(str, size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[times].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{times}× the data: {found[times][-1]}", flush=True)
    return found


def measure_imports(repeats=9):
    """Return the seconds that `import keras_vae` takes after `import keras`, in new processes."""
    code = (
        "import time, keras; start = time.perf_counter(); import keras_vae; "
        "print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", code]
    outputs = [
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for _ in range(repeats)
    ]
    return [float(output) for output in outputs]


# -- The report -----------------------------------------------------------------------------------
def ratios(report, name, row):
    """Return the seconds of (a) over those of a row, epoch by epoch, without the first."""
    seconds = report["seconds"][name]
    return [a / b for a, b in zip(seconds["a"][1:], seconds[row][1:])]


def table(report):
    """Return the table, and a line below it, as Markdown: medians (least to greatest)."""
    from chapters import spread

    texts = {**ROWS, **GPU_ROWS}
    rows = list(report["seconds"]["VAE, batch 256"])
    lines = [
        f"| seconds per epoch of `fit`, over those of | {' | '.join(RUNS)} |",
        "|---|" + "---|" * len(RUNS),
    ]
    for row in rows[1:]:
        cells = [spread(ratios(report, name, row), 2) for name in RUNS]
        lines.append(f"| {texts[row]} | {' | '.join(cells)} |")
    cells = [spread(report["seconds"][name]["a"][1:], 2) for name in RUNS]
    lines.append(f"| *seconds of `fit` itself* | {' | '.join(cells)} |")
    streams = report["streams"]
    grown = {
        what: spread([b[what] / a[what] for a, b in zip(streams["1"], streams["10"])], 2)
        for what in streams["1"][0]
    }
    lines += [
        "",
        f"Ten times the data, from a memory-mapped file: {grown['microseconds an image']} times "
        f"the seconds per image, {grown['peak MiB of its own']} times "
        f"the peak memory (counting the pages of the file that the system keeps at hand: "
        f"{grown['peak MiB']}). `import keras_vae` adds {spread(report['imports'], 2)} s to "
        f"`import keras`.",
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

    from keras_vae import load_mnist

    rows = list(ROWS)
    if tf.config.list_physical_devices("GPU"):
        rows = [row for row in ROWS if row[0] not in "cd"] + list(GPU_ROWS)
    (x, _), _ = load_mnist()
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
    if "c" in rows:
        import torch

        versions["torch"] = torch.__version__
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "x.npy"
        np.save(path, x)
        report = {
            "date": datetime.date.today().isoformat(),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
            "versions": versions,
            "seconds": {name: measure(name, rows, epochs, path) for name in RUNS},
            "streams": measure_streams(x, folder),
            "imports": measure_imports(),
        }
    chapters.save(SAVED, report)


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(*sys.argv[2:])
    elif sys.argv[1:2] == ["stream"]:
        stream(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
        parser.add_argument("what", choices=["run", "table"])
        parser.add_argument("--epochs", type=int, default=5)
        arguments = parser.parse_args()
        if arguments.what == "run":
            run(arguments.epochs)
        saved = load()
        print(table(saved))
        if arguments.what == "table":
            from chapters import RESULTS, paste, when

            paste(RESULTS, "speed.py table", f"{table(saved)}\n\n{when(saved)}")
