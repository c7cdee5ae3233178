"""Write the started file of an exercise, and check what students have made of it.

`python tutorials start 4` writes my_04.py: a piece of the chapter without its three central lines.
`python tutorials check 4` runs it in a process of its own and says what is right and what is not.
Nothing here imports TensorFlow but the process of a check, when it comes to the checks.
"""

import ast
import concurrent.futures
import contextlib
import importlib.util
import json
import os
import pathlib
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
TUTORIALS = HERE.parent
SECONDS = 60  # that a file may take
MEMORY = 4 * 2**30  # bytes that it may take, where the system can limit that: ten times its need
WORKERS = 2
NOT_REACHED = "not reached"
ADVICE = "Errata: tutorials/errata.md; C-1 to C-12: docs/circulating.md."

# Of each exercise the lines that a student fills in, by the name that they assign, or by the method
# that they return from: what has to stand there.
LINES = {
    1: {
        "code": "The code, (batch, code_dim): one dense layer on the image, whose activation cuts "
                "off what is negative.",
        "copy": "The copy, (batch, 784): one dense layer on the code, with pixels between 0 and 1.",
        "cross_entropy": "Cross-entropy of the images x_test and their copies p, a mean over all "
                         "pixels of all images: one number.",
    },
    2: {
        "call": "The reconstruction of x, in its shape: x goes through both networks.",
        "networks": "A dictionary of what __init__ takes: each network by its argument's name.",
        "from_config": "A new model of this class; `config` is still in the form in which it was "
                       "written down.",
    },
    4: {
        "z": "A draw of the code of each image from its cloud, (batch, latent_dim), made of mu, "
             "log_var and epsilon.",
        "nats": "Cross-entropy of each pixel in nats, (batch, 784), from the logits, such that it "
                "is finite for any logit.",
        "kl": "KL of each example in nats, (batch,): a sum over the latent variables.",
    },
    5: {
        "self.beta": "β: it is 0 at first, and a traced step must see each new value; the optimizer "
                     "leaves it alone.",
        "beta": "β in this epoch: it rises in a straight line from 0 to the target, which it "
                "reaches in epoch number self.epochs and keeps.",
        "loss": "The loss of each example, (batch,): both parts, the second weighted.",
    },
    8: {
        "fake": "Images from the noise, (batch, 784), which the gradient of g_loss can pass.",
        "d_loss": "What the discriminator minimises, (batch, 1), in nats: real images are to get "
                  "high logits, generated ones low ones.",
        "g_loss": "What the generator minimises, (batch, 1), in nats: the non-saturating loss.",
    },
    13: {
        "log_q": "log q(z | x) of each draw, (num, batch): the density of a normal of variance "
                 "exp(log_var), summed over the latent variables.",
        "log_w": "The logarithm of each draw's weight w(z), (num, batch).",
        "bound": "The logarithm of the mean weight of each image, (batch,), such that small "
                 "weights do not vanish.",
    },
    16: {
        "labelled": "The loss of an image with its label, (batch,): the cost of this label, log 10, "
                    "and the weighted cross-entropy of the classifier.",
        "unlabelled": "The loss U(x) of an image without a label, (batch,): a mean over the labels.",
        "loss": "For each image the one of the two that counts, (batch,).",
    },
    17: {
        "log_pi": "The logarithms of the clusters' weights π, (clusters,); the weights add up to 1.",
        "kl_each": "The KL of q(z | x) to the normal of each cluster, in nats, (batch, clusters).",
        "kl": "The kl_loss of chapter 17, (batch,): it is least for the best q(c | x).",
    },
}
CLASSES = {2: "Sketch", 4: "SketchVAE", 8: "SketchGAN"}  # that the chapters define
TASKS = {number: sorted(HERE.glob(f"{number:02}_*.py")) for number in LINES}


def chapter(number):
    """Return the path of a chapter."""
    return next(TUTORIALS.glob(f"{number:02}_*.py"))


def statement(source, wanted):
    """Return the node of a class, of the first assignment to a name, or of a method's return."""
    for node in ast.walk(ast.parse(source)):
        name = getattr(node, "name", None)
        if name == wanted and isinstance(node, ast.FunctionDef):
            return next(part for part in ast.walk(node) if isinstance(part, ast.Return))
        if name == wanted or (
            isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == wanted
        ):
            return node
    raise LookupError(f"no statement for {wanted!r}")


def text_of(source, name):
    """Return the lines of a statement as they stand in a source, with its decorators."""
    node = statement(source, name)
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return "\n".join(source.splitlines()[first - 1 : node.end_lineno])


def solved(number):
    """Return the source of an exercise with all of its lines, without a docstring."""
    if TASKS[number]:
        return TASKS[number][0].read_text(encoding="utf-8")
    source = chapter(number).read_text(encoding="utf-8")
    if number in CLASSES:
        imports = "import keras\n" + ("" if number == 2 else "import tensorflow as tf\n")
        return f"{imports}\n\n{text_of(source, CLASSES[number])}\n"

    def function(head, names, result):  # chapter 1 has cells, and no functions
        lines = [text_of(source, name) for name in names]
        return "\n    ".join([head, *lines, f"return {result}"]) + "\n"

    network = function("def build(code_dim):", "image code copy encoder autoencoder".split(),
                       "encoder, autoencoder")
    loss = function("def loss(x_test, x_hat):", ["p", "cross_entropy"], "cross_entropy")
    return f"import keras\nimport numpy as np\n\n\n{network}\n\n{loss}"


def started(number, command="python tutorials"):
    """Return the source of an exercise for a student: without its lines, which words stand for."""
    source = solved(number)
    lines = source.splitlines()
    for name, words in LINES[number].items():
        node = statement(source, name)
        indent = " " * node.col_offset
        width = 96 - len(indent)
        comment, line = [], ""
        for word in words.split():
            if len(line) + len(word) > width:
                comment.append(line)
                line = ""
            line += f" {word}"
        placeholder = "return ..." if isinstance(node, ast.Return) else f"{name} = ..."
        comment = [f"{indent}#{line}" for line in [*comment, line]]
        lines[node.lineno - 1 : node.end_lineno] = (
            ["\n".join([*comment, indent + placeholder])] + [None] * (node.end_lineno - node.lineno)
        )
    head = f'"""Exercise of chapter {number}: write each line that holds `...` as its comment says.\n\n'
    head += f"To check them, as often as you like: {command} check {number}\n"
    head += f'They are explained in {chapter(number).name}.\n"""\n\n'
    return head + "\n".join(line for line in lines if line is not None) + "\n"


def start(number):
    """Write my_NN.py into the working folder.

    Raises:
        SystemExit: It is there already, or cannot be written.
    """
    path = pathlib.Path(f"my_{number:02}.py").absolute()
    with contextlib.suppress(ValueError):  # on another drive of Windows
        command = f"python {pathlib.Path(os.path.relpath(TUTORIALS)).as_posix()}"
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(started(number, command))
    except FileExistsError:
        raise SystemExit(
            f"{path} exists and may hold somebody's work: it was not overwritten. Rename or move "
            "it, or start from another folder, and give the command again"
        )
    except OSError as error:
        raise SystemExit(f"cannot write {path}: {error}. Start from a folder that you may write")
    print(f"Written: {path}\nFill in its three lines, then: {command} check {number}")


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
        yield name, f"still to be filled in: {left}" if left else "ok"
        if left:
            return
        name = next(names)
        module = types.ModuleType(pathlib.Path(path).stem)
        exec(compile(source, path, "exec"), vars(module))
        loaded()
        yield name, "ok"
        found = load_checks().CHECKS[number](module)
        for name in names:
            problem = next(found, NOT_REACHED)
            if problem == NOT_REACHED:
                return
            yield name, problem or "ok"
    except GeneratorExit:
        raise
    except BaseException as error:  # sys.exit and Ctrl-C, too
        known = load_checks().message_of(error) if name not in ("filled in", "runs") else ""
        yield name, why(error, path) + known


def load_checks():
    """Return the module `checks`, whose import takes seconds."""
    if "checks" not in sys.modules:
        specification = importlib.util.spec_from_file_location("checks", HERE / "checks.py")
        sys.modules["checks"] = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(sys.modules["checks"])
    return sys.modules["checks"]


def child(number, path):
    """Examine a file and send the results to the process that started this one.

    They go through what was the standard output, and begin with a secret that comes only when the
    file has run. So what it prints, an early end and a result written blindly to every open file
    count for nothing. A file that means to cheat still can: its code runs in this process, with the
    user's rights, and may change the checks, or read the secret. Read the file of whoever surprises
    you.
    """
    with contextlib.suppress(ImportError):  # Windows has none
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what is printed: to the screen or nowhere, as the parent chose
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # TensorFlow's notices, written below Python
    secret = []

    def loaded():
        print("loaded", file=channel, flush=True)
        secret.append(os.read(0, 100).decode())

    results = list(examine(number, path, loaded))
    if not secret:
        loaded()
    sys.stdout.flush()
    print(secret[0], json.dumps(results), file=channel, flush=True)
    os._exit(0)  # no code of the student's runs at the exit


def end(process):
    """End a process and those that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def results_of(number, path, seconds, quiet, running):
    """Return the results of a file's checks, as `examine` yields them, from a process of its own.

    Args:
        quiet: Whether what the file prints is kept off the screen.
        running: A set of the processes under way, so that the caller can end them.
    """
    settings = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONUTF8": "1"}
    settings |= dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS",
                               "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    start, secret = time.perf_counter(), secrets.token_hex()
    process = subprocess.Popen(
        [sys.executable, __file__, str(number), str(path)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else 1,
        env={**os.environ, **settings}, start_new_session=True,
    )
    running.add(process)
    timer = threading.Timer(seconds, end, [process])
    timer.start()
    try:
        with contextlib.suppress(OSError):  # it has ended
            process.stdout.readline(100)  # "loaded"
            process.stdin.write(secret.encode())
            process.stdin.flush()
        for line in iter(lambda: process.stdout.readline(100_000), b""):
            before, _, results = line.decode(errors="replace").partition(" ")
            if before == secret:
                return json.loads(results)
    finally:
        timer.cancel()
        late = time.perf_counter() - start >= seconds
        end(process)
        status = process.wait()
        running.remove(process)
        with contextlib.suppress(OSError):  # what was not sent
            process.stdin.close()
        process.stdout.close()
    if late:
        return [("runs", f"ran out of time: {seconds:g} seconds")]
    how = f"by signal {-status}" if status < 0 else f"with exit status {status}"
    return [("runs", f"the file ended its process {how}, before it could be checked")]


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
        wrong = next((f"{name}: {problem}" for name, problem in results if problem != "ok"), "")
        print(f"{str(path):{width}}  {len(good)} of {len(names)}  {wrong}".rstrip())
    if not quiet:
        known = dict(found[0])
        for name in names:
            print(f"  {name:14} {known.get(name, NOT_REACHED)}")
    if any(re.search(r"\([AC]\d?-\d", problem) for results in found for _, problem in results):
        print(ADVICE)
    return all(good == names for good in passed)


def main(verb, word, path, words):
    """Start an exercise or check one; return the exit status.

    Args:
        verb: "start" or "check".
        word: What names the chapter,
        path: and its file, or None.
        words: That follow: files, and "seconds=…".

    Raises:
        SystemExit: The words make no sense, or a file cannot be written.
    """
    number = int(path.name[:2]) if path and path.name[:2].isdecimal() else None
    if number not in LINES:
        known = ", ".join(map(str, LINES))
        raise SystemExit(f"no exercise {word!r} to {verb}; chapters {known} have one")
    if verb == "start":
        if words:
            raise SystemExit(f"start takes one chapter and nothing else, got {' '.join(words)!r} too")
        start(number)
        return 0
    asked = [word for word in words if word.startswith("seconds=")]
    limit = asked[0].partition("=")[2] if asked else str(SECONDS)
    if len(asked) > 1 or not re.fullmatch(r"[1-9]\d{0,4}", limit):
        raise SystemExit(f"seconds must be a whole number, given once, got {' '.join(asked)!r}")
    paths = [pathlib.Path(word) for word in words if word not in asked]
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
