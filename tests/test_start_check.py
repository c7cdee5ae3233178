"""`python tutorials start` and `check`: what is written, what is found, what grading survives."""

import ast
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from test_tutorials import ROOT, TUTORIALS, environment, runner

starting, checking = runner.exercises("start"), runner.exercises("check")
CHAPTERS = list(starting.LINES)


def filled(number, **lines):
    """Return a started file with its lines put back from the chapter, but for those given."""
    source, whole = starting.started(number), starting.solved(number)
    for name in starting.LINES[number]:
        node = starting.statement(source, name)
        own = ast.get_source_segment(whole, starting.statement(whole, name))
        line = textwrap.indent(lines.get(name, own), " " * node.col_offset)[node.col_offset :]
        rows = source.splitlines()
        rows[node.lineno - 1] = rows[node.lineno - 1][: node.col_offset] + line
        source = "\n".join(rows) + "\n"
    return source


def first_problem(number, source, folder):
    """Return the name and the words of the first check that fails, or None."""
    path = folder / f"my_{number:02}.py"
    path.write_text(source, encoding="utf-8")
    return next((row for row in checking.examine(number, path) if row[1] != "ok"), None)


@pytest.mark.parametrize("number", CHAPTERS)
def test_a_started_file_with_the_chapters_lines_passes_every_check(number, tmp_path):
    path = tmp_path / "my.py"
    path.write_text(filled(number), encoding="utf-8")
    results = list(checking.examine(number, path))
    assert results == [(name, "ok") for name in checking.names_of(number)]


@pytest.mark.parametrize("number", CHAPTERS)
def test_a_started_file_compiles_and_tells_each_line_that_is_left(number, tmp_path):
    source = starting.started(number)
    compile(source, "my.py", "exec")
    assert source.count("...") == 1 + 3 and len(starting.LINES[number]) == 3
    assert max(map(len, source.splitlines())) <= 100
    assert f"python tutorials check {number}\n" in source
    name, words = first_problem(number, source, tmp_path)
    assert name == "filled in" and words.startswith("still to be filled in: line ")
    assert words.count("...") == 3
    for left in starting.LINES[number]:
        node = starting.statement(source, left)
        line = source.splitlines()[node.lineno - 1]
        one = filled(number, **{left: line.strip()})
        name, words = first_problem(number, one, tmp_path)
        assert words.count("...") == 1 and f"({line.strip()})" in words


@pytest.mark.parametrize("number", [2, 4, 8])
def test_a_started_class_is_the_chapters_but_for_its_lines(number):
    chapter = starting.chapter(number).read_text(encoding="utf-8")
    left = {line.strip() for line in starting.solved(number).splitlines()} - {
        line.strip() for line in starting.started(number).splitlines()}
    assert {line.strip() for line in starting.solved(number).splitlines()} <= {
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
    (4, "z", "z = mu + tf.exp(0.5 * log_var) * epsilon[:1]", "z", "for every image"),
    (4, "z", "z = mu + tf.exp(0.5 * log_var) * keras.random.normal((3,))", "z",
     "for every image"),
    (4, "z", "z = mu + tf.exp(0.5 * log_var) * tf.random.normal(tf.shape(mu))", "z",
     "noise of its own: use epsilon"),
    (4, "z", "z = mu + tf.exp(0.5 * log_var) * keras.random.normal(tf.shape(mu), "
     "seed=self.seed_generator)", "z", "noise of its own: use epsilon"),
    (4, "z", "z = mu + tf.exp(0.5 * log_var) * tf.random.normal(tf.TensorShape([None, 3]))",
     "shapes", "A1-5)"),
    (4, "z", "z = tf.stop_gradient(mu + tf.exp(0.5 * log_var) * epsilon)", "gradients", "A2-14)"),
    (4, "z", "z = mu.numpy() + tf.exp(0.5 * log_var).numpy() * epsilon", "gradients", "A2-14)"),
    (4, "nats", "nats = tf.nn.softplus(tf.sigmoid(logits)) - x * tf.sigmoid(logits)", "nats",
     "A2-3)"),
    (4, "nats", "nats = -(x * tf.math.log(tf.sigmoid(logits)) + (1 - x) * "
     "tf.math.log(1 - tf.sigmoid(logits)))", "nats", "infinite at a logit of 200: the logarithm"),
    (4, "nats", "nats = keras.losses.binary_crossentropy(x, logits)", "shapes", "must be (6, 12)"),
    (4, "nats", "nats = tf.reduce_mean(x - logits)", "shapes", "nats: came (), must be (6, 12)"),
    (4, "nats", "nats = x * logits - tf.nn.softplus(logits)", "nats", "A2-5)"),
    (4, "nats", "nats = keras.losses.binary_crossentropy(x, logits, True)", "shapes",
     "A1-17). keras.losses take a mean over the pixels already"),
    (4, "nats", "nats = (x - tf.sigmoid(logits)) ** 2", "nats", "A2-15)"),
    (4, "kl", "kl = -0.5 * tf.reduce_mean(1 + log_var - mu**2 - tf.exp(log_var), axis=1)", "kl",
     "C-1)"),
    (4, "kl", "kl = -0.5 * tf.reduce_mean(1 + log_var - mu**2 - tf.exp(log_var))", "shapes",
     "C-1)"),
    (4, "kl", "kl = 0.5 * tf.reduce_sum(1 + log_var - mu**2 - tf.exp(log_var), axis=1)", "kl",
     "listing 5 of find_the_bug)"),
    (4, "kl", "kl = -0.5 * tf.reduce_sum(1 + log_var - mu**2 - tf.exp(log_var / 2), axis=1)",
     "kl", "σ in the place of σ²"),
    (4, "kl", "kl = -0.5 * tf.reduce_sum(1 + 2 * log_var - mu**2 - tf.exp(2 * log_var), axis=1)",
     "kl", "C-2)"),
    (4, "kl", "kl = tf.reduce_sum(1 + log_var - mu**2 - tf.exp(log_var), axis=1)", "kl",
     "a forgotten factor of −½"),
    (5, "self.beta", "self.beta = 0.0", "shapes", "listing 9 of find_the_bug)"),
    (5, "self.beta", "self.beta = tf.Variable(0.0)", "gradients", "A1-13)"),
    (5, "beta", "beta = self.target * epoch / self.epochs", "beta", "behind the target"),
    (5, "beta", "beta = self.target", "beta", "chapter 10)"),
    (5, "loss", "loss = reconstruction + 0 * kl", "loss", "A0-7)"),
    (5, "loss", "loss = reconstruction + kl", "loss", "A0-7)"),
    (5, "loss", "loss = tf.reduce_mean(reconstruction + self.beta * kl)", "shapes",
     "a mean over the examples"),
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
    (13, "bound", "bound = tf.reduce_sum(tf.nn.softmax(log_w, axis=0) * log_w, axis=0)", "bound",
     "their own softmax"),
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
    (16, "labelled", "labelled = tf.reduce_sum(y * (cost - alpha * log_q), axis=1)", "labelled",
     "probably no log 10"),
    (16, "labelled", "labelled = tf.reduce_sum(y * (cost + alpha * log_q), axis=1)", "labelled",
     "A2-5), and no log 10"),
    (16, "unlabelled", "unlabelled = tf.reduce_sum(tf.exp(log_q) * (cost + log_q), axis=1) - "
     "math.log(10)", "unlabelled", "probably log 10 with a wrong sign"),
    (16, "unlabelled", "unlabelled = tf.reduce_mean(cost, axis=1)", "unlabelled",
     "A2-6), and no log 10"),
    (16, "loss", "loss = labelled + unlabelled", "loss", "A2-8)"),
    (17, "log_pi", "log_pi = logits", "log_pi", "C-10)"),
    (17, "log_pi", "log_pi = tf.math.log_sigmoid(logits)", "log_pi", "C-10)"),
    (17, "kl_each", "kl_each = 0.5 * tf.reduce_mean(each, axis=2)", "kl_each", "C-1)"),
    (17, "kl_each", "kl_each = -0.5 * tf.reduce_sum(each, axis=2)", "kl_each",
     "listing 5 of find_the_bug)"),
    (17, "kl", "kl = -tf.reduce_logsumexp(3 * log_pi - kl_each, axis=1)", "kl", "C-10)"),
    (17, "kl_each", "each = tf.exp(2 * log_ratio) + apart**2 / tf.exp(2 * log_widths) - 1 - "
     "2 * log_ratio\nkl_each = 0.5 * tf.reduce_sum(each, axis=2)", "kl_each", "C-2)"),
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
        right = starting.statement(starting.solved(number), name).value
        assert ast.unparse(right) not in words and len(words) < 500, words


def every_problem(number, folder, **lines):
    path = folder / "my.py"
    path.write_text(filled(number, **lines), encoding="utf-8")
    return {name: words for name, words in checking.examine(number, path) if words != "ok"}


def test_rows_after_a_wrong_value_blame_no_line_that_is_right(tmp_path):
    early = "beta = self.target * min(1, (epoch + 1) / self.epochs)"
    assert set(every_problem(5, tmp_path, beta=early)) == {"beta"}
    mine = "beta = self.mine = self.target * min(1, epoch / self.epochs)"
    loss = "loss = reconstruction + getattr(self, 'mine', 0.0) * kl"
    found = every_problem(5, tmp_path, beta=mine, loss=loss)
    assert "loss" not in found and "listing 9" in found["gradients"]
    nats = "nats = x * logits - tf.nn.softplus(logits)"
    found = every_problem(4, tmp_path, nats=nats)
    assert set(found) == {"nats", "gradients", "training"}
    assert "diagnose" not in found["training"]
    for name in ("gradients", "training"):
        assert found[name].endswith("; it follows from the values above")


def test_images_that_no_gradient_passes_are_named_beside_other_mistakes(tmp_path):
    found = every_problem(8, tmp_path, fake="fake = self.generator.predict(noise, verbose=0)",
                          d_loss="d_loss = tf.nn.softplus(d_fake)")
    assert set(found) == {"d_loss", "gradients", "training"}
    assert "A4-6)" in found["gradients"] and "A4-6)" in found["training"]


@pytest.mark.parametrize("number", CHAPTERS)
def test_a_file_of_another_exercise_is_told_as_such(number, tmp_path):
    other = CHAPTERS[CHAPTERS.index(number) - 1]
    assert first_problem(number, filled(other), tmp_path) == (
        "filled in", f"this is the exercise of chapter {other}: check {other}")


def test_errata_that_are_named_exist_and_each_exercise_names_three():
    source = (checking.HERE / "marking.py").read_text(encoding="utf-8")
    pages = [TUTORIALS / "errata.md", ROOT / "docs" / "circulating.md"]
    known = {name for page in pages
             for name in re.findall(r"^#+ ([AC]\d?-\d+)$", page.read_text("utf-8"), re.MULTILINE)}
    named = set(re.findall(r"\(([AC]\d?-\d+)\)", source))
    assert len(named) > 25 and named <= known
    for number in CHAPTERS:
        errata = {row[4] for row in WRONG if row[0] == number and "-" in row[4]}
        assert len(errata) >= 3, number


LOOP = "while True:\n    pass\n"
EXIT = "import os\nos._exit(0)\n"
RAISES = 'print("x" * 10**6)\nraise ValueError("as it must")\n'
FORGED = """
import json, os, sys, time
rows = [(name, "ok") for name in {names}]
for channel in range(64):
    for text in ("loaded\\n", json.dumps(rows), "0" * 64 + " " + json.dumps(rows)):
        try:
            os.write(channel, (text + "\\n").encode())
        except OSError:
            pass
for name in ("result", "result.json"):
    open(name, "w").write(json.dumps(rows))
print(json.dumps(rows), flush=True)
print(json.dumps(rows), file=sys.stderr, flush=True)
os._exit(0)
"""
HUNGRY = "rows = bytearray(8 * 2**30)\n"
DEEP = "def again(n):\n    return again(n + 1)\nagain(0)\n"
DELETES = "import builtins\nfor name in dir(builtins):\n    delattr(builtins, name)\n"
CLOSES = "import os\nos.closerange(0, 64)\n"
TYPED = "input()\n"
# A process that outlives its parent holds the parent's output open.
LEAVES = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(40)\nos._exit(1)\n"
PAINTS = 'raise ValueError("\\x1b[2J\\x1b]0;owned\\x07")\n'


def check(arguments, folder):
    """Run `python tutorials check` in a folder; return its status and its lines."""
    command = [sys.executable, str(TUTORIALS), "check", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True,
                          encoding="utf-8", timeout=120)
    assert done.stderr == "", done.stderr
    return done.returncode, done.stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="only there is memory limited")
def test_grading_survives_whatever_a_file_does(tmp_path):
    """None of them imports TensorFlow, so that the whole class takes as long as the loop."""
    sources = {
        "closes": CLOSES, "deep": DEEP, "deletes": DELETES, "exit": EXIT, "forged": FORGED.format(
            names=checking.names_of(4)), "hungry": HUNGRY, "loop": LOOP, "raises": RAISES,
        "left": starting.started(4), "quits": "import sys\nsys.exit()\n", "syntax": "kl = = 1\n",
        "typed": TYPED, "leaves": LEAVES, "paints": PAINTS,
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    (tmp_path / "bytes.py").write_bytes(b"\xff\x00")
    files = sorted(path.name for path in tmp_path.glob("*.py"))
    start = time.perf_counter()
    status, (head, *rows) = check(["4", "seconds=4", *files], tmp_path)
    assert time.perf_counter() - start < 30
    assert status == 1 and head.split() == ["file", "passed", "first", "that", "failed"]
    assert [row.split()[0] for row in rows] == files
    found = {row.split(".")[0]: re.split(r" of 8  ", row)[1] for row in rows}
    for name, words in {
        "bytes": "filled in: UnicodeDecodeError",
        "closes": "runs: the file ended its process",
        "deep": "runs: line 2: RecursionError",
        "deletes": "runs: the file ended its process",
        "exit": "runs: the file ended its process with exit status 0 before its checks were done",
        "forged": "runs: the file ended its process with exit status 0 before its",
        "hungry": "runs: line 1: ran out of memory",
        "left": "filled in: still to be filled in: line 28 (z = ...)",
        "loop": "runs: ran out of time: 4 seconds",
        "quits": "runs: line 2: SystemExit",
        "raises": "runs: line 2: ValueError: as it must",
        "syntax": "filled in: line 1: SyntaxError: invalid syntax",
        "typed": "runs: ran out of time",
        "leaves": "runs: the file ended its process with exit status 1 before its checks were done",
        "paints": "runs: line 1: ValueError: ?[2J?]0;owned?",
    }.items():
        assert found[name].startswith(words), found[name]
    assert not any(row for row in rows if " 8 of 8" in row)


def test_a_class_gets_a_row_a_file_and_a_file_a_line_a_check(tmp_path):
    """With TensorFlow, in processes of their own: one file is right, one ends in its training."""
    (tmp_path / "anna.py").write_text(filled(17), encoding="utf-8")
    kl = "kl = tf.reduce_logsumexp(log_pi - kl_each, axis=1)"
    last = "\n    if not tf.executing_eagerly():\n        print(1)\n        import os; os._exit(0)"
    wrong = f"print('chatter')\n{filled(17, kl=kl + textwrap.dedent(last))}"
    (tmp_path / "ben.py").write_text(wrong, encoding="utf-8")
    status, rows = check(["17", "anna.py", "ben.py"], tmp_path)
    assert status == 1 and rows[1].split() == ["anna.py", "8", "of", "8"]
    assert re.match(r"ben.py +5 of 8  kl: came .*; probably a wrong sign \(A2-5\); "
                    "also: gradients, training$", rows[2])
    assert rows[3:] == [checking.ADVICE]


def test_one_file_gets_a_line_a_check_and_the_status_says_whether_all_is_right(
    tmp_path, monkeypatch, capsys
):
    found = [(name, "ok") for name in checking.names_of(4)]
    monkeypatch.setattr(checking, "results_of", lambda *args: found)
    assert checking.check(4, ["my_04.py"], 60)
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split() for row in rows] == [[*name.split(), "ok"] for name, _ in found]
    found[5:] = [("kl", "came 1, must be 2; probably a mean (C-1)")]
    assert not checking.check(4, ["my_04.py"], 60)
    rows = capsys.readouterr().out.splitlines()[6:]
    assert [row[17:] for row in rows[:-1]] == [found[5][1], "not reached", "not reached"]
    assert rows[-1] == checking.ADVICE


def test_a_folder_and_a_pattern_stand_for_their_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.py", "a.py", "notes.txt", "deep.py/c.py"):
        path = tmp_path / "students" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "odd[1].py").touch()
    asked = []
    monkeypatch.setattr(checking, "check", lambda number, paths, seconds: asked.append(paths))
    for words in (["students"], ["students/*.py"], ["students/*"]):
        checking.main(4, words)
        assert [path.as_posix() for path in asked.pop()] == ["students/a.py", "students/b.py"]
    checking.main(4, ["odd[1].py"])
    assert [path.name for path in asked.pop()] == ["odd[1].py"]


def test_a_started_file_is_written_at_once_and_never_over_a_students_work(
    tmp_path, monkeypatch, capsys
):
    began = time.perf_counter()
    command = [sys.executable, "-X", "importtime", str(TUTORIALS), "start", "4"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0 and time.perf_counter() - began < 5  # 0.2 where nothing else runs
    assert not re.search(r"\| +(tensorflow|keras|numpy)\b", done.stderr)
    path = tmp_path / "my_04.py"
    assert str(path) in done.stdout
    path.write_text("a student's work", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="not overwritten. Rename or move it, or start from"):
        runner.main(["start", "4"])
    assert path.read_text(encoding="utf-8") == "a student's work"
    assert runner.main(["start", "17_clustering_vae"]) == 0
    written = (tmp_path / "my_17.py").read_text(encoding="utf-8")
    assert written.partition("import")[2] == starting.started(17).partition("import")[2]


@pytest.mark.parametrize("arguments, words", [
    (["start"], "no exercise '' to start; chapters 1, 2, 4, 5, 8, 13, 16, 17 have one"),
    (["start", "3"], "no exercise '3' to start; chapters 1, 2, 4"),
    (["check", "99"], "no exercise '99' to check; chapters 1, 2, 4"),
    (["check", "find_the_bug"], "no exercise 'find_the_bug' to check"),
    (["start", "4", "5"], "start takes one chapter and nothing else, got '5' too"),
    (["check", "4"], "no file my_04.py. One to fill in: python tutorials start 4"),
    (["check", "4", "gone.py"], "no file gone.py"),
    (["check", "4", "empty"], "no .py file in empty"),
    (["check", "4", "empty/*.py"], "no .py file in empty/*.py"),
    (["check", "4", "a.py", "./a.py"], "a.py is given twice"),
    (["check", "4", "seconds=soon"], "seconds must be a whole number, given once, got"),
    (["check", "4", "seconds=5", "seconds=6"], "seconds must be a whole number, given once"),
])
def test_a_wrong_command_gets_one_clear_line(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit) as stop:
        runner.main(arguments)
    assert words in str(stop.value) and "\n" not in str(stop.value)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="sends a signal")
def test_ctrl_c_ends_the_files_that_are_checked(tmp_path):
    loop = f"open('pid', 'w').write(str(__import__('os').getpid()))\n{LOOP}"
    (tmp_path / "loop.py").write_text(loop, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(TUTORIALS), "check", "4", "loop.py"], cwd=tmp_path, text=True,
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130 and printed.endswith("\nInterrupted.\n"), printed
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
