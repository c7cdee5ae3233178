# %% [markdown]
# # 15. Many machines
#
# *Reproduces A3 §6 and A4 §5. 2.6 minutes on two cores.*
#
# ![Efficiency of 2 to 64 machines, for two networks, two batches and three connections; dashed
# curves leave out the latency of messages](../docs/images/15_scaling.png)
#
# The curves show what share of their time many machines spend computing rather than waiting.
# A3 and A4 end with what remains to be done: training on **large data** (大规模数据), efficiently.
# One answer is **data parallelism** (数据并行): each machine holds a copy of the model and computes
# the gradient on its own part of each batch, and all add their gradients up. How much faster is
# it? Does the model learn the same? What if a machine dies? Arithmetic answers the first
# question, and two processes on this machine answer the others. You need chapter 4.

# %%
import pathlib
import re
import shutil
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from keras_vae import VAE, Run, dense_decoder, gaussian_encoder
from keras_vae import load_images, mistake
from keras_vae.distributed import local_workers, train_demo

cpu = tf.config.list_physical_devices("CPU")[0]
halves = [tf.config.LogicalDeviceConfiguration()] * 2  # two devices made of it
tf.config.set_logical_device_configuration(cpu, halves)  # before it computes

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
data = "auto"  # "mnist", "digits", or what can be had
seed = 0  # of the first weights, the noise and the batches
epochs = 3  # at least 2
batch_size = 250  # of all workers together; an even number
latency = 50e-6  # seconds that even an empty message needs: an assumption
num_steps = 30  # steps of which the seconds are measured
patience = 200  # seconds that two workers may take, before we give them up

# %% [markdown]
# ## Data

# %%
run = Run("15_many_machines")
data, (x_train, _), _ = load_images(data)
passes = {"mnist": 1, "digits": 20}[data]  # few digits: 20 passes an epoch
steps = len(x_train) // batch_size * passes
if batch_size % 2 or steps < 4:
    raise ValueError(f"batch_size must be even, with 4 steps: {batch_size}")

# %% [markdown]
# ## How much faster?
#
# In each step all machines need the sum of all gradients. Adding it up and giving it to each is
# called **all-reduce** (全归约). In a **ring** (环), each of $n$ machines sends to the next alone,
# $2(n - 1)$ messages one after another, each with an $n$-th of the gradient's $G$ bytes. One
# takes the time of its bytes and, however short it is, a **latency** (延迟). In seconds, that is
#
# $$s(n) = 2(n - 1) \Big(\text{latency} + \frac{8 G / n}{\text{bits per second}} \Big)$$
#
# The **efficiency** (并行效率) is the share of a step in which the machines compute. If they
# compute for $t$ seconds, it is $t / (t + s(n))$. Each has a whole batch of its own, so all do
# the work of $n\, t / (t + s(n))$ machines. We measure $t$ here, for the networks of A1 and A2
# (chapters 4 and 6). Where a GPU makes it shorter, the efficiency falls as well. The latency is
# an assumption; half of what `ping` shows on your network is a first guess.

# %%
def ring_seconds(n, num_bytes, gigabits, latency=latency):
    return 2 * (n - 1) * (latency + 8 * num_bytes / n / (gigabits * 1e9))


def seconds_a_step(vae, batch):
    """Return the median seconds of a training step without communication."""
    step, times = tf.function(vae.train_step), []
    for _ in range(num_steps + 6):
        float(step(batch)["loss"])
        times.append(time.perf_counter())
    return np.median(np.diff(times)[5:])  # the first steps trace and warm up


rng = np.random.default_rng(seed)
machines, G = 2 ** np.arange(1, 7), {}
figure, axes = plt.subplots(2, 2, figsize=(9, 6.4), sharex=True, sharey=True,
                            layout="constrained")
plt.close(figure)
looks = {1: ("#CC6677", "o"), 10: ("#117733", "s"), 100: ("#332288", "^")}
for row, (name, width) in zip(axes, (("A1", 64), ("A2", 256))):
    encoder = gaussian_encoder(784, (width,), width)
    vae = VAE(encoder, dense_decoder(width, (width,), 784), seed=seed)
    vae.compile(optimizer="adam")
    G[name] = sum(v.numpy().nbytes for v in vae.trainable_variables)
    for ax, size in zip(row, (256, 4096)):
        t = seconds_a_step(vae, tf.constant(rng.choice(x_train, size)))
        for speed, (color, marker) in looks.items():
            for wait, style in ((latency, "-"), (0.0, "--")):
                label = f"{speed} Gbit/s" if style == "-" else None
                s = ring_seconds(machines, G[name], speed, wait)
                ax.plot(machines, t / (t + s), style, marker=marker,
                        color=color, mfc="none", label=label)
        ax.set_title(f"{name}, batch {size}: {1000 * t:.1f} ms a step")
axes[0, 0].set_xscale("log", base=2)
axes[0, 0].set(ylim=(0, 1.03), xticks=machines, xticklabels=machines)
axes[0, 1].legend(title="dashed: without latency", loc="lower left")
figure.supxlabel("machines")
figure.supylabel("efficiency: share of the time spent computing")
run.save_figure(figure, "scaling")

# %% [markdown]
# For small gradients on many machines and fast networks latency decides, not bandwidth: with 64
# machines it adds up to 6.3 ms, and the bytes of A1's gradient take 7.2 ms at 1 Gbit/s, but 0.7
# at 10. More hardly helps A1. (We leave out that machines may send while they compute.)
#
# ## Why it works
#
# **The ring.** Each machine cuts its gradient into $n$ pieces and, in each turn, sends one to
# the next: it takes $n - 1$ turns to add up, and $n - 1$ to hand the sums on. In all a machine
# sends $2 \frac{n-1}{n} G$ bytes, never more than $2 G$. In a **tree**, sums are added in
# pairs: $\log_2 n$ messages up and as many down, each with all $G$ bytes. For A1's network on
# 64 machines that takes less time than the ring at 10 Gbit/s, and more at 1.

# %%
def ring(gradients):
    """Add up in place; return the turns and the bytes that a machine sends."""
    n, sent = len(gradients), 0
    pieces = [np.array_split(gradient, n) for gradient in gradients]  # views
    for turn in range(2 * (n - 1)):
        for k in range(n):  # all at once, on real machines
            i, target = (k - turn) % n, pieces[(k + 1) % n]
            target[i][:] = pieces[k][i] + (target[i] if turn < n - 1 else 0)
            sent += pieces[k][i].nbytes / n
    return turn + 1, sent


gradients = rng.integers(-99, 99, (64, G["A1"] // 4), dtype="int32")
total = gradients.sum(axis=0)
print("turns, bytes sent:", ring(gradients), "formula", 2 * 63 / 64 * G["A1"])
print("all 64 sums right:", np.all(gradients == total))
for speed in (1, 10, 100):
    tree = 12 * (latency + 8 * G["A1"] / (speed * 1e9))
    print(f"{speed} Gbit/s: ring {ring_seconds(64, G['A1'], speed):.4f} s,",
          f"tree {tree:.4f} s")

# %% [markdown]
# **The sum.** The loss of a batch is a mean over its $B$ images, and so is its gradient. Cut
# the batch into $n$ equal parts: the mean of their gradients is the gradient of the whole.
#
# $$\frac1B \sum_{i=1}^{B} \nabla \ell_i
# = \frac1n \sum_{k=1}^{n} \Big( \frac nB \sum_{i \in \text{part } k} \nabla \ell_i \Big)$$
#
# To check it, chapter 4's VAE trains on the same **global batches** (全局批次), those of all
# machines together, in three ways: with one **replica** (副本), a copy of the model; with two in
# this process; with two **workers** (工作进程), processes that talk over the network like machines.
# A **strategy** (分布式策略) of `tf.distribute` shares the batches out and adds the gradients up.
# **Exact** runs, in double precision, leave out the noise: two replicas draw other than one.

# %%
home = run.folder / "trained"
shutil.rmtree(home, ignore_errors=True)  # or trainings would go on from it
mirrored = tf.distribute.MirroredStrategy  # one for each set of devices
strategies = {1: mirrored(["CPU:0"]), 2: mirrored(["CPU:0", "CPU:1"])}


def replicas(num, noise_seed):
    """Train on so many replicas here; return the loss of each epoch."""
    return train_demo(
        strategies[num], home / f"{num}_{noise_seed}", x_train, passes, seed,
        noise_seed, epochs, batch_size, verbose=0
    ).history["loss"]


def workers(name, noise=f"--noise-seed={seed}"):
    """Start two workers that train in the folder of that name."""
    sizes = f"--epochs={epochs}", f"--batch-size={batch_size}"
    settings = f"--data={data}", f"--seed={seed}", *sizes, noise
    return local_workers(2, home / name, *settings)


def losses_of(processes, name):
    """Wait for workers; return the loss of each epoch, from their table."""
    if any(process.wait(patience) for process in processes):
        raise RuntimeError(f"a worker failed: see the logs in {home / name}")
    table = home / name / "history.csv"
    return np.genfromtxt(table, delimiter=",", names=True)["loss"]


def loopback_bytes():
    """Return what this machine has sent to itself, where Linux counts it."""
    path = pathlib.Path("/proc/net/dev")
    found = path.exists() and re.search(r"\blo:\s*(\d+)", path.read_text())
    return int(found[1]) if found else 0


losses, cases = {}, (("exact", None, "float64", "--exact"),
                     ("noise", seed, "float32", f"--noise-seed={seed}"))
for name, noise_seed, floatx, noise in cases:
    keras.config.set_floatx(floatx)  # of the metrics
    keras.config.set_dtype_policy(floatx)  # of the layers
    here = [replicas(num, noise_seed) for num in (1, 2)]
    before = loopback_bytes()
    with workers(name, noise) as processes:
        losses[name] = [*here, losses_of(processes, name)]
    sent = (loopback_bytes() - before) / (epochs * steps)
print(f"both send {sent:,.0f} bytes a step, by the formula {2 * G['A1']:,}")

# %% [markdown]
# **A machine dies.** We kill a worker within an epoch, as if its machine had lost power. The
# other one misses its messages, raises an error and ends. Both start again with the same
# command, find the checkpoint of the last whole epoch (weights, the optimizer's moments, the
# state of the noise), and go on from there.

# %%
log, at = home / "killed" / "worker_0.log", 0
end = time.monotonic() + patience
with workers("killed") as processes:
    while at < steps // 2 and processes[0].poll() is None:
        if time.monotonic() > end:
            raise RuntimeError(f"too slow: see the logs in {log.parent}")
        time.sleep(0.02)
        epoch_2 = log.read_text("utf-8", "replace").partition("Epoch 2/")[2]
        at = int((re.findall(rf"(\d+)/{steps}\b", epoch_2) or [0])[-1])
    processes[1].kill()
    print("the other worker ends with status", processes[0].wait(patience))
print(f"step {at} of {steps}:", *(p.name for p in home.glob("killed/*.h5")))
with workers("killed") as processes:
    resumed = losses_of(processes, "killed")

# %% [markdown]
# **Starting workers.** A worker's environment says who the others are. It is set in three ways:
#
# - **by hand**: set `TF_CONFIG` on each machine, the same but for the index, to `{"cluster":
#   {"worker": ["10.0.0.1:8888", "10.0.0.2:8888"]}, "task": {"type": "worker", "index": 0}}`.
#   Worker 0 is the **chief** (主进程), which writes the checkpoints.
# - **Kubernetes**: Kubeflow's TFJob with two replicas of type `Worker` sets it in each pod.
# - **Slurm** sets its own: `srun --ntasks=2 --nodes=2 python -m keras_vae.distributed FOLDER`.
#
# The program makes a `tf.distribute.MultiWorkerMirroredStrategy()` first of all (for Slurm with
# a `SlurmClusterResolver`), builds and compiles the model within `strategy.scope()`, and calls
# `fit_distributed`. Keep the ports in a private network: workers obey whoever reaches them.
#
# ## The numbers

# %%
(one, two, both), (noisy_one, noisy_two, noisy_both) = losses.values()
again = replicas(1, seed + 1)
same = {
    "exact: one replica, two workers": (one, both),
    "exact: one replica, two replicas": (one, two),
    "same noise: two replicas, two workers": (noisy_two, noisy_both),
    "same noise: killed and resumed": (noisy_both, resumed),
    "other noise: one replica, two workers": (noisy_one, noisy_both),
    "other noise: one replica, another seed": (noisy_one, again),
}
for name, (first, second) in same.items():
    same[name] = np.max(np.abs(np.divide(second, first) - 1))
    print(f"{name:40} {same[name]:.1e}")

# %% [markdown]
# Each is the greatest relative difference of two loss curves. Exact runs differ by the order of
# additions alone; the killed worker left no trace. On MNIST, with three seeds, two workers
# differed from one replica by 0.1 to 0.4 %, and another seed of its noise by 0.3 to 0.4 %.
#
# ## Side by side
#
# The articles have no code for this. One would first try `fit` under the workers' strategy. But
# Keras 3.15 stops before the first step: to join the machines' logs, it takes their mean along
# an axis, and a log is a scalar, which has none. `fit_distributed` is a loop of the same steps.

# %%
with mistake("keras#20585"):
    strategies[1].reduce("MEAN", tf.constant(1.0), axis=0)

# %% [markdown]
# ## What to expect

# %%
run.finish(data, {
    **same,
    "last loss, killed and resumed, nats": resumed[-1],
    "last loss, never interrupted, nats": noisy_both[-1],
    "last loss, one replica, nats": noisy_one[-1],
    "gradient of A2's network, MB": G["A2"] / 1e6,
})

# %% [markdown]
# ## Three questions
#
# 1. Why must all workers shuffle with the same seed?
#    <details><summary>Answer</summary>
#
#    Each cuts its part out of what it takes for the global batch. If the orders differ, some
#    images come twice in an epoch and others never. Nothing stops, and no number looks wrong.
#    </details>
# 2. Gradients sent in 16 bits have half the bytes. Under **gradient accumulation** (梯度累积), a
#    machine adds up those of four batches before it sends. Which helps where latency decides?
#    <details><summary>Answer</summary>
#
#    The second: it sends fewer messages. But it makes the global batch four times as large,
#    and 64 machines with 4096 images each need more for a step than all of MNIST already.
#    </details>
# 3. Where a step computes for 10 ms, can a ring of any size do the work of 101 machines?
#    <details><summary>Answer</summary>
#
#    No. The messages of $n$ machines take at least $2(n - 1)$ times 50 µs, so their work,
#    $n\, t / (t + s(n))$, stays below $t$ divided by 2 · 50 µs, which is 100.
#    </details>
#
# ## Exercises
#
# 1. Predict first: which curves change with `python tutorials 15 latency=5e-6`?
#    <details><summary>Answer</summary>
#
#    The solid ones rise and come near the dashed: 126 messages wait 0.6 ms and not 6.3.
#    </details>
