"""The identity that a spec names, the roles that are permitted, and the name of a session."""

import re
from dataclasses import replace
from typing import Any, Final

import pytest

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.identity import (
    OPERATOR,
    PERMITTED_ROLES,
    Identity,
    KeyDigest,
    check_permitted,
    hash_key_id,
    is_credentials_file,
    is_iam_key,
    is_role_arn,
    near_iam_key,
    permits,
    session_name,
    session_tags,
)
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from tests.builders import desired, host, resource

ROLE: Final = "arn:aws:iam::123456789012:role/ecr-puller"

ACCOUNT = Identity(source="service_account", namespace="team", name="ci")
KEYS = Identity(source="iam_secret", namespace="team", name="a.b")
IDENTITIES: dict[str, tuple[dict[str, Any], Identity]] = {
    "nothing named": ({}, OPERATOR),
    "a role": ({"role_arn": ROLE}, Identity(namespace="team", role_arn=ROLE)),
    "a ServiceAccount": ({"service_account": {"name": "ci"}}, ACCOUNT),
    "a ServiceAccount with a role": (
        {"service_account": {"name": "ci"}, "role_arn": ROLE},
        replace(ACCOUNT, role_arn=ROLE),
    ),
    "a Secret": ({"aws_iam_secret": {"name": "a.b"}}, KEYS),
    "another namespace is not read": ({"aws_iam_secret": {"name": "a.b", "namespace": "other"}}, KEYS),
    "an empty role is nothing": ({"role_arn": ""}, OPERATOR),
    "null is nothing": ({"role_arn": None, "service_account": None, "aws_iam_secret": None}, OPERATOR),
}


@pytest.mark.parametrize("kind", ["Secret", "ArgoHelmRepoSecret"])
@pytest.mark.parametrize(("spec", "identity"), IDENTITIES.values(), ids=IDENTITIES)
def test_the_spec_names_the_identity(kind: str, spec: dict[str, Any], identity: Identity) -> None:
    target = {"url" if kind == "ArgoHelmRepoSecret" else "ecr_registry": host("eu-west-1")}
    of = resource(kind, **target, **spec)
    assert of.problem is None
    assert desired(of).sources == (TokenSource(identity=identity, region="eu-west-1"),)


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "two sources": (
        {"service_account": {"name": "ci"}, "aws_iam_secret": {"name": "keys"}},
        "spec.service_account and spec.aws_iam_secret are mutually exclusive; remove one of them.",
    ),
    "a path": ({"service_account": {"name": "../x"}}, 'spec.service_account.name "../x" is not a valid'),
    "another namespace": ({"aws_iam_secret": {"name": "other/keys"}}, "spec.aws_iam_secret.name"),
    "an empty name": ({"aws_iam_secret": {"name": ""}}, 'spec.aws_iam_secret.name ""'),
    "no name": ({"service_account": {}}, 'spec.service_account.name ""'),
    "two dots": ({"aws_iam_secret": {"name": "a..b"}}, "spec.aws_iam_secret.name"),
    "a line break": ({"aws_iam_secret": {"name": "a\n"}}, "spec.aws_iam_secret.name"),
    "a number": ({"aws_iam_secret": {"name": 7}}, "spec.aws_iam_secret.name must be a string"),
    "text for an object": ({"service_account": "ci"}, "spec.service_account must be an object"),
}


@pytest.mark.parametrize(("spec", "words"), INVALID.values(), ids=INVALID)
def test_an_invalid_reference_is_reported(spec: dict[str, Any], words: str) -> None:
    problem = resource(**spec).problem
    assert problem
    assert problem.reason is Reason.INVALID_SPEC
    assert words in problem.message
    assert len(problem.message) < 300


def test_the_arn_of_a_role_is_accepted() -> None:
    account = "iam::123456789012:role"
    arns = (ROLE, f"arn:aws-cn:{account}/a/path/r", f"arn:aws-us-gov:{account}/a+=,.@_-b")
    assert all(map(is_role_arn, arns))


NOT_ARNS: Final = {
    "a user": "arn:aws:iam::123456789012:user/x",
    "a wildcard": "arn:aws:iam::123456789012:role/*",
    "any account": "arn:aws:iam::*:role/x",
    "a space before": f" {ROLE}",
    "a space after": f"{ROLE} ",
    "a line break": f"{ROLE}\n",
    "two": f"{ROLE},{ROLE}",
    "no name": "arn:aws:iam::123456789012:role/",
    "other digits": "arn:aws:iam::١٢٣٤٥٦٧٨٩٠١٢:role/x",
    "another script": "arn:aws:iam::123456789012:role/\u0430dmin",
    "a long name": f"{ROLE}{'x' * 600}",
    "upper case": ROLE.upper(),
    "a session": "arn:aws:sts::123456789012:assumed-role/x/y",
    "brackets": "arn:aws:iam::123456789012:role/[a]",
}


@pytest.mark.parametrize("text", NOT_ARNS.values(), ids=NOT_ARNS)
def test_anything_but_the_arn_of_a_role_is_refused(text: str) -> None:
    problem = resource(role_arn=text).problem
    assert problem
    assert problem.message.startswith("spec.role_arn ")
    assert "is not a valid IAM role ARN; expected arn:aws:iam::" in problem.message


ANY: Final = "arn:aws:iam::123456789012:role"
MATCHING: Final = (ROLE, "*", f"{ANY}/*", "arn:aws:iam::12345678901?:role/ecr-*")
OTHERS: Final = ("", "ecr-puller", ROLE.replace("ecr", "Ecr"), f"{ROLE} ", f"{ROLE}?", f"{ANY}/[e]cr-puller")
OTHERS_TOO: Final = (f"{ANY}/[!a]cr-puller", "arn.aws.iam..123456789012.role.ecr-puller")


@pytest.mark.parametrize("glob", [*MATCHING, *OTHERS, *OTHERS_TOO])
def test_a_glob_matches_case_and_takes_brackets_literally(glob: str) -> None:
    assert permits([glob], ROLE) is (glob in MATCHING)
    assert not permits([], ROLE)


@pytest.mark.parametrize(
    ("annotation", "permitted"),
    [
        (f"other, {ROLE}", True),
        (f"other\n  {ROLE}\n", True),
        (f"{ANY}/ecr-?uller", True),
        ("", False),
        (" ,, ", False),
        ("other", False),
        # The glob at the limit may be cut off, and would then match more.
        (f"{'x' * 8190} **{ROLE}", False),
        (f"{ROLE} {'x' * 9000}", True),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_namespace_permits_roles_by_its_annotation(annotation: str, *, permitted: bool) -> None:
    identity = Identity(namespace="team", role_arn=ROLE)
    if permitted:
        check_permitted(identity, annotation)
        return
    with pytest.raises(PermanentError, match="--permitted-roles nor the annotation") as refused:
        check_permitted(identity, annotation)
    assert refused.value.reason is Reason.ROLE_NOT_PERMITTED
    assert f"kubectl annotate --overwrite namespace team '{PERMITTED_ROLES}={ROLE}'" in str(refused.value)


def test_the_name_of_a_key_counts_in_any_case_and_a_likely_mistake_is_recognized() -> None:
    near = {"access-key-id": "aws_access_key_id", "AWS_SECRET_KEY": "aws_secret_access_key"}
    near |= {"sessionToken": "aws_session_token"}
    near |= dict.fromkeys(("aws_access_key_id", "password", "access_key" + "x" * 9999), "")
    assert {name: near_iam_key(name) for name in near} == near
    assert is_iam_key("AWS_ACCESS_KEY_ID")
    assert not is_iam_key("access-key-id")
    assert is_credentials_file("Credentials")
    assert not is_credentials_file("aws_access_key_id")


SESSION: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)  # AWS's rule
PREFIX: Final = "ecr-secret-operator@"


@pytest.mark.parametrize("namespace", ["a", "team", "a" * 43, "a" * 44, "a" * 63])
def test_a_session_names_the_namespace_within_awss_rule(namespace: str) -> None:
    name = session_name(Identity(namespace=namespace, role_arn=ROLE))
    assert SESSION.fullmatch(name)
    assert name.startswith(f"{PREFIX}{namespace[:27]}")
    assert (name == f"{PREFIX}{namespace}") is (len(namespace) <= 44)
    assert ("+" in name) is (len(namespace) > 44), "a cut name is that of no other namespace"
    assert name != session_name(Identity(namespace=f"{namespace[:-1]}b", role_arn=ROLE))


def test_the_session_of_a_cluster_secret_has_a_name_that_no_namespace_gives() -> None:
    name = session_name(Identity(role_arn=ROLE))
    assert SESSION.fullmatch(name)
    assert name == "ecr-secret-operator=ClusterSecret"
    assert not name.startswith(PREFIX)


def test_tags_name_namespace_and_resource_where_known() -> None:
    namespace = {"kubernetes-namespace": "team"}
    assert session_tags(Identity(namespace="team")) == namespace
    tags = session_tags(Identity(namespace="team", resource="pull"))
    assert tags == namespace | {"kubernetes-resource": "pull"}


def test_identities_differ_as_text_and_so_in_the_fingerprint_of_a_secret() -> None:
    sources = [TokenSource(identity=each, region="eu-west-1") for _, each in IDENTITIES.values()]
    assert len({str(source) for source in sources}) == len(set(sources)) > 4
    assert str(TokenSource(region="eu-west-1")) == "ecr in eu-west-1 as operator", "as it always was"


OLD = KeyDigest(id_hash="old", contents="1")
SAME_ID = KeyDigest(id_hash="old", contents="2")
NEW = KeyDigest(id_hash="new", contents="3")
OTHER = KeyDigest()  # session keys, a web identity, or what can't be read


@pytest.mark.parametrize(
    ("before", "now", "fetched_by", "renewed"),
    [
        # At a start only ids can be compared.
        (None, NEW, "old", True),
        (None, NEW, "new", False),
        (None, NEW, None, False),
        (None, OTHER, "old", False),
        # While running.
        (OLD, OLD, "old", False),
        (OLD, OLD, None, False),
        (OLD, SAME_ID, "old", True),
        (OLD, SAME_ID, None, True),
        (OLD, NEW, "old", True),
        (OLD, NEW, None, True),
        (OLD, NEW, "new", False),
        (OLD, OTHER, "old", True),
        (OTHER, OTHER, "old", False),
        (OTHER, OTHER, None, False),
        (OTHER, NEW, None, True),
        # A file that was missing for a while.
        (OTHER, OLD, "old", False),
    ],
)
def test_a_token_is_renewed_when_other_keys_replaced_its_own(
    before: KeyDigest | None, now: KeyDigest, fetched_by: str | None, *, renewed: bool
) -> None:
    assert now.replaces(before, fetched_by) is renewed


def test_the_hash_of_a_key_id_never_changes_since_secrets_have_it() -> None:
    assert hash_key_id("AKIAIOSFODNN7EXAMPLE") == "1a5d44a2dca1"
