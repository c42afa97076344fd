"""The pictures are what their text says, and say it readably."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from tools.diagrams import FOLDER, DiagramError, render

SOURCES = sorted(FOLDER.glob("*.yaml"))
SVG = "{http://www.w3.org/2000/svg}"


def described(**parts: Any) -> dict[str, Any]:
    first = {"at": [0, 0], "size": [2, 1], "text": ["first"]}
    second = {"at": [4, 0], "size": [2, 1], "text": ["second", "more of it"]}
    return {"title": "A & B", "size": [8, 4], "boxes": [first, second], **parts}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_each_picture_is_as_fresh_as_its_text(source: Any) -> None:
    picture = source.with_suffix(".svg").read_text(encoding="utf-8")
    assert picture == render(yaml.safe_load(source.read_text(encoding="utf-8")))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_nothing_is_drawn_outside(source: Any) -> None:
    root = ET.parse(source.with_suffix(".svg")).getroot()  # noqa: S314 - our own file
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for text in root.iter(f"{SVG}text"):
        half = len(text.text or "") * 7 / 2
        x, y = float(text.attrib["x"]), float(text.attrib["y"])
        kind = text.attrib.get("class", "")
        left = x if "beside" in kind else x - half
        assert 0 <= left < width
        assert 0 < y < height


def test_a_picture_has_a_title_its_text_and_colours_for_light_and_dark() -> None:
    picture = render(described(arrows=[{"from": "first", "to": "second", "text": "a < b"}]))
    root = ET.fromstring(picture)  # noqa: S314 - our own
    said = [text.text for text in root.iter(f"{SVG}text")]
    assert root.findtext(f"{SVG}title") == "A & B"
    assert said == ["first", "second", "more of it", "a < b"]
    assert "prefers-color-scheme: dark" in picture


@pytest.mark.parametrize(
    ("to", "path"),
    [
        ({"at": [4, 0], "size": [2, 1]}, "M184 54H344"),
        ({"at": [0, 3], "size": [2, 1]}, "M104 84V204"),
    ],
    ids=["beside", "below"],
)
def test_an_arrow_goes_straight_from_edge_to_edge(to: dict[str, Any], path: str) -> None:
    boxes = [{"at": [0, 0], "size": [2, 1], "text": ["a"]}, {**to, "text": ["b"]}]
    assert f'd="{path}"' in render(described(boxes=boxes, arrows=[{"from": "a", "to": "b"}]))


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"boxes": [{"at": [0, 0], "size": [1, 1], "text": ["much too long"]}]}, "too small"),
        ({"boxes": [{"at": [0, 0], "size": [2, 1], "text": list("abcd")}]}, "too small"),
        ({"arrows": [{"from": "first", "to": "third"}]}, "no box 'third'"),
        (
            {
                "boxes": [
                    {"at": [0, 0], "size": [2, 1], "text": ["a"]},
                    {"at": [3, 2], "size": [2, 1], "text": ["b"]},
                ],
                "arrows": [{"from": "a", "to": "b"}],
            },
            "neither beside nor above",
        ),
    ],
    ids=["a long line", "many lines", "an unknown box", "across"],
)
def test_what_can_not_be_drawn_well_is_an_error(parts: dict[str, Any], why: str) -> None:
    with pytest.raises(DiagramError, match=why):
        render(described(**parts))
