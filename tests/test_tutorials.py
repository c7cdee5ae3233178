"""Every chapter, from its first line to its last, on a few digits."""

import contextlib
import importlib.util
import json
import multiprocessing
import os
import pathlib
import re
import runpy
import signal
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
from chapter_with_answers import answers

ROOT = pathlib.Path(__file__).parent.parent
TUTORIALS = ROOT / "tutorials"

specification = importlib.util.spec_from_file_location("runner", TUTORIALS / "__main__.py")
runner = importlib.util.module_from_spec(specification)
specification.loader.exec_module(runner)

# A few epochs and small networks; everything else at its default.
QUICK = {
    1: ["epochs=2"],
    2: ["epochs=2"],
    3: ["epochs=2", "image_epochs=1"],
    4: ["epochs=1"],
    5: ["epochs=1", "plane_epochs=1"],
    6: ["epochs=1", "few_epochs=1", "draws=2", "num_labels=(100,)", "few_hidden_dims=(64,)"],
    7: ["epochs=1", "vector_epochs=2", "hidden_dims=(64,)", "num_starts=1"],
    8: ["epochs=1"],
    9: ["autoencoder_epochs=1", "vae_epochs=1", "gan_epochs=1", "num_images=100"],
    10: [
        "search_epochs=1", "final_epochs=1", "alone_epochs=1", "together_epochs=2",
        "latent_dims=(2,8)", "betas=(0.0,1.0)", "num_folds=2", "num_images=500",
        "num_samples=5",
    ],
    11: ["epochs=1", "noise_levels=(0.1,0.5)"],
    12: ["epochs=(1,1,1)", "gan_epochs=(1,1)", "filters=(4,8)"],
    13: [
        "epochs=1", "hidden_dims=(50,)", "num_importance_samples=2", "num_images=50",
        "num_samples=20", "num_more_samples=50", "num_more_images=10",
    ],
    14: ["epochs=1", "held_out=(1,9)", "num_images=200"],
    15: ["epochs=2", "num_steps=3"],
    16: ["epochs=1", "m1_epochs=1", "m2_epochs=1", "m1_hidden_dims=(64,)", "num_unseen=500"],
    17: ["epochs=1", "vae_epochs=1", "hidden_dims=(64,)", "num_laid_out=200"],
}


def environment():
    """Return an environment in which the package of this checkout is found."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {
        **os.environ, "PYTHONPATH": path, "MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"
    }


def start(arguments, folder, program=TUTORIALS, **kwargs):
    command = [sys.executable, str(program), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True,
        encoding="utf-8", **kwargs
    )


def run_in_folder(arguments, folder):
    """Run a chapter and its answers in this process, which writes to two files from now on."""
    os.chdir(folder)
    for stream in (sys.stdout, sys.stderr):
        name = stream.name.strip("<>")
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), stream.fileno())
    program = str(ROOT / "tests" / "chapter_with_answers.py")
    sys.argv = [program, *arguments]
    runpy.run_path(program, run_name="__main__")


def start_forked(arguments, folder):
    """Return exit code, output and errors of `run_in_folder` in a process of its own.

    Its server has imported TensorFlow for all chapters: that takes most of them half their time.
    """
    context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    context.set_forkserver_preload(["keras_vae"])
    child = context.Process(target=run_in_folder, args=(arguments, folder))
    child.start()
    child.join(300)
    child.kill()
    child.join()
    texts = ((folder / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
    return child.exitcode, *texts


def test_every_chapter_is_tried_here():
    assert sorted(QUICK) == sorted(runner.chapters())


@pytest.mark.parametrize("number", QUICK)
def test_a_chapter_runs_to_its_end(number, tmp_path):
    """And then the code of its answers, which goes on with what the chapter made."""
    arguments = [str(number), "data=digits", *QUICK[number]]
    code, printed, errors = start_forked(arguments, tmp_path)
    assert code == 0, errors[-3000:]
    ran = re.findall(r"^answer with code \d+ ran$", printed, re.MULTILINE)
    assert len(ran) == len(answers(runner.chapters()[number]))
    assert "Warning" not in errors, errors
    folder = tmp_path / "outputs" / runner.chapters()[number].stem
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["data"] == "digits" and len(results["rows"]) >= 4
    assert all(isinstance(row["value"], (int, float)) for row in results["rows"])
    for row in results["rows"] if number == 15 else ():  # workers, one killed, and replicas
        kind = row["measure"].partition(":")[0]
        assert row["value"] <= {"exact": 1e-11, "same noise": 1e-5}.get(kind, np.inf), row
    source = runner.chapters()[number].read_text(encoding="utf-8")
    pictures = list(folder.glob("*.png"))
    assert len(pictures) == source.count("run.save_figure(")
    assert all(path.stat().st_size > 3000 for path in pictures)
    assert len(list(folder.glob("*.keras"))) == source.count("run.save_model(")
    assert not list(folder.rglob(".writing_*"))
    assert str(folder) in printed


# What the listings of find_the_bug find: as printed, and mended as the answers say.
LISTINGS = {
    1: (lambda v: v[-1] < v[0] < -1000, lambda v: 0 < v[-1] < v[0] < 1),
    2: (lambda v: v == 0, lambda v: 0.3 < v < 0.7),
    3: (lambda v: v == 0, lambda v: v == 4),
    4: (lambda v: v[0] == "trained" and "partially known" in v[1], lambda v: {*v} == {"trained"}),
    5: (lambda v: np.isnan(v) or v < -1000, lambda v: 253 < v < 320),  # 253: of grey pixels
    6: (lambda v: v[1] < v[0] / 3, lambda v: abs(v[1] - v[0]) < 0.1),
    7: (lambda v: v[1] > 100 * v[0], lambda v: 253 < v[1] < 320 < v[0]),
    8: (lambda v: v["KL"] < 0.01 and v["reconstruction"] > 350, lambda v: v["KL"] > 8),
    9: (lambda v: v == [100.0, 100.0, 100.0], lambda v: v == [100.0, 120.0, 2100.0]),
    10: (lambda v: len({*v}) == 1, lambda v: len({*v}) == 3),
    11: (lambda v: v["KL"] < 0.01 and v["reconstruction"] > 350, lambda v: v["KL"] > 8),
    12: (lambda v: v["KL"] > 20 and v["deviation of z"] > 1.6,
         lambda v: v["KL"] < 15 and v["deviation of z"] < 1.3),
    13: (lambda v: v[0] < v[1] / 2, lambda v: 0.9 < v[0] / v[1] < 1.1),
    14: (lambda v: v < 0.01, lambda v: v > 0.5),
    15: (lambda v: v[0] < -2 < 0 < v[1], lambda v: abs(v[0] - v[1]) < 0.01),
    16: (lambda v: v > 0.4, lambda v: 0.05 < v < 0.15),
}


def mended(number):
    """Return the code of a listing of find_the_bug with the lines that its answer gives."""
    page = (TUTORIALS / "find_the_bug.py").read_text(encoding="utf-8")
    code = re.split(r"^# %%.*\n", page.partition(f"\n# ## Listing {number}\n")[2], flags=re.M)[1]
    answers = (TUTORIALS / "find_the_bug_answers.md").read_text(encoding="utf-8")
    answer = answers.partition(f"\n## Listing {number}\n")[2].partition("\n## ")[0]
    (diff,) = re.findall(r"^```diff\n(.*?)^```$", answer, re.M | re.S)
    for change in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", diff, re.M):
        old, new = (re.sub("^.", "", lines, flags=re.M) for lines in change)
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    return code


# The gallery's failures all begin within the first third of half its epochs, too.
PAGES = {"find_the_bug": [], "failure_gallery": ["epochs=15", "gan_epochs=15"]}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_it_promises(page, tmp_path, monkeypatch):
    """Run in this process, to look at what the page found."""
    monkeypatch.chdir(tmp_path)
    path = TUTORIALS / f"{page}.py"
    names = {"__name__": "__main__"}
    exec(compile(runner.with_overrides(path, PAGES[page]), str(path), "exec"), names)
    results = json.loads((tmp_path / "outputs" / page / "results.json").read_text(encoding="utf-8"))
    rows = results["rows"]
    if page == "find_the_bug":
        found = names["found"]
        assert sorted(found) == sorted(LISTINGS) == list(range(1, 17))
        for number, (as_printed, as_mended) in LISTINGS.items():
            assert as_printed(found[number]), (number, found[number])
            exec(mended(number), names)
            assert as_mended(found[number]), (number, found[number])
    else:
        for section in range(1, 9):  # the sound run comes last
            words = f"{section}: first suspect epoch, "
            found = (row["value"] for row in rows if row["measure"].startswith(words))
            *failing, sound = map(float, found)
            third = names["gan_epochs" if section in (5, 6) else "epochs"] / 3
            assert failing and max(failing) <= third and sound == np.inf, (section, failing)
        ends = {row["measure"]: float(row["value"]) for row in rows}
        kl = "1: KL, held out, nats at the end, "
        assert ends[f"{kl}collapsed"] < 0.1 and ends[f"{kl}warm-up"] > 3
        assert ends["3: epoch of NaN"] > ends["3: first suspect epoch, output is σ"]
        assert ends["4: nats per pixel at the end, 0 to 255"] < -1000
        assert ends["6: digits that appear at the end, fair"] >= 9
        few, many = (ends[f"8: test −ELBO, {num} images, nats"] for num in (50, 1200))
        assert few > many + 10
        # diagnose finds something in each failure, and nothing in a sound run.
        words = "9: errors and warnings, "
        told = {measure.split(", ")[2]: count for measure, count in ends.items()
                if measure.startswith(words)}
        nothing = {name for name, count in told.items() if count == 0}
        assert len(told) == 13 and nothing == {
            "warm-up", "sums", "output is log σ²", "0 to 1", "fair"}, told


def begin(arguments, folder):
    """Start the runner; return the process, whose output can be read line by line.

    A shell lets what it starts with & ignore SIGINT, and children inherit that: it is undone here.
    """
    return subprocess.Popen(
        [sys.executable, "-u", str(TUTORIALS), *arguments], cwd=folder, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def read_until(process, words):
    """Read what a process prints, up to a line with these words, and return that line."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return line
    raise AssertionError(f"no {words!r} in " + "".join(lines)[-2000:])


@pytest.mark.skipif(os.name != "posix", reason="kills with a signal")
def test_a_killed_chapter_13_goes_on(tmp_path):
    """With its parameters it may run for half an hour: it keeps a backup, epoch by epoch.

    That such a training ends where one does that was never killed: tests/test_interrupted.py.
    """
    arguments = ["13", "data=digits", *QUICK[13][1:], "epochs=3"]
    process = begin(arguments, tmp_path)
    read_until(process, "Epoch 2/3")
    process.kill()
    process.communicate()
    done = start(arguments, tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Going on after epoch 1 of 3" in done.stdout and "Epoch 1/3" not in done.stdout
    assert not (tmp_path / "outputs" / "13_likelihood" / "backups").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL] if os.name == "posix" else [None])
def test_an_interrupted_chapter_leaves_nothing_half_written(how, tmp_path):
    """Chapter 5 draws its film while it trains. Thirty epochs are left when the signal comes."""
    arguments = ["5", "data=digits", "epochs=1", "plane_epochs=39", "batch_size=1000"]
    process = begin(arguments, tmp_path)
    read_until(process, "Epoch 9/39")
    try:
        for patience in (20, 40):  # it is sent again, should the first one have been lost
            process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                rest, _ = process.communicate(timeout=patience)
                break
    finally:
        process.kill()
    if how == signal.SIGINT:
        assert process.returncode == 130 and "Interrupted" in rest and "Traceback" not in rest
    folder = tmp_path / "outputs" / "05_deep_vae"
    pictures = sorted(folder.rglob("epoch_*.png"))
    assert len(pictures) >= 3
    for path in pictures:
        PIL.Image.open(path).load()  # whole
    assert not list(folder.glob("*.keras")) and not (folder / "results.json").exists()
