import json

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import small_vae

from keras_vae import Run, report


@pytest.fixture(autouse=True)
def no_overrides(monkeypatch):
    monkeypatch.setattr(report, "overrides", {})


def figure():
    figure, ax = plt.subplots()
    plt.close(figure)
    ax.plot([1, 2])
    return figure


ROWS = [
    ("inside", 1.5, {"mnist": (1, 2), "digits": (10, 20)}),
    ("outside", 2.5, {"mnist": (1, 2)}),
    ("without a range", 12345.6, {}),
]


def test_a_run_leaves_pictures_models_and_a_table(tmp_path, capsys):
    run = Run("99_test", root=tmp_path)
    picture = figure()
    assert run.save_figure(picture, "picture") is picture
    path = run.save_model(small_vae(), "model")
    table = run.finish("mnist", ROWS)
    lines = table.splitlines()
    assert lines[1].endswith("ok") and lines[2].endswith("OUTSIDE") and "12,346" in lines[3]
    out = capsys.readouterr().out
    assert str(tmp_path / "99_test") in out and "picture.png" in out and "model.keras" in out
    results = json.loads((tmp_path / "99_test" / "results.json").read_text(encoding="utf-8"))
    assert [row["inside"] for row in results["rows"]] == [True, False, None]
    assert results["data"] == "mnist" and results["versions"]["keras"] == keras.__version__
    assert keras.saving.load_model(path).name == "vae"
    assert (tmp_path / "99_test" / "picture.png").stat().st_size > 1000


def test_ranges_are_those_of_the_data_set_and_of_the_defaults(tmp_path, monkeypatch, capsys):
    run = Run("99_test", root=tmp_path)
    assert run.finish("digits", ROWS).splitlines()[1].endswith("OUTSIDE")
    monkeypatch.setattr(report, "overrides", {"seed": 3, "data": "digits"})
    assert run.finish("digits", ROWS).splitlines()[1].endswith("OUTSIDE")
    monkeypatch.setattr(report, "overrides", {"epochs": 2})
    assert "OUTSIDE" not in run.finish("digits", ROWS)
    assert "epochs=2" in capsys.readouterr().out


def test_nan_is_outside_and_the_results_stay_json(tmp_path):
    rows = [("nan", float("nan"), {"mnist": (0, 1)})]
    table = Run("99_test", root=tmp_path).finish("mnist", rows)
    assert table.endswith("OUTSIDE")
    text = (tmp_path / "99_test" / "results.json").read_text(encoding="utf-8")
    assert "NaN" not in text and json.loads(text)["rows"][0]["value"] == "nan"


def test_numbers_of_numpy_are_numbers(tmp_path):
    rows = [("float", np.float32(0.5), {"mnist": (0, 1)}), ("int", np.int64(3), {})]
    assert Run("99_test", root=tmp_path).finish("mnist", rows).splitlines()[1].endswith("ok")


def test_nothing_half_written_stays(tmp_path):
    run = Run("99_test", root=tmp_path)
    run.save_figure(figure(), "picture")
    whole = (tmp_path / "99_test" / "picture.png").read_bytes()

    class Interrupted:
        def savefig(self, path, **kwargs):
            path.write_bytes(b"half of a picture")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.save_figure(Interrupted(), "picture")
    with pytest.raises(KeyboardInterrupt):
        run.save_figure(Interrupted(), "other")
    assert [p.name for p in (tmp_path / "99_test").iterdir()] == ["picture.png"]
    assert (tmp_path / "99_test" / "picture.png").read_bytes() == whole


def test_a_new_run_takes_away_the_old_results_and_what_a_killed_run_left(tmp_path):
    Run("99_test", root=tmp_path).finish("mnist", ROWS)
    (tmp_path / "99_test" / ".writing_1_picture.png").touch()
    Run("99_test", root=tmp_path)
    assert list((tmp_path / "99_test").iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "outputs").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="cannot write the folder .*working folder"):
        Run("99_test", root=tmp_path / "outputs")
    run = Run("99_test", root=tmp_path)
    (tmp_path / "99_test" / "picture.png").mkdir()
    with pytest.raises(OSError, match="cannot write .*picture.png"):
        run.save_figure(figure(), "picture")
