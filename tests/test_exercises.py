"""The exercises, and every command that a page tells the reader to type."""

import pathlib
import re
import shlex

import pytest
from chapter_with_answers import answers
from test_tutorials import runner, start

ROOT = pathlib.Path(__file__).parent.parent
CHAPTERS = runner.chapters()
PAGES = [
    *sorted(ROOT.glob("README*.md")),
    *(ROOT / "docs" / name for name in ("teaching.md", "start.md", "zh/index.md", "zh/results.md")),
    *CHAPTERS.values(),
    *runner.pages(),
]


def commands(page):
    """Return the arguments of each `python tutorials …` that stands in a page.

    A command ends with its line, its backtick, or the two spaces before an explanation.
    """
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"python tutorials\b(?!/)((?: ?[^ \n`]+)*)", text)
    return [shlex.split(text, comments=True) for text in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_that_a_page_shows_is_accepted(page):
    known = {str(number): path for number, path in CHAPTERS.items()}
    known.update({path.stem: path for path in runner.pages()})
    for arguments in commands(page):
        if not arguments:
            continue  # the list of chapters
        name, *settings = arguments
        if name in ("start", "check"):
            assert int(settings[0]) in runner.exercises("start").LINES, arguments
            continue
        if name == "notebook":
            name, *settings = [setting for setting in settings if setting != "answers=yes"]
            assert name in known, arguments
        assert name in known or name == "all", arguments
        if name == "all":
            for setting in settings:
                assert any(accepted(path, setting) for path in CHAPTERS.values()), arguments
        else:
            runner.with_overrides(known[name], settings)  # SystemExit says what is wrong


def accepted(path, setting):
    try:
        return bool(runner.with_overrides(path, [setting]))
    except SystemExit:
        return False


def test_commands_are_found():
    assert len(commands(ROOT / "README.md")) >= 8
    assert ["notebook", "4", "answers=yes"] in commands(ROOT / "README.md")
    assert len(commands(ROOT / "docs" / "teaching.md")) >= 20
    assert ["4", "beta=0.0"] in commands(CHAPTERS[4])
    assert ["6", "num_labels=(10, 1000)"] in commands(CHAPTERS[6])


@pytest.mark.parametrize("number", CHAPTERS)
def test_a_chapter_has_questions_and_exercises_with_folded_answers(number):
    """Three questions, and one exercise or two."""
    text = CHAPTERS[number].read_text(encoding="utf-8")
    questions, _, text = text.partition("\n# ## Exercises\n")
    questions = questions.partition("\n# ## Three questions\n")[2]
    assert re.findall(r"^# (\d)\. ", questions, re.MULTILINE) == ["1", "2", "3"]
    assert questions.count("#    <details><summary>Answer</summary>\n#\n") == 3
    numbers = re.findall(r"^# (\d)\. ", text, re.MULTILINE)
    assert numbers == [str(i + 1) for i in range(len(numbers))]
    assert 1 <= len(numbers) <= 2
    # With the empty line, what is inside is Markdown again.
    opened = "#    <details><summary>Answer</summary>\n#\n"
    assert text.count(opened) == text.count("#    </details>\n") == len(numbers)
    experiments = answers(CHAPTERS[number]) + commands(CHAPTERS[number])
    assert experiments, "recall alone: let the reader run something"
    assert text.count("```python") == len(answers(CHAPTERS[number]))
    for code in answers(CHAPTERS[number]):
        compile(code, CHAPTERS[number].stem, "exec")
        assert max(map(len, code.splitlines())) <= 100


def test_an_answer_whose_code_raises_fails_the_chapters_test(tmp_path):
    """What tests/test_tutorials.py runs, with a chapter of a few lines in the place of the real."""
    chapter = '''# %% tags=["parameters"]
seed = 0
# %%
value = 7
# %% [markdown]
# ## Exercises
#
# 1. Question
#    <details><summary>Answer</summary>
#
#    ```python
#    for i in range(2):
#        print(value + i)
#    ```
#    </details>
# 2. Question
#    <details><summary>Answer</summary>
#
#    ```python
#    1 / (value - 7)
#    ```
#    </details>
'''
    for folder in ("tests", "tutorials"):
        (tmp_path / folder).mkdir()
    for name in ("tests/chapter_with_answers.py", "tutorials/__main__.py"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "tutorials" / "01_small.py").write_text(chapter, encoding="utf-8")
    assert len(answers(tmp_path / "tutorials" / "01_small.py")) == 2
    program = tmp_path / "tests" / "chapter_with_answers.py"
    done = start(["1", "seed=3"], tmp_path, program, timeout=60)
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
    assert done.stdout.splitlines()[-3:] == ["7", "8", "answer with code 1 ran"]


def test_the_links_of_the_plan_for_instructors_lead_somewhere():
    page = ROOT / "docs" / "teaching.md"
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert len(links) > 40
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve()
        assert target.is_file(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings]
    assert all(f"../tutorials/{path.name}" in links for path in CHAPTERS.values())
