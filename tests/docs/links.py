"""Links in the documents, and the anchors that headings make. Pure, but for looking whether a file exists."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from tests.docs.blocks import ROOT

_FENCED: Final = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"`[^`\n]*`")
_LINK: Final = re.compile(r"\]\(\s*([^)\s]+)\s*\)")
_HEADING: Final = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_NOT_IN_AN_ANCHOR: Final = re.compile(r"[^\w\- ]")
_HOST: Final = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")


def links(text: str) -> list[str]:
    """The targets of all links and pictures, in order."""
    return _LINK.findall(_CODE.sub("", _FENCED.sub("", text)))


def anchors(text: str) -> set[str]:
    """What a link may say after `#`, by GitHub's rules."""
    found: dict[str, int] = {}
    for heading in _HEADING.findall(_FENCED.sub("", text)):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = _NOT_IN_AN_ANCHOR.sub("", words.lower()).replace(" ", "-")
        found[name] = found.get(name, 0) + 1
    return {f"{name}-{n}" if n else name for name, times in found.items() for n in range(times)}


def faults(document: Path) -> Iterator[str]:
    """What is wrong with the links of a document."""
    for target in links(document.read_text(encoding="utf-8")):
        if fault := fault_of(document, target):
            yield f"{target}: {fault}"


def fault_of(document: Path, target: str) -> str | None:
    """What is wrong with one link of a document, or None."""
    if ":" in target.partition("/")[0]:
        return _fault_outside(target)
    path, _, anchor = unquote(target).partition("#")
    file = (document.parent / path).resolve() if path else document
    if not file.exists():
        return "no such file"
    if not file.is_relative_to(ROOT):
        return "outside of the repository"
    if anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
        return "no such heading"
    return None


def _fault_outside(target: str) -> str | None:
    parts = urlsplit(target)
    if parts.scheme != "https":
        return "not https"
    return None if _HOST.fullmatch(parts.netloc) else "no public host"
