"""Links in the documentation and the anchors of headings. Pure, except for checking that files exist."""

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
_STRIPPED: Final = re.compile(r"[^\w\- ]")
_HOST: Final = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")


def links(text: str) -> list[str]:
    """The targets of all links and images, in order."""
    return _LINK.findall(_CODE.sub("", _FENCED.sub("", text)))


def anchors(text: str) -> set[str]:
    """The anchors of all headings, by GitHub's rules."""
    found: dict[str, int] = {}
    for heading in _HEADING.findall(_FENCED.sub("", text)):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = _STRIPPED.sub("", plain.lower()).replace(" ", "-")
        found[name] = found.get(name, 0) + 1
    return {f"{name}-{n}" if n else name for name, times in found.items() for n in range(times)}


def link_errors(document: Path) -> Iterator[str]:
    """The errors of all links of a document."""
    for target in links(document.read_text(encoding="utf-8")):
        if error := link_error(document, target):
            yield f"{target}: {error}"


def link_error(document: Path, target: str) -> str | None:
    """The error of one link of a document, or None."""
    if ":" in target.partition("/")[0]:
        return _external_error(target)
    path, _, anchor = unquote(target).partition("#")
    file = (document.parent / path).resolve() if path else document
    if not file.exists():
        return "no such file"
    if not file.is_relative_to(ROOT):
        return "outside the repository"
    if anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
        return "no such heading"
    return None


def _external_error(target: str) -> str | None:
    parts = urlsplit(target)
    if parts.scheme != "https":
        return "not https"
    return None if _HOST.fullmatch(parts.netloc) else "not a public host"
