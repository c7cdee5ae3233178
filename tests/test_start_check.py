"""`python tutorials start` and `check`: what is written, what is found, what grading survives."""

import ast
import pathlib
import re
import subprocess
import sys
import textwrap
import time

import pytest
from test_tutorials import ROOT, TUTORIALS, environment, runner

exercises = runner.exercises()
CHAPTERS = list(exercises.LINES)


def filled(number, **lines):
    """Return a started file with its lines put back from the chapter, but for those given."""
    source, whole = exercises.started(number), exercises.solved(number)
    for name in exercises.LINES[number]:
        node = exercises.statement(source, name)
        own = ast.get_source_segment(whole, exercises.statement(whole, name))
        line = textwrap.indent(lines.get(name, own), " " * node.col_offset)[node.col_offset :]
        rows = source.splitlines()
        rows[node.lineno - 1] = rows[node.lineno - 1][: node.col_offset] + line
        source = "\n".join(rows) + "\n"
    return source


def first_problem(number, source, folder):
    """Return the name and the words of the first check that fails, or None."""
    path = folder / f"my_{number:02}.py"
    path.write_text(source, encoding="utf-8")
    return next((row for row in exercises.examine(number, path) if row[1] != "ok"), None)


@pytest.mark.parametrize("number", CHAPTERS)
def test_a_started_file_with_the_chapters_lines_passes_every_check(number, tmp_path):
    path = tmp_path / "my.py"
    path.write_text(filled(number), encoding="utf-8")
    results = list(exercises.examine(number, path))
    assert results == [(name, "ok") for name in exercises.names_of(number)]


@pytest.mark.parametrize("number", CHAPTERS)
def test_a_started_file_compiles_and_tells_each_line_that_is_left(number, tmp_path):
    source = exercises.started(number)
    compile(source, "my.py", "exec")
    assert source.count("...") == 1 + 3 and len(exercises.LINES[number]) == 3
    assert max(map(len, source.splitlines())) <= 100
    assert f"python tutorials check {number}\n" in source
    name, words = first_problem(number, source, tmp_path)
    assert name == "filled in" and words.startswith("still to be filled in: line ")
    assert words.count("...") == 3
    for left in exercises.LINES[number]:
        node = exercises.statement(source, left)
        line = source.splitlines()[node.lineno - 1]
        one = filled(number, **{left: line.strip()})
        name, words = first_problem(number, one, tmp_path)
        assert words.count("...") == 1 and f"({line.strip()})" in words
        for comment in re.findall(r"^ *# (.*)", source, re.MULTILINE):
            assert comment[-1] in ".," or comment in exercises.solved(number) or len(comment) > 70


@pytest.mark.parametrize("number", [2, 4, 8])
def test_a_started_class_is_the_chapters_but_for_its_lines(number):
    chapter = exercises.chapter(number).read_text(encoding="utf-8")
    left = {line.strip() for line in exercises.solved(number).splitlines()} - {
        line.strip() for line in exercises.started(number).splitlines()}
    assert {line.strip() for line in exercises.solved(number).splitlines()} <= {
        line.strip() for line in chapter.splitlines()}
    assert 3 <= len(left) <= 6


# Of each exercise: wrong lines, the check that tells them, and what it has to name.
WRONG = [
    (1, "code", "code = keras.layers.Dense(784, 'relu')(image)", "shapes", "A3-1)"),
    (1, "code", "code = keras.layers.Dense(code_dim, 'sigmoid')(image)", "code", "A2-3)"),
    (1, "code", "code = keras.layers.Dense(code_dim)(image)", "code", "activation"),
    (1, "copy", "copy = keras.layers.Dense(784)(code)", "copy", "A3-20)"),
    (1, "copy", "copy = keras.layers.Dense(784, 'tanh')(code)", "copy", "A3-20)"),
    (1, "cross_entropy", "cross_entropy = np.mean((x_test - p) ** 2)", "cross_entropy", "A1-1)"),
    (1, "cross_entropy", "cross_entropy = -np.mean(x_test * np.log(p) + (1 - x_test) * "
     "np.log(1 - p), axis=1)", "shapes", "A3-14)"),
    (1, "cross_entropy", "cross_entropy = -np.sum(x_test * np.log(p) + (1 - x_test) * "
     "np.log(1 - p))", "cross_entropy", "A1-17)"),
    (2, "call", "return self.encoder(x)", "shapes", "A2-6)"),
    (2, "call", "return keras.ops.sigmoid(self.decoder(self.encoder(x)))", "call", "A2-3)"),
    (2, "call", "return self.decoder(self.encoder(x)), self.encoder(x)", "shapes", "A0-5)"),
    (2, "call", "return self.encoder(self.decoder(x))", "shapes", "A1-7)"),
    (2, "networks", "networks = {'encoder': self.decoder, 'decoder': self.encoder}", "networks",
     "chapter 2, Saving)"),
    (2, "from_config", "return cls(**config)", "from_config", "chapter 2, Saving)"),
    (4, "z", "z = mu + tf.exp(log_var) * epsilon", "z", "C-2)"),
    (4, "z", "z = mu", "z", "A0-11)"),
    (4, "z", "z = mu + tf.exp(0.5 * log_var) * epsilon[:1]", "z", "A1-5)"),
    (4, "z", "z = mu + tf.exp(0.5 * log_var) * keras.random.normal((3,))", "z", "A1-5)"),
    (4, "z", "z = mu + tf.exp(0.5 * log_var) * tf.random.normal(tf.TensorShape([None, 3]))",
     "shapes", "A1-5)"),
    (4, "z", "z = tf.stop_gradient(mu + tf.exp(0.5 * log_var) * epsilon)", "gradients", "A2-14)"),
    (4, "z", "z = mu.numpy() + tf.exp(0.5 * log_var).numpy() * epsilon", "gradients", "A2-14)"),
    (4, "nats", "nats = tf.nn.softplus(tf.sigmoid(logits)) - x * tf.sigmoid(logits)", "nats",
     "A2-3)"),
    (4, "nats", "nats = x * logits - tf.nn.softplus(logits)", "nats", "A2-5)"),
    (4, "nats", "nats = (x - tf.sigmoid(logits)) ** 2", "nats", "A2-15)"),
    (4, "kl", "kl = -0.5 * tf.reduce_mean(1 + log_var - mu**2 - tf.exp(log_var), axis=1)", "kl",
     "C-1)"),
    (4, "kl", "kl = -0.5 * tf.reduce_mean(1 + log_var - mu**2 - tf.exp(log_var))", "shapes",
     "C-1)"),
    (4, "kl", "kl = 0.5 * tf.reduce_sum(1 + log_var - mu**2 - tf.exp(log_var), axis=1)", "kl",
     "listing 5 of find_the_bug)"),
    (4, "kl", "kl = -0.5 * tf.reduce_sum(1 + log_var - mu**2 - tf.exp(log_var / 2), axis=1)",
     "kl", "C-2)"),
    (5, "self.beta", "self.beta = 0.0", "shapes", "listing 9 of find_the_bug)"),
    (5, "self.beta", "self.beta = tf.Variable(0.0)", "gradients", "A1-13)"),
    (5, "beta", "beta = self.target * epoch / self.epochs", "beta", "behind the target"),
    (5, "beta", "beta = self.target", "beta", "chapter 10)"),
    (5, "loss", "loss = reconstruction + 0 * kl", "loss", "A0-7)"),
    (5, "loss", "loss = reconstruction + kl", "loss", "A0-7)"),
    (5, "loss", "loss = reconstruction - self.beta * kl", "loss", "A2-5)"),
    (8, "fake", "fake = tf.sigmoid(self.generator(noise, training=True))", "fake", "A2-3)"),
    (8, "fake", "fake = tf.stop_gradient(self.generator(noise, training=True))", "gradients",
     "A4-6)"),
    (8, "d_loss", "d_loss = tf.sigmoid(d_fake) - tf.sigmoid(d_real)", "d_loss", "A4-3)"),
    (8, "d_loss", "d_loss = -tf.nn.softplus(-d_real) - tf.nn.softplus(d_fake)", "d_loss",
     "A4-10)"),
    (8, "d_loss", "d_loss = tf.nn.softplus(d_real) + tf.nn.softplus(-d_fake)", "d_loss", "C-4)"),
    (8, "g_loss", "g_loss = tf.nn.softplus(d_fake)", "g_loss", "A4-10)"),
    (8, "g_loss", "g_loss = -tf.nn.softplus(d_fake)", "g_loss", "A4-3)"),
    (8, "g_loss", "g_loss = tf.nn.softplus(-tf.sigmoid(d_fake))", "g_loss", "A2-3)"),
    (13, "log_q", "log_q = -0.5 * tf.reduce_sum(z**2 + log_var + constant, axis=2)", "log_q",
     "A0-12)"),
    (13, "log_q", "log_q = -0.5 * tf.reduce_sum(epsilon**2 + 2 * log_var + constant, axis=2)",
     "log_q", "C-2)"),
    (13, "log_q", "log_q = -0.5 * tf.reduce_sum(epsilon**2 + constant, axis=2)", "log_q", "C-3)"),
    (13, "log_w", "log_w = log_p + 0 * (log_prior - log_q)", "log_w", "A3-18)"),
    (13, "log_w", "log_w = log_p - log_prior + log_q", "log_w", "A0-10)"),
    (13, "bound", "bound = tf.reduce_mean(log_w, axis=0)", "bound", "chapter 13)"),
    (13, "bound", "bound = tf.math.log(tf.reduce_mean(tf.exp(log_w), axis=0))", "bound",
     "float32"),
    (13, "bound", "bound = tf.reduce_sum(tf.nn.softmax(-log_w, axis=0) * log_w, axis=0)", "bound",
     "C-8)"),
    (16, "labelled", "labelled = tf.reduce_sum(y * cost, axis=1) + math.log(10)", "labelled",
     "A2-6)"),
    (16, "labelled", "labelled = tf.reduce_sum(y * (cost + alpha * log_q), axis=1) + math.log(10)",
     "labelled", "A2-5)"),
    (16, "unlabelled", "unlabelled = tf.reduce_sum(tf.exp(log_q) * cost, axis=1) + math.log(10)",
     "unlabelled", "A1-11)"),
    (16, "unlabelled", "unlabelled = tf.reduce_mean(cost, axis=1) + math.log(10)", "unlabelled",
     "A2-6)"),
    (16, "loss", "loss = labelled + unlabelled", "loss", "A2-8)"),
    (17, "log_pi", "log_pi = logits", "log_pi", "C-10)"),
    (17, "log_pi", "log_pi = tf.math.log_sigmoid(logits)", "log_pi", "C-10)"),
    (17, "kl_each", "kl_each = 0.5 * tf.reduce_mean(each, axis=2)", "kl_each", "C-1)"),
    (17, "kl_each", "kl_each = -0.5 * tf.reduce_sum(each, axis=2)", "kl_each",
     "listing 5 of find_the_bug)"),
    (17, "kl", "kl = -tf.reduce_logsumexp(3 * log_pi - kl_each, axis=1)", "kl", "C-10)"),
    (17, "kl", "kl = tf.reduce_logsumexp(log_pi - kl_each, axis=1)", "kl", "A2-5)"),
    (17, "kl", "kl = tf.reduce_sum(tf.exp(log_pi) * kl_each, axis=1)", "kl", "A3-8)"),
]


@pytest.mark.parametrize("number", CHAPTERS)
def test_typical_wrong_lines_are_named_and_not_corrected(number, tmp_path):
    """At the first check that fails, so that nothing has to be trained."""
    own = [row[1:] for row in WRONG if row[0] == number]
    assert len(own) >= 3
    for name, line, check, named in own:
        found, words = first_problem(number, filled(number, **{name: line}), tmp_path)
        assert (found, named in words) == (check, True), (line, found, words)
        right = exercises.text_of(exercises.solved(number), name)
        assert right.partition(" = ")[2].strip() not in words or name == "call", words
