"""Which namespaces a ClusterSecret serves."""

from typing import Any

import pytest

from ecr_operator.api.kinds import Namespaces
from ecr_operator.api.namespaces import observed_namespaces, parse_namespaces
from tests.builders import cases

LABELS = {"team": "blue", "tier": "prod"}


def expression(operator: str, *values: str, key: str = "team") -> dict[str, Any]:
    """A selector with one requirement."""
    return {"matchExpressions": [{"key": key, "operator": operator, "values": [*values]}]}


@cases(
    "given, serves",
    {
        "all": ({"selector": {}}, True),
        "a label": ({"selector": {"matchLabels": {"team": "blue"}}}, True),
        "another value": ({"selector": {"matchLabels": {"team": "red"}}}, False),
        "both labels": ({"selector": {"matchLabels": {"team": "blue", "tier": "dev"}}}, False),
        "In": ({"selector": expression("In", "red", "blue")}, True),
        "In, absent": ({"selector": expression("In", "red", key="other")}, False),
        "NotIn": ({"selector": expression("NotIn", "red")}, True),
        "NotIn, absent": ({"selector": expression("NotIn", "red", key="other")}, True),
        "NotIn, present": ({"selector": expression("NotIn", "blue")}, False),
        "Exists": ({"selector": expression("Exists")}, True),
        "Exists, absent": ({"selector": expression("Exists", key="other")}, False),
        "DoesNotExist": ({"selector": expression("DoesNotExist", key="other")}, True),
        "DoesNotExist, present": ({"selector": expression("DoesNotExist")}, False),
        "a name": ({"names": ["other", "blue-app"]}, True),
        "a glob": ({"names": ["blue-*"]}, True),
        "a glob of one character": ({"names": ["blue-ap?"]}, True),
        "the beginning of a name": ({"names": ["blue"]}, False),
        "a name or the selector": ({"names": ["blue-app"], "selector": expression("In", "red")}, True),
        "excluded": ({"selector": {}, "exclude": ["*-app"]}, False),
        "excluded though named": ({"names": ["blue-app"], "exclude": ["blue-app"]}, False),
        "others excluded": ({"selector": {}, "exclude": ["kube-*"]}, True),
    },
)
def test_a_namespace_is_served_if_labels_or_a_name_select_it_and_none_excludes_it(
    given: dict[str, Any],
    serves: bool,  # noqa: FBT001 - from a table
) -> None:
    selection = parse_namespaces(Namespaces.model_validate(given))
    assert selection.serves("blue-app", LABELS) is serves
    assert observed_namespaces({"observedNamespaces": dict(selection.given)}) == selection


@cases(
    "given, words",
    {
        "nothing": ({}, "set selector or names"),
        "no names": ({"names": []}, "set selector or names"),
        "only exclusions": ({"exclude": ["a"]}, "set selector or names"),
        "no operator": (
            {"selector": expression("Equals", "a")},
            "expected In, NotIn, Exists or DoesNotExist",
        ),
        "In without values": ({"selector": expression("In")}, "require values"),
        "Exists with values": ({"selector": expression("Exists", "a")}, "require values"),
        "no label key": ({"selector": expression("Exists", key="a b")}, '"a b" is not a valid key'),
        "no label value": ({"selector": {"matchLabels": {"a": "b c"}}}, "not a valid label value"),
        "upper case": ({"names": ["Dev"]}, 'names[0] "Dev" can\'t match'),
        "a class of characters": ({"names": ["dev-[ab]"]}, "can't match the name of a namespace"),
        "too long": ({"exclude": ["a"], "names": ["x", "a" * 64]}, "names[1]"),
    },
)
def test_what_can_select_nothing_is_refused_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"^spec\.namespaces") as caught:
        parse_namespaces(Namespaces.model_validate(given))
    assert words in str(caught.value)


def test_a_selection_too_large_for_a_status_is_not_repeated_there() -> None:
    names = [f"{'a' * 60}{number:03}" for number in range(50)]
    assert parse_namespaces(Namespaces(names=names)).given == {"names": names}
    labels = {"matchLabels": {"a" * 60 + f"{number:03}": "b" * 63 for number in range(100)}}
    assert parse_namespaces(Namespaces.model_validate({"selector": labels})).given == {}


@pytest.mark.parametrize("status", [{}, {"observedNamespaces": 5}, {"observedNamespaces": {"names": [""]}}])
def test_a_status_without_a_valid_selection_has_none(status: dict[str, Any]) -> None:
    assert observed_namespaces(status) is None
