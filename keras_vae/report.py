"""What a run leaves behind: its folder, files written aside and renamed, the closing table."""

import base64
import contextlib
import errno
import hashlib
import html
import importlib.metadata
import inspect
import io
import json
import math
import os
import pathlib
import platform
import re
import shlex
import shutil
import sys
import tempfile
import textwrap
import time

import filelock
import keras
import numpy as np
import PIL.Image
import tensorflow as tf

parameters = {}  # {folder: names of the numbers and texts that its first run in this process had}
locks = {}  # {(process, path): lock}: what this process holds, until it ends or lets go


def write_aside(path, write):
    """Call `write` with a path beside `path`, then rename: `path` is whole or not there.

    Raises:
        OSError: The folder cannot be written; the message says what to do.
    """
    path = pathlib.Path(path)
    aside = path.with_name(f".writing_{os.getpid()}_{path.name}")
    try:
        write(aside)
        os.replace(aside, path)
    except OSError as error:
        raise OSError(
            f"cannot write {path}: {error}. Start from a folder that you may write, with room left"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def make_folder(folder):
    """Make a folder, or take the one that is there.

    What a killed run left half-written is removed a day later: until then it may be another's.

    Raises:
        OSError: It cannot be made or written; the message says what to do.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_half_written(folder, ".writing_*", time.time() - 86_400)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(
            f"cannot write the folder {folder.absolute()}: {error}. "
            "Start from a working folder that you may write"
        ) from error


def remove_half_written(folder, pattern=".writing_*", before=math.inf):
    """Remove the files of a folder, and of those in it, that were last written before a time."""
    for left in folder.rglob(pattern):
        with contextlib.suppress(FileNotFoundError):  # finished and renamed meanwhile
            if left.stat().st_mtime < before:
                left.unlink()


def hold(path):
    """Lock a file for this process, until it lets go of it or ends, be it killed.

    Raises:
        RuntimeError: Another process holds it.
    """
    key = os.getpid(), str(path)
    lock = locks.get(key) or filelock.FileLock(path, timeout=0, thread_local=False)
    try:
        if not lock.is_locked:
            lock.acquire()
    except filelock.Timeout:
        raise RuntimeError(
            f"another process is at work in {path.parent.absolute()} (it holds {path.name}): "
            "wait until it ends (one stopped with Ctrl-Z, until `fg` has ended it), or start from "
            "another folder"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
            raise
        return  # a file system without locks
    locks[key] = lock


def let_go(path):
    """Release what `hold` has locked."""
    lock = locks.pop((os.getpid(), str(path)), None)
    if lock:
        lock.release()


class Run:
    """The folder of one run of a chapter, and its closing table.

    Args:
        name: Of the chapter; the folder is `root`/`name`. Its earlier `results.json` is removed,
            so that a folder without one is that of a run that did not finish.
        root: Folder of all runs, from the working folder.

    Attributes:
        folder: Of the run.
        backups: Folder for its `Backup` files, another one for each choice of parameters, so that a
            chapter that was interrupted goes on only if it is started again with the same. (The
            parameters are the numbers, texts and tuples that the caller has named so far.)
            `finish` removes it.

    Raises:
        OSError: The folder cannot be made or written.
        RuntimeError: Another process runs the chapter in the same folder.
        SystemExit: The program is a chapter that lies beside the runner, and was given arguments,
            which only the runner takes; the message is the command.
    """

    def __init__(self, name, root="outputs"):
        script = pathlib.Path(sys.argv[0])
        if sys.argv[1:] and script.stem == name and (script.parent / "__main__.py").exists():
            command = shlex.join(["python", str(script.parent), name, *sys.argv[1:]])
            words = "takes no arguments. Its parameters are set by:"
            raise SystemExit(f"{script.name} {words} {command}")
        self.name = name
        self.folder = pathlib.Path(root) / name
        caller = inspect.currentframe().f_back
        named = {**caller.f_globals, **caller.f_locals}.items()
        kinds = (bool, int, float, str, tuple)
        named = [(k, v) for k, v in named if isinstance(v, kinds) and not k.startswith("_")]
        # In a notebook whose cells run again, not what the rest of the chapter has named meanwhile.
        first = parameters.setdefault(str(self.folder.absolute()), {k for k, _ in named})
        named = [(k, v) for k, v in named if k in first]
        digest = hashlib.sha256(repr(sorted(named)).encode()).hexdigest()[:12]
        self.backups = self.folder / "backups" / digest
        # A chapter has many models, each traced anew: a notebook would show warnings of that.
        tf.get_logger().setLevel("ERROR")
        self.start = time.perf_counter()
        self.saved = []
        make_folder(self.folder)
        hold(self.folder / ".lock")
        remove_half_written(self.folder)
        (self.folder / "results.json").unlink(missing_ok=True)
        with contextlib.suppress(AttributeError):
            sys.stdout.reconfigure(errors="replace")  # a terminal or a file without ε or β

    def save_figure(self, figure, name):
        """Save a matplotlib Figure as `name`.png and return it, for a notebook to show."""
        self.saved.append(f"{name}.png")
        metadata = {"Description": description(figure, name)}
        write_aside(
            self.folder / f"{name}.png",
            lambda aside: figure.savefig(aside, dpi=150, bbox_inches="tight", metadata=metadata),
        )
        return figure

    def save_model(self, model, name):
        """Save a Keras model, with its optimizer's state, as `name`.keras."""
        self.saved.append(f"{name}.keras")
        write_aside(self.folder / f"{name}.keras", model.save)

    def finish(self, data, values):
        """Print the closing table and where everything lies; save both as results.json.

        What is expected is read from `expected.json` beside the chapter. A notebook has no file of
        its own: there it is looked for in the working folder, then in `tutorials/` below it. Its
        form is {chapter: {"parameters": {name: default}, "ranges": {measure: {data set:
        [low, high]}}}}. What is not there is not expected.

        The ranges hold for the defaults. If a global of the caller that is named like a parameter
        has another value, no measure is judged. The seed may be any; the data set is `data`.

        Args:
            data: Name of the data set in use.
            values: {measure: value}.
        """
        caller = inspect.currentframe().f_back.f_globals
        file = caller.get("__file__")
        folders = [pathlib.Path(file).parent] if file else ["", "tutorials"]
        defaults, ranges = expected_of(self.name, folders)
        overrides = {
            name: caller[name]
            for name, default in defaults.items()
            if name in caller and name != "data" and not np.array_equal(caller[name], default)
        }
        changed = {name: value for name, value in overrides.items() if name != "seed"}
        results = []
        lines = [("measure", "here", "expected", "")]
        for measure, value in values.items():
            value = float(value)
            low, high = ranges.get(measure, {}).get(data, (None, None))
            inside = None if low is None or changed else bool(low <= value <= high)
            results.append(
                {"measure": measure, "value": value if math.isfinite(value) else str(value),
                 "low": low, "high": high, "inside": inside}
            )
            lines.append(cells(results[-1]))
        seconds = time.perf_counter() - self.start
        report = {
            "chapter": self.name,
            "data": data,
            "overrides": overrides,
            "rows": results,
            "saved": self.saved,
            "seconds": round(seconds, 1),
            "versions": {
                "python": platform.python_version(),
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
            },
        }
        text = json.dumps(report, indent=1, ensure_ascii=False, default=str)
        write_aside(
            self.folder / "results.json", lambda aside: aside.write_text(text, encoding="utf-8")
        )
        shutil.rmtree(self.backups, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.backups.parent.rmdir()  # unless it holds those of an interrupted run
        let_go(self.folder / ".lock")
        widths = [max(len(line[i]) for line in lines) for i in range(4)]
        table = "\n".join(
            f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:<{widths[2]}}  {d}".rstrip()
            for a, b, c, d in lines
        )
        print(f"\n{self.name} on {data}, {seconds:.0f} s")
        print(table)
        if changed:
            settings = ", ".join(f"{key}={value}" for key, value in changed.items())
            print(f"With {settings}; the expected ranges are for the defaults.")
        folders = [f"{path.name}/" for path in sorted(self.folder.iterdir()) if path.is_dir()]
        print(f"Pictures and models: {self.folder.absolute()}")
        print(f"  {', '.join(self.saved + folders)}")


@contextlib.contextmanager
def mistake(erratum):
    """Run what an article got wrong, and print the error that it raises, for a page to show.

    Args:
        erratum: Its name, such as "A1-5": it is printed before the error.

    Raises:
        AssertionError: Nothing was raised.
    """
    try:
        yield
    except Exception as error:
        words = re.sub(r"\{\{.*?\}\}", "", str(error))  # TensorFlow's names of its nodes
        text = textwrap.shorten(f"{type(error).__name__}: {words}", 360)
        print(textwrap.fill(f"{erratum}  {text}", 80, subsequent_indent="      "))
    else:
        raise AssertionError(f"{erratum} raised nothing")


def expected_of(name, folders):
    """Return a chapter's default parameters and ranges from the first expected.json in folders."""
    for folder in folders:
        path = pathlib.Path(folder, "expected.json")
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8")).get(name, {})
            return found.get("parameters", {}), found.get("ranges", {})
    return {}, {}


def short(number):
    """Return a number with four significant digits, as text."""
    return f"{number:.4g}" if abs(number) < 10000 else f"{number:,.0f}"


def cells(row):
    """Return a row of results.json as texts: measure, value, expected range, "ok" or "OUTSIDE"."""
    value = row["value"] if isinstance(row["value"], str) else short(row["value"])
    expected = "" if row["low"] is None else f"{short(row['low'])} … {short(row['high'])}"
    return row["measure"], value, expected, {True: "ok", False: "OUTSIDE", None: ""}[row["inside"]]


def description(figure, name):
    """Return what a matplotlib Figure shows, in words: its name, titles, axes, rows and curves."""
    words = [name.replace("_", " ")]
    for ax in figure.axes:
        words.append(ax.get_title())
        if ax.get_xlabel():
            words.append(f"{ax.get_ylabel()} over {ax.get_xlabel()}")
        legend = ax.get_legend()
        named = [*ax.get_yticklabels(), *(legend.get_texts() if legend else [])]
        words += [text.get_text() for text in named if text.get_text()[:1].isalpha()]
    words = [" ".join(word.split()) for word in words]
    return "; ".join(dict.fromkeys(word for word in words if word))


STYLE = """
:root { color-scheme: light dark; --line: #bbb; --bad: #b00020; --dim: #555; }
@media (prefers-color-scheme: dark) { :root { --line: #555; --bad: #ff8a80; --dim: #aaa; } }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: auto; padding: 1rem; }
h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .2rem .5rem .2rem 0;
         border-bottom: 1px solid var(--line); }
td:first-child { overflow-wrap: anywhere; min-width: 7rem; }
@media (max-width: 40rem) { table { font-size: .85rem; } }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; background: white; }
figcaption, .dim { color: var(--dim); font-size: .9rem; }
.bad { color: var(--bad); font-weight: bold; }
summary { cursor: pointer; }
"""


def html_report(runs, root="outputs"):
    """Write `root`/report.html, one page of all runs with their pictures, and return its path.

    Args:
        runs: A dictionary a run, in order: its "name", which is its folder's, "title", "state"
            ("finished", "failed", "interrupted" or "not run") and "minutes" (None if not known).
            Of the finished ones, table and pictures are read from the folder.
        root: Folder of all runs.

    Raises:
        OSError: The page cannot be written.
    """
    root = pathlib.Path(root)
    make_folder(root)
    text = html.escape
    overview, sections = [], []
    for run in runs:
        name, state, results = text(run["name"]), text(run["state"]), None
        minutes = "" if run["minutes"] is None else f"{run['minutes']:.1f}"
        if state == "finished":
            results = json.loads((root / run["name"] / "results.json").read_text("utf-8"))
        tone = {"finished": "", "not run": "dim"}.get(state, "bad")
        mark = f'<span class="{tone}">{state}</span>' if tone else state
        verdict = ranges_in_words(results) if results else ""
        overview.append(
            f'<tr><td><a href="#{name}">{text(run["title"])}</a></td>'
            f"<td>{mark}</td><td>{minutes}</td><td>{verdict}</td></tr>"
        )
        sections.append(f'<h2 id="{name}">{text(run["title"])}</h2>')
        if not results:
            sections.append(f"<p>{mark}. What it said stands where it was started.</p>")
            continue
        settings = ", ".join(f"{key}={value}" for key, value in results["overrides"].items())
        settings = f", with {text(settings)}" if settings else ""
        sections.append(f'<p>On {text(results["data"])}{settings}; {minutes} minutes.</p>')
        for picture in results["saved"]:
            if picture.endswith(".png"):
                sections.append(html_figure(root / run["name"] / picture))
        sections.append(html_table(results["rows"], verdict))
    facts = {**versions(), **machine()}
    facts = "".join(f"<tr><td>{text(k)}</td><td>{text(v)}</td></tr>" for k, v in facts.items())
    page = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>All chapters</title>
<style>{STYLE}</style>
<h1>All chapters</h1>
<p class="dim">Written on {time.strftime("%Y-%m-%d at %H:%M")}.</p>
<table><thead><tr><th>chapter</th><th>state</th><th>minutes</th><th>in range</th></tr></thead>
<tbody>{"".join(overview)}</tbody></table>
<p>“3 of 4” in the last column: for four values a range is expected, and three lie in it. The ranges
hold for the chapters’ defaults.</p>
{"".join(sections)}
<h2>Machine and versions</h2>
<table><tbody>{facts}</tbody></table>
</html>
"""
    path = root / "report.html"
    write_aside(path, lambda aside: aside.write_text(page, encoding="utf-8"))
    return path


def ranges_in_words(results):
    """Return how many values of a results.json lie in their expected range, such as "3 of 4"."""
    known = [row["inside"] for row in results["rows"] if row["inside"] is not None]
    words = f"{sum(known)} of {len(known)}" if known else "none expected"
    return words if all(known) else f'<span class="bad">{words}</span>'


def html_figure(path):
    """Return a picture as an HTML figure that holds it, reduced to 900 pixels of width."""
    with PIL.Image.open(path) as picture:
        alt = html.escape(picture.info.get("Description", path.stem))
        small = picture.convert("RGB")
    small.thumbnail((900, 2000))
    kinds = {}  # {type: bytes}: drawings are smaller as PNG, grids of digits as JPEG
    for kind, image, options in (
        ("jpeg", small, {"quality": 80}), ("png", small.quantize(64), {"optimize": True})
    ):
        file = io.BytesIO()
        image.save(file, kind, **options)
        kinds[kind] = file.getvalue()
    kind = min(kinds, key=lambda kind: len(kinds[kind]))
    data = base64.b64encode(kinds[kind]).decode()
    size = f'width="{small.width}" height="{small.height}"'
    return (
        f'<figure><img src="data:image/{kind};base64,{data}" {size} alt="{alt}">'
        f"<figcaption>{html.escape(path.stem.replace('_', ' '))}</figcaption></figure>"
    )


def html_table(rows, verdict):
    """Return the rows of a results.json as a table that can be folded; long ones are folded."""
    lines = []
    for row in rows:
        *texts, mark = (html.escape(cell) for cell in cells(row))
        if mark == "OUTSIDE":
            mark = f'<span class="bad">{mark}</span>'
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in (*texts, mark)) + "</tr>")
    unfolded = " open" if len(rows) <= 20 else ""
    return (
        f"<details{unfolded}><summary>{len(rows)} values; in the expected range: {verdict}"
        "</summary><table><thead><tr><th>measure</th><th>here</th><th>expected</th><th></th></tr>"
        f"</thead><tbody>{''.join(lines)}</tbody></table></details>"
    )


def versions():
    """Return {package: version} of what the results depend on."""
    names = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "matplotlib", "keras_vae")
    found = {"python": platform.python_version()}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # tensorflow-cpu
            found[name] = importlib.metadata.version(name)
    return {**found, "tensorflow": tf.__version__}


def machine():
    """Return {fact: text} of the machine: processor, cores, memory where it can be told, system."""
    cores = os.cpu_count()
    if hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) != cores:
        cores = f"{len(os.sched_getaffinity(0))} of {cores}"
    found = {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": str(cores),
    }
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not on Windows
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        found["memory"] = f"{memory / 2**30:.0f} GiB"
    return found
