"""Every link leads somewhere."""

from pathlib import Path

import pytest

from tests.docs.blocks import DOCUMENTS, ROOT
from tests.docs.links import anchors, fault_of, faults, links

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_all_links_lead_to_a_file_a_heading_or_a_public_host(document: Path) -> None:
    assert list(faults(document)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_readme_leads_to_every_document(document: Path) -> None:
    assert document.name == "README.md" or str(document.relative_to(ROOT)) in links(README)


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").rglob("*.svg")), ids=lambda path: path.name)
def test_every_picture_is_shown(picture: Path) -> None:
    shown = {
        (document.parent / target).resolve()
        for document in DOCUMENTS
        for target in links(document.read_text(encoding="utf-8"))
        if target.endswith(".svg")
    }
    assert picture in shown


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("nowhere.md", "no such file"),
        ("/", "outside of the repository"),
        ("#nothing", "no such heading"),
        ("alerts.md#nothing", "no such heading"),
        ("http://example.com", "not https"),
        ("mailto:a@example.com", "not https"),
        ("https://localhost:8080/x", "no public host"),
    ],
)
def test_a_link_that_leads_nowhere_is_found(target: str, fault: str) -> None:
    document = ROOT / "docs" / "metrics.md"
    assert fault_of(document, target) == fault


@pytest.mark.parametrize(
    "target", ["#probes", "alerts.md", "alerts.md#ecrtokenexpired", "https://example.com/x"]
)
def test_one_that_leads_somewhere_is_not(target: str) -> None:
    assert fault_of(ROOT / "docs" / "metrics.md", target) is None


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
def test_a_headings_anchor_is_githubs(heading: str, anchor: str) -> None:
    assert anchors(heading) == {anchor}


def test_headings_of_one_name_are_numbered() -> None:
    assert anchors("# A\n\n## A\n\n```text\n# B\n```\n") == {"a", "a-1"}


def test_what_stands_in_code_is_no_link() -> None:
    assert links("`[a](b)` [c](d)\n\n```text\n[e](f)\n```\n\n![g](h.svg)\n") == ["d", "h.svg"]
