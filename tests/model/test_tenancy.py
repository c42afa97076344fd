"""What the cluster admin allows."""

import pytest

from ecr_operator.model.errors import PermanentError
from ecr_operator.model.tenancy import TenancyPolicy, check_hosts, parse_selector, selects
from tests.builders import HOST, resource, wanted


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        pytest.param("team=a", {"team": "a"}, True, id="an equal label"),
        pytest.param("team=a", {"team": "b"}, False, id="another value"),
        pytest.param("team=a", {}, False, id="no label"),
        pytest.param("team!=a", {}, True, id="a label that must not be so"),
        pytest.param("team!=a", {"team": "a"}, False, id="and is"),
        pytest.param("team==a,tier", {"team": "a", "tier": ""}, True, id="several, one just there"),
        pytest.param("team=a,tier", {"team": "a"}, False, id="and is not"),
    ],
)
def test_which_namespaces_a_selector_takes(selector: str, labels: dict[str, str], *, expected: bool) -> None:
    assert selects(parse_selector(selector), labels) is expected


@pytest.mark.parametrize("text", ["", "a=b,", "a in (b)", "=b", "a = b"])
def test_another_form_of_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write key=value"):
        parse_selector(text)


@pytest.mark.parametrize("glob", [HOST, "*.dkr.ecr.us-east-2.amazonaws.com", "*"])
def test_a_host_that_a_glob_covers_is_allowed(glob: str) -> None:
    check_hosts(TenancyPolicy(registry_hosts=("other.example", glob)), wanted(resource()))


def test_any_host_is_allowed_where_none_is_named() -> None:
    check_hosts(TenancyPolicy(), wanted(resource()))


def test_a_host_that_no_glob_covers_is_refused_and_says_who_can_change_it() -> None:
    more = resource(additional_registries=["210987654321.dkr.ecr.eu-west-1.amazonaws.com"])
    with pytest.raises(PermanentError, match=r"2109.*--allowed-registry-hosts") as found:
        check_hosts(TenancyPolicy(registry_hosts=(HOST,)), wanted(more))
    assert found.value.reason == "InvalidRegistry"
