"""Manifests in files, as users write them: YAML or JSON, several in one, lists as kubectl prints them."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ecr_operator.api.kinds import API_VERSION, KINDS
from ecr_operator.api.text import excerpt
from ecr_operator.cli.errors import CommandError
from ecr_operator.cli.rows import printable

STANDARD_INPUT = "-"


def read(file: str) -> str:
    """Read a file; `-` is standard input.

    Raises:
        CommandError: it can't be read.
    """
    try:
        data = sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()
        return data.decode()
    except OSError as error:
        raise CommandError(f"{printable(file)} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{printable(file)} is not a text file in UTF-8.") from None


def documents(text: str, file: str) -> Iterator[Mapping[str, Any]]:
    """Take the manifests out of a text; those of lists too.

    Raises:
        CommandError: it is no YAML, or a manifest is no object.
    """
    shown = printable(file)
    try:
        for document in yaml.safe_load_all(text):
            if document is not None:
                yield from _items(document, shown)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise CommandError(f"{shown}{line}: {printable(error.problem or 'this is no YAML')}.") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise CommandError(f"{shown} is no YAML.") from None


def is_ours(document: Mapping[str, Any]) -> bool:
    """Whether it is a resource of this operator."""
    return document.get("apiVersion") == API_VERSION and document.get("kind") in KINDS


def what_else(document: Mapping[str, Any]) -> str:
    """Name a manifest that is not ours, for a remark."""
    kind, version = document.get("kind"), document.get("apiVersion")
    name = f"{excerpt(str(kind))} of {excerpt(str(version))}"
    if kind in KINDS:
        return f"{name} is passed over: this operator's has apiVersion {API_VERSION}"
    return f"{name} is passed over: it is no kind of this operator"


def _items(document: object, shown: str) -> Iterator[Mapping[str, Any]]:
    if not isinstance(document, Mapping):
        raise CommandError(f"{shown} holds something that is no manifest.")
    items = document.get("items")
    if isinstance(items, list) and str(document.get("kind", "")).endswith("List"):
        for item in items:
            yield from _items(item, shown)
    else:
        yield document
