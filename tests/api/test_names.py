"""Names that a spec may have: of labels and annotations, and of ServiceAccounts to link."""

from typing import Any

import pytest

from ecr_operator.api.names import LinkSpec, check_annotations, check_labels
from ecr_operator.api.outcome import Reason
from tests.builders import desired, resource


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
def test_valid_labels_are_returned(labels: dict[str, str]) -> None:
    assert check_labels(labels) == check_annotations(labels) == labels


INVALID = {
    "empty": "",
    "a space": "a b",
    "an empty prefix": "/a",
    "two slashes": "a/b/c",
    "a prefix that is not a DNS name": "UPPER.example/a",
    "a name too long": "a" * 64,
    "a prefix too long": f"{'a' * 254}/b",
    "a line break": "a\n",
}
RESERVED = ["kubernetes.io/a", "node.kubernetes.io/a", "x.k8s.io/a", "ecr.mobb.redhat.com/adopt"]
RESERVED += ["argocd.argoproj.io/secret-type", "app.kubernetes.io/managed-by", "app.kubernetes.io/instance"]


@pytest.mark.parametrize("key", [*INVALID.values(), *RESERVED], ids=[*INVALID, *RESERVED])
def test_invalid_and_reserved_keys_are_refused(key: str) -> None:
    for check in (check_labels, check_annotations):
        words = "is reserved" if key in RESERVED else "not a valid key"
        with pytest.raises(ValueError, match=words) as caught:
            check({key: "x"})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["a b", "-a", "a" * 64, "ä", "a\n"])
def test_an_invalid_value_is_refused_for_a_label_only(value: str) -> None:
    with pytest.raises(ValueError, match="not a valid label value"):
        check_labels({"a": value})
    check_annotations({"a": value})


def links(*entries: tuple[str, list[str]]) -> list[dict[str, Any]]:
    return [{"name": name, "for": uses} for name, uses in entries]


@pytest.mark.parametrize("value", [None, []])
def test_no_links_are_none(value: object) -> None:
    of = resource(link_service_accounts=value)
    assert (of.problem, desired(of).links) == (None, ())


def test_valid_links_are_kept_each_use_once() -> None:
    of = resource(link_service_accounts=links(("b.1", ["pull", "mount", "pull"]), ("a", ["mount"])))
    expected = (LinkSpec(account="b.1", uses=("mount", "pull")), LinkSpec(account="a", uses=("mount",)))
    assert (of.problem, desired(of).links) == (None, expected)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (links(("builder", ["push"])), '"builder": `for` "push" is not valid; expected pull or mount'),
        (links(("builder", ["Pull"])), '"Pull" is not valid'),
        (links(("builder", [])), '"builder": `for` is empty; expected pull, mount or both'),
        (links(("", ["pull"])), '"" is not a valid ServiceAccount name'),
        (links(("a/b", ["pull"])), '"a/b" is not a valid ServiceAccount name'),
        (links(("x" * 254, ["pull"])), "is not a valid ServiceAccount name"),
        (links(("a", ["pull"]), ("a", ["mount"])), 'lists "a" twice'),
        (links(*((f"a{number}", ["pull"]) for number in range(101))), "more than 100 entries"),
        ("builder", "spec.link_service_accounts must be a list"),
        ([{"name": "a"}], "spec.link_service_accounts.0.for is missing"),
        ([{"for": ["pull"]}], "spec.link_service_accounts.0.name is missing"),
        ([{"name": "a", "for": "pull"}], "spec.link_service_accounts.0.for must be a list"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_invalid_link_is_reported_and_keeps_the_login(value: object, words: str) -> None:
    of = resource(link_service_accounts=value)
    assert of.problem is not None
    assert of.problem.reason is Reason.INVALID_SPEC
    assert words in of.problem.message
    assert desired(of).links is None
    assert desired(of).logins == desired(resource()).logins


def test_an_argo_secret_has_no_links() -> None:
    of = resource("ArgoHelmRepoSecret", link_service_accounts=links(("builder", ["pull"])))
    assert (of.problem, desired(of).links) == (None, ())


def test_of_several_bad_annotations_the_first_is_reported_in_every_process() -> None:
    keys = [f"kubernetes.io/{number}" for number in range(50)]
    with pytest.raises(ValueError, match=r"kubernetes\.io/0. is reserved"):
        check_annotations(dict.fromkeys(keys, ""))
