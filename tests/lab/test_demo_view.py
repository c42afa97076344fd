"""How the demo draws things."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lab import demo_view as view
from lab.aws_tokens import IssuedToken
from lab.demo_figures import Figures
from lab.demo_rows import Row

NOW = 1_000_000.0


def _row(*, serial: int = 1, left: float | None = 12.9) -> Row:
    expires_at = None if left is None else NOW + left
    token = IssuedToken(
        serial=serial,
        region="us-east-2",
        access_key="key",
        service="ecr",
        issued_at=NOW - 30 + (left or 0),
        expires_at=NOW + (left or 0),
    )
    return Row(
        kind="Secret",
        name="ecr-secret",
        target="123456789012.dkr.ecr.us-east-2.amazonaws.com",
        secret_name="ecr-docker-secret",  # noqa: S106 - a name
        phase="Updated",
        ready="True",
        reason="Refreshed",
        updated_at=NOW - 17,
        expires_at=expires_at,
        token=token,
    )


@pytest.mark.parametrize(
    ("left", "said"), [(12.9, "12 s"), (0.0, "expired"), (-3.0, "expired"), (None, "-")], ids=str
)
def test_the_time_left_is_never_more_than_there_is(left: float | None, said: str) -> None:
    assert view.row_line(_row(left=left), NOW).endswith(f"time left {said}")


def test_the_picture_is_whole_and_asks_no_other_server(tmp_path: Path) -> None:
    story = view.Story(rows=[_row()], now=NOW, summary=["All went well."])
    story.steps.append(view.Step(title="etcd", note="", seconds=1))
    story.events.append(view.Event(at=2, text="It happened."))
    file = tmp_path / "docs" / "demo.svg"
    view.draw(story, file)
    svg = file.read_text()
    text = "".join(ET.fromstring(svg).itertext()).replace("\xa0", " ")  # noqa: S314 - our own
    for shown in ("$ make demo", "etcd", "ecr-docker-secret", "It happened.", "All went well."):
        assert shown in text
    assert svg.replace('xmlns="http://www.w3.org/2000/svg"', "").count("http") == 0


def test_figures_count_what_was_seen() -> None:
    figures = Figures(ready_after=1.0)
    new = _row(serial=2, left=20)
    for row, at in ((_row(), NOW), (_row(), NOW), (new, NOW), (new, NOW + 21)):
        figures.take(row, at)
    assert (figures.looks, figures.gaps) == (3, 1)
    assert figures.refreshes_of(_row()) == 1
    assert figures.margins == pytest.approx([22.9])
