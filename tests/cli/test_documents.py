"""Manifests in files."""

from pathlib import Path

import pytest

from ecr_operator.cli.documents import documents, is_ours, read, what_else
from ecr_operator.cli.errors import CommandError

OURS = {"apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "Secret"}


def found(text: str) -> list[object]:
    return list(documents(text, "file"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("---\n---\n", [], id="empty documents"),
        pytest.param("a: 1", [{"a": 1}], id="one"),
        pytest.param("a: 1\n---\nb: 2", [{"a": 1}, {"b": 2}], id="several"),
        pytest.param('{"a": 1}', [{"a": 1}], id="JSON"),
        pytest.param("kind: List\nitems: [{a: 1}, {b: 2}]", [{"a": 1}, {"b": 2}], id="a list"),
        pytest.param("kind: SecretList\nitems: []", [], id="an empty list of a kind"),
        pytest.param("kind: X\nitems: [1]", [{"kind": "X", "items": [1]}], id="items of something else"),
    ],
)
def test_the_manifests_of_a_file(text: str, expected: list[object]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("a: [", "file, line 1: ", id="not closed"),
        pytest.param("a:\n\tb: 1", "file, line 2: ", id="a tab"),
        pytest.param("- 1", "file holds something that is no manifest", id="a bare list"),
        pytest.param("text", "file holds something that is no manifest", id="text"),
        pytest.param("kind: List\nitems: [1]", "file holds something that is no manifest", id="a list of no"),
        pytest.param("a: !!python/object:os.system x", "file, line 1: ", id="a tag that runs code"),
        pytest.param("a: 2026-13-45", "file is no YAML.", id="a time that is none"),
        pytest.param("\x00", "file is no YAML.", id="a control character"),
        pytest.param("[" * 5000, "file is no YAML.", id="too deep"),
    ],
)
def test_what_is_no_manifest_is_one_line(text: str, words: str) -> None:
    with pytest.raises(CommandError) as caught:
        found(text)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_file_that_can_t_be_read_is_one_line(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for file, words in ((tmp_path, "Is a directory"), (tmp_path / "x", "No such file"), (binary, "UTF-8")):
        with pytest.raises(CommandError, match=words):
            read(str(file))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"apiVersion": "v1", "kind": "Secret"}, "apiVersion ecr.mobb.redhat.com/v1alpha1"),
        ({"apiVersion": "apps/v1", "kind": "Deployment"}, "no kind of this operator"),
        ({}, '"None" of "None"'),
        ({"apiVersion": ["x"], "kind": {"y": 1}}, "no kind of this operator"),
    ],
    ids=["the core Secret", "another kind", "no kind", "kinds of other types"],
)
def test_what_is_not_ours_is_named(document: dict[str, object], words: str) -> None:
    assert not is_ours(document)
    assert words in what_else(document)


def test_both_kinds_are_ours() -> None:
    assert is_ours(OURS)
    assert is_ours({**OURS, "kind": "ArgoHelmRepoSecret"})
