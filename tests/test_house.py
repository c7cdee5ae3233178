"""What holds the house together: chapters equal the package, and the arrows run one way."""

import ast
import inspect
import pathlib
import re

import chapters as table
import pytest
import quality
import speed

import keras_vae
from keras_vae import (
    autoencoder, callbacks, data, distributed, explorer, figures, gan, iwae, measures,
    networks, report, vae,
)

ROOT = pathlib.Path(__file__).parent.parent
CHAPTERS = sorted((ROOT / "tutorials").glob("[0-9][0-9]_*.py"))


def test_all_public_names_are_there_and_documented():
    for name in keras_vae.__all__:
        assert inspect.getdoc(getattr(keras_vae, name)), name
    modules = (
        autoencoder, callbacks, data, distributed, explorer, figures, gan, iwae, measures,
        networks, report, vae,
    )
    for module in modules:
        assert module.__doc__
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__:
                assert value.__doc__, name


def definitions(path):
    """Return {name: source with decorators} of a file's top-level classes and functions."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found[node.name] = "".join(lines[start - 1 : node.end_lineno])
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapters_definitions_are_the_packages(path):
    """A small piece that a chapter teaches stands there word for word; a model, as a sketch."""
    for name, source in definitions(path).items():
        if name in keras_vae.__all__:
            assert source == inspect.getsource(getattr(keras_vae, name)), name
            assert source.count("\n") < 25, name


MODELS = {vae: 180, gan: 160, autoencoder: 70, iwae: 50}  # the lines that a file may have


def test_a_model_is_one_page():
    for module, most in MODELS.items():
        assert len(inspect.getsource(module).splitlines()) <= most, module.__name__
    for kind in (keras_vae.VAE, keras_vae.GAN):
        lines, first = inspect.getsourcelines(kind.compute_losses)
        if kind is keras_vae.VAE:
            first = inspect.getsourcelines(kind.negative_log_likelihood)[1]
        lines, last = inspect.getsourcelines(kind._track)
        assert last + len(lines) - first <= 45, kind


def test_no_six_lines_stand_in_two_models():
    runs = {}
    for module in MODELS:
        lines = [line.strip() for line in inspect.getsource(module).splitlines() if line.strip()]
        for i in range(len(lines) - 5):
            run = tuple(lines[i : i + 6])
            assert runs.setdefault(run, module) is module, run


def imports_of(module):
    """Return the modules of keras_vae that a module imports."""
    tree = ast.parse(inspect.getsource(module))
    names = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    names += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    return {name.partition(".")[2] for name in names if name.startswith("keras_vae")}


def test_the_arrows_run_one_way():
    for module in (autoencoder, vae, gan, networks, data, measures, figures, report):
        assert imports_of(module) == set(), module
    assert imports_of(callbacks) == {"figures", "report"}
    assert imports_of(iwae) == {"vae"}
    assert imports_of(explorer) == {"report"}
    assert imports_of(distributed) == {"data", "networks", "report", "vae"}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_its_form(path):
    text = path.read_text(encoding="utf-8")
    number = int(path.name[:2])
    assert re.match(rf"# %% \[markdown\]\n# # {number}\. ", text)
    assert re.search(r"\*Reproduces A\d.*minutes on two cores\.\*", text)
    sections = ["## Parameters", "## Data", "## The formulas", "## The model", "## Training",
                "## The numbers", "## The pictures", "## What the article printed",
                "## What to expect", "## Exercises"]
    places = [text.find(section) for section in sections]
    assert -1 not in places and places == sorted(places), dict(zip(sections, places))
    assert text.count('# %% tags=["parameters"]') == 1
    assert f'Run("{path.stem}")' in text
    assert text.count("<details>") == text.count("</details>") >= 2
    for word in ("simply", "argparse", "os.environ", "__main__", "TODO", "TIME minutes"):
        assert word not in text, word
    own = len(text.splitlines()) - sum(
        source.count("\n") + 1
        for name, source in definitions(path).items()
        if name in keras_vae.__all__ or name.startswith("Sketch")
    )
    assert own <= 400


def test_the_readme_and_the_chapters_show_what_the_benchmark_saved():
    report = table.load("mnist")
    assert table.table(report) in (ROOT / "README.md").read_text(encoding="utf-8")
    minutes = table.minutes(report)
    for path in CHAPTERS:
        shown = re.search(r"([\d.]+) minutes on two cores", path.read_text(encoding="utf-8"))[1]
        assert float(shown) == pytest.approx(minutes[int(path.name[:2])], abs=0.051)


def test_the_readme_shows_the_published_figures_beside_ours():
    report = quality.load()
    assert quality.table(report) in (ROOT / "README.md").read_text(encoding="utf-8")
    for name, (_, settings) in quality.RUNS.items():
        runs = [run for run in report["runs"] if run["run"] == name]
        assert runs and all(run["settings"] == settings for run in runs), name


def test_the_readme_shows_the_speeds_that_were_saved():
    report = speed.load()
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert speed.table(report) in text and f"Measured on {report['date']}" in text
    for name, rows in report["seconds"].items():
        assert list(rows) == list(speed.ROWS) and {len(times) for times in rows.values()} == {6}


def expected_ranges(path):
    """Return {measure: {data set: (low, high)}} of a chapter's closing table."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        pairs = []
        if isinstance(node, ast.Tuple) and len(node.elts) == 3:
            pairs = [(node.elts[0], node.elts[2])]
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values)
        for key, value in pairs:
            if isinstance(key, ast.Constant) and isinstance(value, ast.Dict) and value.keys:
                found[key.value] = ast.literal_eval(value)
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_what_was_measured_is_inside_the_expected_ranges(path):
    """The ranges hold for every seed of both data sets that the benchmark saved."""
    ranges = expected_ranges(path)
    for data_set in ("mnist", "digits"):
        runs = [run for run in table.load(data_set)["runs"] if run["chapter"] == path.stem]
        assert len(runs) == 3 or data_set == "digits" and runs
        for result in runs:
            for row in result["rows"]:
                low, high = ranges[row["measure"]][data_set]
                assert low <= float(row["value"]) <= high, (result["seed"], row)
