"""Write the started file of an exercise: a piece of a chapter without its three central lines.

The piece is taken from the chapter's source, by name, so that the two cannot drift; where a chapter
holds none of a fitting size, a file beside this one does. Nothing here imports TensorFlow.
"""

import ast
import contextlib
import os
import pathlib
import textwrap

HERE = pathlib.Path(__file__).resolve().parent
TUTORIALS = HERE.parent

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
        "self.beta": "β: it is 0 at first, and a traced step must see each new value; the "
                     "optimizer leaves it alone.",
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
        "labelled": "The loss of an image with its label, (batch,): the cost of this label, "
                    "log 10, and the weighted cross-entropy of the classifier.",
        "unlabelled": "U(x), the loss of an image without a label, (batch,): the expected cost of "
                      "the labels under q(y | x), plus log 10, minus the entropy of q.",
        "loss": "For each image the one of the two that counts, (batch,).",
    },
    17: {
        "log_pi": "The logarithms of the clusters' weights π, (clusters,); the π add up to 1.",
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


def defined(source):
    """Return the names of the functions and classes that a source defines, not what is inside them."""
    return {node.name for node in ast.parse(source).body if hasattr(node, "name")}


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
    nodes = {name: statement(source, name) for name in LINES[number]}
    for name, node in sorted(nodes.items(), key=lambda item: -item[1].lineno):  # from the last
        mark = f"{' ' * node.col_offset}# "
        words = textwrap.wrap(LINES[number][name], 96, initial_indent=mark, subsequent_indent=mark)
        left = "return ..." if isinstance(node, ast.Return) else f"{name} = ..."
        lines[node.lineno - 1 : node.end_lineno] = [*words, f"{' ' * node.col_offset}{left}"]
    head = f'"""Exercise of chapter {number}: write each line that holds `...` as its comment says.'
    head += f"\n\nTo check them, as often as you like: {command} check {number}\n"
    head += f'They are explained in {chapter(number).name}.\n"""\n\n'
    return head + "\n".join(lines) + "\n"


def start(number):
    """Write my_NN.py into the working folder.

    Raises:
        SystemExit: It is there already, or cannot be written.
    """
    path = pathlib.Path(f"my_{number:02}.py").absolute()
    command = f"python {TUTORIALS}"
    with contextlib.suppress(ValueError):  # the folder is on another drive of Windows
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


def number_of(verb, word, path):
    """Return the number of the exercise of a chapter.

    Args:
        verb: "start" or "check".
        word: What the user named the chapter by,
        path: and the chapter's file, or None.

    Raises:
        SystemExit: There is none.
    """
    number = int(path.name[:2]) if path and path.name[:2].isdecimal() else None
    if number not in LINES:
        known = ", ".join(map(str, LINES))
        raise SystemExit(f"no exercise {word!r} to {verb}; chapters {known} have one")
    return number


def main(number, words):
    """Do what `start` and a chapter and the words after them say; return the exit status.

    Raises:
        SystemExit: There are words left, or the file cannot be written.
    """
    if words:
        raise SystemExit(f"start takes one chapter and nothing else, got {' '.join(words)!r} too")
    start(number)
    return 0
