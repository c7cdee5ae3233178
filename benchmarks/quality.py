"""Measure what published tables measure, and print it beside them: published, here, differences.

    python benchmarks/quality.py run                          all rows, three seeds: hours
    python benchmarks/quality.py run --rows likelihood --seeds 0
    python benchmarks/quality.py table                        puts it into docs/results.md

Each row is a script, run with the settings that the row names. The row "clusters" needs
`pip install -e ".[benchmark]"`. What was measured is saved in benchmarks/quality.json.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import chapters
import numpy as np

SAVED = pathlib.Path(__file__).parent / "quality.json"

# What to run: a chapter or a script of this folder, and settings.
RUNS = {
    "likelihood": (13, [
        "hidden_dims=(500,500)", "num_importance_samples=5", "epochs=80",
        "precision=mixed_bfloat16", "num_images=10000", "num_more_images=1000",
    ]),
    "clusters": ("clusters.py", ["--neighbors=20"]),
    "vade": ("clusters.py", ["--vade", "--neighbors=20"]),
    "labels": ("labels.py", ["--labels=100"]),
    "more labels": ("labels.py", ["--labels", "600", "1000", "3000"]),
    "pixels": ("labels.py", [
        "--pixels", "--labels", "100", "600", "1000", "3000", "--epochs=5", "--draws=3",
    ]),
}

# The table: run, measure as in the chapter's closing table, text, digits, published, differences.
BURDA = "Burda et al. 2016, Table 1: VAE 86.76, IWAE-5 85.54, IWAE-50 84.78"
ROWS = [
    ("likelihood", "−bound, nats", "−log p(x) of binary MNIST, nats, at most", 2, BURDA,
     "IWAE-5 of 500–500, ReLU, 80 epochs at batch 256 (there 200–200, tanh, 3280 at 20); K = 500 "
     "(there 5000, which takes {what 5000 draws add to 500, nats|2} off on 1000 images)"),
    ("likelihood", "active units", "active units of 50", 0, "the same table: 19 to 25", ""),
    ("clusters", "k-means on pixels, accuracy", "k-means on pixels, accuracy", 3,
     "Xie et al. 2016: 0.53", ""),
    ("clusters", "mixture on z_mean, accuracy", "mixture on a VAE's means, accuracy", 3,
     "VaDE (Jiang et al. 2017): 0.945; DEC (Xie et al. 2016): 0.843",
     "here the mixture is fitted afterwards; VaDE, below, trains it with the VAE"),
    ("clusters", "mixture on z_mean, NMI", "its NMI", 3, "", ""),
    ("clusters", "mixture on z_mean, ARI", "its ARI", 3, "", ""),
    ("clusters", "mixture on UMAP of z_mean, accuracy",
     "mixture on UMAP of a VAE's means, accuracy", 3, "N2D (McConville et al. 2021): 0.979",
     "a VAE of 256–256–10, 30 epochs (there an autoencoder, 1000)"),
    ("clusters", "mixture on UMAP of z_mean, NMI", "its NMI", 3, "", ""),
]

HERE = "here: median (least to greatest)"  # the head of a column

# Clusterings of all images by one autoencoder: measure but for its score, text, published.
CLUSTERINGS = [
    ("k-means on an autoencoder's codes", "k-means on the codes",
     "Xie et al. 2016: 0.818; DEC-keras: 0.88, mean of ten"),
    ("mixture on an autoencoder's codes, diagonal", "mixture on the codes, diagonal", ""),
    ("mixture on an autoencoder's codes, full", "mixture on the codes, full", ""),
    ("mixture on UMAP of an autoencoder's codes", "mixture on UMAP of the codes",
     "N2D (McConville et al. 2021): 0.979"),
    ("mixture on an autoencoder's codes, UMAP", "mixture on the codes, full, from UMAP's groups",
     ""),
    ("VaDE, diagonal", "VaDE, diagonal, from the diagonal mixture",
     "Jiang et al. 2017: 0.9446, their best; Bernoulli, longer"),
    ("VaDE, full", "VaDE, full, from the full mixture", ""),
    ("VaDE, UMAP", "VaDE, full, from UMAP's groups", ""),
]

# Beside chapter 6: measure of the chapter, text, published.
FEW_LABELS = [
    ("test error %, pixels, 100 labels", "softmax regression on pixels", ""),
    ("test error %, z_mean, 256, 100 labels", "the same on the means of a VAE, 256 of them", ""),
    ("test error %, z_mean, 10, 100 labels", "the same on ten means",
     "M1+TSVM, a VAE's code and a support vector machine that sees all images: 11.82"),
]

# Error with 100, 600, 1000 and 3000 labels: model, runs, published (Kingma et al. 2014, Table 1).
LABELS = [
    ("M1+M2", ("labels", "more labels"),
     ("3.33 ± 0.14", "2.59 ± 0.05", "2.40 ± 0.02", "2.18 ± 0.04")),
    ("M2", ("pixels",), ("11.97 ± 1.71", "4.94 ± 0.13", "3.60 ± 0.56", "3.92 ± 0.63")),
]


def load():
    """Return the saved report: {"runs": […]}, each with its date, machine and values."""
    if not SAVED.exists():
        return {"runs": []}
    return chapters.read(SAVED)


def run_chapter(number, settings, seed):
    """Run a chapter on MNIST; return {measure: value}, {package: version} and minutes."""
    path = next(chapters.TUTORIALS.glob(f"{number:02}_*.py"))
    result, minutes = chapters.run_chapter(path, [*settings, "data=mnist", f"seed={seed}"])
    values = {row["measure"]: row["value"] for row in result["rows"]}
    return values, result["versions"], minutes


def run_script(script, settings, seed):
    """Run a script of this folder on MNIST; return its values, {package: version} and minutes."""
    command = [sys.executable, str(SAVED.parent / script), *settings, f"--seed={seed}"]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE)
    minutes = (time.perf_counter() - start) / 60
    versions = {name: importlib.metadata.version(name) for name in ("tensorflow", "keras")}
    versions = {"python": platform.python_version(), **versions}
    return json.loads(done.stdout.splitlines()[-1]), versions, minutes


def run(names, seeds):
    """Run these rows with each seed; save after every one of them, and keep what was saved."""
    for name in names:
        what, settings = RUNS[name]
        measure = run_script if isinstance(what, str) else run_chapter
        for seed in seeds:
            values, versions, minutes = measure(what, settings, seed)
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
            entry = {
                "run": name, "seed": seed, "settings": settings, "minutes": round(minutes, 1),
                "cores": cores or os.cpu_count(), "date": datetime.date.today().isoformat(),
                "machine": f"{platform.machine()}, {platform.system()}",
                "versions": versions,
                "values": values,
            }
            chapters.add(SAVED, ("run", "seed"), entry)
            print(f"{name} seed {seed}: {minutes:.1f} minutes", flush=True)


def table(report):
    """Return the table as Markdown: published, here, and how the protocols differ."""
    lines = []
    for name, measure, text, digits, published, differences in ROWS:
        runs = [r for r in report["runs"] if r["run"] == name]
        if not runs:
            continue

        def values_of(wanted):
            return [r["values"][wanted] for r in runs]

        shown = chapters.spread(values_of(measure), digits)
        differences = chapters.with_medians(differences, values_of)
        minutes = min(r["minutes"] for r in runs)  # others may have run beside other work
        cores = max(r["cores"] for r in runs)
        took = f"{minutes:.0f} on {cores} core{'s' if cores > 1 else ''}"
        lines.append((text, shown, len(runs), took, published, differences))
    head = "measured on MNIST", HERE, "seeds", "minutes", "published", "differences"
    return chapters.markdown(head, lines)


def clusterings(report):
    """Return the table of the run "vade" as Markdown; of a VaDE also the run of the least loss."""
    runs = [r["values"] for r in report["runs"] if r["run"] == "vade"]

    def summary(values):
        return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"

    lines = []
    for name, text, published in CLUSTERINGS:
        scores = {
            score: [run[f"{name}, {score}"] for run in runs] for score in ("accuracy", "NMI", "ARI")
        }
        least = min(runs, key=lambda run: run.get(f"{name}, loss", 0))
        chosen = f"{least[f'{name}, accuracy']:.3f}" if f"{name}, loss" in least else ""
        found = scores["accuracy"]
        best = f"{np.median(found):.3f}, {max(found):.3f}"
        lines.append((text, summary(found), best, chosen, summary(scores["NMI"]),
                      summary(scores["ARI"]), published))
    head = (f"all images of MNIST, {len(runs)} seeds", "accuracy", "median, best",
            "of the least loss", "NMI", "ARI", "published accuracy")
    return chapters.markdown(head, lines)


def by_labels(report):
    """Return the table of errors of models that are trained with the labels, as Markdown."""
    lines = []
    for model, names, published in LABELS:
        runs = [r["values"] for r in report["runs"] if r["run"] in names]
        found = {measure: value for values in runs for measure, value in values.items()}
        cells = []
        for num in (100, 600, 1000, 3000):
            name = f"test error %, {num} labels"
            cells.append("not run")
            if f"{name}, mean" in found:
                mean, deviation = found[f"{name}, mean"], found[f"{name}, standard deviation"]
                draws = sum(measure.startswith(f"{name}, draw") for measure in found)
                cells[-1] = f"{mean:.2f} ± {deviation:.2f} ({draws})"
        lines += [(model, *cells), (f"{model}, Kingma et al. 2014", *published)]
    head = "error % with", "100 labels", "600", "1000", "3000"
    return chapters.markdown(head, lines)


def few_labels():
    """Return the table of errors with 100 labels as Markdown: chapter 6, and published."""
    report = chapters.load("mnist")
    lines = []
    for measure, text, published in FEW_LABELS:
        lines.append((text, chapters.spread(chapters.values(report, 6, measure), 1), published))
    head = "test error on MNIST with 100 labels, %", HERE, "Kingma et al. 2014, Table 1"
    return chapters.markdown(head, lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--rows", nargs="+", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    if arguments.what == "run":
        run(arguments.rows, arguments.seeds)
    saved = load()
    print(table(saved))
    if arguments.what == "table":
        taken = chapters.when(*saved["runs"])
        chapters.paste(chapters.RESULTS, "quality.py table", f"{table(saved)}\n\n{taken}")
        chapters.paste(chapters.RESULTS, "quality.py clusterings", clusterings(saved))
        chapters.paste(chapters.RESULTS, "quality.py few labels", few_labels())
        chapters.paste(chapters.RESULTS, "quality.py labels", by_labels(saved))
