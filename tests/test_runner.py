"""`python tutorials`: what a command line means, and how a run ends."""

import ast
import base64
import collections
import json
import os
import pathlib
import re
import runpy
import shutil
import signal
import subprocess
import sys
import urllib.parse

import nbformat
import pytest
from test_tutorials import ROOT, TUTORIALS, environment, read_until, runner, start

CHAPTER = """# # {number}. Chapter {number} & more
# 0.1 minutes on two cores.
# %% tags=["parameters"]
seed = 0
# %%
import matplotlib.pyplot as plt
from keras_vae import Run
run = Run("{name}")
run.save_figure(plt.subplots()[0], "picture")
{end}
"""


def small_course(folder, ends):
    """Write a course of small chapters, {name: how it ends}, and return its folder."""
    tutorials = folder / "tutorials"
    tutorials.mkdir()
    shutil.copy(TUTORIALS / "__main__.py", tutorials)
    shutil.copytree(TUTORIALS / "exercises", tutorials / "exercises")  # which the list names
    for number, (name, end) in enumerate(ends.items(), start=1):
        source = CHAPTER.format(number=number, name=name, end=end)
        (tutorials / f"{name}.py").write_text(source, encoding="utf-8")
    return tutorials


def states(page):
    """Return {number: state} of the small chapters in a report."""
    text = re.sub("<[^>]*>", " ", page.read_text(encoding="utf-8"))
    found = re.findall(r"\d\. Chapter (\d) &amp; more +(finished|failed|interrupted|not run)", text)
    return dict(reversed(found))  # the first of each


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"], ["notebook"], ["notebook", "-h"]])
def test_the_list_of_chapters(arguments, capsys):
    assert runner.main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("python tutorials [CHAPTER | all]")
    assert "python tutorials notebook CHAPTER [answers=yes]" in printed
    for number in runner.chapters():
        assert f"{number}  " in printed
    assert printed.count(" minutes") >= len(runner.chapters())


@pytest.mark.parametrize("name", ["4", "find_the_bug"])
def test_help_for_a_chapter_lists_its_parameters(name, capsys):
    assert runner.main([name, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    source = runner.find(name).read_text(encoding="utf-8")
    assert lines[0] in source and lines[1] == ""
    assert [line.split(" = ")[0] for line in lines[2:]] == list(runner.parameter_cell(source))
    assert all(f"\n{line}\n" in source for line in lines[2:])


def test_a_chapter_is_found_by_number_name_and_path(tmp_path, monkeypatch):
    path = runner.chapters()[4]
    monkeypatch.chdir(ROOT)
    for word in ("4", "04", path.stem, path.name, f"tutorials/{path.name}", str(path)):
        assert runner.find(word) == path, word
    assert runner.find("find_the_bug.py").stem == "find_the_bug"
    (tmp_path / path.name).touch()  # a learner's own
    for word in ("0", "44", "4.5", "vae", "fi", ".", "04_", str(tmp_path / path.name)):
        assert runner.find(word) is None, word


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["44"], "no chapter '44'; there are 01_dense_autoencoder (1), 02"),
        (["vae"], "no chapter 'vae'"),
        (["4", "epoch=2"], "no parameter 'epoch=2'; it has: data='auto', seed=0"),
        (["4", "epochs"], "set by name=value, without spaces or dashes, such as epochs=2, got"),
        (["4", "epochs=two"], "epochs must be of type int, such as epochs=10 (not 'two')"),
        (["4", "epochs=2.5"], "epochs must be of type int"),
        (["4", "epochs=True"], "epochs must be of type int"),
        (["12", "hidden_dims=64"], "must be of type tuple, such as hidden_dims=256, (not"),
        (["12", "hidden_dims=('a',)"], "hidden_dims must be of type tuple"),
        (["4", "epochs=__import__('os').getpid()"], "epochs must be of type int"),
        (["4", "epochs=0"], "epochs must be at least 1, got '0'"),
        (["4", "epochs=-1"], "epochs must be at least 1, got '-1'"),
        (["4", "batch_size=0"], "batch_size must be at least 1"),
        (["12", "hidden_dims=(64,0)"], "hidden_dims must hold numbers of at least 1, got '(64,0)'"),
        (["4", "seed=-1"], "seed must be from 0 to 4294967295, got '-1'"),
        (["4", "seed=99999999999"], "seed must be from 0 to"),
        (["4", "beta=-1"], "beta must be at least 0"),
        (["4", "beta=1e999"], "beta must be finite"),
        (["4", "beta=1e308"], "beta must be finite"),
        (["4", "data=cifar"], "data must be one of auto, mnist, digits, got 'cifar'"),
        (["13", "activation=elu"], "activation must be one of relu, tanh, got 'elu'"),
        (["15", "epochs=1"], "epochs must be at least 2"),
        (["6", "num_labels=()"], "num_labels must hold numbers of at least 10, got '()'"),
        (["2", "encoding_dim=785"], "encoding_dim must be from 1 to 784, got '785'"),
        (["99", "--help"], "no chapter '99'"),
        (["14", "held_out=(0,-1)"], "held_out must hold numbers of at least 0"),
        (["4", "epochs=1", "epochs=2"], "epochs is given twice"),
        (["all", "seed=1", "seed=1"], "seed is given twice"),
        (["all", "epoch=2"], "no chapter has a parameter 'epoch=2'"),
        (["all", "epochs=x"], "epochs must be of type int"),
        (["all", "epochs=0"], "epochs must be at least 1"),
        (["notebook", "44"], "no chapter '44'; there are 01_dense_autoencoder (1), 02"),
        (["notebook", "all"], "no chapter 'all'"),
        (["notebook", "4", "epochs=two"], "epochs must be of type int"),
        (["notebook", "4", "answers"], "answers must be yes or no, and given once, got 'answers'"),
        (["notebook", "4", "answers=yes", "answers=no"], "answers must be yes or no"),
    ],
)
def test_a_wrong_command_gets_one_clear_line(arguments, words):
    with pytest.raises(SystemExit) as stop:
        runner.main(arguments)
    assert words in str(stop.value) and "\n" not in str(stop.value)


def test_zero_is_taken_where_it_means_something():
    path = runner.chapters()
    for number, setting in ((12, "hidden_dims=()"), (4, "seed=0"), (10, "betas=(0.0, 1.0)"),
                            (14, "held_out=(0, 9)"), (4, "beta=0")):
        assert runner.with_overrides(path[number], [setting])


def test_the_chapters_own_values_are_accepted():
    for path in [*runner.chapters().values(), *runner.pages()]:
        cell = runner.parameter_cell(path.read_text(encoding="utf-8"))
        for name, (_, value) in cell.items():
            assert runner.parse(name, str(value), value) == value


def assigned(nodes):
    """Return the names that statements assign in the module's own scope, in order."""
    found = []
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.append(node.id)
        scopes = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.DictComp,
                  ast.SetComp, ast.GeneratorExp)
        if not isinstance(node, scopes):
            found += assigned(ast.iter_child_nodes(node))
    return found


@pytest.mark.parametrize("path", runner.chapters().values(), ids=lambda path: path.stem)
def test_a_parameter_keeps_its_value_to_the_end(path):
    """Where it differs from the default at the end, `Run.finish` takes it to have been changed."""
    source = path.read_text(encoding="utf-8")
    names = assigned(ast.parse(source).body)
    for name in runner.parameter_cell(source):
        assert names.count(name) == (2 if name == "data" else 1), name


def test_overrides_replace_the_literal_and_nothing_else():
    path = runner.chapters()[13]
    source = path.read_text(encoding="utf-8")
    settings = ["epochs=2", "learning_rate=3", "hidden_dims=(32, 16)", "data=digits"]
    changed = runner.with_overrides(path, settings)
    values = {name: value for name, (_, value) in runner.parameter_cell(changed).items()}
    expected = {name: value for name, (_, value) in runner.parameter_cell(source).items()}
    expected.update(epochs=2, learning_rate=3.0, hidden_dims=(32, 16), data="digits")
    assert values == expected and type(values["learning_rate"]) is float
    different = [
        (old, new) for old, new in zip(source.splitlines(), changed.splitlines()) if old != new
    ]
    assert len(different) == 4 and len(source.splitlines()) == len(changed.splitlines())
    assert ("epochs = 12  # Burda et al.: 3280", "epochs = 2  # Burda et al.: 3280") in different


def test_a_chapter_that_is_run_itself_refuses_arguments(tmp_path):
    """And says which command takes them."""
    path = runner.chapters()[4]
    done = start(["data=digits", "hidden_dims=(32, 16)"], tmp_path, path, timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    command = f"python {path.parent} {path.stem} data=digits 'hidden_dims=(32, 16)'"
    words = f"{path.name} takes no arguments. Its parameters are set by: {command}\n"
    assert done.stderr.endswith(words)
    assert not (tmp_path / "outputs").exists()


def lines_of(page):
    """Return {line: how often it stands in the cells of a notebook}, without empty lines."""
    lines = [line.strip() for cell in page.cells for line in cell.source.splitlines()]
    return collections.Counter(filter(None, lines))


def questions(page):
    """Return the numbered lines of a notebook's Markdown, in order."""
    text = "\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")
    return re.findall(r"^\d\. .*$", text, re.MULTILINE)


PAGES = [*runner.chapters().values(), *runner.pages()]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_students_notebook_is_the_instructors_without_the_answers(path):
    instructors, students = runner.notebook(path), runner.notebook(path, answers=False)
    answers, inside = collections.Counter(), False
    for line in path.read_text(encoding="utf-8").splitlines():
        inside = inside or "<details>" in line
        if inside and (text := line.removeprefix("#").strip()):
            answers[text] += 1
        inside = inside and "</details>" not in line
    assert lines_of(instructors) - answers == lines_of(students)
    assert lines_of(instructors) != lines_of(students) or path.stem == "failure_gallery"
    assert questions(instructors) == questions(students)
    kept = {cell.id: cell for cell in instructors.cells}
    for cell in students.cells:
        assert cell.cell_type == kept[cell.id].cell_type
        assert "details" not in cell.source and cell.source == cell.source.strip("\n") != ""
        if cell.cell_type == "code":
            assert cell.source == kept[cell.id].source
            compile(cell.source, path.stem, "exec")
        else:
            assert "\n\n\n" not in cell.source and " \n" not in cell.source
    for page in (instructors, students):
        nbformat.validate(page)
        assert page.metadata.kernelspec.name == "python3"
        assert page == runner.notebook(path, answers=page is instructors)  # ids, too


FOLDED = "<details><summary>Answer</summary>\n\n   Secret\n   </details>"


@pytest.mark.parametrize("with_answers, without", [
    (f"1. One\n   {FOLDED}\n2. Two\n   {FOLDED}", "1. One\n2. Two"),
    (f"1. One\n\n   {FOLDED}\n\n2. Two", "1. One\n\n2. Two"),
    (f"1. One\n   {FOLDED}\n\nMore", "1. One\n\nMore"),
    (f"1. One\n   {FOLDED}\n   goes on", "1. One\n   goes on"),
    (f"{FOLDED}\n\n## Next", "## Next"),
    ("One <details>Secret</details>\nTwo", "One\nTwo"),
    (FOLDED, ""),
    ("   code\n\n\n   code", "   code\n\n\n   code"),
])
def test_where_an_answer_was_no_gap_stays(with_answers, without):
    assert runner.without_answers(with_answers) == without


def test_a_notebook_is_written_once_and_never_over_a_students_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert runner.main(["notebook", "13", "epochs=2"]) == 0
    path = tmp_path / "13_likelihood.ipynb"
    assert str(path) in capsys.readouterr().out and list(tmp_path.iterdir()) == [path]
    cells = nbformat.read(path, 4).cells
    (source,) = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert "epochs = 2  # Burda et al.: 3280" in source
    path.write_text("a student's work", encoding="utf-8")
    with pytest.raises(SystemExit, match="not overwritten. Rename or move it, or start from"):
        runner.main(["notebook", "13"])
    assert path.read_text(encoding="utf-8") == "a student's work"
    assert runner.main(["notebook", "13_likelihood.py", "answers=yes"]) == 0
    path = tmp_path / "13_likelihood_answers.ipynb"
    assert "<details>" in path.read_text(encoding="utf-8")
    assert runner.main(["notebook", "find_the_bug"]) == 0
    assert len(list(tmp_path.iterdir())) == 3


def test_a_notebook_that_cannot_be_made_says_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def full(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(pathlib.Path, "replace", full)
    with pytest.raises(SystemExit, match="cannot write .*04_.*no space left. Start from a folder"):
        runner.main(["notebook", "4"])
    monkeypatch.setitem(sys.modules, "jupytext", None)  # as if it were not installed
    with pytest.raises(SystemExit, match="jupytext.*pip install -r requirements.txt"):
        runner.main(["notebook", "4"])
    assert not list(tmp_path.iterdir())


PICTURES = """# %% [markdown]
# ![One
# picture](../docs/images/x.png) ![another](../docs/images/y.svg) [a site](https://keras.io/)"""


def test_the_pictures_of_a_notebook_are_found_from_where_it_lies(tmp_path):
    root = tmp_path / "课程 1"
    root.mkdir()
    tutorials = small_course(root, {"01_one": PICTURES})
    for working in (tmp_path, root, tutorials):
        done = start(["notebook", "1"], working, tutorials, timeout=60)
        assert done.returncode == 0, done.stderr
        text = nbformat.read(working / "01_one.ipynb", 4).cells[-1].source
        *links, site = re.findall(r"\]\((.*?)\)", text)
        assert site == "https://keras.io/" and not any(" " in link for link in links)
        found = [(working / urllib.parse.unquote(link)).resolve() for link in links]
        assert found == [root / "docs" / "images" / name for name in ("x.png", "y.svg")]
        assert working != root or links == ["docs/images/x.png", "docs/images/y.svg"]


def test_the_sites_download_is_the_students_notebook_and_carries_its_pictures(
    tmp_path, monkeypatch
):
    build = runpy.run_path(str(ROOT / "docs" / "build.py"))
    images = tmp_path / "docs" / "images"
    images.mkdir(parents=True)
    (images / "x.png").write_bytes(b"picture")
    (images / "y.svg").write_bytes(b"drawing")
    monkeypatch.setitem(build["students_notebook"].__globals__, "HERE", tmp_path / "docs")
    end = PICTURES + "\n# <details><summary>Answer</summary>\n# Secret\n# </details>"
    small_course(tmp_path, {"01_one": end})
    page = build["students_notebook"](tmp_path / "tutorials" / "01_one.py")
    nbformat.validate(page)
    text, attached = page.cells[-1].source, page.cells[-1].attachments
    assert re.findall(r"\]\((.*?)\)", text) == [
        "attachment:x.png", "attachment:y.svg", "https://keras.io/"
    ]
    assert "Secret" not in nbformat.writes(page)
    assert {name: list(kinds) for name, kinds in attached.items()} == {
        "x.png": ["image/png"], "y.svg": ["image/svg+xml"]
    }
    assert base64.b64decode(attached["x.png"]["image/png"]) == b"picture"


@pytest.mark.parametrize("arguments", [["4", "data=digits"], ["all"]], ids=lambda words: words[0])
def test_a_folder_that_cannot_be_written_stops_before_the_training(arguments, tmp_path):
    (tmp_path / "outputs").write_text("a file where the folder should be")
    done = start(arguments, tmp_path, timeout=120)
    assert done.returncode == 1 and done.stdout.count("\n") <= 1  # "loading TensorFlow"
    assert "cannot write the folder" in done.stderr and done.stderr.count("\n") == 1


NOT_TENSORFLOW = "keras_vae needs Keras on TensorFlow, but Keras runs on"


@pytest.mark.parametrize("how", ["environment", "keras.json"])
def test_another_backend_is_refused_before_anything_is_loaded(how, tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "torch"}', encoding="utf-8")
    backend = "torch" if how == "environment" else ""
    setting = {"KERAS_BACKEND": backend, "KERAS_HOME": str(tmp_path)}
    code = (
        "import sys\ntry: import keras_vae\nexcept ImportError as error: print(error)\n"
        "assert not {'tensorflow', 'keras', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment(), **setting}, capture_output=True,
        text=True, timeout=60,
    )
    assert done.returncode == 0 and done.stdout.startswith(f"{NOT_TENSORFLOW} torch"), done.stderr


def test_the_runner_says_what_is_missing_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    done = start(["4"], tmp_path, timeout=60)
    assert done.returncode == 1 and done.stderr.startswith(f"{NOT_TENSORFLOW} jax")
    assert done.stderr.count("\n") == 1
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setitem(sys.modules, "keras_vae", None)  # as if it were not installed
    with pytest.raises(SystemExit, match="pip install -r requirements.txt"):
        runner.package(tmp_path)


def test_without_tensorflow_the_message_says_how_to_install_it():
    code = "import sys; sys.modules['tensorflow'] = None; import keras_vae"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "keras_vae needs TensorFlow: pip install tensorflow" in done.stderr


TRAINING = """
import keras, numpy as np
model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
model.summary()
model.compile(loss="mse")
model.fit(np.zeros((64, 2)), np.zeros((64, 1)), batch_size=2, epochs=2)
keras.utils.Progbar(1, verbose=1).update(1)
"""


def test_a_log_has_plain_lines(tmp_path, monkeypatch):
    """Keras itself writes its bar and its colours to a file, too."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = start(["1"], tmp_path, small_course(tmp_path, {"01_one": TRAINING}), timeout=120)
    assert done.returncode == 0, done.stderr
    assert not re.search("[\b\x1b]", done.stdout)
    epochs = re.findall(r"^Epoch \d/2\n32/32 - .* - loss: .*$", done.stdout, re.MULTILINE)
    assert len(epochs) == 2 and re.search(r"^1/1 - \d+s", done.stdout, re.MULTILINE)


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("no_color, columns", [("", "120"), ("1", "120"), ("", "80")])
def test_a_wide_terminal_gets_the_bar_unless_no_colour_is_wanted(
    no_color, columns, tmp_path, monkeypatch
):
    monkeypatch.setenv("COLUMNS", columns)
    tutorials = small_course(tmp_path, {"01_one": TRAINING})
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, str(tutorials), "1"], cwd=tmp_path, env=environment(), stdout=theirs
    ) as process:
        os.close(theirs)
        written = b""
        try:
            while part := os.read(ours, 65536):
                written += part
        except OSError:  # so Linux says that the other side was closed
            pass
    os.close(ours)
    assert process.returncode == 0 and b"Epoch 2/2" in written
    assert (b"\x1b" in written and b"\b" in written) == (not no_color and columns == "120")


def test_all_chapters_are_reported_whatever_became_of_them(tmp_path):
    """Four small chapters: one fails, the one after it is interrupted, the last never starts."""
    tutorials = small_course(tmp_path, {
        "01_good": 'run.finish("digits", {"a measure": 1.5})',
        "02_failing": "raise ValueError('as it must')",
        "03_stopped": "raise KeyboardInterrupt",
        "04_late": "",
    })
    defaults = {"01_good": {"parameters": {"seed": 0}, "ranges": {}}}
    (tutorials / "expected.json").write_text(json.dumps(defaults), encoding="utf-8")
    done = start(["all", "seed=1"], tmp_path, tutorials, timeout=120)
    page = tmp_path / "outputs" / "report.html"
    assert done.returncode == 130 and "as it must" in done.stderr, done.stderr
    assert f"Report: {page}" in done.stdout
    assert states(page) == {"1": "finished", "2": "failed", "3": "interrupted", "4": "not run"}
    text = page.read_text(encoding="utf-8")
    assert text.count("<img ") == 1 and "seed=1" in text


def test_an_interrupt_of_all_chapters_ends_with_the_same_status(monkeypatch, capsys):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_all", interrupt)
    assert runner.main(["all"]) == 130
    assert "Interrupted" in capsys.readouterr().out


LONG = """
import os, time
print("process", os.getpid(), flush=True)
for step in range(600):
    time.sleep(0.1)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("what", ["1", "all"])
def test_a_signal_to_the_runner_ends_what_it_runs(what, how, tmp_path):
    """Sent to the one process, as `kill` does; Ctrl-C reaches the chapter without it."""
    tutorials = small_course(tmp_path, {"01_long": LONG, "02_late": ""})
    process = subprocess.Popen(
        [sys.executable, "-u", str(tutorials), what], cwd=tmp_path, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        chapter = int(read_until(process, "process").split()[1])
        process.send_signal(getattr(signal, how))
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    status, word = {"SIGTERM": (143, "Terminated"), "SIGINT": (130, "Interrupted")}[how]
    assert process.returncode == status and "Traceback" not in rest, rest
    assert f"\n{word}. " in rest
    assert rest.count("and it begins anew: it keeps no backup") == 1  # nobody was killed
    assert rest.count("had finished have kept their results") == {"1": 0, "all": 1}[what]
    with pytest.raises(ProcessLookupError):
        os.kill(chapter, 0)
    if what == "all":
        assert states(tmp_path / "outputs" / "report.html") == {"1": "interrupted", "2": "not run"}


def test_a_signal_during_an_import_waits_for_its_end():
    """In the midst of C's own imports, it would become an ImportError."""
    reached, kept = [], signal.signal(signal.SIGINT, signal.default_int_handler)
    try:  # a process that a shell started with & ignores SIGINT
        with pytest.raises(KeyboardInterrupt), runner.signals_held():
            signal.raise_signal(signal.SIGINT)
            reached.append("the end")
    finally:
        signal.signal(signal.SIGINT, kept)
    assert reached


DESTRUCTOR = """
import os, runpy, signal, sys, time

names = runpy.run_path(sys.argv[1])
number = getattr(signal, sys.argv[2])
signal.signal(signal.SIGTERM, names["terminate"])

class Slow:
    def __del__(self):
        os.kill(os.getpid(), number)
        time.sleep(0.2)

def run(path, settings):
    Slow()
    print("the signal was dropped", flush=True)
    for step in range(600):
        time.sleep(0.1)

names["main"].__globals__["run"] = run
sys.unraisablehook = names["interrupt_again"]
sys.exit(names["main"](["4"]))
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize(
    "how, word, status", [("SIGINT", "Interrupted", 130), ("SIGTERM", "Terminated", 143)]
)
def test_a_signal_that_falls_into_a_destructor_is_not_lost(how, word, status):
    done = subprocess.run(
        [sys.executable, "-c", DESTRUCTOR, str(TUTORIALS / "__main__.py"), how], timeout=30,
        capture_output=True, text=True, encoding="utf-8", env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert "the signal was dropped" in done.stdout and word in done.stdout
    assert done.returncode == status and done.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a closed pipe is another error")
@pytest.mark.parametrize("arguments", [[], ["1"], ["all"]], ids=["list", "chapter", "all"])
def test_a_reader_that_stops_reading_ends_a_run_in_silence(arguments, tmp_path):
    """As in `python tutorials 4 | head`."""
    tutorials = small_course(tmp_path, {"01_talking": "print('x' * 10_000_000)", "02_late": ""})
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, str(tutorials), *arguments], cwd=tmp_path,
        env={**environment(), "PYTHONUNBUFFERED": ""},  # the list is written at the end alone
        stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=120,
    )
    os.close(theirs)
    assert done.returncode == 141 and done.stderr == ""
    if arguments == ["all"]:
        assert states(tmp_path / "outputs" / "report.html") == {"1": "interrupted", "2": "not run"}
