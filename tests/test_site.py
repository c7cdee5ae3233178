"""The site: built without a warning, whole, readable from a folder; and notebooks that run."""

import html.parser
import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse

import pytest
from test_tutorials import QUICK, environment, runner

nbformat = pytest.importorskip("nbformat", reason='needs pip install -e ".[docs]"')
pytest.importorskip("sphinx", reason='needs pip install -e ".[docs]"')
pytest.importorskip("jupytext", reason='needs pip install -e ".[docs]"')

ROOT = pathlib.Path(__file__).parent.parent
pytestmark = pytest.mark.xdist_group("site")  # one process: the site is built once

specification = importlib.util.spec_from_file_location("build", ROOT / "docs" / "build.py")
build = importlib.util.module_from_spec(specification)
specification.loader.exec_module(build)


class Page(html.parser.HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loads, self.text = set(), [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors.update(found[key] for key in ("id", "name") if found.get(key))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in ("img", "script", "iframe") and found.get("src"):
            self.loads.append(found["src"])
        if tag == "link" and found.get("rel") == "stylesheet":
            self.loads.append(found["href"])

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build from a copy of the sources, without running the chapters; return {name: Page}."""
    copy = tmp_path_factory.mktemp("site")
    for name in ("docs", "tutorials", "benchmarks", "keras_vae"):
        ignored = shutil.ignore_patterns("_build", "outputs", "__pycache__")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    shutil.copy(ROOT / "CONTRIBUTING.md", copy)
    done = subprocess.run(
        [sys.executable, str(copy / "docs" / "build.py"), "--no-run"], env=environment(),
        capture_output=True, text=True, encoding="utf-8", timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]  # Sphinx is told to take warnings as errors
    top = copy / "docs" / "_build" / "html"
    paths = [path for path in top.rglob("*.html") if "_static" not in path.parts]
    return top, {path.relative_to(top).as_posix(): Page(path) for path in paths}


def test_every_link_inside_the_site_arrives(site):
    top, pages = site
    checked = 0
    for name, page in pages.items():
        for link in page.links + page.loads:
            target = urllib.parse.urlsplit(link)
            if target.scheme or link.startswith("//"):
                assert link not in page.loads, f"{name} loads {link} from afar"
                continue
            path = (top / name).parent / urllib.parse.unquote(target.path)
            path = top / name if not target.path else path.resolve()
            assert path.exists(), f"{name} links to {link}"
            other = pages.get(path.relative_to(top.resolve() if target.path else top).as_posix())
            if target.fragment and other:
                anchor = urllib.parse.unquote(target.fragment)
                assert anchor in other.anchors, f"{name} links to {link}"
            checked += 1
    assert checked > 1000


def test_three_things_are_two_clicks_away(site):
    _, pages = site
    front = pages["index.html"].links
    assert {"start.html", "articles.html", "classes.html"} <= set(front)
    assert "python tutorials 4" in pages["start.html"].text
    for number in ("1", "2", "3", "4", "5", "6", "7", "8"):
        stem = runner.chapters()[int(number)].stem
        assert f"chapters/{stem}.html" in pages["articles.html"].links
    assert "errata.html#a1-3" in pages["articles.html"].links
    assert "class VAE" in pages["classes.html"].text
    assert any("copybutton" in load for load in pages["classes.html"].loads)


def test_every_erratum_and_every_chapter_is_on_the_map_of_the_articles(site):
    _, pages = site
    ids = set(re.findall(
        r"^### (A\d-\d+)$", (ROOT / "tutorials" / "errata.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    ))
    links = set(pages["articles.html"].links)
    assert ids and not [name for name in ids if f"errata.html#{name.lower()}" not in links]
    assert all(f"chapters/{path.stem}.html" in links for path in runner.chapters().values())


def test_the_chapters_link_to_the_glossary(site):
    _, pages = site
    for path in runner.chapters().values():
        links = pages[f"chapters/{path.stem}.html"].links
        assert any(link.startswith("../glossary.html#term-") for link in links), path.stem
        assert f"../zh/{path.stem}.html" in links
        assert f"../chapters/{path.stem}.html" in pages[f"zh/{path.stem}.html"].links


def test_the_answers_of_find_the_bug_are_on_a_page_of_their_own(site):
    _, pages = site
    assert "../find_the_bug_answers.html" in pages["chapters/find_the_bug.html"].links
    assert "mended, it recognises" not in pages["chapters/find_the_bug.html"].text
    answers = pages["find_the_bug_answers.html"]
    assert "mended, it recognises" in answers.text
    assert {"errata.html#a4-6", "circulating.html#c-1"} <= set(answers.links)


def test_answers_fold_and_downloads_are_there(site):
    top, pages = site
    for path in runner.chapters().values():
        page = pages[f"chapters/{path.stem}.html"]
        downloads = {link.rpartition("/")[2] for link in page.links if "_downloads" in link}
        assert {path.name, f"{path.stem}.ipynb"} <= downloads
        text = (top / "chapters" / f"{path.stem}.html").read_text(encoding="utf-8")
        answers = path.read_text(encoding="utf-8").count("<details>")
        assert text.count("sd-dropdown") >= answers >= 2
        assert "&lt;details" not in text


@pytest.mark.parametrize("number", [4])
def test_a_notebook_runs_from_top_to_bottom(number, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    path = runner.chapters()[number]
    notebook = build.notebook(path, ["data=digits", *QUICK[number]])
    nbformat.validate(notebook)
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    monkeypatch.delenv("MPLBACKEND", raising=False)  # a notebook shows figures by its own
    nbclient.NotebookClient(
        notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    drawn = [output for output in outputs if "image/png" in output.get("data", {})]
    saved = list((tmp_path / "outputs" / path.stem).glob("*.png"))
    assert len(drawn) == len(saved) > 1
    assert (tmp_path / "outputs" / path.stem / "results.json").exists()
