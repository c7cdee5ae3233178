import base64
import html.parser
import io
import json
import os
import re
import subprocess
import sys
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import pytest
from conftest import small_vae

from keras_vae import Run, report


VALUES = {"inside": 1.5, "outside": 2.5, "without a range": 12345.6}


@pytest.fixture(autouse=True)
def ranges(tmp_path, monkeypatch):
    """Write expected.json; this module stands for a chapter that lies beside it."""
    ranges = {
        "inside": {"mnist": [1, 2], "digits": [10, 20]}, "outside": {"mnist": [1, 2]},
        "float": {"mnist": [0, 1]}, "nan <b>": {"mnist": [0, 1]},
    }
    monkeypatch.setitem(globals(), "__file__", str(tmp_path / "99_test.py"))
    defaults = {"data": "auto", "seed": 0, "epochs": 10, "dims": (3, 4), "activation": "relu"}
    expected = {"parameters": defaults, "ranges": ranges}
    path = tmp_path / "expected.json"
    path.write_text(json.dumps({"99_test": expected, "01_good": expected}), encoding="utf-8")


def figure():
    figure, ax = plt.subplots()
    plt.close(figure)
    ax.plot([1, 2])
    return figure


def test_a_run_leaves_pictures_models_and_a_table(tmp_path, capsys):
    run = Run("99_test", root=tmp_path)
    picture = figure()
    assert run.save_figure(picture, "picture") is picture
    vae = small_vae()
    run.save_model(vae, "model")
    run.finish("mnist", VALUES)
    out = capsys.readouterr().out
    lines = out.partition("measure")[2].splitlines()
    assert lines[1].endswith("ok") and lines[2].endswith("OUTSIDE") and "12,346" in lines[3]
    assert str(tmp_path / "99_test") in out and "picture.png" in out and "model.keras" in out
    results = json.loads((tmp_path / "99_test" / "results.json").read_text(encoding="utf-8"))
    assert [row["inside"] for row in results["rows"]] == [True, False, None]
    assert results["data"] == "mnist" and results["versions"]["keras"] == keras.__version__
    assert keras.saving.load_model(tmp_path / "99_test" / "model.keras").name == vae.name
    assert (tmp_path / "99_test" / "picture.png").stat().st_size > 1000


def test_backups_lie_apart_for_each_choice_of_parameters(tmp_path):
    def begin(**parameters):
        chapter = {"Run": Run, "root": tmp_path, **parameters}
        exec("run = Run('99_test', root=root)", chapter)
        run = chapter["run"]
        run.backups.mkdir(parents=True, exist_ok=True)
        (run.backups / "vae").touch()
        return run

    run = begin(epochs=2, beta=1.0, dims=(3, 4))
    assert begin(epochs=2, beta=1.0, dims=(3, 4)).backups == run.backups
    others = [dict(epochs=3, beta=1.0, dims=(3, 4)), dict(epochs=2, beta=1.0, dims=(3, 5)), {}]
    folders = {begin(**other).backups for other in others}
    assert len(folders) == 3 and run.backups not in folders
    run.finish("mnist", VALUES)
    assert not run.backups.exists() and all((folder / "vae").exists() for folder in folders)
    for other in others:
        begin(**other).finish("mnist", VALUES)
    assert not (tmp_path / "99_test" / "backups").exists()


@pytest.mark.parametrize("parameters, words", [
    ({}, ""),  # a name that the caller lacks is none that was changed
    (dict(data="digits", seed=0, epochs=10, dims=(3, 4), activation="relu"), ""),
    (dict(data="digits", seed=3, epochs=10.0, dims=[3, 4]), ""),
    (dict(epochs=2), "epochs=2"),
    (dict(dims=(3, 4, 5), activation="tanh", epochs=10), "dims=(3, 4, 5), activation=tanh"),
    (dict(dims=3), "dims=3"),
    (dict(dims="none"), "dims=none"),
    (dict(dims=np.array([3, 5]), epochs=np.int64(7)), "epochs=7, dims=[3 5]"),
    (dict(dims=((3, 4), 5)), "dims=((3, 4), 5)"),
])
@pytest.mark.parametrize("notebook", [True, False])
def test_ranges_are_those_of_the_data_set_and_of_the_defaults(
    parameters, words, notebook, tmp_path, monkeypatch, capsys
):
    """Also where a parameter was changed in its cell, which no runner sees."""
    monkeypatch.chdir(tmp_path)  # with expected.json, for a notebook
    caller = {"Run": Run, "values": VALUES, **parameters}
    if not notebook:
        caller["__file__"] = str(tmp_path / "99_test.py")
    exec("Run('99_test').finish('digits', values)", caller)
    out = capsys.readouterr().out
    assert "10 … 20" in out and ("OUTSIDE" in out) is (words == "")
    if words:
        assert f"With {words}; the expected ranges are for the defaults.\n" in out
    else:
        assert "With" not in out
    text = (tmp_path / "outputs" / "99_test" / "results.json").read_text(encoding="utf-8")
    results = json.loads(text)
    changed = [part.partition("=")[0] for part in re.findall(r"[a-z]+=", words)]
    changed += ["seed"] if parameters.get("seed") else []
    assert sorted(results["overrides"]) == sorted(changed)
    assert [row["inside"] for row in results["rows"]] == [None if words else False, None, None]


def test_ranges_lie_beside_the_chapter_or_in_the_working_folder(tmp_path, monkeypatch, capsys):
    def finish(name="99_test"):
        Run(name, root=tmp_path / "outputs").finish("mnist", VALUES)
        return "1 … 2" in capsys.readouterr().out

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert finish() and not finish("02_unknown")
    monkeypatch.delitem(globals(), "__file__")  # a notebook has none
    assert not finish()
    monkeypatch.chdir(tmp_path)
    assert finish()
    (tmp_path / "elsewhere" / "tutorials").mkdir()
    (tmp_path / "expected.json").rename(tmp_path / "elsewhere" / "tutorials" / "expected.json")
    assert not finish()
    monkeypatch.chdir(tmp_path / "elsewhere")  # as from the root of the repository
    assert finish()
    monkeypatch.setitem(globals(), "__file__", str(tmp_path / "elsewhere" / "alone.py"))
    assert not finish()


def test_nan_is_outside_and_the_results_stay_json(tmp_path, capsys):
    Run("99_test", root=tmp_path).finish("mnist", {"nan <b>": float("nan")})
    assert "OUTSIDE" in capsys.readouterr().out
    text = (tmp_path / "99_test" / "results.json").read_text(encoding="utf-8")
    assert "NaN" not in text and json.loads(text)["rows"][0]["value"] == "nan"


def test_numbers_of_numpy_are_numbers(tmp_path, capsys):
    values = {"float": np.float32(0.5), "int": np.int64(3)}
    Run("99_test", root=tmp_path).finish("mnist", values)
    assert re.search("^float .* ok$", capsys.readouterr().out, re.MULTILINE)


def test_nothing_half_written_stays(tmp_path):
    run = Run("99_test", root=tmp_path)
    run.save_figure(figure(), "picture")
    whole = (tmp_path / "99_test" / "picture.png").read_bytes()

    class Interrupted:
        axes = ()

        def savefig(self, path, **kwargs):
            path.write_bytes(b"half of a picture")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.save_figure(Interrupted(), "picture")
    with pytest.raises(KeyboardInterrupt):
        run.save_figure(Interrupted(), "other")
    assert sorted(p.name for p in (tmp_path / "99_test").iterdir()) == [".lock", "picture.png"]
    assert (tmp_path / "99_test" / "picture.png").read_bytes() == whole


def test_a_new_run_takes_away_the_old_results_and_what_a_killed_run_left(tmp_path):
    Run("99_test", root=tmp_path).finish("mnist", VALUES)
    (tmp_path / "99_test" / "film").mkdir()
    for folder in (tmp_path / "99_test", tmp_path / "99_test" / "film"):
        (folder / ".writing_1_picture.png").touch()
    Run("99_test", root=tmp_path)
    assert sorted(p.name for p in (tmp_path / "99_test").rglob("*")) == [".lock", "film"]


def test_what_another_process_may_be_writing_is_left_for_a_day(tmp_path):
    (tmp_path / "film").mkdir()
    new, old = (tmp_path / "film" / f".writing_{number}_x.png" for number in (1, 2))
    for path, hours in ((new, 1), (old, 25)):
        path.touch()
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    report.make_folder(tmp_path / "film")
    assert list((tmp_path / "film").iterdir()) == [new]


SECOND = """
import sys
from keras_vae import Run
Run("99_test", root=sys.argv[1])
"""


def test_of_two_runs_of_a_chapter_at_once_the_second_is_refused(tmp_path):
    run = Run("99_test", root=tmp_path)
    run.save_figure(figure(), "picture")
    half = tmp_path / "99_test" / ".writing_1_other.png"
    half.touch()
    command = [sys.executable, "-c", SECOND, str(tmp_path)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1 and half.exists()
    assert "RuntimeError: another process is at work in" in second.stderr
    Run("99_test", root=tmp_path)  # the same process, as when a notebook's cells run again
    run.finish("mnist", VALUES)
    subprocess.run(command, check=True, timeout=60)


def test_parameters_of_a_function_are_parameters(tmp_path):
    def backups(rate):
        return Run("99_test", root=tmp_path).backups

    assert backups(0.1) == backups(0.1) != backups(0.2)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "outputs").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="cannot write the folder .*working folder"):
        Run("99_test", root=tmp_path / "outputs")
    run = Run("99_test", root=tmp_path)
    (tmp_path / "99_test" / "picture.png").mkdir()
    with pytest.raises(OSError, match="cannot write .*picture.png"):
        run.save_figure(figure(), "picture")


class Page(html.parser.HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, path):
        super().__init__()
        self.images, self.ids, self.links, self.words = [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "img":
            self.images.append(attributes)
        assert tag not in ("script", "link", "b")
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []

    def handle_data(self, data):
        self.words.append(data)


def test_the_report_holds_tables_pictures_states_and_the_machine(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "seed", "<b>")  # any other would keep it from being judged
    picture = figure()
    picture.axes[0].set(title='a "title" & <b>', xlabel="ε", ylabel="nats")
    picture.axes[0].set_yticks([1, 2], ["row", "row"])
    run = Run("01_good", root=tmp_path)
    run.save_figure(picture, "a_picture")
    (run.folder / "of_an_earlier_run.png").write_bytes(b"")
    run.finish("mnist", {**VALUES, "nan <b>": float("nan")})
    Run("02_bad", root=tmp_path).finish("mnist", {"of an earlier run": 1})
    runs = [
        {"name": "01_good", "title": "Good & <b>", "state": "finished", "minutes": 1.26},
        {"name": "02_bad", "title": "Bad", "state": "failed", "minutes": 0.5},
        {"name": "03_late", "title": "Late", "state": "not run", "minutes": None},
    ]
    path = report.html_report(runs, root=tmp_path)
    assert path == tmp_path / "report.html" and not list(tmp_path.glob(".writing_*"))
    page = Page(path)
    assert "Good & <b> finished 1.3 1 of 3 Bad failed 0.5 Late not run" in page.text
    assert "On mnist, with seed=<b>; 1.3 minutes." in page.text
    for row in ("inside 1.5 1 … 2 ok", "outside 2.5 1 … 2 OUTSIDE", "without a range 12,346"):
        assert row in page.text
    assert "nan <b> nan 0 … 1 OUTSIDE" in page.text and "earlier run" not in page.text
    assert page.links == [f"#{name}" for name in page.ids]
    for fact in (f"keras {keras.__version__}", "tensorflow 2.", "cores", "system", "processor"):
        assert fact in page.text
    (image,) = page.images
    assert image["alt"] == 'a picture; a "title" & <b>; nats over ε; row'
    kind, data = image["src"].split(";base64,")
    found = PIL.Image.open(io.BytesIO(base64.b64decode(data)))
    assert kind in ("data:image/png", "data:image/jpeg") and found.width <= 900
    assert (str(found.width), str(found.height)) == (image["width"], image["height"])


def test_a_report_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "outputs").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="cannot write the folder"):
        report.html_report([], root=tmp_path / "outputs")
