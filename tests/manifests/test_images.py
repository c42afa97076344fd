"""Images of others and the packages of tools are pinned by hashes: a tag can be moved to another image."""

import re
from pathlib import Path

import pytest

from tests.manifests.installation import ROOT

# `FROM ${BASE}` and `FROM scratch` name none.
IN_DOCKERFILES = re.compile(r"^(?:FROM|ARG BASE=) ?([a-z][^\s$]*[./:][^\s$]*)", re.MULTILINE)
IN_WORKFLOWS = re.compile(r"\b(?:image|generator)[:=] ?([a-z][^\s$]*)")
BY_DIGEST = re.compile(r"[^@]+:[^@:]+@sha256:[0-9a-f]{64}")
DOCKERFILES = [ROOT / "Dockerfile", ROOT / "catalog.Dockerfile"]
WORKFLOWS = [ROOT / ".github" / "workflows" / name for name in ("image.yml", "release.yml")]


@pytest.mark.parametrize("file", [*DOCKERFILES, *WORKFLOWS], ids=lambda path: path.name)
def test_an_image_of_others_is_named_by_its_digest(file: Path) -> None:
    names = (IN_DOCKERFILES if file in DOCKERFILES else IN_WORKFLOWS).findall(file.read_text())
    assert names
    assert not [name for name in names if not BY_DIGEST.fullmatch(name)]


@pytest.mark.parametrize("tool", ["pip-audit", "twine"])
def test_the_packages_of_a_tool_outside_of_the_environment_are_locked_by_hash(tool: str) -> None:
    locked = (ROOT / ".github" / f"{tool}.lock").read_text()
    assert "://" not in locked
    packages = len(re.findall(r"^\S+==", locked, re.MULTILINE))
    assert packages > 10
    assert len(re.findall(r"^\S+==\S+.*\\\n    --hash=sha256:", locked, re.MULTILINE)) == packages


def test_a_release_finds_where_its_digest_goes_in_the_values_of_the_chart() -> None:
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    values = (ROOT / "charts" / "ecr-secret-operator" / "values.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(r'sed -i "s\|([^|]+)\|[^|]+\|" charts/ecr-secret-operator/values\.yaml', workflow)
    assert len(re.findall(line, values, re.MULTILINE)) == 1
