"""Blocks: commands and manifests in the documentation are valid, and few commands are skipped."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from ecr_operator.api.kinds import API_VERSION
from ecr_operator.api.parsing import parse_resource
from tests.docs.blocks import (
    DOCUMENTS,
    LANGUAGES,
    ROOT,
    Block,
    blocks,
    shell_blocks,
    simple_commands,
    skip_reason,
)

SHELL = [block for document in DOCUMENTS for block in shell_blocks(document)]
YAML = [block for document in DOCUMENTS for block in blocks(document) if block.language == "yaml"]
for_each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


@for_each_document
def test_every_fence_is_closed_and_names_its_language(document: Path) -> None:
    fences = re.findall(r"^ *```", document.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(blocks(document))
    assert [block.place for block in blocks(document) if block.language not in LANGUAGES] == []


@for_each_document
def test_commands_are_valid_bash(document: Path) -> None:
    script = "\n".join(block.script for block in shell_blocks(document))
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {
        word
        for block in SHELL
        for program, *words in simple_commands(block.script)
        if program == "make"
        for word in words
        if re.fullmatch(r"[a-z-]+", word)
    }
    prose = {
        word
        for document in DOCUMENTS
        for word in re.findall(r"`make ([a-z-]+)", document.read_text(encoding="utf-8"))
    }
    assert named
    assert (named | prose) - targets == set()


@pytest.mark.parametrize("block", YAML, ids=lambda block: block.place)
def test_manifests_are_yaml_and_those_of_our_kinds_are_valid(block: Block) -> None:
    for manifest in yaml.safe_load_all(block.text):
        if manifest.get("apiVersion") == API_VERSION:
            stored = manifest | {"metadata": manifest["metadata"] | {"uid": "u", "generation": 1}}
            stored["metadata"].setdefault("namespace", "builds")
            assert parse_resource(manifest["kind"], stored).problem is None


def test_most_blocks_with_only_kubectl_are_run() -> None:
    alone = [block for block in SHELL if {words[0] for words in simple_commands(block.script)} == {"kubectl"}]
    run = [block for block in alone if skip_reason(block.script) is None]
    assert len(run) > 0.8 * len(alone) > 15


@pytest.mark.parametrize(
    ("script", "programs"),
    [
        ("a b | c; d && e || f\ng &\n", "acdefg"),
        ("export X=$(a b | c)\n", "export a c"),
        ("X=1 a --b=c\n", "a"),
        ("X=1\nb\n", "b"),
        ("a \\\n  b\nc  # d; e\n# f\n", "ac"),
        ("a <<END\nb | c\nEND\nd\n", "ad"),
        ("a 'b\nc; d' \"e | f\"\ng\n", "ag"),
    ],
    ids=["separators", "substitution", "assignment", "assignment alone", "lines", "here document", "quotes"],
)
def test_simple_commands_of_a_script(script: str, programs: str) -> None:
    expected = programs.split() if " " in programs else list(programs)
    assert [words[0] for words in simple_commands(script)] == expected


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("kubectl apply -k config/default\n", None),
        ("kubectl get secret | sed s/a/b/ | sort\n", None),
        ("ecr-secret-operator status -A\n", None),
        ("ecr-secret-operator render -f samples/x.yaml\n", None),
        ("make deploy IMG=registry.example.com/x:1\n", None),
        ("aws iam create-user\n", "aws is not installed"),
        ("kubectl get x -o json | jq .\n", "jq is not installed"),
        ("export X=$(oc whoami)\n", "oc is not installed"),
        ("export X=…\n", "it has a placeholder"),
        ("kubectl apply -k 'https://github.com/a//b'\n", "it needs the network"),
        ("kubectl -n x logs deploy/y\n", "kubectl logs needs a pod"),
        ("kubectl rollout status deployment x\n", "no Deployment becomes ready without nodes"),
        ("kubectl get ecr -w\n", "it does not end"),
        ("ecr-secret-operator --leader-elect\n", "it starts the operator"),
        ("ecr-secret-operator status -w\n", "it does not end"),
        ("make image IMG=x\n", "make image does not use a cluster"),
    ],
    ids=lambda value: str(value).strip(),
)
def test_skip_reason(script: str, why: str | None) -> None:
    assert skip_reason(script) == why
