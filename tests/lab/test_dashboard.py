"""How the dashboard's picture is drawn, from made-up answers of Prometheus."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from lab import dashboard_panels
from lab.dashboard_charts import Span, series_of
from lab.dashboard_figures import shown, ticks
from lab.dashboard_panels import Panel
from lab.dashboard_view import draw

PICTURE = Path(__file__).parents[2] / "docs" / "dashboard.svg"
BEGIN = 1_000_000.0
SPAN = Span(begin=BEGIN, end=BEGIN + 120, step=10)
PANELS = dashboard_panels.read()

Result = list[dict[str, Any]]


def panel(title: str) -> Panel:
    """Return a panel of the real dashboard."""
    (found,) = (each for each in PANELS if each.title == title)
    return found


def vector(*values: str, **labels: str) -> Result:
    return [{"metric": {**labels, "n": str(at)}, "value": [BEGIN, each]} for at, each in enumerate(values)]


def matrix(values: Mapping[int, str], **labels: str) -> dict[str, Any]:
    return {"metric": labels, "values": [[BEGIN + at, value] for at, value in values.items()]}


def drawn(shown_panel: Panel, result: Sequence[Mapping[str, Any]]) -> ET.Element:
    """Draw one panel, and read the picture back."""
    picture = draw([shown_panel], {shown_panel.title: result}, SPAN, title="Title", remark="Remark")
    return ET.fromstring(picture)  # noqa: S314 - our own


def words(picture: ET.Element) -> list[str]:
    return [each.text or "" for each in picture.iter() if each.tag.endswith("}text")]


def kinds(picture: ET.Element, kind: str) -> list[ET.Element]:
    return [each for each in picture.iter() if kind in each.get("class", "").split()]


def heights(picture: ET.Element) -> list[float]:
    return [float(each.get("height", "0")) for each in kinds(picture, "bar")]


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0, "short", "0"),
        (17, "short", "17"),
        (1.23456, "short", "1.23"),
        (1999, "short", "2k"),
        (0.25, "reqps", "0.25/s"),
        (0, "s", "0 s"),
        (0.00002, "s", "20 µs"),
        (0.0125, "s", "12.5 ms"),
        (59, "s", "59 s"),
        (90, "s", "1.5 min"),
        (-90, "s", "-1.5 min"),
        (36_000, "s", "10 h"),
        (1_000_000, "s", "11.6 d"),
    ],
)
def test_a_value_is_short_and_has_its_unit(value: float, unit: str, said: str) -> None:
    assert shown(value, unit) == said


@pytest.mark.parametrize(
    ("top", "unit", "marks"),
    [
        (0, "short", [0, 1]),
        (1, "short", [0, 0.5, 1]),
        (7, "short", [0, 2, 4, 6, 8]),
        (17, "reqps", [0, 5, 10, 15, 20]),
        (0.003, "s", [0, 0.001, 0.002, 0.003]),
        (100, "s", [0, 50, 100]),
        (225, "s", [0, 60, 120, 180, 240]),
        (30_000, "s", [0, 18_000, 36_000]),
    ],
)
def test_the_marks_of_an_axis_are_round_and_reach_the_top(top: float, unit: str, marks: list[float]) -> None:
    assert ticks(top, unit) == pytest.approx(marks)


def test_a_query_is_asked_with_all_variables_filled_in() -> None:
    asked = panel("Refreshes").asked("10s")
    assert 'namespace=~".*"' in asked
    assert "[10s]" in asked
    assert all("$" not in each.asked("10s") for each in PANELS)


def test_a_series_is_named_by_its_labels_and_one_that_is_absent_leaves_no_gap() -> None:
    labels = {"operation": "sts:AssumeRole", "outcome": "Success"}
    assert panel("Calls to AWS").name_of(labels) == "sts:AssumeRole Success"


@pytest.mark.parametrize(("value", "colour"), [("0", "green"), ("1", "red"), ("4", "red")])
def test_a_stat_has_the_colour_of_its_threshold(value: str, colour: str) -> None:
    picture = drawn(panel("Not ready"), vector(value))
    (figure,) = kinds(picture, "value")
    assert (figure.text, figure.get("class")) == (value, f"value {colour}")


@pytest.mark.parametrize(
    ("title", "said"), [("Next expiry", "No data"), ("Refreshes", "nothing in this time")]
)
def test_a_panel_without_an_answer_says_so(title: str, said: str) -> None:
    assert said in words(drawn(panel(title), []))


def test_a_table_has_its_columns_in_order_and_says_how_many_rows_do_not_fit() -> None:
    wide = panel("Tokens that expire first")
    result = vector(
        *map(str, range(60, 80)), kind="Secret", resource_namespace="team-a", resource_name="pull"
    )
    said = words(drawn(wide, result))[3:]
    assert said[:8] == ["Kind", "Namespace", "Name", "Left", "Secret", "team-a", "pull", "1 min"]
    shown_rows = said.count("pull")
    assert said[-1] == f"and {20 - shown_rows} more"
    assert 5 < shown_rows < 20


def test_a_table_hides_what_the_dashboard_hides() -> None:
    labels = {"__name__": "build_info", "version": "1.0.0", "instance": "here", "pod": "pod-1"}
    said = words(drawn(panel("Versions"), [{"metric": labels, "value": [BEGIN, "1"]}]))
    assert said[3:] == ["pod", "version", "pod-1", "1.0.0"]


def test_a_line_is_broken_where_values_are_missing_and_what_is_no_number_is_missing() -> None:
    values = {0: "1", 10: "2", 20: "NaN", 30: "2", 40: "1", 50: "+Inf", 60: "1"}
    picture = drawn(panel("Queue"), [matrix(values, pod="pod-1")])
    assert len(kinds(picture, "line")) == 3


def test_stacked_series_stand_on_each_other() -> None:
    low, high = {0: "1", 10: "1"}, {0: "3", 20: "3"}
    first, second = series_of(
        panel("Resources by readiness"), [matrix(low, ready="false"), matrix(high, ready="true")]
    )
    assert (first.name, second.name) == ("true", "false")
    assert dict(second.base) == {BEGIN: 3, BEGIN + 20: 3}
    assert second.top == 4


def test_bars_are_as_high_as_their_values() -> None:
    picture = drawn(panel("Refreshes"), [matrix({0: "1", 10: "4", 20: "0"}, reason="Refreshed")])
    assert [height / heights(picture)[0] for height in heights(picture)] == pytest.approx([1, 4], rel=0.01)


def test_bars_stay_within_the_chart() -> None:
    picture = drawn(panel("Refreshes"), [matrix(dict.fromkeys(range(0, 121, 10), "1"), reason="Refreshed")])
    axis = next(each for each in picture.iter() if each.tag.endswith("}line"))
    edges = [
        (float(each.get("x", "0")), float(each.get("x", "0")) + float(each.get("width", "0")))
        for each in kinds(picture, "bar")
    ]
    assert min(left for left, _ in edges) >= float(axis.get("x1", "0")) - 0.1
    assert max(right for _, right in edges) <= float(axis.get("x2", "0")) + 0.1


def test_more_series_than_the_legend_has_room_for_are_counted() -> None:
    result = [
        matrix({0: str(40 - number)}, verb="patch", resource=f"resource-{number}", code="200")
        for number in range(40)
    ]
    said = words(drawn(panel("Requests to the API server"), result))
    named = [each for each in said if each.startswith("patch resource-")]
    assert named[0] == "patch resource-0 200"
    assert said[-1] == f"and {40 - len(named)} more"


def test_what_comes_from_outside_is_text_and_nothing_else() -> None:
    result = [matrix({0: "1"}, pod='<script>&"</script>')]
    picture = drawn(panel("Queue"), result)
    assert not [each for each in picture.iter() if each.tag.endswith("script")]
    assert '<script>&"</script>' in words(picture)


def test_the_picture_in_the_documents_is_of_the_present_panels_and_asks_no_other_server() -> None:
    svg = PICTURE.read_text(encoding="utf-8")
    picture = ET.fromstring(svg)  # noqa: S314 - our own
    assert [each.text for each in kinds(picture, "title")] == [each.title for each in PANELS]
    queries = [each.text for each in picture.iter() if each.tag.endswith("}desc")]
    assert queries == [each.query for each in PANELS], "it is older: make dashboard-picture"
    assert svg.replace('xmlns="http://www.w3.org/2000/svg"', "").count("http") == 0
    assert not re.search(r"eyJ|AKIA", svg)
    assert "prefers-color-scheme: dark" in svg
