"""What a run leaves behind: its folder, files written aside and renamed, the closing table."""

import contextlib
import json
import math
import os
import pathlib
import platform
import sys
import time

import keras
import tensorflow as tf

# What the runner changed of the chapter's parameters, such as {"epochs": 2}. The expected ranges
# hold for the defaults only; the data set and the seed may be any.
overrides = {}


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
    """Make a folder, or take the one that is there, and remove what a killed run left half-written.

    Raises:
        OSError: It cannot be made or written; the message says what to do.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".writing_*"):
            left.unlink()
        probe = folder / ".writing_probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(
            f"cannot write the folder {folder.absolute()}: {error}. "
            "Start from a working folder that you may write"
        ) from error


class Run:
    """The folder of one run of a chapter, and its closing table.

    Args:
        name: Of the chapter; the folder is `root`/`name`. Its earlier `results.json` is removed,
            so that a folder without one is that of a run that did not finish.
        root: Folder of all runs, from the working folder.

    Raises:
        OSError: The folder cannot be made or written.
    """

    def __init__(self, name, root="outputs"):
        self.name = name
        self.folder = pathlib.Path(root) / name
        self.start = time.perf_counter()
        self.saved = []
        make_folder(self.folder)
        (self.folder / "results.json").unlink(missing_ok=True)
        with contextlib.suppress(AttributeError):
            sys.stdout.reconfigure(errors="replace")  # a terminal or a file without ε or β

    def save_figure(self, figure, name):
        """Save a matplotlib Figure as `name`.png and return it, for a notebook to show."""
        self.saved.append(f"{name}.png")
        write_aside(
            self.folder / f"{name}.png",
            lambda aside: figure.savefig(aside, dpi=150, bbox_inches="tight"),
        )
        return figure

    def save_model(self, model, name):
        """Save a Keras model, with its optimizer's state, as `name`.keras; return the path."""
        self.saved.append(f"{name}.keras")
        path = self.folder / f"{name}.keras"
        write_aside(path, model.save)
        return path

    def finish(self, data, rows):
        """Print the closing table and where everything lies; save both as results.json.

        Args:
            data: Name of the data set in use.
            rows: (measure, value, {data set: (low, high)}) each: the range expected at the
                chapter's defaults. An empty dictionary expects nothing.

        Returns:
            The table as text.
        """
        changed = {key: new for key, new in overrides.items() if key not in ("data", "seed")}
        results = []
        lines = [("measure", "here", "expected", "")]
        for measure, value, ranges in rows:
            value = float(value)
            low, high = ranges.get(data, (None, None))
            inside = None if low is None or changed else bool(low <= value <= high)
            mark = {True: "ok", False: "OUTSIDE", None: ""}[inside]
            expected = "" if low is None else f"{short(low)} … {short(high)}"
            lines.append((measure, short(value), expected, mark))
            results.append(
                {"measure": measure, "value": value if math.isfinite(value) else str(value),
                 "low": low, "high": high, "inside": inside}
            )
        seconds = time.perf_counter() - self.start
        report = {
            "chapter": self.name,
            "data": data,
            "overrides": overrides,
            "rows": results,
            "seconds": round(seconds, 1),
            "versions": {
                "python": platform.python_version(),
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
            },
        }
        text = json.dumps(report, indent=1, ensure_ascii=False)
        write_aside(
            self.folder / "results.json", lambda aside: aside.write_text(text, encoding="utf-8")
        )
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
        return table


def short(number):
    """Return a number with four significant digits, as text."""
    return f"{number:.4g}" if abs(number) < 10000 else f"{number:,.0f}"
