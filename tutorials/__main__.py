"""List the chapters, or run one: `python tutorials`, `python tutorials 4 epochs=2 data=digits`."""

import ast
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import _thread

HERE = pathlib.Path(__file__).parent
USAGE = "python tutorials [CHAPTER | all] [PARAMETER=VALUE …]"


def chapters():
    """Return {number: path} of the chapters, in order."""
    paths = sorted(HERE.glob("[0-9][0-9]_*.py"))
    return {int(path.name[:2]): path for path in paths}


def pages():
    """Return the paths of the pages without a number."""
    return sorted(path for path in HERE.glob("[a-z]*.py"))


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


def parse(name, text, default):
    """Return the value that `text` stands for, in the type of `default`; never evaluated."""
    if isinstance(default, str):
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
        raise SystemExit(
            f"{name} must be of type {type(default).__name__}, such as {default!r}, got {text!r}"
        )
    return value


def with_overrides(path, settings):
    """Return the chapter's source and the overrides, after replacing literals of its cell.

    Args:
        path: Of the chapter.
        settings: Texts such as "epochs=2".
    """
    source = path.read_text(encoding="utf-8")
    cell = parameter_cell(source)
    lines = source.splitlines(keepends=True)
    overrides = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in cell:
            known = ", ".join(f"{key}={value!r}" for key, (_, value) in cell.items())
            raise SystemExit(f"{path.stem} has no parameter {setting!r}; it has: {known}")
        node, default = cell.pop(name)  # so that a second setting of the same name is refused
        overrides[name] = parse(name, text, default)
        line = lines[node.lineno - 1].encode()  # the offsets count bytes
        new = line[: node.col_offset] + repr(overrides[name]).encode() + line[node.end_col_offset :]
        lines[node.lineno - 1] = new.decode()
    return "".join(lines), overrides


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


def interrupt_again(unraisable):
    """Raise once more the KeyboardInterrupt that fell into a destructor, where Python drops it."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        threading.Timer(0.1, _thread.interrupt_main).start()  # not here: this is still inside
    else:
        sys.__unraisablehook__(unraisable)


def run(path, settings):
    """Run one chapter in this process; return the names that it made."""
    source, overrides = with_overrides(path, settings)
    with silent_standard_error():
        import tensorflow as tf  # late: the list of chapters needs none

        tf.config.list_physical_devices()
    tf.get_logger().setLevel("ERROR")  # a chapter's many models make it warn of retracing
    from keras_vae import report

    report.overrides.update(overrides)
    code = compile(source, str(path), "exec")
    names = {"__name__": "__main__", "__file__": str(path)}
    exec(code, names)
    return names


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
            raise SystemExit(f"no chapter has a parameter {setting!r}")
    runs = [
        {"name": path.stem, "title": f"{int(path.name[:2])}. {title_of(path)}",
         "state": "not run", "minutes": None}
        for path in plans
    ]
    try:
        for entry, (path, known) in zip(runs, plans.items()):
            start = time.perf_counter()
            entry["state"] = "interrupted"
            code = subprocess.run([sys.executable, str(HERE), path.name[:2], *known]).returncode
            if code == 130:
                raise KeyboardInterrupt
            entry["state"] = "failed" if code else "finished"
            entry["minutes"] = (time.perf_counter() - start) / 60
    finally:
        with silent_standard_error():
            from keras_vae import report  # late: it takes seconds

        print(f"\nReport: {report.html_report(runs).absolute()}")
    print("\nminutes")
    for entry in runs:
        mark = "  FAILED" if entry["state"] == "failed" else ""
        print(f"  {entry['name']:28} {entry['minutes']:5.1f}{mark}")
    print(f"  {'together':28} {sum(entry['minutes'] for entry in runs):5.1f}")
    return [entry["name"] for entry in runs if entry["state"] == "failed"]


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
    lines += ["", "Minutes were measured on MNIST, on two cores."]
    return "\n".join(lines)


def main(arguments):
    """Do what the command line says; return the exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # a terminal without ε or β
    if not arguments:
        print(listing())
        return 0
    first, *settings = arguments
    known = {str(number): path for number, path in chapters().items()}
    known.update({path.stem: path for path in pages()})
    try:
        if first == "all":
            return 1 if run_all(settings) else 0
        if first.lstrip("0") in known:
            run(known[first.lstrip("0")], settings)
            return 0
    except KeyboardInterrupt:
        print("\nInterrupted. Run the chapter again with the same parameters, and it goes on.")
        return 130
    raise SystemExit(f"no chapter {first!r}; there are {', '.join(known)} and all")


if __name__ == "__main__":
    sys.unraisablehook = interrupt_again
    sys.exit(main(sys.argv[1:]))
