"""The cluster admin's policy on namespaces and hosts."""

import pytest

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.tenancy import (
    TenancyPolicy,
    check_hosts,
    parse_selector,
    refuse_ambient,
    refuse_prefix,
    uses_operator,
    without_refused,
)
from tests.builders import HOST, desired, host, resource

OTHER = host("eu-west-1")


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
def test_a_selector_matches_labels(selector: str, labels: dict[str, str], *, expected: bool) -> None:
    assert all(each.accepts(labels) for each in parse_selector(selector)) is expected


@pytest.mark.parametrize("text", ["", "a=b,", "a in (b)", "=b", "a = b"])
def test_any_other_form_of_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected key=value"):
        parse_selector(text)


@pytest.mark.parametrize("globs", [(HOST,), ("x.example", "*.DKR.ecr.us-east-2.amazonaws.com"), ("*",), ()])
def test_a_host_that_a_glob_matches_is_allowed_and_every_one_without_globs(globs: tuple[str, ...]) -> None:
    check_hosts(TenancyPolicy(registry_hosts=globs), desired(resource()))


def test_a_host_that_no_glob_matches_is_refused_and_the_message_names_the_flag() -> None:
    with pytest.raises(PermanentError, match=r"1234.*--allowed-registry-hosts") as found:
        check_hosts(TenancyPolicy(registry_hosts=(OTHER,)), desired(resource()))
    assert found.value.reason == "InvalidRegistry"


def test_additional_hosts_that_no_glob_matches_are_left_out_and_named() -> None:
    third = OTHER.replace("eu-west-1", "eu-west-2")
    more = desired(resource(additional_registries=[OTHER, third]))
    policy = TenancyPolicy(registry_hosts=(HOST, third))
    check_hosts(policy, more)
    left, (problem,) = without_refused(policy, more)
    assert [login.key for login in left.logins] == [HOST, third]
    assert problem.reason is Reason.INVALID_REGISTRY
    assert OTHER in problem.message
    assert "--allowed-registry-hosts" in problem.message
    assert without_refused(TenancyPolicy(), more) == (more, ())


REPO_CREDS_URLS = {
    "ECR's own host": ({"url": HOST}, True),
    "with a scheme and a path": ({"url": f"oci://{HOST}/charts"}, True),
    "a proxy with two labels": ({"url": "ecr.example", "region": "us-east-2"}, True),
    "a scheme": ({"url": "https:", "region": "us-east-2"}, False),
    "a letter": ({"url": "h", "region": "us-east-2"}, False),
    "a star": ({"url": "*", "region": "us-east-2"}, False),
    "a star and a label": ({"url": "*.com", "region": "us-east-2"}, False),
    "one label": ({"url": "oci://registry/charts", "region": "us-east-2"}, False),
    "an open end": ({"url": "ecr.", "region": "us-east-2"}, False),
}


@pytest.mark.parametrize(("spec", "is_full"), REPO_CREDS_URLS.values(), ids=REPO_CREDS_URLS)
def test_repo_creds_need_a_full_host_name(spec: dict[str, str], *, is_full: bool) -> None:
    of = desired(resource("ArgoHelmRepoSecret", credential_scope="repo-creds", **spec))
    refusal = refuse_prefix(TenancyPolicy(), of)
    assert (refusal is None) == is_full
    if refusal:
        assert refusal.reason is Reason.INVALID_REGISTRY
        assert refuse_prefix(TenancyPolicy(registry_hosts=("*",)), of) is None, "named by the cluster admin"
    assert refuse_prefix(TenancyPolicy(), desired(resource("ArgoHelmRepoSecret", **spec))) is None


def test_only_the_operators_identity_without_a_role_is_ambient_and_its_refusal_names_the_flag() -> None:
    assert uses_operator(desired(resource()))
    assert not uses_operator(desired(resource(role_arn="arn:aws:iam::123456789012:role/x")))
    refusal = refuse_ambient("team")
    assert refusal.reason is Reason.ROLE_NOT_PERMITTED
    assert "Namespace team" in refusal.message
    assert "--ambient-credentials" in refusal.message
