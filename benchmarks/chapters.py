"""Run every chapter with several seeds; make of that a table of results and the expected ranges.

    python benchmarks/chapters.py run             MNIST, seeds 0 1 2: an hour and more on two cores
    python benchmarks/chapters.py run --data digits
    python benchmarks/chapters.py expect          tutorials/expected.json, from what was saved and
                                                  from the chapters' default parameters
    python benchmarks/chapters.py table           the tables of docs/results.md and README.md, put
                                                  there from what was saved
    python benchmarks/chapters.py check --seeds 0 --threads 1
                                                  runs, saves nothing, says what is out of range,
                                                  and then ends with 1

What was measured is saved in benchmarks/chapters_mnist.json and benchmarks/chapters_digits.json.
"""

import argparse
import datetime
import functools
import json
import math
import os
import pathlib
import platform
import re
import runpy
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import filelock
import scipy.stats

HERE = pathlib.Path(__file__).parent
TUTORIALS = HERE.parent / "tutorials"
README, RESULTS = HERE.parent / "README.md", HERE.parent / "docs" / "results.md"

# The rows of the table: chapter, measure as in the chapter's closing table, text, digits, and what
# stands beside it; {measure|digits} there is the median of another measure of the chapter.
ROWS = [
    (1, "test cross-entropy, nats per pixel", "test cross-entropy per pixel", 4,
     "the Keras blog's autoencoder of 32 numbers: about 0.09"),
    (1, "test mean squared error per pixel", "test MSE per pixel", 4,
     "PCA with 32 components: {the same of PCA|4}"),
    (2, "MSE per pixel, trained with cross-entropy", "test MSE per pixel", 4,
     "PCA with 64 components: {MSE per pixel of PCA|4}"),
    (3, "code of ten, noise, fresh rows", "fresh MSE on noise, code of ten", 3,
     "copying nothing: 1; PCA: {the same of PCA|3}"),
    (3, "ratio of the two", "fresh MSE over that of PCA, on vectors of 10 dimensions", 3,
     "1: the floor that linear algebra gives"),
    (3, "digits, test MSE, autoencoder", "test MSE per pixel of digits, 10 numbers", 4,
     "PCA with 10 components: {digits, test MSE, PCA|4}"),
    (4, "test −ELBO, nats per image", "test −ELBO, nats", 1,
     "the article's decoder of one layer: {the article's networks: −ELBO|1}; "
     "predicting the mean image: {predicting the mean image|1}"),
    (5, "cross-entropy: test MSE per pixel", "test MSE per pixel, 32 latent variables", 4,
     "the article's squared error: {the article's loss: test MSE per pixel|4}"),
    (5, "empty fields, VAE", "share of the latent plane that is empty", 3,
     "autoencoder: {empty fields, autoencoder|3}"),
    (6, "test error %, z_mean, 256, 100 labels", "error % with 100 labels, 256 latent variables", 1,
     "on pixels: {test error %, pixels, 100 labels|1}"),
    (6, "test error %, z_mean, 10, 100 labels",
     "error % with 100 labels, ten latent variables", 1,
     "on pixels: {test error %, pixels, 100 labels|1}"),
    (6, "test error %, z_mean, 10, 1000 labels", "the same with 1000 labels", 1,
     "on pixels: {test error %, pixels, 1000 labels|1}"),
    (6, "test error %, z_mean, 10, all labels", "the same with all labels", 1,
     "on pixels: {test error %, pixels, all labels|1}"),
    (7, "images: mixture on z_mean, accuracy", "accuracy of a mixture on ten latent variables", 3,
     "k-means on pixels: {images: k-means on pixels, accuracy|3}"),
    (7, "images: mixture on z_mean, NMI", "its NMI", 3,
     "k-means on pixels: {images: k-means on pixels, NMI|3}"),
    (8, "rarest digit, % of 1000", "rarest digit among 1000 generated, %", 1,
     "evenly drawn: {rarest, evenly drawn|1}"),
    (8, "most frequent digit, % of 1000", "most frequent digit, %", 1,
     "evenly drawn: {most frequent, evenly drawn|1}; "
     "with the article's losses: {most frequent, the article's losses|1}"),
    (9, "VAE, N(0, I): Fréchet distance", "Fréchet distance of drawn images, VAE", 1,
     "GAN: {GAN: Fréchet distance|1}; real images: {Fréchet distance of real images, the floor|1}"),
    (9, "autoencoder, mixture: Fréchet distance",
     "the same, autoencoder with a mixture on its codes", 1,
     "VAE with a mixture: {VAE, mixture: Fréchet distance|1}"),
    (10, "test −bound, chosen", "−log p(x), nats, at most; settings by cross-validation", 1,
     "β by its own loss: {test −bound, trapped|0}"),
    (10, "bits without loss, VAE, −ELBO", "bits for a black-and-white image, without loss, VAE", 0,
     "bzip2: {bits without loss, bzip2|0}; "
     "independent pixels: {bits without loss, independent pixels|0}"),
    (10, "VAE, β = 1: bits", "rate of a copy with loss in bits, VAE", 0,
     "MSE {VAE, β = 1: MSE|4}; PCA with that error: {PCA with the error of β = 1: bits|0}"),
    (10, "alone first: KL, nats", "KL in nats behind a decoder that learned alone first", 1,
     "never alone: {never alone: KL, nats|1}; with warm-up: {warm-up: KL, nats|1}"),
    (11, "PSNR in dB, noise 0.1, autoencoder, denoising",
     "dB after denoising, noise 0.1, autoencoder trained for it", 1,
     "VAE trained for it: {PSNR in dB, noise 0.1, VAE, denoising|1}; "
     "ridge regression: {PSNR in dB, noise 0.1, ridge|1}; "
     "the noisy image: {PSNR in dB, noise 0.1, nothing|1}"),
    (11, "PSNR in dB, noise 0.5, autoencoder, denoising", "the same, noise 0.5", 1,
     "VAE trained for it: {PSNR in dB, noise 0.5, VAE, denoising|1}; "
     "ridge regression: {PSNR in dB, noise 0.5, ridge|1}; "
     "the noisy image: {PSNR in dB, noise 0.5, nothing|1}"),
    (12, "test −ELBO, convolutional", "test −ELBO, nats, convolutional, 105 257 parameters", 1,
     "dense, 418 104 parameters, equal seconds: {test −ELBO, dense|1}"),
    (12, "Fréchet distance, convolutional GAN",
     "Fréchet distance of drawn images, convolutional GAN", 1,
     "dense GAN: {Fréchet distance, dense GAN|1}; "
     "convolutional VAE: {Fréchet distance, convolutional VAE|1}"),
    (13, "−bound, nats", "−log p(x) of binary images, nats, at most", 1,
     "independent pixels: {independent pixels, nats|1}; "
     "a longer run is set beside published tables"),
    (14, "mean area, VAE codes by contour", "area under the ROC curve, mean of ten digits, VAE", 3,
     "nearest neighbours in pixels: {mean area, pixels by contour|3}; "
     "−bound: {mean area, −bound|3}"),
    (15, "last loss, killed and resumed, nats",
     "training loss, nats, two workers, one killed and both resumed", 4,
     "never interrupted: {last loss, never interrupted, nats|4}; "
     "one process, which draws other noise: {last loss, one replica, nats|4}"),
    (16, "test error %, M1+M2", "error % with 100 labels, semi-supervised VAE", 1,
     "its classifier on the labelled codes alone: {test error %, the classifier alone, codes|1}; "
     "softmax regression on pixels: {test error %, softmax regression, pixels|1}"),
    (17, "accuracy, t-SNE", "accuracy of VaDE from t-SNE's groups, test images", 3,
     "from those of k-means: {accuracy, k-means|3}; "
     "from the labels, to see what the start costs: {accuracy, labels|3}; "
     "the plain VAE, a mixture afterwards: {accuracy, VAE and a mixture afterwards|3}"),
    (17, "test −ELBO, nats, t-SNE", "its test −ELBO, nats", 1,
     "the plain VAE, as long: {test −ELBO, nats, VAE|1}"),
]

# Those that the README shows, too.
HEADLINES = [
    (4, "test −ELBO, nats per image"),
    (6, "test error %, z_mean, 10, 100 labels"),
    (7, "images: mixture on z_mean, accuracy"),
    (9, "VAE, N(0, I): Fréchet distance"),
    (13, "−bound, nats"),
    (14, "mean area, VAE codes by contour"),
]

# What the chapters from 9 on say of two measures: chapter, first, second, text, digits, and the
# sign of first minus second ("−", "+"), or "level" where the interval of the differences holds 0.
PAIRS = [
    (9, "VAE, N(0, I): Fréchet distance", "GAN: Fréchet distance",
     "Fréchet distance, VAE from N(0, I) − GAN", 1, "level"),
    (9, "VAE, N(0, I): entropy, nats", "GAN: entropy, nats",
     "entropy of the drawn digits in nats, VAE from N(0, I) − GAN", 2, "+"),
    (9, "autoencoder, mixture: Fréchet distance", "VAE, N(0, I): Fréchet distance",
     "Fréchet distance, autoencoder with a mixture − VAE from N(0, I)", 1, "−"),
    (9, "autoencoder, mixture: Fréchet distance", "VAE, mixture: Fréchet distance",
     "Fréchet distance, autoencoder − VAE, both with a mixture", 1, "−"),
    (9, "VAE, mixture: Fréchet distance after an epoch", "GAN: Fréchet distance after an epoch",
     "Fréchet distance after one epoch, VAE with a mixture − GAN", 0, "−"),
    (9, "MSE per pixel, VAE", "MSE per pixel, autoencoder",
     "MSE of copies per pixel, VAE − autoencoder", 4, "+"),
    (9, "test error %, 1000 images and 1000 drawings", "test error %, 1000 images and 0 drawings",
     "error % of a classifier, 1000 images and 1000 drawings − the 1000 alone", 2, "+"),
    (9, "test error %, 1000 images and 5000 drawings", "test error %, 1000 images and 0 drawings",
     "the same, 1000 images and 5000 drawings − the 1000 alone", 2, "+"),
    (10, "validation −bound, β = 1", "validation −bound, β = 0.3",
     "validation −bound in nats, β = 1 − β = 0.3", 1, "−"),
    (10, "validation −bound, β = 1", "validation −bound, β = 3",
     "validation −bound in nats, β = 1 − β = 3", 1, "−"),
    (10, "bits without loss, VAE, −ELBO", "bits without loss, bzip2",
     "bits for an image without loss, VAE − bzip2", 0, "−"),
    (10, "VAE, β = 1: bits", "PCA with the error of β = 1: bits",
     "rate of a copy with loss in bits, VAE at β = 1 − PCA with the same error", 0, "−"),
    (10, "alone first: KL, nats", "never alone: KL, nats",
     "KL in nats, decoder alone first − never alone", 1, "−"),
    (10, "alone first: −bound, nats", "never alone: −bound, nats",
     "−bound in nats, decoder alone first − never alone", 1, "+"),
    (10, "warm-up: −bound, nats", "alone first: −bound, nats",
     "−bound in nats, decoder alone first: warm-up − none", 1, "−"),
    (10, "free bits: −bound, nats", "alone first: −bound, nats",
     "−bound in nats, decoder alone first: free bits − none", 1, "−"),
    (10, "warm-up: −bound, nats", "free bits: −bound, nats",
     "−bound in nats, decoder alone first: warm-up − free bits", 1, "−"),
    (10, "warm-up: −bound, nats", "never alone: −bound, nats",
     "−bound in nats, decoder alone first (2 epochs), warm-up (4) − never alone (4)", 1, "−"),
    (10, "weak, alone first: KL, nats", "weak decoder: KL, nats",
     "KL in nats, weak decoder, alone first − never alone", 1, "level"),
    (11, "PSNR in dB, noise 0.1, VAE, clean", "PSNR in dB, noise 0.1, autoencoder, clean",
     "dB at noise 0.1, trained on clean images, VAE − autoencoder", 1, "−"),
    (11, "PSNR in dB, noise 0.1, VAE, clean", "PSNR in dB, noise 0.1, VAE without draws, clean",
     "the same, VAE − the same without draws", 1, "−"),
    (11, "PSNR in dB, noise 0.5, VAE, clean", "PSNR in dB, noise 0.5, VAE without draws, clean",
     "dB at noise 0.5, trained on clean images, VAE − the same without draws", 1, "+"),
    (11, "PSNR in dB, noise 0.5, autoencoder, denoising",
     "PSNR in dB, noise 0.5, autoencoder, clean",
     "dB at noise 0.5, autoencoder, trained to denoise − on clean images", 1, "+"),
    (11, "PSNR in dB, noise 0.5, autoencoder, denoising", "PSNR in dB, noise 0.5, VAE, denoising",
     "dB at noise 0.5, trained to denoise, autoencoder − VAE", 1, "+"),
    (11, "PSNR in dB, noise 0.5, autoencoder, denoising", "PSNR in dB, noise 0.5, ridge",
     "dB at noise 0.5, trained to denoise, autoencoder − ridge regression", 1, "+"),
    (11, "PSNR in dB, noise 0.1, autoencoder, denoising", "PSNR in dB, noise 0.1, ridge",
     "dB at noise 0.1, trained to denoise, autoencoder − ridge regression", 1, "−"),
    (12, "test −ELBO, convolutional", "test −ELBO, dense",
     "test −ELBO in nats at equal seconds, convolutional − dense VAE", 1, "−"),
    (12, "test −ELBO, narrow", "test −ELBO, convolutional",
     "the same, dense with as many parameters − convolutional VAE", 1, "+"),
    (12, "Fréchet distance, convolutional VAE", "Fréchet distance, dense VAE",
     "Fréchet distance at equal seconds, convolutional − dense VAE", 1, "−"),
    (12, "Fréchet distance, convolutional GAN", "Fréchet distance, dense GAN",
     "Fréchet distance at equal seconds, convolutional − dense GAN", 1, "level"),
    (14, "mean area, distance of VAE codes", "mean area, distance in pixels",
     "area under the ROC curve, nearest codes of the VAE − nearest pixels", 3, "+"),
    (14, "mean area, VAE codes by contour", "mean area, pixels by contour",
     "the same, both divided by the contour", 3, "−"),
    (16, "test error %, M1+M2", "test error %, the classifier alone, codes",
     "error % with 100 labels, M1+M2 − its classifier on the labelled codes alone", 1, "−"),
    (17, "test −ELBO, nats, k-means", "test −ELBO, nats, VAE",
     "test −ELBO, nats, VaDE from k-means − plain VAE, as long", 1, "−"),
    (17, "accuracy, k-means", "accuracy of the mixture, k-means",
     "accuracy, VaDE from k-means − the mixture that it starts from", 3, "+"),
    (17, "accuracy, t-SNE", "accuracy, k-means",
     "accuracy, VaDE from t-SNE − from k-means", 3, "+"),
    (17, "accuracy, labels", "accuracy, t-SNE",
     "accuracy, VaDE from the labels − from t-SNE", 3, "+"),
    (17, "test −ELBO, nats, labels", "test −ELBO, nats, k-means",
     "test −ELBO, nats, VaDE from the labels − from k-means", 2, "level"),
    (17, "accuracy, k-means", "accuracy, VAE and a mixture afterwards",
     "accuracy, VaDE from k-means − plain VAE as long, a mixture afterwards", 3, "level"),
]

# Ranges that are no measurement but a claim: the first pattern found in "NN data measure".
WRITTEN = {
    "saved against loaded|least mean behind|β chosen by its own loss": (0, 0),
    "10 mnist β chosen by the bound": (1, 1),
    "17 .* against by hand": (0, 1e-4),  # of float32
    "02 digits MSE per pixel of PCA": (0, 1e-6),  # 64 components of 64 pixels: rounding alone
    "KL, Keras against NumPy": (0, 1e-4),  # of some twenty nats, in single precision
    "parameters: VAE": (1.019, 1.021),  # this and the next three are counted, not trained
    "parameters: convolutional": (0.251, 0.252),
    "multiplications: ": (1.44, 1.45),
    "agreement of two clusterings, noise": (-0.1, 0.1),
    "gradient of A2's network": (2.39, 2.41),
    "15 .* exact: ": (0, 1e-12),
    "15 .* same noise: ": (0, 1e-5),
    "15 mnist other noise: ": (0, 0.01),
    "15 digits other noise: ": (0, 0.05),
}

# The most that a measure can be, found in the same way.
MOST = {
    "%|^08 .*(rarest|most frequent)": 100,
    "accuracy|NMI|ARI|area|share|near zero|agreement|empty fields": 1,
    "digits that appear": 10,
    "(?<!cross-)entropy": 2.303,  # ln 10: ten digits, equally often
    "^01 .*units|^10 .*in use": 32,
    "^(04|11) .*units": 64,
    "^06 .*units": 256,
    "^13 .*units": 50,
}


def run_chapter(path, settings):
    """Run a chapter in a process and a folder of its own; return its results and its minutes."""
    command = [sys.executable, str(TUTORIALS), path.name[:2], *settings]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            command, cwd=folder, env={**os.environ, "MPLBACKEND": "Agg"}, check=True,
            stdout=subprocess.DEVNULL,
        )
        minutes = (time.perf_counter() - start) / 60
        results = pathlib.Path(folder) / "outputs" / path.stem / "results.json"
        return json.loads(results.read_text(encoding="utf-8")), minutes


def write(path, text):
    """Write a text aside and rename it: the file is whole or what it was."""
    aside = path.with_suffix(f".writing{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def save(path, report):
    """Write a report as JSON, whole or not at all."""
    write(path, json.dumps(report, indent=1, ensure_ascii=False))


def add(path, names, result, about=()):
    """Save a run among those of a file, in the place of the one that has the same names."""

    def key(result):
        return [result[name] for name in names]

    with filelock.FileLock(path.with_suffix(".lock")):  # another run may save meanwhile
        runs = read(path)["runs"] if path.exists() else []
        runs = [run for run in runs if key(run) != key(result)] + [result]
        save(path, {**dict(about), "runs": sorted(runs, key=key)})


def measured(data, seeds, numbers):
    """Run the chapters of these numbers with each seed; yield the results of each.

    What is outside of its expected range is printed.
    """
    for seed in seeds:
        for chapter in sorted(TUTORIALS.glob("[0-9][0-9]_*.py")):
            if int(chapter.name[:2]) not in numbers:
                continue
            result, minutes = run_chapter(chapter, [f"data={data}", f"seed={seed}"])
            result.update(seed=seed, minutes=round(minutes, 2))
            print(f"{chapter.stem} seed {seed}: {minutes:.1f} minutes", flush=True)
            for row in result["rows"]:
                if row["inside"] is False:
                    print("  {measure}: {value}, not in {low} … {high}".format(**row), flush=True)
            yield result


def run(data, seeds, numbers):
    """Run the chapters and save after every one; what is saved of other runs is kept."""
    path = HERE / f"chapters_{data}.json"
    report = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "data": data,
    }
    if path.exists():
        load(data)  # a file that cannot be read is found before hours of work
    for result in measured(data, seeds, numbers):
        add(path, ("seed", "chapter"), result, report)


def all_values():
    """Return {chapter: {measure: {data set: [values of the seeds]}}} of all saved runs."""
    found = {}
    for path in sorted(HERE.glob("chapters_*.json"), reverse=True):  # MNIST first
        for result in load(path.stem.removeprefix("chapters_"))["runs"]:
            measures = found.setdefault(result["chapter"], {})
            for row in result["rows"]:
                sets = measures.setdefault(row["measure"], {})
                sets.setdefault(result["data"], []).append(float(row["value"]))
    return found


def expected_range(name, own, sets):
    """Return (low, high): where a measure is expected, with another seed or on another machine.

    From the seeds' least value to their greatest, and on each side 1.5 times the spread more, or
    5 % of the size (the greatest absolute value) if that is more; less than 5 %, down to 0.2 %, for
    what comes close to the most that it can be (MOST). The spread is greatest minus
    least, here or on the other data set, there scaled down if its size is larger: seeds may agree
    by chance, and a single one has no spread. Counts, whole with every seed, get 1 more at least
    and whole ends. No range crosses 0 where no value does, nor MOST; WRITTEN goes before all this.

    Args:
        name: "NN data measure", such as "04 mnist active units".
        own: Values on this data set, one a seed.
        sets: Such lists of all data sets, this one among them.
    """
    for pattern, ends in WRITTEN.items():
        if re.search(pattern, name):
            return ends
    low, high = min(own), max(own)
    whole = all(value.is_integer() for values in sets for value in values)
    width = max((max(v) - min(v)) * min(1, size(own) / (size(v) or 1)) for v in sets)
    known = [most for pattern, most in MOST.items() if re.search(pattern, name)]
    least, most = 0 if low >= 0 else -math.inf, (known or [math.inf])[0]
    room = size(own) if whole else min(size(own), 4 * (most - low))
    margin = max(1.5 * width, 0.05 * room, 0.002 * size(own), 1 if whole else 0)
    digits = 0 if whole else 1 - math.floor(math.log10(margin or 1))  # two of the margin
    return (
        max(least, outward(math.floor, low - margin, digits)),
        min(most if high > 0 or low == 0 else 0, outward(math.ceil, high + margin, digits)),
    )


def outward(way, value, digits):
    """Return a value rounded by math.floor or math.ceil to so many decimals, whole if to none."""
    rounded = way(value * 10.0**digits) / 10.0**digits
    return round(rounded, digits) if digits > 0 else round(rounded)


def size(values):
    """Return the greatest absolute value."""
    return max(abs(value) for value in values)


def expect():
    """Return the text of tutorials/expected.json, which `Run.finish` reads.

    {chapter: {"parameters": {name: default}, "ranges": {measure: {data set: [low, high]}}}}
    """
    parameter_cell = runpy.run_path(str(TUTORIALS / "__main__.py"))["parameter_cell"]
    found = {}
    for chapter, measures in all_values().items():
        cell = parameter_cell((TUTORIALS / f"{chapter}.py").read_text(encoding="utf-8"))
        found[chapter] = {"parameters": {name: value for name, (_, value) in cell.items()}}
        found[chapter]["ranges"] = {
            measure: {
                data: expected_range(f"{chapter[:2]} {data} {measure}", own, sets.values())
                for data, own in sets.items()
            }
            for measure, sets in measures.items()
        }
    return as_text(found) + "\n"


def as_text(found, depth=0):
    """Return nested dictionaries as JSON, with one parameter or one measure on a line."""
    if depth == 3:
        return json.dumps(found, ensure_ascii=False)
    indent = " " * (depth + 1)
    rows = [f"{indent}{json.dumps(key, ensure_ascii=False)}: {as_text(value, depth + 1)}"
            for key, value in found.items()]
    return "{\n" + ",\n".join(rows) + "\n" + " " * depth + "}"


def spread(found, digits):
    """Return "median (least to greatest)", or the one value where there is only one."""
    text = f"{statistics.median(found):.{digits}f}"
    if len(found) > 1:
        text += f" ({min(found):.{digits}f} to {max(found):.{digits}f})"
    return text


def with_medians(text, values_of):
    """Return the text with each {measure|digits} replaced by the median of values_of(measure)."""

    def median(match):
        return f"{statistics.median(values_of(match[1])):.{match[2]}f}"

    return re.sub(r"\{(.+?)\|(\d)\}", median, text)


def values(report, chapter, measure):
    """Return what the seeds gave for a measure of a chapter."""
    found = [
        row["value"]
        for result in report["runs"]
        if int(result["chapter"][:2]) == chapter
        for row in result["rows"]
        if row["measure"].strip() == measure
    ]
    if not found:
        raise KeyError(f"chapter {chapter} has no measure {measure!r}")
    return found


def markdown(head, rows):
    """Return a Markdown table; a row is a sequence of cells."""
    lines = [f"| {' | '.join(map(str, cells))} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def table(report, rows=ROWS):
    """Return the table of results as Markdown: median (least to greatest)."""
    lines = []
    for chapter, measure, text, digits, beside in rows:
        values_of = functools.partial(values, report, chapter)
        shown = spread(values_of(measure), digits)
        lines.append((chapter, text, shown, with_medians(beside, values_of)))
    found = "median of the seeds (least to greatest)"
    return markdown(("chapter", "measured on MNIST", found, "beside it"), lines)


def paired(report, chapter, first, second):
    """Return mean and 95 % interval of the differences first − second, a pair a seed, and their
    number: (mean, low, high, num). The interval is Student's."""
    pairs = zip(*(values(report, chapter, name) for name in (first, second)), strict=True)
    found = [a - b for a, b in pairs]
    low, high = scipy.stats.ttest_1samp(found, 0).confidence_interval()
    return statistics.mean(found), low, high, len(found)


def comparisons(report):
    """Return the table of what the chapters from 9 on compare, as Markdown."""
    lines = []
    for chapter, first, second, text, digits, _ in PAIRS:
        *found, num = paired(report, chapter, first, second)
        mean, low, high = (f"{value:+.{digits}f}".replace("-", "−") for value in found)
        lines.append((chapter, text, mean, f"{low} to {high}", num))
    what = "difference on MNIST, the same seeds on both sides"
    return markdown(("chapter", what, "mean", "95 % interval", "seeds"), lines)


def headlines(report):
    """Return the rows of the table that the README shows."""
    return table(report, [row for row in ROWS if row[:2] in HEADLINES])


def when(*runs):
    """Return on what days and machines, and with what versions, these were measured."""
    days, machines = ({run[key] for run in runs} for key in ("date", "machine"))
    versions = {f"{name} {number}" for run in runs for name, number in run["versions"].items()}
    return (
        f"Measured on {' to '.join(sorted({min(days), max(days)}))} on "
        f"{'; '.join(sorted(machines))}, with {', '.join(sorted(versions))}."
    )


def paste(path, name, text):
    """Put a text between the marks <!-- name --> and <!-- end --> of a page.

    Raises:
        ValueError: The page has no such marks.
    """
    head, start, rest = path.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, end, rest = rest.partition("<!-- end -->\n")
    if not start or not end:
        raise ValueError(f"{path} must have the marks <!-- {name} --> and, below, <!-- end -->")
    write(path, f"{head}{start}\n{text}\n\n{end}{rest}")


def minutes(report):
    """Return {chapter number: minutes of the whole process}, with the first seed.

    Later seeds may have been run beside other work.
    """
    first = min(result["seed"] for result in report["runs"])
    found = [result for result in report["runs"] if result["seed"] == first]
    return {int(result["chapter"][:2]): result["minutes"] for result in found}


def load(data):
    """Return the saved report of a data set."""
    return read(HERE / f"chapters_{data}.json")


def read(path):
    """Return a saved report."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise SystemExit(f"{path} is not whole: {error}. Restore it from the repository") from None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["run", "expect", "table", "check"])
    parser.add_argument("--data", choices=["mnist", "digits"], default="mnist")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    numbers = [int(path.name[:2]) for path in sorted(TUTORIALS.glob("[0-9][0-9]_*.py"))]
    parser.add_argument("--chapters", type=int, nargs="+", choices=numbers, default=numbers,
                        metavar="CHAPTER", help="all by default")
    parser.add_argument("--threads", type=int, help="of TensorFlow; as many as cores by default")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the chapter that runs, too
    if arguments.threads:
        for kind in ("INTRAOP", "INTEROP"):
            os.environ[f"TF_NUM_{kind}_THREADS"] = str(arguments.threads)
    if arguments.what == "expect":
        write(TUTORIALS / "expected.json", expect())
    elif arguments.what == "check":
        results = list(measured(arguments.data, arguments.seeds, arguments.chapters))
        sys.exit(any(row["inside"] is False for result in results for row in result["rows"]))
    else:
        if arguments.what == "run":
            run(arguments.data, arguments.seeds, arguments.chapters)
        saved = load(arguments.data)
        if arguments.data == "mnist":
            print(table(saved))
        if arguments.data == "mnist" and arguments.what == "table":
            taken = when({**saved, "versions": saved["runs"][0]["versions"]})
            paste(RESULTS, "chapters.py table", f"{table(saved)}\n\n{taken}")
            paste(RESULTS, "chapters.py comparisons", comparisons(saved))
            paste(README, "chapters.py table", headlines(saved))
        print({chapter: round(m, 1) for chapter, m in minutes(saved).items()})
