"""Links, blocks and tables of the documentation are valid and match the code."""

import re
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from ecr_operator.api.kinds import API_VERSION, CLUSTER
from ecr_operator.api.outcome import MEANINGS, Reason
from ecr_operator.api.parsing import parse_resource
from ecr_operator.cli import pull
from ecr_operator.cli.diagnosis import Answer, Attempt, Report
from ecr_operator.cli.rows import as_data
from ecr_operator.settings.flags import COMMANDS
from tests.cli.builders import NOW, row
from tests.docs.blocks import DOCUMENTS, SHELLS, Block, blocks
from tools import ROOT

BLOCKS: Final = [block for document in DOCUMENTS for block in blocks(document)]
SHELL: Final = [block for block in BLOCKS if block.language in SHELLS]
YAML: Final = [block for block in BLOCKS if block.language == "yaml"]
TEXTS: Final = {document: document.read_text(encoding="utf-8") for document in DOCUMENTS}
PICTURES: Final = sorted((ROOT / "docs").rglob("*.svg"))
ATTEMPT: Final = Attempt(login=None, origin=None, answer=Answer(kind="found"))
COMMANDS_PAGE: Final = TEXTS[ROOT / "docs" / "commands.md"]

_FENCED: Final = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_HOST: Final = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")

for_each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def links(text: str) -> list[str]:
    """The targets of all links and images outside of code, in order."""
    return re.findall(r"\]\(\s*([^)\s]+)\s*\)", re.sub(r"`[^`\n]*`", "", _FENCED.sub("", text)))


def anchors(text: str) -> set[str]:
    """The anchors of all headings, by GitHub's rules."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} +(.+?) *$", _FENCED.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found[name] = found.get(name, 0) + 1
    return {f"{name}-{n}" if n else name for name, times in found.items() for n in range(times)}


def is_valid(document: Path, target: str) -> bool:
    """Whether a link leads to a public host by HTTPS, or to a file of the repository and a heading in it."""
    if ":" in target.partition("/")[0]:
        parts = urlsplit(target)
        return parts.scheme == "https" and _HOST.fullmatch(parts.netloc) is not None
    path, _, anchor = unquote(target).partition("#")
    file = (document.parent / path).resolve() if path else document
    if not file.exists() or not file.is_relative_to(ROOT):
        return False
    return not anchor or anchor in anchors(file.read_text(encoding="utf-8"))


@for_each_document
def test_every_link_is_valid(document: Path) -> None:
    assert [target for target in links(TEXTS[document]) if not is_valid(document, target)] == []


@pytest.mark.parametrize(
    ("target", "valid"),
    [
        *[("#probes", True), ("alerts.md", True), ("alerts.md#ecrtokenexpired", True)],
        *[("nowhere.md", False), ("/", False), ("#nothing", False), ("alerts.md#nothing", False)],
        *[("https://example.com/x", True), ("http://example.com", False), ("https://localhost/x", False)],
    ],
)
def test_a_broken_link_is_found(target: str, *, valid: bool) -> None:
    assert is_valid(ROOT / "docs" / "metrics.md", target) is valid


def linked_from(document: Path) -> set[Path]:
    """The files that a page links to."""
    return {(document.parent / target.partition("#")[0]).resolve() for target in links(TEXTS[document])}


def test_every_page_is_linked_from_the_readme_or_an_index_and_every_image_from_a_page() -> None:
    indexes = [document for document in DOCUMENTS if document.name == "README.md"]
    assert {*DOCUMENTS} - {*indexes[:1]} - set().union(*map(linked_from, indexes)) == set()
    assert {*PICTURES} - set().union(*map(linked_from, DOCUMENTS)) == set()


def test_the_readme_is_short() -> None:
    assert TEXTS[ROOT / "README.md"].count("\n") < 120


@for_each_document
def test_every_block_is_closed_and_names_its_language(document: Path) -> None:
    found = [block for block in BLOCKS if block.document == document]
    assert len(re.findall(r"^ *```", TEXTS[document], re.MULTILINE)) == 2 * len(found)
    assert {block.language for block in found} <= SHELLS | {"yaml", "json", "text"}


@for_each_document
def test_commands_are_valid_bash(document: Path) -> None:
    script = "\n".join(block.script for block in SHELL if block.document == document)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_most_blocks_of_commands_are_run() -> None:
    assert sum(block.is_run for block in SHELL) > 0.6 * len(SHELL) > 50


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    commands = [line for block in SHELL for line in re.findall(r"\bmake ([^\n\\#]+)", block.script)]
    named = {word for line in commands for word in line.split() if re.fullmatch(r"[a-z-]+", word)}
    prose = {word for text in TEXTS.values() for word in re.findall(r"`make ([a-z-]+)", text)}
    assert named
    assert (named | prose) - targets == set()


@pytest.mark.parametrize("block", YAML, ids=lambda block: block.place)
def test_manifests_are_yaml_and_those_of_our_kinds_are_valid(block: Block) -> None:
    for manifest in yaml.safe_load_all(block.text):
        if manifest.get("apiVersion") == API_VERSION:
            stored = manifest | {"metadata": manifest["metadata"] | {"uid": "u", "generation": 1}}
            if manifest["kind"] != CLUSTER:
                stored["metadata"].setdefault("namespace", "builds")
            assert parse_resource(manifest["kind"], stored).problem is None


def test_the_troubleshooting_table_has_every_reason_with_its_meaning() -> None:
    text = TEXTS[ROOT / "docs" / "troubleshooting.md"]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) *\|", text, re.MULTILINE)
    assert {name: meaning for name, meaning in rows if name in set(Reason)} == MEANINGS


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        ("| field |", as_data(row(), NOW)),
        ("| image field |", pull.as_data(Report(subject="x"), NOW)),
        ("| attempt field |", pull.attempt_as_data(ATTEMPT, NOW)),
    ],
)
def test_a_table_of_output_fields_matches_the_output_in_order(header: str, fields: dict[str, object]) -> None:
    table = COMMANDS_PAGE.partition(header)[2].partition("\n\n")[0]
    names = [name for line in table.splitlines()[2:] for name in line.split("|")[1].split(",")]
    assert [name.strip(" `") for name in names] == list(fields)


def test_every_command_has_a_section() -> None:
    assert [command for command in COMMANDS if f"\n## {command}\n" not in COMMANDS_PAGE] == []
