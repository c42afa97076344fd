"""Which labels and annotations users may have on a generated Secret."""

from typing import Any

import pytest

from ecr_operator.api.labels import check_annotations, check_labels
from tests.builders import resource


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({}, id="none"),
        pytest.param({"team": "shop", "Team_1.x": "", "example.com/a": "B-c_d.e"}, id="plain ones"),
        pytest.param({"app.kubernetes.io/name": "web"}, id="the recommended ones"),
        pytest.param({"notkubernetes.io/a": "b"}, id="a domain that only ends like a reserved one"),
        pytest.param({"a" * 63: "b" * 63}, id="the longest name and value"),
        pytest.param({f"{'a.' * 126}a/b": "c"}, id="the longest prefix"),
    ],
)
def test_labels_that_pass(labels: dict[str, str]) -> None:
    check_labels(labels)
    check_annotations(labels)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        pytest.param("", "not a valid key", id="an empty key"),
        pytest.param("a b", "not a valid key", id="a space"),
        pytest.param("/a", "not a valid key", id="an empty prefix"),
        pytest.param("a/b/c", "not a valid key", id="two slashes"),
        pytest.param("UPPER.example/a", "not a valid key", id="a prefix that is no DNS name"),
        pytest.param("a" * 64, "not a valid key", id="a name too long"),
        pytest.param(f"{'a' * 254}/b", "not a valid key", id="a prefix too long"),
        pytest.param("a\n", "not a valid key", id="a line break"),
        pytest.param("kubernetes.io/a", "is reserved", id="Kubernetes' domain"),
        pytest.param("node.kubernetes.io/a", "is reserved", id="a domain below it"),
        pytest.param("x.k8s.io/a", "is reserved", id="the other one"),
        pytest.param("ecr.mobb.redhat.com/adopt", "is reserved", id="our own"),
        pytest.param("argocd.argoproj.io/secret-type", "is reserved", id="Argo CD's"),
        pytest.param("app.kubernetes.io/managed-by", "is reserved", id="the label that says it is ours"),
        pytest.param("app.kubernetes.io/instance", "is reserved", id="the label by which Argo CD prunes"),
    ],
)
def test_keys_that_do_not(key: str, words: str) -> None:
    for check in (check_labels, check_annotations):
        with pytest.raises(ValueError, match=words) as caught:
            check({key: "x"})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["a b", "-a", "a" * 64, "ä", "a\n"])
def test_label_values_that_do_not(value: str) -> None:
    with pytest.raises(ValueError, match="not a valid label value"):
        check_labels({"a": value})


def test_annotations_may_hold_anything() -> None:
    check_annotations({"a": "any\ntext ü"})


@pytest.mark.parametrize(
    ("said", "words"),
    [
        pytest.param({"secret_labels": {"a": "b c"}}, "spec.secret_labels", id="a bad label"),
        pytest.param({"secret_annotations": {"a b": "c"}}, "spec.secret_annotations", id="a bad annotation"),
        pytest.param({"secret_labels": {"a": 1}}, "must be a string", id="a number"),
        pytest.param({"secret_labels": ["a"]}, "spec.secret_labels", id="a list"),
        pytest.param({"deletion_policy": "Keep"}, '"Keep" is not valid', id="an unknown policy"),
        pytest.param({"suspend": "yes"}, "spec.suspend", id="text for a truth"),
    ],
)
def test_a_spec_with_bad_ones_is_told(said: dict[str, Any], words: str) -> None:
    problem = resource(**said).problem
    assert problem is not None
    assert words in problem.message
