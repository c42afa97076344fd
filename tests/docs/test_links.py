"""Links: every target exists, every page and image is linked."""

from pathlib import Path

import pytest

from tests.docs.blocks import DOCUMENTS, ROOT
from tests.docs.links import anchors, link_error, link_errors, links

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_target_an_existing_file_a_heading_or_a_public_host(document: Path) -> None:
    assert list(link_errors(document)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_readme_links_every_page(document: Path) -> None:
    assert document.name == "README.md" or str(document.relative_to(ROOT)) in links(README)


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").rglob("*.svg")), ids=lambda path: path.name)
def test_every_image_is_used(picture: Path) -> None:
    shown = {
        (document.parent / target).resolve()
        for document in DOCUMENTS
        for target in links(document.read_text(encoding="utf-8"))
        if target.endswith(".svg")
    }
    assert picture in shown


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("nowhere.md", "no such file"),
        ("/", "outside the repository"),
        ("#nothing", "no such heading"),
        ("alerts.md#nothing", "no such heading"),
        ("http://example.com", "not https"),
        ("mailto:a@example.com", "not https"),
        ("https://localhost:8080/x", "not a public host"),
    ],
)
def test_a_broken_link_is_an_error(target: str, error: str) -> None:
    document = ROOT / "docs" / "metrics.md"
    assert link_error(document, target) == error


@pytest.mark.parametrize(
    "target", ["#probes", "alerts.md", "alerts.md#ecrtokenexpired", "https://example.com/x"]
)
def test_a_valid_link_is_no_error(target: str) -> None:
    assert link_error(ROOT / "docs" / "metrics.md", target) is None


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("# Two words", "two-words"),
        ("## `role_arn`", "role_arn"),
        ("### Why? Because, of course.", "why-because-of-course"),
        ("## [A link](https://example.com) in it", "a-link-in-it"),
        ("## A - B", "a---b"),
    ],
)
def test_anchors_follow_githubs_rules(heading: str, anchor: str) -> None:
    assert anchors(heading) == {anchor}


def test_equal_headings_get_numbered_anchors() -> None:
    assert anchors("# A\n\n## A\n\n```text\n# B\n```\n") == {"a", "a-1"}


def test_links_in_code_are_ignored() -> None:
    assert links("`[a](b)` [c](d)\n\n```text\n[e](f)\n```\n\n![g](h.svg)\n") == ["d", "h.svg"]
