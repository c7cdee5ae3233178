"""The Chinese pages and the glossary say what the chapters and the English pages say."""

import json
import os
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
CHAPTERS = sorted((ROOT / "tutorials").glob("[0-9][0-9]_*.py"))
ZH = ROOT / "docs" / "zh"
HAN = re.compile("[一-鿿]")
HEADINGS = ["## 本章做什么", "## 为什么", "## 文章错在哪里", "## 预期结果"]


def read(path):
    return path.read_text(encoding="utf-8")


def glossary():
    """Return [(terms, definition)] of the glossary, each a list of lines, in order."""
    body = read(ROOT / "docs" / "glossary.md").split("```{glossary}\n")[1].split("```")[0]
    entries = []
    for block in re.split(r"\n\n(?=\S)", body.strip("\n")):
        lines = [line for line in block.split("\n") if line]
        terms = [line for line in lines if not line.startswith(" ")]
        entries.append((terms, [line.strip() for line in lines[len(terms):]]))
    return entries


def chinese_terms(text):
    """Return the Chinese terms that stand in parentheses: (隐变量), (AUC, 曲线下面积)."""
    parts = re.findall(r"[(（]([^()（）]*)[)）]", text)
    parts = [part.strip() for inside in parts for part in re.split("[,;:，；：]", inside)]
    return {part for part in parts if HAN.search(part)}


def numbers(text):
    """Return all numbers of a text without its links' targets, sorted."""
    return sorted(re.findall(r"\d+(?:\.\d+)?", re.sub(r"\]\([^)]*\)", "]", text)))


def tables(text):
    """Return the numbers of each cell of each row of each Markdown table."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [
        [[numbers(cell) for cell in row.split("|")] for row in table.splitlines()]
        for table in found
    ]


def test_a_chinese_term_is_found_where_a_chapter_uses_one():
    assert chinese_terms("a code (编码), (AUC, 曲线下面积) and (see A1; KL 散度)") == {
        "编码", "曲线下面积", "KL 散度"
    }
    assert chinese_terms("English (only) 中文") == set()


@pytest.mark.parametrize("path", sorted((ROOT / "tutorials").glob("*.py")), ids=lambda p: p.stem)
def test_the_glossary_has_every_chinese_term_of_the_chapters(path):
    known = {term for terms, _ in glossary() for term in terms}
    assert chinese_terms(read(path)) <= known


def prose(path):
    """Return the sentences of a chapter: no code, formulas, headings, pictures or quotations."""
    cells = re.split(r"^(?=# %%)", read(path), flags=re.MULTILINE)
    lines = [line[2:] for cell in cells if "[markdown]" in cell for line in cell.splitlines()]
    text = "\n".join(line for line in lines if not re.match("#|%%", line))
    italics = r"(?<!\*)\*[^*\s][^*]*\*(?!\*)"  # the articles' own words
    for left_out in (r"```.*?```", r"`[^`]*`", r"\$\$.*?\$\$", r"\$[^$]*\$",
                     r"!\[[^\]]*\]\([^)]*\)", italics):
        text = re.sub(left_out, "", text, flags=re.DOTALL)
    return " ".join(text.split())


def uses(term, chapters):
    """Yield (chapter, place, whether it is bold) of each use of an English term."""
    pattern = rf"(?<![\w-]){re.escape(term)}(?:s|es)?(?![\w-])"
    for number, text in enumerate(chapters, start=1):
        for match in re.finditer(pattern, text, 0 if term.isupper() else re.IGNORECASE):
            yield number, match.start(), text[: match.start()].count("**") % 2 == 1


def test_a_term_of_part_one_is_defined_where_it_is_first_used():
    """There it is bold, with its Chinese; the chapters are read in their order."""
    chapters, defined = [prose(path) for path in CHAPTERS], []
    for terms, _ in glossary():
        english = [term for term in terms if not HAN.search(term)]
        found = sorted(use for term in english for use in uses(term, chapters))
        bold = [use for use in found if use[2] and use[0] <= 8]
        if bold:
            assert found[0] == bold[0], (english, found[0], bold[0])
            after = chapters[bold[0][0] - 1][bold[0][1] :][:60]
            assert any(term in after for term in terms if HAN.search(term)), after
            defined.append(english[0])
    assert len(defined) > 45, len(defined)


def test_the_glossary_is_bilingual_and_sorted():
    entries = glossary()
    assert len(entries) > 60
    for terms, definition in entries:
        assert not HAN.search(terms[0]) and HAN.search(terms[-1]), terms
        assert len(definition) == 2, terms
        assert HAN.search(definition[1]), terms
    names = [terms[0].casefold() for terms, _ in entries]
    assert names == sorted(names)
    every = [term.casefold() for terms, _ in entries for term in terms]
    assert len(every) == len(set(every))


PAIRS = {"README.md": "README.zh-CN.md"}
PAIRS.update({f"docs/{name}.md": f"docs/zh/{name}.md" for name in ("results", "classes")})


@pytest.mark.parametrize("theirs", PAIRS)
def test_two_pages_link_to_each_other_and_hold_the_same_numbers(theirs):
    paths = [ROOT / theirs, ROOT / PAIRS[theirs]]
    english, chinese = map(read, paths)
    for path, other in (paths, paths[::-1]):
        link = pathlib.Path(os.path.relpath(other, path.parent)).as_posix()
        assert f"({link})" in "".join(read(path).splitlines()[:4])
    for theirs, ours in zip(tables(english), tables(chinese), strict=True):
        assert theirs == ours
    in_prose = re.compile(r"^(?!\|).*$", re.MULTILINE)
    theirs, ours = (
        {n for line in in_prose.findall(without_code(text)) for n in numbers(line) if "." in n}
        for text in (english, chinese)
    )
    assert theirs == ours
    days = re.compile(r"\d{4}-\d\d-\d\d")
    assert days.findall(english) == days.findall(chinese)


def without_code(text):
    """Return Markdown without its blocks of code and what stands in backticks."""
    return re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)


def test_the_two_readmes_hold_the_same_commands_and_are_short():
    english, chinese = read(ROOT / "README.md"), read(ROOT / "README.zh-CN.md")
    commands = re.compile(r"^(?:pip|python) .*?(?=  |$)", re.MULTILINE)
    assert commands.findall(english) == commands.findall(chinese) != []
    assert len(english.splitlines()) <= 130 and len(chinese.splitlines()) <= 130
    assert max(len(line) for line in english.splitlines() if not line.startswith("|")) <= 110


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_its_chinese_abstract(path):
    chapter, abstract = read(path), read(ZH / f"{path.stem}.md")
    number = int(path.name[:2])
    assert abstract.startswith(f"# {number}. ")
    assert re.findall("^## .*", abstract, re.MULTILINE) == HEADINGS
    assert f"\npython tutorials {number}\n" in abstract
    assert 250 <= len(HAN.findall(abstract)) <= 600
    # The errata of the chapter, in bold or in its table, no fewer and no more.
    errata = re.findall(r"^# \| (A\d-\d+) \|", chapter, re.MULTILINE)
    bold = re.findall(r"\*\*(A\d-\d+[^*]*)\*\*", chapter)
    errata = {*errata, *re.findall(r"A\d-\d+", " ".join(bold))}
    assert sorted(re.findall(r"^- \*\*(A\d-\d+)\*\*", abstract, re.MULTILINE)) == sorted(errata)
    # Expected ranges are those on MNIST; medians are the results page's.
    expected = json.loads(read(ROOT / "tutorials" / "expected.json"))[path.stem]["ranges"].values()
    ranges = re.findall(r"(-?\d[\de.-]*) … (-?\d[\de.-]*)", abstract)
    assert len(ranges) >= 3
    for low, high in ranges:
        assert [float(low), float(high)] in [sets["mnist"] for sets in expected], (low, high)
    medians = re.findall(r"[\d.]+（[\d.]+ 至 [\d.]+）", abstract)
    lines = read(ZH / "results.md").splitlines()
    rows = [line for line in lines if line.startswith(f"| {number} |")]
    assert medians
    for median in medians:
        assert any(median in row for row in rows), median


def test_the_chinese_front_page_links_to_every_abstract():
    linked = re.findall(r"\]\(([^)]*\.md)\)", read(ZH / "index.md"))
    assert {f"{path.stem}.md" for path in CHAPTERS} <= set(linked)
    for target in linked:
        assert (ZH / target).exists(), target


@pytest.mark.parametrize("path", [ROOT / "README.zh-CN.md", *sorted(ZH.glob("*.md"))],
                         ids=lambda path: path.stem)
def test_a_chinese_page_keeps_to_one_word_for_one_thing(path):
    text = read(path)
    for word in ("潜变量", "潜在变量", "潜空间", "潜在空间", "重构", "崩塌", "证据下限", "先验概率",
                 "纳特", "训练轮数", "批大小"):
        assert word not in text, word
    titles = ("变分自动编码器", "自动编码器与变分自动编码器", "自动编码器与生成模型", "“自动编码器”")
    for title in sorted(titles, key=len, reverse=True):
        text = text.replace(title, "")
    assert "自动编码器" not in text and not re.search("先验(?!分布)", text)
    # A space between Chinese and Latin letters or digits; Chinese punctuation after Chinese.
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|!\[", "", text, flags=re.DOTALL)
    assert not re.findall(r".{,8}(?:[一-鿿][A-Za-z0-9]|[A-Za-z0-9%][一-鿿]).{,8}", text)
    assert not re.findall(r".{,8}[一-鿿][,;:?!()].{,8}", text)
