"""Every chapter, from its first line to its last, on a few digits."""

import contextlib
import importlib.util
import json
import os
import pathlib
import re
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
        "search_epochs=1", "final_epochs=1", "latent_dims=(2,8)", "betas=(0.0,1.0)", "num_folds=2",
        "num_images=500",
    ],
    11: ["epochs=1", "denoiser_epochs=1", "noise_levels=(0.1,0.5)"],
    12: ["epochs=1", "filters=(4,8)"],
    13: [
        "epochs=1", "hidden_dims=(50,)", "num_importance_samples=2", "num_images=50",
        "num_samples=20", "num_more_samples=50", "num_more_images=10",
    ],
    14: ["epochs=1", "held_out=(1,9)", "num_images=200"],
    15: ["epochs=2", "num_steps=3"],
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


def test_every_chapter_is_tried_here():
    assert sorted(QUICK) == sorted(runner.chapters())


@pytest.mark.parametrize("number", QUICK)
def test_a_chapter_runs_to_its_end(number, tmp_path):
    """And then the code of its answers, which goes on with what the chapter made."""
    arguments = [str(number), "data=digits", *QUICK[number]]
    program = ROOT / "tests" / "chapter_with_answers.py"
    done = start(arguments, tmp_path, program, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    ran = re.findall(r"^answer with code \d+ ran$", done.stdout, re.MULTILINE)
    assert len(ran) == len(answers(runner.chapters()[number]))
    assert "Warning" not in done.stderr, done.stderr
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
    assert str(folder) in done.stdout


@pytest.mark.parametrize("page", ["find_the_bug", "failure_gallery"])
def test_a_page_shows_what_it_promises(page, tmp_path, monkeypatch):
    """Run in this process, to look at what the page found."""
    monkeypatch.chdir(tmp_path)
    path = TUTORIALS / f"{page}.py"
    names = {"__name__": "__main__"}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    results = json.loads((tmp_path / "outputs" / page / "results.json").read_text(encoding="utf-8"))
    value = {row["measure"][:2]: [] for row in results["rows"]}
    for row in results["rows"]:
        value[row["measure"][:2]].append(float(row["value"]))
    if page == "find_the_bug":
        found = names["found"]
        assert sorted(found) == list(range(1, 13))
        assert found[1][-1] < found[1][0] < -1000  # a cross-entropy without a floor
        assert found[2][0] > 40 and found[2][1] > 2  # far more nats, far beyond the prior
        assert np.isnan(found[3]) or found[3] < -1000
        assert found[4] == 0
        assert found[5][1] < 0.5 * found[5][0]  # greys are gone
        assert found[6] == [100.0, 100.0, 100.0]
        assert found[7][0] == "trained" and "partially known" in found[7][1]
        assert found[8] is True
        assert found[9][0] < 0.01 and found[9][1] < 0.01  # the KL is zero, the copies alike
        assert "No gradients" in found[10]
        assert found[11]["d_accuracy_fake"] < 0.05 and found[11]["g_loss"] < 0.01
        assert "get_config" in found[12]
    else:
        assert value["1:"][0] == 0 < value["1:"][1]
        assert value["2:"][0] < 0.01 and value["2:"][1] > 2 * value["2:"][2] > 8
        assert value["3:"] == [1.0] and value["4:"][0] < -1000
        assert value["5:"][0] > 0.95 and value["5:"][2] < 0.9
        assert value["6:"][0] <= 3 and value["6:"][1] >= 9


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
def test_a_killed_chapter_of_part_two_goes_on(tmp_path):
    """Chapter 12 trains two models: it is killed in the second epoch of the second.

    That such a training ends where one does that was never killed: tests/test_interrupted.py.
    """
    arguments = ["12", "data=digits", "epochs=2", "filters=(4,8)"]
    process = begin(arguments, tmp_path)
    read_until(process, "Epoch 2/2")
    read_until(process, "Epoch 2/2")
    process.kill()
    process.communicate()
    done = start(arguments, tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Going on after epoch 2 of 2" in done.stdout  # the first model
    assert "Going on after epoch 1 of 2" in done.stdout and "Epoch 1/2" not in done.stdout
    assert not (tmp_path / "outputs" / "12_convolutional_vae" / "backups").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL] if os.name == "posix" else [None])
def test_an_interrupted_chapter_leaves_nothing_half_written(how, tmp_path):
    """Chapter 5 draws its film while it trains. Thirty epochs are left when the signal comes."""
    process = begin(["5", "data=digits", "epochs=1", "plane_epochs=39"], tmp_path)
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
