"""What a spec may say about links."""

from typing import Any

import pytest

from ecr_operator.api.link_spec import LinkSpec
from ecr_operator.api.outcome import Reason
from tests.builders import desired, resource


def links(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"link_service_accounts": list(entries)}


def entry(name: str = "builder", *uses: str) -> dict[str, Any]:
    return {"name": name, "for": list(uses)}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"link_service_accounts": None}, [], id="null"),
        pytest.param(links(), [], id="an empty list"),
        pytest.param(links(entry("default", "pull")), [("default", ("pull",))], id="one use"),
        pytest.param(
            links(entry("b.1", "pull", "mount", "pull"), entry("a", "mount")),
            [("b.1", ("mount", "pull")), ("a", ("mount",))],
            id="several, each use once",
        ),
    ],
)
def test_good_links_are_kept(said: dict[str, Any], expected: list[tuple[str, tuple[str, ...]]]) -> None:
    of = resource(**said)
    assert of.problem is None
    assert desired(of).links == tuple(LinkSpec(account=name, uses=uses) for name, uses in expected)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        pytest.param(
            links(entry("builder", "push")),
            '"builder": `for` "push" is not valid; expected pull or mount',
            id="use",
        ),
        pytest.param(links(entry("builder", "Pull")), '"Pull" is not valid', id="a use in capitals"),
        pytest.param(
            links(entry("builder")), '"builder": `for` is empty; expected pull, mount or both', id="none"
        ),
        pytest.param(links(entry("", "pull")), '"" is not a valid ServiceAccount name', id="an empty name"),
        pytest.param(links(entry("a/b", "pull")), '"a/b" is not a valid', id="a path"),
        pytest.param(links(entry("x" * 254, "pull")), "is not a valid", id="a name too long"),
        pytest.param(links(entry("a", "pull"), entry("a", "mount")), 'lists "a" twice', id="a name twice"),
        pytest.param(links(*(entry(f"a{n}", "pull") for n in range(101))), "more than 100", id="too many"),
    ],
)
def test_bad_links_are_told_and_leave_the_rest_wanted(said: dict[str, Any], words: str) -> None:
    of = resource(**said)
    assert of.problem is not None
    assert of.problem.reason is Reason.INVALID_SPEC
    assert words in of.problem.message
    assert desired(of).links is None
    assert desired(of).secret_name == "web-pull"  # noqa: S105 - a name


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param("builder", "spec.link_service_accounts", id="a string"),
        pytest.param([{"name": "a"}], "spec.link_service_accounts.0.for is missing", id="no for"),
        pytest.param([{"for": ["pull"]}], "spec.link_service_accounts.0.name is missing", id="no name"),
        pytest.param(
            [{"name": "a", "for": "pull"}], "spec.link_service_accounts.0.for", id="for is a string"
        ),
    ],
)
def test_links_of_wrong_types_are_told_by_their_place(value: object, words: str) -> None:
    of = resource(link_service_accounts=value)
    assert of.problem is not None
    assert words in of.problem.message


def test_an_argo_secret_has_no_links() -> None:
    of = resource("ArgoHelmRepoSecret", **links(entry("builder", "pull")))
    assert (of.problem, desired(of).links) == (None, ())
