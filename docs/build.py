"""Build the site: `python docs/build.py`, then open docs/_build/html/index.html.

Three steps. The pages are collected in docs/_build/source: what stands in docs/, the chapters as
notebooks, the errata. Notebooks whose code is not in the cache are run, two at a time. Sphinx makes
the pages of all that. A second build runs what changed.
"""

import argparse
import base64
import hashlib
import importlib.util
import logging
import mimetypes
import os
import pathlib
import re
import shutil
import sys

import nbformat
import PIL.Image
import PIL.ImageOps

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TUTORIALS = ROOT / "tutorials"
EXPECTED = TUTORIALS / "expected.json"
BUILD = HERE / "_build"
SOURCE = BUILD / "source"

# The picture on the front page that stands for a chapter.
PICTURES = {
    1: "reconstructions", 2: "copies", 3: "copied_numbers", 4: "generated",
    5: "latent_plane", 6: "label_efficiency", 7: "clusters", 8: "generated",
    9: "generated", 10: "choices", 11: "denoised", 12: "curves_and_samples", 13: "bound",
    14: "roc", 15: "scaling",
}


def load(name, path):
    """Import a Python file that is in no package."""
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


runner = load("runner", TUTORIALS / "__main__.py")
notebook = runner.notebook


def put(path, text):
    """Write a file if its text is new, so that Sphinx sees what changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def students_notebook(path):
    """Return a page of tutorials/ for a student: without answers, its pictures in its cells.

    A download lies in any folder, from where no path leads to docs/images.
    """
    page = notebook(path, answers=False)
    for cell in page.cells:
        if cell.cell_type == "markdown":
            for name in re.findall(r"\]\(\.\./docs/images/([^)\s]+)", cell.source):
                picture = base64.b64encode((HERE / "images" / name).read_bytes()).decode()
                attached = cell.setdefault("attachments", {})
                attached[name] = {mimetypes.guess_type(name)[0]: picture}
            cell.source = cell.source.replace("](../docs/images/", "](attachment:")
    return page


def link(text, stem, top):
    """Return Markdown with its errata, chapters and Chinese terms linked, and answers that fold.

    Args:
        text: Of a Markdown cell.
        stem: Of the page that it stands on, which needs no link to itself.
        top: Path from that page to the top of the site, "" or "../".
    """
    own = next((number for number, path in runner.chapters().items() if path.stem == stem), None)

    def chapter(match):
        number = int(match[2])
        return match[0] if number == own else page_link(match[0], number, top)

    def in_glossary(match):
        words = match[1].split(", ")
        return f"({', '.join(f'{{term}}`{w}`' if w in known else w for w in words)})"

    known = terms()
    # Odd pieces are code or formulas, and stay as they are.
    pieces = re.split(r"(```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\[[^\]]*\]\([^)]*\))", text,
                      flags=re.DOTALL)
    for i in range(0, len(pieces), 2):
        piece = re.sub(r"\bA\d-\d+\b", lambda m: f"[{m[0]}]({top}errata.md#{m[0].lower()})",
                       pieces[i])
        piece = re.sub(r"\b([Cc]hapter) (\d+)\b", chapter, piece)
        pieces[i] = re.sub(r"\(([^()]*[一-鿿][^()]*)\)", in_glossary, piece)
    text = "".join(pieces)
    # A browser folds <details>, but what is inside would be no Markdown.
    text = re.sub(
        r"^( *)<details><summary>(.*?)</summary>\n", r"\1:::{dropdown} \2\n", text,
        flags=re.MULTILINE,
    )
    return re.sub(r"^( *)</details>", r"\1:::\n", text, flags=re.MULTILINE)


def terms():
    """Return the terms of the glossary, English and Chinese."""
    glossary = (HERE / "glossary.md").read_text(encoding="utf-8").partition("```{glossary}")[2]
    return set(re.findall(r"^(\S.*)$", glossary, re.MULTILINE))


def chapter_page(path):
    """Return a page of tutorials/ as the notebook that the site runs and shows."""
    number = next((n for n, p in runner.chapters().items() if p == path), None)
    page = notebook(path)
    minutes = re.search(r"[\d.]+ minutes? on two cores", path.read_text(encoding="utf-8"))[0]
    ways = [
        f"{{download}}`Notebook <../notebooks/{path.stem}.ipynb>`",
        f"{{download}}`Script <../scripts/{path.name}>`",
    ]
    if number:
        ways.insert(0, f"[中文导读](../zh/{path.stem}.md)")
        how = f"`python tutorials {number}`"
    else:
        how = f"`python tutorials {path.stem}`"
    told = f"Run it yourself: {how}, {minutes}, after [two lines of installing](../start.md)."
    if number in runner.exercises("start").LINES:
        told += f" An [exercise](../start.md#do-an-exercise): `python tutorials start {number}`."
    told += " A0 to A4 are [the five articles](../articles.md)."
    title, _, rest = page.cells[0].source.partition("\n")
    bar = f"::::{{div}} ways\n{' · '.join(ways)}\n::::\n\n{told}"
    page.cells[0].source = f"{title}\n\n{bar}\n{rest}"
    for cell in page.cells:
        if cell.cell_type == "markdown":
            cell.source = link(cell.source, path.stem, "../").replace("](../tutorials/", "](../")
            cell.source = re.sub(  # the page would lose the line breaks of what is said of it
                r"!\[([^\]]*)\]\(\.\./docs/images/",
                lambda m: f"![{' '.join(m[1].split())}](../images/", cell.source,
            )
            continue
        names = re.findall(r'run\.save_figure\(.*?"(\w+)"\s*,?\s*\)', cell.source, re.DOTALL)
        if names:  # what a screen reader says of the picture
            alt = " and ".join(name.replace("_", " ") for name in names)
            cell.metadata["mystnb"] = {"image": {"alt": f"Figure: {alt}"}}
    quiet = nbformat.v4.new_code_cell(
        "import keras\n\n"
        "keras.utils.disable_interactive_logging()  # progress bars are for terminals",
        id="quiet", metadata={"tags": ["remove-cell"]},
    )
    page.cells.insert(1, quiet)
    return page


def articles():
    """Return the page of the articles' sections: its chapters linked, its errata filled in."""
    errata = (TUTORIALS / "errata.md").read_text(encoding="utf-8")
    entries = re.findall(r"^### (A\d-\d+)\n\n- \*\*where\*\* (.*?) ·", errata, re.MULTILINE)
    places = {}  # {id: ["A0 §3.3", "A0 §4.1"]}
    for name, where in entries:
        article, found = name[:2], []
        for part in re.split(r", (?!question|point)|\(and |\)", where.replace(", the", " the")):
            article = part[:2] if re.match(r"A\d", part) else article
            found.append(part if part.startswith("A") else f"{article} {part}")
        places[name] = found

    def ids(match):
        starts = match[1].split(", A")
        starts = [starts[0], *(f"A{start}" for start in starts[1:])]
        names = [name for name, found in places.items()
                 if any(place.startswith(start) for place in found for start in starts)]
        return ", ".join(f"[{name}](errata.md#{name.lower()})" for name in names)

    def chapters(match):
        return match[1] + re.sub(r"\b\d+\b", lambda n: page_link(n[0], int(n[0])), match[2]) + " |"

    text = (HERE / "articles.md").read_text(encoding="utf-8")
    text = re.sub(r"<!-- (A\d .*?) -->", ids, text)
    return re.sub(r"^(\| \**§[^|]*\|[^|]*\|)([^|]*)\|", chapters, text, flags=re.MULTILINE)


def page_link(text, number, top=""):
    """Return a Markdown link to a chapter's page, or the text alone where there is none."""
    path = runner.chapters().get(number)
    return f"[{text}]({top}chapters/{path.stem}.ipynb)" if path else text


def gallery():
    """Return the front page's cards, one a chapter, with a picture of its last run."""
    cards = []
    for number, path in runner.chapters().items():
        lines = [f":::{{grid-item-card}} {number}. {runner.title_of(path)}",
                 f":link: chapters/{path.stem}", ":link-type: doc"]
        drawn = SOURCE / "chapters" / "outputs" / path.stem / f"{PICTURES.get(number)}.png"
        if drawn.exists():
            target = SOURCE / "images" / f"{path.stem}.png"
            with PIL.Image.open(drawn) as picture:
                picture = PIL.ImageOps.fit(picture.convert("RGB"), (640, 400), centering=(0.5, 0.3))
                picture.save(target)
            lines += [f":img-bottom: images/{target.name}",
                      f":img-alt: From chapter {number}: {PICTURES[number].replace('_', ' ')}"]
        cards.append("\n".join([*lines, ":::"]))
    return "::::{grid} 1 2 2 3\n:gutter: 3\n\n" + "\n\n".join(cards) + "\n\n::::"


def explorer():
    """Return what shows chapter 5's explorer inside a page, after the chapter was run."""
    written = SOURCE / "chapters" / "outputs" / "05_deep_vae" / "latent_explorer.html"
    extra = SOURCE / "extra"  # Sphinx copies what lies there as it is
    extra.mkdir(exist_ok=True)
    if not written.exists():
        return "Chapter 5 was not run for this build: `python tutorials 5` writes the page for you."
    shutil.copy(written, extra)
    name = written.name
    return (
        f'<iframe src="{name}" title="Latent explorer" class="explorer"></iframe>\n\n'
        f'<a href="{name}">Open it alone, in the whole window</a>'
    )


def collect():
    """Put all pages into docs/_build/source; return the paths of the notebooks to run."""
    filled = ("index.md", "explorer.md", "articles.md")  # by this script
    for path in sorted(HERE.rglob("*.md")):
        if BUILD in path.parents or path.name in filled and path.parent == HERE:
            continue
        text, page = path.read_text(encoding="utf-8"), path.relative_to(HERE)
        if page.parent.name == "zh" and re.match(r"\d\d_", path.name):
            back = f"[English: the chapter](../chapters/{path.stem}.ipynb)"
            text = re.sub(r"\A(# .*\n)", rf"\1\n{back}\n", text)
        if path.stem != "glossary":
            text = link(local_links(text), path.stem, "../" * (len(page.parts) - 1))
        put(SOURCE / page, text)
    put(SOURCE / "articles.md", articles())
    errata = (TUTORIALS / "errata.md").read_text(encoding="utf-8")
    put(SOURCE / "errata.md", re.sub(
        r"(?<=\*\*chapter\*\* )[\d, ]+",
        lambda m: re.sub(r"\d+", lambda n: page_link(n[0], int(n[0])), m[0]),
        local_links(errata),
    ))
    name = "find_the_bug_answers"
    answers = local_links((TUTORIALS / f"{name}.md").read_text(encoding="utf-8"))
    put(SOURCE / f"{name}.md", link(answers, name, ""))
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    put(SOURCE / "contributing.md", local_links(contributing))
    pages = []
    for path in [*runner.chapters().values(), *runner.pages()]:
        put(SOURCE / "scripts" / path.name, path.read_text(encoding="utf-8"))
        put(SOURCE / "notebooks" / f"{path.stem}.ipynb", nbformat.writes(students_notebook(path)))
        pages.append(SOURCE / "chapters" / f"{path.stem}.ipynb")
        put(pages[-1], nbformat.writes(chapter_page(path)))
    shutil.copytree(HERE / "images", SOURCE / "images", dirs_exist_ok=True)
    put(SOURCE / "chapters" / EXPECTED.name, EXPECTED.read_text(encoding="utf-8"))
    return pages


def local_links(text):
    """Return Markdown whose links into the repository lead to pages of the site."""
    text = re.sub(r"\((?:\.\./)?tutorials/(\d\d_\w+)\.py\)", r"(chapters/\1.ipynb)", text)
    text = re.sub(r"\((?:\.\./)?tutorials/(find_the_bug|failure_gallery)\.py\)",
                  r"(chapters/\1.ipynb)", text)
    text = re.sub(r"\((?:\.\./)?tutorials/(errata|find_the_bug_answers)\.md", r"(\1.md", text)
    text = re.sub(r"\(\.\./README\.md#start\)", "(start.md)", text)
    return re.sub(r"\((?:\.\./)?docs/", "(", text)


def execute(pages, cache_path):
    """Run the notebooks that the cache does not hold, two at a time."""
    from jupyter_cache import get_cache
    from jupyter_cache.executors import load_executor

    cache = get_cache(cache_path)
    known = {record.uri: record for record in cache.list_project_records()}
    for uri in set(known) - {str(page) for page in pages}:
        cache.remove_nb_from_project(uri)
    for page in reversed(pages):  # the later chapters take longer: begun first, they leave no gap
        cache.add_nb_to_project(str(page))
    waiting = [record.uri for record in cache.list_unexecuted()]
    if not waiting:
        return
    for left in SOURCE.glob("chapters/outputs/*/backups"):
        shutil.rmtree(left)  # of a build that was interrupted: a page shows a whole training
    print(f"running {len(waiting)} notebooks, two at a time: some minutes", flush=True)
    logger = logging.getLogger("notebooks")
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.StreamHandler())
    executor = load_executor("local-parallel", cache, logger=logger)
    executor.run_and_cache(filter_uris=waiting, timeout=1200, allow_errors=False)
    failed = [record.uri for record in cache.list_unexecuted()]
    for uri in failed:
        print(cache.get_project_record(uri).traceback, file=sys.stderr)
    if failed:
        raise SystemExit(f"these notebooks stopped: {', '.join(failed)}")


def main(arguments):
    """Build; return Sphinx's exit status."""
    os.environ.pop("MPLBACKEND", None)  # a notebook shows its figures by a backend of its own
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # two notebooks at a time, a core each
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    pages = collect()
    # What the notebooks import, and the ranges that they read, is part of what they show.
    needed = [*sorted((ROOT / "keras_vae").glob("*.*")), EXPECTED]
    package = b"".join(path.read_bytes() for path in needed)
    cache = BUILD / f"cache_{hashlib.sha256(package).hexdigest()[:12]}"
    os.environ["KERAS_VAE_DOCS_CACHE"] = str(cache)
    os.environ["KERAS_VAE_DOCS_RUN"] = "off" if arguments.no_run else "cache"
    if not arguments.no_run:
        execute(pages, cache)
    for make in (gallery, explorer):
        page = {gallery: "index.md", explorer: "explorer.md"}[make]
        text = (HERE / page).read_text(encoding="utf-8")
        put(SOURCE / page, text.replace(f"<!-- {make.__name__} -->", make()))
    from sphinx.cmd.build import main as sphinx

    return sphinx(["-W", "--keep-going", "-q", "-c", str(HERE), str(SOURCE), str(BUILD / "html")])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--no-run", action="store_true", help="pages without what the code gives")
    sys.exit(main(parser.parse_args()))
