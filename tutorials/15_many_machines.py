# %% [markdown]
# # 15. Many machines
#
# *Reproduces A3 §6 and A4 §5. 2.5 minutes on two cores.*
#
# A3 and A4 end with what remains to be done: training on **large data** (大规模数据), faster. One answer is more machines. The usual way is
# **data parallelism** (数据并行): every machine holds a copy of the model, computes the gradient on its own part of each batch, and all add
# their gradients up. Two questions: does the model learn the same? And how much faster is it? To see the first, this chapter starts two processes on this
# machine, the **workers** (工作进程), that talk to each other over the network as two machines would. Then it kills one.

# %%
import contextlib
import pathlib
import re
import shutil
import subprocess
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from keras_vae import VAE, Run, dense_decoder, gaussian_encoder, load_images
from keras_vae.distributed import local_workers, train_demo

# Two devices made of one processor. This must stand before TensorFlow's first computation.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the first weights, the noise and the batches
epochs = 3  # at least 2
batch_size = 250  # of all workers together; an even number
num_steps = 30  # steps of which the seconds are measured
patience = 200  # seconds that a pair of workers may take, before it is given up

# %% [markdown]
# ## Data
#
# Each worker loads the data itself. All shuffle with the same seed, so all have the same **global batch** (全局批次), and each keeps a part of its own.

# %%
keras.utils.set_random_seed(seed)
if batch_size % 2:
    raise ValueError(f"batch_size must be even, a half for each worker, got {batch_size}")
run = Run("15_many_machines")
data, (x_train, _), _ = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # on the small digits an epoch is twenty passes
steps = len(x_train) // batch_size * passes
print(f"{steps} steps an epoch, each on {batch_size} images: {batch_size // 2} for each of two workers")

# %% [markdown]
# ## The formulas
#
# The loss of a batch is a mean over its B images, and so is its gradient. Cut the batch into n equal parts: the mean of the parts' gradients is that of the whole.
#
# $$\nabla L = \frac1B \sum_{i=1}^{B} \nabla \ell_i = \frac1n \sum_{k=1}^{n} \Big( \frac nB \sum_{i \in \text{part } k} \nabla \ell_i \Big)$$
#
# Each machine divides its part's mean by n, then all add up. That is the line `tf.reduce_mean(losses[0]) / replicas` in `VAE.train_step`. A linear model shows it:

# %%
rng = np.random.default_rng(seed)
a, b, w = rng.normal(size=(8, 3)), rng.normal(size=8), rng.normal(size=3)


def gradient(rows):
    """Return the gradient of the mean squared error on some rows."""
    return 2 * a[rows].T @ (a[rows] @ w - b[rows]) / len(a[rows])


print("the whole batch:", gradient(slice(0, 8)))
print("two halves:     ", gradient(slice(0, 4)) / 2 + gradient(slice(4, 8)) / 2)

# %% [markdown]
# The adding up is called **all-reduce** (全归约). In a **ring** (环), each machine cuts its gradient into n pieces. Piece by piece, sums travel once around the
# ring, and the finished sums travel around it once more. Each machine sends n − 1 pieces in each round. So with a gradient of G bytes
#
# $$\text{bytes sent by each machine} = 2\, \frac{n-1}{n}\, G$$
#
# which is never more than 2G, however many machines there are. G is four bytes for each weight.
#
# ## The model
#
# The VAE of chapter 4 (784–64–64–64–784). Its `train_step` stays as it is; a **strategy** (分布式策略) of `tf.distribute` runs it on every **replica** (副本), and its
# optimizer all-reduces the gradients. Here are two replicas in this process, and a few steps on one batch:

# %%
# One strategy each for the whole process: a second one for the same devices disturbs the first.
strategies = {num: tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(num)]) for num in (1, 2)}
with strategies[2].scope():
    small = VAE(gaussian_encoder(784, (64,), 64), dense_decoder(64, (64,), 784), seed=seed)
    small.compile("adam")
one_batch = tf.data.Dataset.from_tensor_slices(x_train[:batch_size]).batch(batch_size).repeat(5)
step = tf.function(lambda part: strategies[2].run(small.train_step, (part,)))
for parts in strategies[2].experimental_distribute_dataset(one_batch):
    step(parts)  # each replica takes its half; both then have the same new weights
    print(f"loss so far: {float(small.get_metrics_result()['loss']):.1f}")

# %% [markdown]
# Such a loop has to be written, because `fit` of Keras 3 cannot run it on several machines (below). The package's `fit_distributed` is this loop, with
# epochs and callbacks as in `fit`. After every epoch one of the workers saves a checkpoint, and a run that finds one goes on from there.
#
# How does a worker know the others? TensorFlow reads it from the environment. By hand, it is the variable `TF_CONFIG`, the same on all machines but for the index:
#
#     TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:8888", "10.0.0.2:8888"]}, "task": {"type": "worker", "index": 0}}'
#
# - **by hand**: set it and start the same program on each machine. Worker 0 is the **chief** (主进程): it draws the bar and writes the checkpoints.
# - **Kubernetes**: a TFJob with two replicas of type `Worker` sets `TF_CONFIG` in every pod. Nothing else is to be done.
# - **Slurm**: `srun --ntasks=2 --nodes=2 python -m keras_vae.distributed FOLDER` needs no `TF_CONFIG`. `SlurmClusterResolver` reads Slurm's own variables.
#
# In each case the program says `strategy = tf.distribute.MultiWorkerMirroredStrategy()` first of all (with a resolver, for Slurm), builds and compiles the model
# within `strategy.scope()`, and calls `fit_distributed`. Whoever can reach those ports can send a worker orders: keep them inside a private network.
#
# `train_demo` does that with the model of this chapter, and `python -m keras_vae.distributed FOLDER` starts one worker that calls it. `local_workers` starts several on
# this machine, gives each its `TF_CONFIG`, and ends them, come what may.

# %%
def history_of(folder):
    """Return the loss of each epoch, from the table that the chief wrote."""
    return np.genfromtxt(folder / "history.csv", delimiter=",", names=True)["loss"].tolist()


def workers(name, noise_seed=seed, fresh=True):
    """Start two workers that train in the folder of that name."""
    if fresh:
        shutil.rmtree(run.folder / name, ignore_errors=True)
    settings = [f"--data={data}", f"--seed={seed}", f"--epochs={epochs}", f"--batch-size={batch_size}"]
    noise = "--exact" if noise_seed is None else f"--noise-seed={noise_seed}"
    return local_workers(2, run.folder / name, *settings, noise)


def wait_for(processes):
    """Wait for two workers; stop if one of them fails."""
    if any(process.wait(patience) for process in processes):
        raise RuntimeError(f"a worker failed: see the .log files in {run.folder}")

# %% [markdown]
# ## Training
#
# The same global batches, three ways: one replica and two replicas in this process, and two worker processes. First **exact**: without the noise of the VAE (z is `z_mean`), because one replica and two
# draw different noise; and in double precision, because a training may amplify a rounding error. (With seed 2, on MNIST, in single precision, one replica and two differed by 0.000001 of the loss after two epochs and by 0.0002
# after three.) Then as one would train: with noise, in single precision.

# %%
def loopback_bytes():
    """Return how many bytes this machine has sent to itself, where Linux counts them, else 0."""
    counters = pathlib.Path("/proc/net/dev")
    found = counters.exists() and re.search(r"\blo:\s*(\d+)", counters.read_text())
    return int(found[1]) if found else 0


def replicas(num, noise_seed):
    """Train on so many replicas in this process; return the loss of each epoch."""
    folder = run.folder / f"replicas_{num}_{noise_seed}"
    shutil.rmtree(folder, ignore_errors=True)
    return train_demo(
        strategies[num], folder, x_train, passes, seed, noise_seed, epochs, batch_size, verbose=0
    ).history["loss"]


losses = {}
for noise, noise_seed, floatx in (("exact", None, "float64"), ("noise", seed, "float32")):
    keras.config.set_floatx(floatx)  # of the metrics
    keras.config.set_dtype_policy(floatx)  # of the layers
    losses["one replica", noise] = replicas(1, noise_seed)
    losses["two replicas", noise] = replicas(2, noise_seed)
    before = loopback_bytes()
    with workers(f"workers_{noise_seed}", noise_seed) as processes:
        wait_for(processes)
    sent = (loopback_bytes() - before) / (epochs * steps)
    losses["two workers", noise] = history_of(run.folder / f"workers_{noise_seed}")
losses["one replica", "other noise"] = replicas(1, seed + 1)
for (who, noise), values in losses.items():
    print(f"{who:12}  {noise:11}", *(f"{value:.6f}" for value in values))

# %% [markdown]
# Now a worker dies in the middle of an epoch, without a word, as a machine does that loses its power. The other one notices, because the dead one's heartbeat stops; it raises an error
# and ends. Then both are started again with the same command. They find the checkpoint of the last whole epoch (weights, the optimizer's moments, the state of the noise), and go on.

# %%
def position(folder):
    """Return epoch and step that the chief has come to, read off its progress bar."""
    _, _, last = (folder / "worker_0.log").read_text(encoding="utf-8").rpartition("Epoch ")
    found = re.findall(rf"(\d+)/{steps}\b", last)
    return (int(last.split("/")[0]), int(found[-1])) if found else (0, 0)


folder = run.folder / "killed"
with workers("killed") as processes:
    start = time.monotonic()
    while (killed_at := position(folder)) < (2, steps // 2):  # half of the second epoch
        if time.monotonic() > start + patience or any(p.poll() is not None for p in processes):
            raise RuntimeError(f"the workers did not train: see the .log files in {folder}")
        time.sleep(0.02)
    processes[1].kill()
    start = time.monotonic()
    with contextlib.suppress(subprocess.TimeoutExpired):  # if it hangs, leaving `with` ends it
        processes[0].wait(60)
    noticed = time.monotonic() - start
print(f"worker 1 killed in epoch {killed_at[0]}, at step {killed_at[1]} of {steps}")
print(f"worker 0 ended {noticed:.0f} s later, with status {processes[0].returncode}")
print("checkpoint:", *(path.name for path in folder.glob("*.h5")))

with workers("killed", fresh=False) as processes:
    wait_for(processes)
losses["killed and resumed", "noise"] = history_of(folder)
for who in ("two workers", "killed and resumed"):
    print(f"{who:18}", *(f"{value:.6f}" for value in losses[who, "noise"]))

# %% [markdown]
# ## The numbers
#
# Relative differences of the loss, the greatest of all epochs. The exact runs differ by the order of the sums alone. Two workers and two replicas draw the same noise, so they are compared with it, in single precision.
# One replica and two draw different noise: there the losses may differ as much as they do between two seeds of the noise. The last line shows that, for one replica alone. It is luck, and no more: over six seeds of the
# noise the last loss had, on MNIST, a mean of 155.2 and a standard deviation of 0.3 with one replica, 154.9 and 0.3 with two; on the small digits 329.0 and 1.7 with one, 331.1 and 4.4 with two.

# %%
def difference(first, second):
    """Return the greatest relative difference of two loss curves."""
    first, second = np.array(losses[first]), np.array(losses[second])
    return float(np.max(np.abs(first - second) / first))


same = {
    "exact: one replica, two workers": difference(("one replica", "exact"), ("two workers", "exact")),
    "exact: one replica, two replicas": difference(("one replica", "exact"), ("two replicas", "exact")),
    "same noise: two replicas, two workers": difference(("two replicas", "noise"), ("two workers", "noise")),
    "same noise: killed and resumed": difference(("two workers", "noise"), ("killed and resumed", "noise")),
    "other noise: one replica, two workers": difference(("one replica", "noise"), ("two workers", "noise")),
    "other noise: one replica, another seed": difference(("one replica", "noise"), ("one replica", "other noise")),
}
for name, value in same.items():
    print(f"{name:40} {value:.1e}")

# %% [markdown]
# Then the speed. Two processes on one machine share its cores, so they can't show it. Arithmetic can, from the bytes of a gradient and the seconds of a step: here for the networks of A1 (chapter 4) and A2 (chapter 6).

# %%
def seconds_a_step(vae, batch):
    """Return the median seconds of a training step without communication."""
    step = tf.function(vae.train_step)
    seconds = []
    for _ in range(num_steps + 5):
        start = time.perf_counter()
        float(step(batch)["loss"])
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[5:]))  # the first steps trace and warm up


shapes = {"A1: 784–64–64": ((64,), 64), "A2: 784–256–256": ((256,), 256)}
batch_sizes = (256, 4096)
computing, gradient_bytes = {}, {}
for name, (hidden_dims, latent_dim) in shapes.items():
    vae = VAE(gaussian_encoder(784, hidden_dims, latent_dim), dense_decoder(latent_dim, hidden_dims, 784), seed=seed)
    vae.compile("adam")
    gradient_bytes[name] = 4 * sum(int(np.prod(v.shape)) for v in vae.trainable_variables)
    for size in batch_sizes:
        batch = tf.constant(rng.choice(x_train, size))
        computing[name, size] = seconds_a_step(vae, batch)
        print(f"{name}, batch {size:4}: {gradient_bytes[name] / 1e6:.2f} MB, {1000 * computing[name, size]:.1f} ms a step")

# %% [markdown]
# Is the formula of the ring right? Linux counts what went over the loopback while the two workers trained (their greetings included):

# %%
both = 2 * 2 * (2 - 1) / 2 * gradient_bytes["A1: 784–64–64"]
print(f"two workers together, by the formula: {both:,.0f} bytes a step; counted: {sent:,.0f}")

# %% [markdown]
# The **efficiency** (并行效率) of n machines is the share of the time in which they compute. Each has its own batch, so a step of all together is on n times as many images, and n machines do the work of
# n × efficiency. The formula leaves two things out: the time that a message takes on its way, which makes it worse, and computing while sending, which makes it better.
#
# $$\text{efficiency}(n) = \frac{t}{t + 2\,\frac{n-1}{n}\,\frac{8 G}{\text{bits per second}}}$$

# %%
def efficiency(n, seconds, num_bytes, gigabits):
    """Return the share of a step in which n machines compute."""
    return seconds / (seconds + 2 * (n - 1) / n * 8 * num_bytes / (gigabits * 1e9))


for (name, size), seconds in computing.items():
    row = [f"{efficiency(64, seconds, gradient_bytes[name], gigabits):.2f}" for gigabits in (1, 10, 100)]
    print(f"{name}, batch {size:4}: on 64 machines with 1, 10, 100 Gbit/s: {', '.join(row)}")

# %% [markdown]
# ## The pictures

# %%
machines = np.arange(2, 65)
figure, axes = plt.subplots(2, 2, figsize=(9, 6.4), sharex=True, sharey=True, layout="constrained")
plt.close(figure)
for row, name in zip(axes, shapes):
    for ax, size in zip(row, batch_sizes):
        for gigabits, color, style in ((100, "#332288", "-"), (10, "#117733", "--"), (1, "#CC6677", ":")):
            share = efficiency(machines, computing[name, size], gradient_bytes[name], gigabits)
            ax.plot(machines, share, style, color=color, lw=2, label=f"{gigabits} Gbit/s")
        ax.set_title(f"{name}, batch {size} a machine: {1000 * computing[name, size]:.1f} ms a step", fontsize=9)
        ax.set_xscale("log", base=2)
        ax.set_xticks([2, 4, 8, 16, 32, 64], [2, 4, 8, 16, 32, 64])
        ax.set_ylim(0, 1.03)
        ax.grid(alpha=0.3)
axes[0, 0].legend(loc="lower left")
figure.supxlabel("machines")
figure.supylabel("efficiency: share of the time spent computing")
run.save_figure(figure, "scaling")

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
plt.close(figure)
counts = np.arange(1, epochs + 1)
marks = {
    "one replica": {"marker": "o", "ms": 13, "color": "#332288"},
    "two replicas": {"marker": "s", "ms": 8, "color": "#117733"},
    "two workers": {"marker": "x", "ms": 7, "color": "#CC6677"},
    "killed and resumed": {"marker": "+", "ms": 17, "color": "black"},
}
for ax, noise, title in zip(axes, ("exact", "noise"), ("exact: without noise", "with noise")):
    for who, mark in marks.items():
        if (who, noise) in losses:
            ax.plot(counts, losses[who, noise], mfc="none", mew=1.5, lw=0.7, label=who, **mark)
    ax.set(title=title, xlabel="epoch", ylabel="loss on the training data, nats", xticks=counts)
    ax.grid(alpha=0.3)
    ax.legend()
run.save_figure(figure, "curves")

# %% [markdown]
# ## What the article printed
#
# Nothing that runs: A3 §6 and A4 §5 name large data as a challenge, and efficiency as the aim. What one would try first is `fit`
# under the strategy for several machines. In Keras 3.15 that stops before the first step, and here is why. To join the logs of the machines, `fit` takes their mean along an axis.
# But a log is a scalar, which has none (keras#20585):

# %%
try:
    strategies[1].reduce("MEAN", tf.constant(1.0), axis=0)
except (ValueError, tf.errors.InvalidArgumentError) as error:
    print(type(error).__name__, *re.findall(r"Invalid reduction.*dimensions", str(error)))

# %% [markdown]
# ## What to expect
#
# The exact runs agree in twelve digits or more. Where the noise is the same, in single precision, nothing at all differed whenever we looked; 0.00001 leaves room for a processor that adds in another order. Where
# the noise differs, 0.01 on MNIST and 0.05 on the small digits is some four standard deviations of what luck does. Of the seconds nothing is expected: they are your machine's.

# %%
values = {
    **same,
    "last loss, killed and resumed, nats": losses["killed and resumed", "noise"][-1],
    "last loss, never interrupted, nats": losses["two workers", "noise"][-1],
    "last loss, one replica, nats": losses["one replica", "noise"][-1],
    "gradient of A2's network, MB": gradient_bytes["A2: 784–256–256"] / 1e6,
}
run.finish(data, values)

# %% [markdown]
# ## Exercises
#
# 1. In the picture, the larger batch makes better use of a slow network. Why, and what does it cost?
#    <details><summary>Answer</summary>
#
#    The bytes of a gradient do not depend on the batch, the seconds of computing grow with it. So there is less sending for each image. But 64 machines with 4096 images each
#    make a global batch of 262 144, more than all of MNIST: an epoch is not even one step. With so few steps a model learns little, whatever the learning rate.
#    </details>
# 2. Why must every worker shuffle with the same seed?
#    <details><summary>Answer</summary>
#
#    Each worker cuts its part out of what it takes for the global batch. If the orders differ, the parts overlap: some images are seen twice in an epoch, others never. Nothing stops, and no number looks wrong.
#    </details>
# 3. You have 8 machines with 1 Gbit/s. Name two ways to make the all-reduce cheaper.
#    <details><summary>Answer</summary>
#
#    Fewer bytes: gradients sent as bfloat16 are half of them. Fewer times: add up the gradients of k batches on each machine before they are sent (**gradient accumulation**, 梯度累积),
#    which makes the global batch k times as large. What each would bring for A2's network with 256 images a machine:
#
#    ```python
#    name = "A2: 784–256–256"
#    seconds, num_bytes = computing[name, 256], gradient_bytes[name]
#    print(f"as it is:               {efficiency(8, seconds, num_bytes, 1):.2f}")
#    print(f"bfloat16:               {efficiency(8, seconds, num_bytes / 2, 1):.2f}")
#    print(f"every fourth step only: {efficiency(8, 4 * seconds, num_bytes, 1):.2f}")
#    ```
#    On our machine, where a step computed for 12 milliseconds: 0.27, 0.42 and 0.59. Where efficiency is near 1 already, neither is needed.
#    </details>
