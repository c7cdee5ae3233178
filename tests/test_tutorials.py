"""The runner, and every chapter from its first line to its last on a few digits."""

import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

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
    4: ["epochs=2"],
    5: ["epochs=2", "plane_epochs=2"],
    6: ["epochs=1", "few_epochs=1", "draws=2", "num_labels=(100,)", "few_hidden_dims=(64,)"],
    7: ["epochs=1", "vector_epochs=2", "hidden_dims=(64,)", "num_starts=1"],
    8: ["epochs=1"],
}


def environment():
    """Return an environment in which the package of this checkout is found."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "MPLBACKEND": "Agg"}


def start(arguments, folder, **kwargs):
    command = [sys.executable, str(TUTORIALS), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True,
        encoding="utf-8", **kwargs
    )


def test_every_chapter_is_tried_here():
    assert sorted(QUICK) == sorted(runner.chapters())


@pytest.mark.parametrize("number", QUICK)
def test_a_chapter_runs_to_its_end(number, tmp_path):
    arguments = [str(number), "data=digits", *QUICK[number]]
    done = start(arguments, tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Warning" not in done.stderr, done.stderr
    folder = tmp_path / "outputs" / runner.chapters()[number].stem
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["data"] == "digits" and len(results["rows"]) >= 4
    assert all(isinstance(row["value"], (int, float)) for row in results["rows"])
    source = runner.chapters()[number].read_text(encoding="utf-8")
    pictures = list(folder.glob("*.png"))
    assert len(pictures) == source.count("run.save_figure(")
    assert all(path.stat().st_size > 3000 for path in pictures)
    assert len(list(folder.glob("*.keras"))) == source.count("run.save_model(")
    assert not list(folder.rglob(".writing_*"))
    assert str(folder) in done.stdout


def test_the_list_of_chapters(tmp_path):
    done = start([], tmp_path, timeout=20)
    assert done.returncode == 0
    for number, path in runner.chapters().items():
        assert f"{number}  " in done.stdout
    assert done.stdout.count(" minutes") >= len(runner.chapters())


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["44"], "no chapter '44'; there are 1, 2"),
        (["vae"], "no chapter 'vae'"),
        (["4", "epoch=2"], "no parameter 'epoch=2'; it has: data='auto', seed=0"),
        (["4", "epochs"], "no parameter 'epochs'"),
        (["4", "epochs=two"], "epochs must be of type int, such as 10, got 'two'"),
        (["4", "epochs=2.5"], "epochs must be of type int"),
        (["4", "epochs=True"], "epochs must be of type int"),
        (["4", "hidden_dims=64"], "hidden_dims must be of type tuple, such as (64,)"),
        (["4", "hidden_dims=('a',)"], "hidden_dims must be of type tuple"),
        (["4", "epochs=__import__('os').getpid()"], "epochs must be of type int"),
        (["4", "epochs=1", "epochs=2"], "no parameter 'epochs=2'"),
        (["all", "epoch=2"], "no chapter has a parameter 'epoch=2'"),
        (["all", "epochs=x"], "epochs must be of type int"),
    ],
)
def test_a_wrong_command_gets_one_clear_line(arguments, words):
    with pytest.raises(SystemExit) as stop:
        runner.main(arguments)
    assert words in str(stop.value) and "\n" not in str(stop.value)


def test_overrides_replace_the_literal_and_nothing_else():
    path = runner.chapters()[4]
    source = path.read_text(encoding="utf-8")
    changed, overrides = runner.with_overrides(
        path, ["epochs=2", "beta=3", "hidden_dims=(32, 16)", "data=digits"]
    )
    assert overrides == {"epochs": 2, "beta": 3.0, "hidden_dims": (32, 16), "data": "digits"}
    different = [
        (old, new) for old, new in zip(source.splitlines(), changed.splitlines()) if old != new
    ]
    assert len(different) == 4 and len(source.splitlines()) == len(changed.splitlines())
    assert ("epochs = 10  # A1: 10", "epochs = 2  # A1: 10") in different


def test_wrong_values_reach_the_learner_as_an_error_with_a_name(tmp_path):
    done = start(["4", "data=digits", "latent_dim=0"], tmp_path, timeout=120)
    assert done.returncode != 0 and "ValueError: latent_dim must be" in done.stderr
    done = start(["4", "data=cifar"], tmp_path, timeout=120)
    assert done.returncode != 0 and 'data must be "auto", "mnist" or "digits"' in done.stderr


def test_a_folder_that_cannot_be_written_stops_before_the_training(tmp_path):
    (tmp_path / "outputs").write_text("a file where the folder should be")
    done = start(["4", "data=digits"], tmp_path, timeout=120)
    assert done.returncode != 0 and "cannot write the folder" in done.stderr
    assert "Epoch" not in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_chapter_leaves_nothing_half_written(how, tmp_path):
    command = [sys.executable, "-u", str(TUTORIALS), "4", "data=digits", "epochs=500"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, encoding="utf-8",
    )
    for line in process.stdout:
        if "Epoch 2" in line:
            break
    time.sleep(0.5)
    process.send_signal(how)
    rest = process.communicate(timeout=60)[0]
    if how == signal.SIGINT:
        assert process.returncode == 130 and "Interrupted" in rest
    folder = tmp_path / "outputs" / "04_variational_autoencoder"
    assert list(folder.iterdir()) == []  # no picture, no model and no table of a run cut short
