"""Check what students have made of an exercise, each file in a process of its own.

Only that process imports TensorFlow, after the file has run: what is checked stands in marking.py.
"""

import ast
import concurrent.futures
import contextlib
import glob
import importlib.util
import json
import os
import pathlib
import queue
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import traceback
import types

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = 60  # that a file may take
MEMORY = 4 * 2**30  # bytes that it may take, where the system can limit that: ten times its need
WORKERS = 2
NOT_REACHED = "not reached"
ADVICE = "Errata: tutorials/errata.md; C-1 to C-12: docs/circulating.md."


def load(name):
    """Return a module of this folder, which is no package; imported once."""
    key = f"exercises_{name}"
    if key not in sys.modules:
        specification = importlib.util.spec_from_file_location(key, HERE / f"{name}.py")
        sys.modules[key] = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(sys.modules[key])
    return sys.modules[key]


START = load("start")
LINES = START.LINES


def names_of(number):
    """Return the names of the checks of an exercise, in their order."""
    return ["filled in", "runs", "shapes", *LINES[number], "gradients", "training"]


def unfilled(source):
    """Return the lines of a source that still hold the placeholder, as words."""
    found = [
        node for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Assign, ast.Return)) and isinstance(node.value, ast.Constant)
        and node.value.value is ...
    ]
    lines = source.splitlines()
    return ", ".join(f"line {node.lineno} ({lines[node.lineno - 1].strip()})" for node in found)


def other_exercise(number, source):
    """Return which other exercise a source is of, by what it defines, as words, or ""."""
    own = START.defined(source)
    if START.defined(START.solved(number)) <= own:
        return ""
    others = [n for n in LINES if n != number and START.defined(START.solved(n)) <= own]
    return "".join(f"this is the exercise of chapter {n}: check {n}" for n in others[:1])


def why(error, path):
    """Return an error in one line, with the student's line that it came from."""
    places = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    line = line or (places[-1] if places else None)
    words = re.sub("\x1b\\[[0-9;]*m", "", str(getattr(error, "msg", None) or error))
    words = " ".join(words.split())
    at = f"line {line}: " if line else ""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"{at}ran out of memory"
    return f"{at}{type(error).__name__}: {words[:300]}"


def examine(number, path, loaded=lambda: None):
    """Yield the result of each check of a file in this process: its name, and "ok" or the problem.

    Args:
        number: Of the exercise.
        path: Of the file.
        loaded: Is called when the file has run, before it is checked.
    """
    names = iter(names_of(number))
    name, path = next(names), str(path)
    try:
        source = pathlib.Path(path).read_text(encoding="utf-8")
        left = unfilled(source)
        problem = other_exercise(number, source) or left and f"still to be filled in: {left}"
        yield name, problem or "ok"
        if problem:
            return
        name = next(names)
        module = types.ModuleType(pathlib.Path(path).stem)
        exec(compile(source, path, "exec"), vars(module))
        loaded()
        yield name, "ok"
        found = load("marking").CHECKS[number](module)
        for name in names:
            problem = next(found, NOT_REACHED)
            if problem == NOT_REACHED:
                return
            yield name, problem or "ok"
    except GeneratorExit:
        raise
    except BaseException as error:  # sys.exit and Ctrl-C, too
        known = load("marking").message_of(error) if name not in ("filled in", "runs") else ""
        yield name, why(error, path) + known


def child(number, path):
    """Examine a file and send the results to the process that started this one.

    They go through what was the standard output, and begin with a secret that comes only when the
    file has run. So what it prints, an early end and a result written blindly to every open file
    count for nothing. A file that means to cheat still can: its code runs in this process, with the
    user's rights, and may change the checks, or read the secret. Read the file of whoever surprises
    you.
    """
    with contextlib.suppress(ImportError, ValueError, OSError):  # not everywhere
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what is printed: to the screen or nowhere, as the parent chose
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # TensorFlow's notices, written below Python
    secret, waiting = [], []

    def loaded():
        print("loaded", file=channel, flush=True)
        secret.append(os.read(0, 100).decode())

    for result in examine(number, path, loaded):
        if not secret and result[1] != "ok":  # it did not come so far
            loaded()
        waiting.append(result)
        while secret and waiting:
            print(secret[0], json.dumps(waiting.pop(0)), file=channel, flush=True)
    sys.stdout.flush()
    print(secret[0], "null", file=channel, flush=True)
    os._exit(0)  # no code of the student's runs at the exit


def end(process):
    """End a process and those that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def lines_of(process):
    """Yield the lines that a process writes, until it has ended.

    The end of its output is no sign: a process that it started may hold that open for ever.
    """
    lines = queue.SimpleQueue()

    def read():
        with process.stdout as stream:
            for line in iter(lambda: stream.readline(100_000), b""):
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        ended = process.poll() is not None
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            if ended:  # and nothing came since
                return
            continue
        if line is None:
            return
        yield line


def results_of(number, path, seconds, quiet, running):
    """Return the results of a file's checks, as `examine` yields them, from a process of its own.

    Args:
        quiet: Whether what the file prints is kept off the screen.
        running: A set of the processes under way, so that the caller can end them.
    """
    settings = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONUTF8": "1"}
    settings |= dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS",
                               "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    start, secret, results = time.perf_counter(), secrets.token_hex(), []
    process = subprocess.Popen(
        [sys.executable, __file__, str(number), str(path)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else 1,
        env={**os.environ, **settings}, start_new_session=True,
    )
    running.add(process)
    timer = threading.Timer(seconds, end, [process])
    timer.start()
    try:
        lines = lines_of(process)
        next(lines, None)  # "loaded"
        with contextlib.suppress(OSError):  # it has ended
            process.stdin.write(secret.encode())
            process.stdin.flush()
        for line in lines:
            before, _, result = line.decode(errors="replace").partition(" ")
            if before == secret:
                result = json.loads(result)
                if result is None:
                    return results
                name, problem = result  # which may hold commands to the terminal
                results.append((name, "".join(c if c.isprintable() else "?" for c in problem)))
    finally:
        timer.cancel()
        late = time.perf_counter() - start >= seconds
        end(process)
        status = process.wait()
        running.remove(process)
        with contextlib.suppress(OSError):  # what was not sent
            process.stdin.close()
    how = f"by signal {-status}" if status < 0 else f"with exit status {status}"
    how = f"the file ended its process {how} before its checks were done"
    name = names_of(number)[len(results) or 1]  # nothing is sent before the file has run
    return [*results, (name, f"ran out of time: {seconds:g} seconds" if late else how)]


def check(number, paths, seconds):
    """Check files and print what was found; return whether all is right."""
    running = set()
    if len(paths) == 1:
        print(f"{paths[0]}: checking, some seconds …", flush=True)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        quiet = len(paths) > 1
        tasks = [pool.submit(results_of, number, p, seconds, quiet, running) for p in paths]
        try:
            found = [task.result() for task in tasks]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                end(process)
            raise
    names = names_of(number)
    if quiet:
        width = max(len(str(path)) for path in paths)
        print(f"{'file':{width}}  passed  first that failed")
    passed = [[name for name, problem in results if problem == "ok"] for results in found]
    for path, results, good in zip(paths, found, passed) if quiet else ():
        wrong = [(name, problem) for name, problem in results if problem != "ok"]
        words = "".join(f"{name}: {problem}" for name, problem in wrong[:1])
        words += f"; also: {', '.join(name for name, _ in wrong[1:])}" if wrong[1:] else ""
        print(f"{str(path):{width}}  {len(good)} of {len(names)}  {words}".rstrip())
    if not quiet:
        known = dict(found[0])
        for name in names:
            print(f"  {name:14} {known.get(name, NOT_REACHED)}")
    if any(re.search(r"\([AC]\d?-\d", problem) for results in found for _, problem in results):
        print(ADVICE)
    return all(good == names for good in passed)


def files_of(word):
    """Return the files that a word names: one, or the .py files of a folder or a pattern.

    Not every shell replaces a pattern by files: that of Windows does not, nor any where it is
    quoted.

    Raises:
        SystemExit: The folder or the pattern has none.
    """
    path = pathlib.Path(word)
    if path.is_file() or not (path.is_dir() or glob.has_magic(word)):
        return [path]
    found = path.glob("*.py") if path.is_dir() else map(pathlib.Path, glob.glob(word))
    found = sorted(p for p in found if p.is_file() and p.suffix == ".py")
    if not found:
        raise SystemExit(f"no .py file in {word}")
    return found


def main(number, words):
    """Do what `check`, an exercise's number and the words after it say; return the exit status.

    Args:
        words: Files; folders and patterns, which stand for their .py files; and "seconds=…".

    Raises:
        SystemExit: The words make no sense.
    """
    asked = [word for word in words if word.startswith("seconds=")]
    limit = asked[0].partition("=")[2] if asked else str(SECONDS)
    if len(asked) > 1 or not re.fullmatch(r"[1-9]\d{0,4}", limit):
        raise SystemExit(f"seconds must be a whole number, given once, got {' '.join(asked)!r}")
    paths = [path for word in words if word not in asked for path in files_of(word)]
    paths = paths or [pathlib.Path(f"my_{number:02}.py")]
    seen = set()
    for path in paths:
        if not path.is_file():
            raise SystemExit(f"no file {path}. One to fill in: python tutorials start {number}")
        if path.resolve() in seen:
            raise SystemExit(f"{path} is given twice")
        seen.add(path.resolve())
    return 0 if check(number, paths, int(limit)) else 1


if __name__ == "__main__":
    child(int(sys.argv[1]), sys.argv[2])
