"""What holds the house together: chapters equal the package, and the arrows run one way."""

import ast
import inspect
import pathlib
import re

import pytest

import keras_vae
from keras_vae import autoencoder, callbacks, data, figures, gan, measures, networks, report, vae

ROOT = pathlib.Path(__file__).parent.parent
CHAPTERS = sorted((ROOT / "tutorials").glob("[0-9][0-9]_*.py"))


def test_all_public_names_are_there_and_documented():
    for name in keras_vae.__all__:
        assert inspect.getdoc(getattr(keras_vae, name)), name
    for module in (autoencoder, callbacks, data, figures, gan, measures, networks, report, vae):
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
    for name, source in definitions(path).items():
        if name in keras_vae.__all__:
            assert source == inspect.getsource(getattr(keras_vae, name)), name


def test_every_model_is_taught_by_some_chapter():
    taught = set().union(*(definitions(path) for path in CHAPTERS))
    assert {
        "Autoencoder", "VAE", "GAN", "Sampling", "KLWarmUp", "cluster_accuracy", "make_vectors",
        "dense_encoder", "dense_decoder", "gaussian_encoder", "dense_generator",
        "dense_discriminator",
    } <= taught


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
        if name in keras_vae.__all__
    )
    assert own <= 340
