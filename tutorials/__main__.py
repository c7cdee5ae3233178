"""List the chapters, or run one: `python tutorials`, `python tutorials 4 epochs=2 data=digits`."""

import ast
import contextlib
import importlib.util
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import _thread

HERE = pathlib.Path(__file__).parent
USAGE = """\
python tutorials [CHAPTER | all] [PARAMETER=VALUE … | --help]
python tutorials notebook CHAPTER [answers=yes] [PARAMETER=VALUE …]
python tutorials start CHAPTER
python tutorials check CHAPTER [seconds=60] [FILE …]"""


class Terminated(KeyboardInterrupt):
    """SIGTERM came, from `kill` or a shutdown: the run ends as it does after Ctrl-C."""


# Exit statuses: 128 and the number of the signal that says the same.
STATUS = {KeyboardInterrupt: 130, BrokenPipeError: 141, Terminated: 143}


def chapters():
    """Return {number: path} of the chapters, in order."""
    paths = sorted(HERE.glob("[0-9][0-9]_*.py"))
    return {int(path.name[:2]): path for path in paths}


def pages():
    """Return the paths of the pages without a number."""
    return sorted(path for path in HERE.glob("[a-z]*.py"))


def find(word):
    """Return the path of the chapter or page that a number, a name or a path stands for, or None."""
    if word.isdecimal():
        return chapters().get(int(word))
    for path in [*chapters().values(), *pages()]:
        if word in (path.stem, path.name) or pathlib.Path(word).resolve() == path.resolve():
            return path
    return None


def parameter_cell(source):
    """Return {name: (node of the literal, value)} of the cell tagged "parameters"."""
    lines = source.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith('# %% tags=["parameters"]'))
    end = next(i for i, line in enumerate(lines) if i > start and line.startswith("# %%"))
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and start < node.lineno <= end:
            found[node.targets[0].id] = (node.value, ast.literal_eval(node.value))
    return found


def parse(name, text, default, line=""):
    """Return the value that `text` stands for, in the type of `default`; never evaluated.

    Its bounds are those that the chapter's line names: texts in quotes, "at least", "at most".
    """
    if isinstance(default, str):
        choices = dict.fromkeys(re.findall(r'"(\w+)"', line))
        if choices and text not in choices:
            raise SystemExit(f"{name} must be one of {', '.join(choices)}, got {text!r}")
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if type(default) is float and type(value) is int:
        value = float(value)
    same = type(value) is type(default)
    if same and isinstance(default, tuple):
        kinds = {type(item) for item in default}
        same = not kinds or all(type(item) in kinds for item in value)
    if not same:
        such = ",".join(map(repr, default)) + "," if isinstance(default, tuple) else repr(default)
        raise SystemExit(
            f"{name} must be of type {type(default).__name__}, such as {name}={such} (not {text!r})"
        )
    given, own = (value, default) if isinstance(default, tuple) else ((value,), (default,))
    named = dict(re.findall(r"at (least|most) (\d+)", line))
    # 0 is for what the chapter itself has at 0, such as a seed, and for all that is no count.
    least = int(named.get("least", min(0 if float in map(type, own) else 1, *own)))
    ceiling = 2**32 - 1 if name == "seed" else int(named.get("most", 0))
    most = ceiling or 3.4e38  # what float32 holds
    wrong = [item for item in given if type(item) in (int, float) and not least <= item <= most]
    if wrong or named and not given:
        what = "hold numbers of" if isinstance(default, tuple) else "be"
        bounds = "finite" if any(item > most for item in wrong) else f"at least {least}"
        bounds = f"from {least} to {most}" if ceiling else bounds
        raise SystemExit(f"{name} must {what} {bounds}, got {text!r}")
    return value


def with_overrides(path, settings):
    """Return the chapter's source with other literals in its cell of parameters.

    Args:
        path: Of the chapter.
        settings: Texts such as "epochs=2".
    """
    source = path.read_text(encoding="utf-8")
    cell = parameter_cell(source)
    lines = source.splitlines(keepends=True)
    given = set()
    for setting in settings:
        name, equals, text = setting.partition("=")
        if name in given:
            raise SystemExit(f"{name} is given twice")
        if not equals or not name.isidentifier():
            raise SystemExit(
                "parameters are set by name=value, without spaces or dashes, such as epochs=2, "
                f"got {setting!r}"
            )
        if name not in cell:
            known = ", ".join(f"{key}={value!r}" for key, (_, value) in cell.items())
            raise SystemExit(f"{path.stem} has no parameter {setting!r}; it has: {known}")
        node, default = cell[name]
        given.add(name)
        value = parse(name, text, default, lines[node.lineno - 1])
        line = lines[node.lineno - 1].encode()  # the offsets count bytes
        new = line[: node.col_offset] + repr(value).encode() + line[node.end_col_offset :]
        lines[node.lineno - 1] = new.decode()
    return "".join(lines)


@contextlib.contextmanager
def silent_standard_error():
    """Keep TensorFlow's notices of its start, written below Python, off the screen."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def signals_held():
    """Let Ctrl-C and SIGTERM wait: an import in C would make another error of them."""
    came = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    kept = [signal.signal(number, lambda number, frame: came.append(number)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, kept):
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)


def terminate(number, frame):
    """Handle SIGTERM."""
    raise Terminated


def interrupt_again(unraisable):
    """Raise once more the KeyboardInterrupt that fell into a destructor, where Python drops it."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        terminated = issubclass(unraisable.exc_type, Terminated)
        number = signal.SIGTERM if terminated else signal.SIGINT
        # Not here: this is still inside the destructor.
        threading.Timer(0.1, _thread.interrupt_main, [number]).start()
    else:
        sys.__unraisablehook__(unraisable)


def package(folder):
    """Import keras_vae, make the folder of a run, and return the module `report`.

    Raises:
        SystemExit: One of them cannot be done; it says why.
    """
    try:
        with signals_held(), silent_standard_error():
            from keras_vae import report  # late: it takes seconds, and the list needs none

        report.make_folder(folder)
    except ModuleNotFoundError as error:
        raise SystemExit(f"{error}. All that the course needs: pip install -r requirements.txt")
    except (ImportError, OSError) as error:
        raise SystemExit(str(error))
    return report


def without_bars():
    """Let Keras print one plain line where it would move a bar and colour it."""
    import keras

    begin = keras.utils.Progbar.__init__

    def begin_plain(self, target, width=20, verbose=1, **kwargs):
        begin(self, target, width, 2 if verbose else 0, **kwargs)

    keras.utils.Progbar.__init__ = begin_plain
    os.environ["TERM"] = "dumb"  # a model's summary is bold even under NO_COLOR


def run(path, settings):
    """Run one chapter in this process; return the names that it made."""
    source = with_overrides(path, settings)
    folder = pathlib.Path("outputs", path.stem)
    print(f"{path.stem}: loading TensorFlow …", flush=True)
    report = package(folder)
    try:
        report.hold(folder / ".lock")
    except RuntimeError as error:  # another process runs it
        raise SystemExit(str(error))
    import tensorflow as tf

    with silent_standard_error():
        tf.config.list_physical_devices()
    tf.get_logger().setLevel("ERROR")  # a chapter's many models make it warn of retracing
    columns = shutil.get_terminal_size().columns  # a bar that is broken in two floods the screen
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty() or columns < 120:
        without_bars()
    code = compile(source, str(path), "exec")
    names = {"__name__": "__main__", "__file__": str(path)}
    exec(code, names)
    return names


def run_child(command):
    """Run a command to its end and return its status; whatever ends this process ends that one."""
    with subprocess.Popen(command) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=1)  # Ctrl-C, as any signal to the group, has reached it, too
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=10)
            raise
        finally:
            child.kill()


def run_all(settings):
    """Run every chapter in a process of its own; return the names of those that failed.

    What was reached is reported in outputs/report.html, also after an interrupt.
    """
    plans = {}
    for path in chapters().values():
        cell = parameter_cell(path.read_text(encoding="utf-8"))
        plans[path] = [setting for setting in settings if setting.partition("=")[0] in cell]
        with_overrides(path, plans[path])  # refuses a wrong value before the first chapter runs
    for setting in settings:
        if not any(setting in plan for plan in plans.values()):
            raise SystemExit(f"no chapter has a parameter {setting!r}; parameters are name=value")
    runs = [
        {"name": path.stem, "title": f"{int(path.name[:2])}. {title_of(path)}",
         "state": "not run", "minutes": None}
        for path in plans
    ]
    report = package("outputs")
    try:
        for entry, (path, known) in zip(runs, plans.items()):
            start = time.perf_counter()
            entry["state"] = "interrupted"
            code = run_child([sys.executable, str(HERE), path.name[:2], *known])
            for stop, status in STATUS.items():
                if code == status:
                    raise stop
            entry["state"] = "failed" if code else "finished"
            entry["minutes"] = (time.perf_counter() - start) / 60
    finally:
        print(f"\nReport: {report.html_report(runs).absolute()}")
    print("\nminutes")
    for entry in runs:
        mark = "  FAILED" if entry["state"] == "failed" else ""
        print(f"  {entry['name']:28} {entry['minutes']:5.1f}{mark}")
    print(f"  {'together':28} {sum(entry['minutes'] for entry in runs):5.1f}")
    return [entry["name"] for entry in runs if entry["state"] == "failed"]


def notebook(path, settings=(), answers=True):
    """Return a chapter or a page as a notebook without outputs.

    Args:
        path: Of the chapter or page.
        settings: Texts such as "epochs=2".
        answers: Whether it has the folded answers to the questions.

    Raises:
        SystemExit: The settings are wrong, or jupytext is not installed.
    """
    source = with_overrides(path, settings)
    try:
        import jupytext  # late: only this needs them
        import nbformat
    except ModuleNotFoundError as error:
        raise SystemExit(f"{error}. All that the course needs: pip install -r requirements.txt")
    page = jupytext.reads(source, fmt="py:percent")
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    page.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    for i, cell in enumerate(page.cells):
        cell["id"] = f"cell-{i}"  # the same every time
        if cell.cell_type == "markdown" and not answers:
            cell.source = without_answers(cell.source)
    page.cells = [cell for cell in page.cells if cell.source]
    return page


def without_answers(text):
    """Return Markdown without its folded answers and the empty lines that they would leave."""
    pattern = r"(\n*)[ \t]*<details>.*?</details>[ \t]*(\n*)"
    text = re.sub(pattern, lambda gap: max(gap[1], gap[2], key=len), text, flags=re.DOTALL)
    return text.strip("\n")


def seen_from(folder, text):
    """Return a chapter's Markdown with its pictures as a notebook in another folder finds them."""

    def moved(match):
        target = (HERE / match[2]).resolve()
        try:
            relative = pathlib.Path(os.path.relpath(target, folder.resolve())).as_posix()
            return match[1] + urllib.parse.quote(relative)
        except ValueError:  # on another drive of Windows
            return match[1] + target.as_uri()

    return re.sub(r"(\]\()(\.\./[^)\s]+)", moved, text)


def write_notebook(path, settings):
    """Write a chapter as a notebook into the working folder, without answers unless "answers=yes".

    Raises:
        SystemExit: The settings are wrong, the file is there already, or it cannot be written.
    """
    asked = [setting for setting in settings if setting.partition("=")[0] == "answers"]
    if asked not in ([], ["answers=no"], ["answers=yes"]):
        raise SystemExit(f"answers must be yes or no, and given once, got {' '.join(asked)!r}")
    answers = asked == ["answers=yes"]
    page = notebook(path, [setting for setting in settings if setting not in asked], answers)
    target = pathlib.Path(f"{path.stem}{'_answers' if answers else ''}.ipynb").absolute()
    if target.exists():
        raise SystemExit(
            f"{target} exists and may hold somebody's work: it was not overwritten. Rename or move "
            "it, or start from another folder, and give the command again"
        )
    import nbformat

    for cell in page.cells:
        if cell.cell_type == "markdown":
            cell.source = seen_from(target.parent, cell.source)
    # As report.write_aside does, whose import would load TensorFlow for this.
    aside = target.with_name(f".writing_{os.getpid()}_{target.name}")
    try:
        aside.write_text(nbformat.writes(page), encoding="utf-8")
        aside.replace(target)
    except OSError as error:
        raise SystemExit(f"cannot write {target}: {error}. Start from a folder that you may write")
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()
    print(f"Written: {target}")
    print("Open it in Jupyter or VS Code, in the environment where the course is installed.")


def exercises(name):
    """Return the module "start" or "check" of the exercises."""
    path = HERE / "exercises" / f"{name}.py"
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def title_of(path):
    """Return the title of a chapter, without its number, or of a page."""
    return re.search(r"^# # (?:\d+\. )?(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)[1]


def listing():
    """Return the list of the chapters: title and measured minutes, read off their first lines."""
    lines = [USAGE, ""]
    for number, path in chapters().items():
        head = path.read_text(encoding="utf-8")[:2000]
        minutes = re.search(r"([\d.]+) minutes on two cores", head)[1]
        lines.append(f"{number:3}  {title_of(path):46} {minutes:>4} minutes")
    for path in pages():
        lines.append(f"     {title_of(path)}: python tutorials {path.stem}")
    lines += ["", "Minutes were measured on MNIST, on two cores.",
              "`notebook` writes a chapter as a notebook for students, without the folded answers;",
              "with answers=yes it has them.",
              "`start` writes an exercise, a file with three lines to fill in, and `check` checks it:",
              f"chapters {', '.join(map(str, exercises('start').LINES))}. With several files it prints a "
              "table of the class."]
    return "\n".join(lines)


def parameters_of(path):
    """Return the title of a chapter and the lines of its parameters, with their comments."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    nodes = [node for node, _ in parameter_cell(source).values()]
    return "\n".join([title_of(path), "", *(lines[node.lineno - 1] for node in nodes)])


def main(arguments):
    """Do what the command line says; return the exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # a terminal without ε or β
    first, *settings = arguments or ["--help"]
    as_notebook = first == "notebook"
    if as_notebook:
        first, *settings = settings or ["--help"]
    if first in ("start", "check") and not {"-h", "--help"} & {*settings}:
        word, *settings = settings or [""]
        try:
            number = exercises("start").number_of(first, word, find(word))
            return exercises(first).main(number, settings)
        except KeyboardInterrupt as stop:
            print("\nInterrupted.")
            return STATUS[type(stop)]
    path = find(first)
    if {"-h", "--help"} & {first, *settings} and (
        path or first in ("-h", "--help", "all", "start", "check")
    ):
        print(parameters_of(path) if path else listing())
        return 0
    if as_notebook and path:
        write_notebook(path, settings)
        return 0
    try:
        if first == "all" and not as_notebook:
            return 1 if run_all(settings) else 0
        if path:
            run(path, settings)
            return 0
    except KeyboardInterrupt as stop:
        again = "The chapters that had finished have kept their results."
        if path:
            goes_on = "Backup(" in path.read_text(encoding="utf-8")
            again = "Run the chapter again with the same parameters, and it "
            again += "goes on." if goes_on else "begins anew: it keeps no backup."
        print(f"\n{'Terminated' if isinstance(stop, Terminated) else 'Interrupted'}. {again}")
        return STATUS[type(stop)]
    known = [f"{path.stem} ({number})" for number, path in chapters().items()]
    known += [*(path.stem for path in pages()), *([] if as_notebook else ["all"])]
    raise SystemExit(f"no chapter {first!r}; there are {', '.join(known)}")


if __name__ == "__main__":
    sys.unraisablehook = interrupt_again
    signal.signal(signal.SIGTERM, terminate)
    if hasattr(signal, "SIGHUP"):  # the terminal is closed
        signal.signal(signal.SIGHUP, terminate)
    try:
        status = main(sys.argv[1:])
        print(end="", flush=True)
    except BrokenPipeError:  # whoever read, such as `head`, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the exit flushes again
        status = STATUS[BrokenPipeError]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is ending
    sys.exit(status)
