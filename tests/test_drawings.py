"""The diagrams in docs/images are what docs/drawings.py draws, and each stands on its own."""

import importlib.util
import pathlib
import re
import xml.etree.ElementTree as ElementTree

import pytest

ROOT = pathlib.Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
NAMES = ["gan", "hourglass", "rate_distortion", "vae"]
SVG = "{http://www.w3.org/2000/svg}"

specification = importlib.util.spec_from_file_location("drawings", ROOT / "docs" / "drawings.py")
drawings = importlib.util.module_from_spec(specification)
specification.loader.exec_module(drawings)


def test_the_script_draws_exactly_the_files_that_lie_in_docs(tmp_path):
    drawings.main(tmp_path)
    drawn = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(drawn) == [f"{name}.svg" for name in NAMES]
    assert drawn == {path.name: path.read_bytes() for path in IMAGES.glob("*.svg")}


@pytest.mark.parametrize("name", NAMES)
def test_a_drawing_can_be_read_by_everybody(name):
    """It has a title, an alternative text that fits, and no letters under 13 units of 720."""
    root = ElementTree.parse(IMAGES / f"{name}.svg").getroot()
    assert root.tag == f"{SVG}svg" and root.get("role") == "img"
    assert root.get("viewBox") == f"0 0 720 {root.get('height')}"
    assert root.findtext(f"{SVG}title")
    assert 50 < len(root.findtext(f"{SVG}desc")) < 200
    texts = list(root.iter(f"{SVG}text"))
    assert texts and all(float(text.get("font-size")) >= 13 for text in texts)
    others = [each for each in root.iter() if each.tag != f"{SVG}text"]
    assert not any(each.get("font-size") for each in others)


@pytest.mark.parametrize("name", NAMES)
def test_a_drawing_loads_nothing(name):
    text = (IMAGES / f"{name}.svg").read_text(encoding="utf-8")
    assert re.findall(r"\w+://[^\"\s]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"href|url\(|@import|<script|<style|<image|<!", text)
