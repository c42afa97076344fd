"""What may be copied from the documents is whole, and only what can't run here is left out."""

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
    obstacle,
    shell_blocks,
    simple_commands,
)

SHELL = [block for document in DOCUMENTS for block in shell_blocks(document)]
YAML = [block for document in DOCUMENTS for block in blocks(document) if block.language == "yaml"]
for_each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


@for_each_document
def test_every_fence_is_closed_and_says_what_is_in_it(document: Path) -> None:
    fences = re.findall(r"^ *```", document.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(blocks(document))
    assert [block.place for block in blocks(document) if block.language not in LANGUAGES] == []


@for_each_document
def test_bash_understands_the_commands(document: Path) -> None:
    script = "\n".join(block.script for block in shell_blocks(document))
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_every_target_of_make_is_there() -> None:
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
def test_manifests_are_yaml_and_those_of_our_kinds_make_sense(block: Block) -> None:
    for manifest in yaml.safe_load_all(block.text):
        if manifest.get("apiVersion") == API_VERSION:
            stored = manifest | {"metadata": manifest["metadata"] | {"uid": "u", "generation": 1}}
            stored["metadata"].setdefault("namespace", "builds")
            assert parse_resource(manifest["kind"], stored).problem is None


def test_most_of_what_names_kubectl_alone_is_run() -> None:
    alone = [block for block in SHELL if {words[0] for words in simple_commands(block.script)} == {"kubectl"}]
    run = [block for block in alone if obstacle(block.script) is None]
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
def test_the_programs_of_a_script(script: str, programs: str) -> None:
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
        ("aws iam create-user\n", "aws is not here"),
        ("kubectl get x -o json | jq .\n", "jq is not here"),
        ("export X=$(oc whoami)\n", "oc is not here"),
        ("export X=…\n", "something is to be filled in"),
        ("kubectl apply -k 'https://github.com/a//b'\n", "it needs the network"),
        ("kubectl -n x logs deploy/y\n", "kubectl logs needs a pod"),
        ("kubectl rollout status deployment x\n", "no Deployment becomes ready without nodes"),
        ("kubectl get ecr -w\n", "it does not end"),
        ("ecr-secret-operator --leader-elect\n", "it starts the operator"),
        ("ecr-secret-operator status -w\n", "it does not end"),
        ("make image IMG=x\n", "make image is not for a cluster"),
    ],
    ids=lambda value: str(value).strip(),
)
def test_what_keeps_a_command_from_being_run(script: str, why: str | None) -> None:
    assert obstacle(script) == why
