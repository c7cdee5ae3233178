"""What holds the house together: chapters equal the package, and the arrows run one way."""

import ast
import importlib
import inspect
import json
import pathlib
import re

import chapters as table
import pytest
import quality
import speed

import keras_vae
from keras_vae import (
    autoencoder, callbacks, conditional, data, distributed, doctor, explorer, figures, gan, iwae,
    measures, networks, report, semisupervised, vade, vae,
)

ROOT = pathlib.Path(__file__).parent.parent
CHAPTERS = sorted((ROOT / "tutorials").glob("[0-9][0-9]_*.py"))


def test_all_public_names_are_there_and_documented():
    for name in keras_vae.__all__:
        assert inspect.getdoc(getattr(keras_vae, name)), name
    parts = [importlib.import_module(f"keras_vae.doctor.{path.stem}")
             for path in pathlib.Path(doctor.__file__).parent.glob("[a-z]*.py")]
    modules = (
        autoencoder, callbacks, conditional, data, distributed, doctor, explorer, figures, gan,
        iwae, measures, networks, report, semisupervised, vade, vae, *parts,
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


# The lines that a file may have.
MODELS = {vae: 239, gan: 205, autoencoder: 97, iwae: 50, conditional: 114, semisupervised: 91,
          vade: 143}


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
    for module in (iwae, conditional, vade):
        assert imports_of(module) == {"vae"}, module
    assert imports_of(semisupervised) == {"conditional"}
    assert imports_of(explorer) == {"report"}
    assert imports_of(distributed) == {"data", "networks", "report", "vae"}


PART_ONE = CHAPTERS[:8]
SKETCHES = ("SketchVAE", "SketchGAN", "LookBack", "StrongVAE", "FreeBitsVAE")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_its_form(path):
    text = path.read_text(encoding="utf-8")
    number = int(path.name[:2])
    assert re.match(rf"# %% \[markdown\]\n# # {number}\. ", text)
    assert re.search(r"\*Reproduces A\d[^*]*minutes on two cores\.\*", text)
    first = ["## The article's model", "## Why it works"] if path in PART_ONE else ["## Data"]
    second = [] if path in PART_ONE else ["## Side by side"]
    sections = ["## Parameters", *first, *second, "## What to expect", "## Three questions",
                "## Exercises"]
    places = [text.find(section) for section in sections]
    assert -1 not in places and places == sorted(places), dict(zip(sections, places))
    assert text.count('# %% tags=["parameters"]') == 1
    assert f'Run("{path.stem}")' in text
    assert text.count("<details>") == text.count("</details>") >= 2
    for word in ("simply", "argparse", "os.environ", "__main__", "TODO", "TIME minutes"):
        assert word not in text, word


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_shows_a_result_first(path):
    """Its picture on the first screen, one of its own soon after, and no more than fits."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    first = re.search(r"!\[[^\]]+\]\(\.\./docs/images/(\w+\.png)\)", "\n".join(lines[:12]))
    assert (ROOT / "docs" / "images" / first[1]).exists()
    by_line = 110 if path in PART_ONE else 150  # Part II compares several models
    assert min(i for i, line in enumerate(lines, 1) if "run.save_figure(" in line) <= by_line
    sketches = [source for name, source in definitions(path).items() if name in SKETCHES]
    most = 332 if sketches else 317
    if path not in PART_ONE:  # chapters 9 and 10 hold several experiments each
        most = 414 if path.name[:2] in ("09", "10") else 337
    assert len(lines) - sum(source.count("\n") for source in sketches) <= most
    prose = False
    for number, line in enumerate(lines, 1):
        if line.startswith("# %%"):
            prose = "[markdown]" in line
        widest = 96 if prose else 80
        assert len(line) <= widest or line.startswith("# |") or "](../" in line, number
    backup = "" if path.name[:2] == "13" else r"Backup\(|"  # by parameters it runs for half an hour
    assert not re.search(backup + r"shuffle=|verbose=2|passes=", text)


def results_page():
    return table.RESULTS.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_picture_is_seen_on_the_page(path):
    """A notebook shows what a cell's last line returns; save_figure returns the picture."""
    cells = re.split(r"^(?=# %%)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for cell in cells:
        if "run.save_figure(" in cell and "[markdown]" not in cell.splitlines()[0]:
            assert ast.unparse(ast.parse(cell).body[-1]).startswith("run.save_figure("), cell
            assert cell.count("run.save_figure(") == 1, cell


def test_the_results_page_and_the_chapters_show_what_the_benchmark_saved():
    report = table.load("mnist")
    assert table.table(report) in results_page() and report["date"] in results_page()
    assert table.headlines(report) in table.README.read_text(encoding="utf-8")
    minutes = table.minutes(report)
    for path in CHAPTERS:
        shown = re.search(r"([\d.]+) minutes on two cores", path.read_text(encoding="utf-8"))[1]
        assert float(shown) == pytest.approx(minutes[int(path.name[:2])], abs=0.051)


def rows_between_marks(path):
    """Return the lines of the table that `chapters.py table` put into a page."""
    page = path.read_text(encoding="utf-8").partition("<!-- chapters.py table -->\n")[2]
    return [line for line in page.partition("<!-- end -->")[0].splitlines() if line[:1] == "|"]


def test_the_results_page_shows_what_part_two_compares():
    """And each difference has the sign that its chapter gives it, over five seeds at least."""
    report = table.load("mnist")
    assert table.comparisons(report) in results_page()
    for chapter, first, second, text, _, sign in table.PAIRS:
        _, low, high, num = table.paired(report, chapter, first, second)
        found = "+" if low > 0 else "−" if high < 0 else "level"
        assert (num >= 5, found) == (True, sign), (chapter, text, low, high)


def test_the_readmes_six_rows_are_rows_of_the_results_page():
    rows = rows_between_marks(table.README)
    assert set(rows) <= set(rows_between_marks(table.RESULTS))
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["4", "6", "7", "9", "13", "14"]


def test_a_pasted_table_replaces_the_old_one_and_nothing_else(tmp_path):
    page = tmp_path / "page.md"
    rest = "<!-- end -->\n\n<!-- c -->\nkept\n<!-- end -->\n"
    page.write_text(f"a\n\n<!-- b -->\nold\n{rest}", "utf-8")
    for _ in range(2):  # a second time changes nothing
        table.paste(page, "b", "| −1 |")
        assert page.read_text("utf-8") == f"a\n\n<!-- b -->\n\n| −1 |\n\n{rest}"
    with pytest.raises(ValueError, match="must have the marks <!-- d -->"):
        table.paste(page, "d", "")


def test_the_results_page_shows_the_published_figures_beside_ours():
    report = quality.load()
    assert f"{quality.table(report)}\n\n{table.when(*report['runs'])}" in results_page()
    assert quality.clusterings(report) in results_page()
    assert quality.few_labels() in results_page()
    assert quality.by_labels(report) in results_page()
    for name, (_, settings) in quality.RUNS.items():
        runs = [run for run in report["runs"] if run["run"] == name]
        assert runs and all(run["settings"] == settings for run in runs), name


def test_the_results_page_shows_the_speeds_that_were_saved():
    report = speed.load()
    assert f"{speed.table(report)}\n\n{table.when(report)}" in results_page()
    for name, rows in report["seconds"].items():
        assert list(rows) == list(speed.ROWS) and {len(times) for times in rows.values()} == {6}


def expected():
    """Return {chapter: {measure: {data set: [low, high]}}}, as the chapters read it."""
    found = json.loads((ROOT / "tutorials" / "expected.json").read_text(encoding="utf-8"))
    return {chapter: of_chapter["ranges"] for chapter, of_chapter in found.items()}


def test_the_expected_ranges_are_what_the_benchmark_makes_of_its_runs():
    assert (ROOT / "tutorials" / "expected.json").read_text(encoding="utf-8") == table.expect()
    assert list(expected()) == [path.stem for path in CHAPTERS]


def test_what_was_measured_is_inside_the_expected_ranges():
    """Each measure has a range for both data sets, and that holds every seed."""
    for chapter, found in table.all_values().items():
        assert found.keys() == expected()[chapter].keys()
        for measure, sets in found.items():
            assert list(sets) == ["mnist", "digits"], (chapter, measure)
            seeds = 5 if int(chapter[:2]) in {pair[0] for pair in table.PAIRS} else 3
            assert len(sets["mnist"]) == seeds and len(sets["digits"]) >= 2, (chapter, measure)
            for data_set, values in sets.items():
                low, high = expected()[chapter][measure][data_set]
                assert low <= min(values) <= max(values) <= high, (chapter, measure, data_set)


def printed_measures(path):
    """Return a pattern for each key of the dictionaries in a chapter's closing cell."""
    closing = path.read_text(encoding="utf-8").partition("## What to expect")[2]
    code = closing.partition("# %%\n")[2].partition("# %% [markdown]")[0]
    keys = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Dict):
            keys += node.keys
        elif isinstance(node, ast.DictComp):
            keys.append(node.key)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            keys.append(node.targets[0].slice)
    patterns = []
    for key in keys:
        parts = key.values if isinstance(key, ast.JoinedStr) else [key]
        known = [re.escape(p.value) if isinstance(p, ast.Constant) else ".+" for p in parts]
        patterns.append("".join(known))
    return patterns


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_measure_that_a_chapter_prints_has_its_range(path):
    patterns, ranges = printed_measures(path), expected()[path.stem]
    for pattern in patterns:
        assert any(re.fullmatch(pattern, measure) for measure in ranges), pattern
    for measure in ranges:
        assert any(re.fullmatch(pattern, measure) for pattern in patterns), measure


def test_no_written_range_is_left_over():
    names = [
        f"{chapter[:2]} {data_set} {measure}"
        for chapter, ranges in expected().items()
        for measure in ranges
        for data_set in ("mnist", "digits")
    ]
    for pattern in (*table.WRITTEN, *table.MOST):
        assert any(re.search(pattern, name) for name in names), pattern


def test_a_range_is_wider_than_the_seeds_by_the_rule():
    def of(name, own, *others):
        return table.expected_range(f"99 mnist {name}", own, [own, *others])

    assert of("nats", [98.5, 100.5, 100.0]) == (93.4, 105.6)  # 5 % is more than 1.5 spreads
    assert of("nats", [90.5, 99.5, 100.0]) == (76, 115)
    assert of("nats", [100.5]) == (95.4, 105.6)  # a single seed: 5 %, or
    assert of("nats", [100.5], [10.5, 20.5]) == (85, 116)  # the spread of the other data set,
    assert of("MSE", [0.1], [0.8, 1.0]) == (0.07, 0.13)  # scaled down to this one's size
    assert of("gain", [-1.0, -0.5]) == (-1.75, 0)  # no other sign
    assert of("accuracy", [0.9, 0.95]) == (0.825, 1)
    assert of("units", [64.0, 64.0]) == (60, 68) and of("units", [0.0, 0.0]) == (0, 1)
    assert of("saved against loaded", [0.0]) == (0, 0)
