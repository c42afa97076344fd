"""Who asks AWS, by the spec; which roles are permitted; and how a session is called."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_operator.api.desired import Resource
from ecr_operator.api.identity import (
    OPERATOR,
    Identity,
    KeyDigest,
    check_role_arn,
    hash_key_id,
    is_role_arn,
    permits,
    session_name,
    session_tags,
)
from ecr_operator.api.outcome import Reason
from ecr_operator.api.parsing import parse_resource
from ecr_operator.api.token import TokenSource

ROLE = "arn:aws:iam::123456789012:role/ecr-puller"


def parsed(kind: str = "Secret", **spec: Any) -> Resource:
    """Parse a resource of namespace `team` with these fields of the spec."""
    host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    target = {"ecr_registry": host} if kind == "Secret" else {"url": host}
    metadata = {"name": "pull", "namespace": "team", "uid": "u"}
    return parse_resource(
        kind, {"metadata": metadata, "spec": {"generated_secret_name": "x", **target, **spec}}
    )


IDENTITIES: dict[str, tuple[dict[str, Any], Identity]] = {
    "nothing named": ({}, OPERATOR),
    "a role": ({"role_arn": ROLE}, Identity(namespace="team", role_arn=ROLE)),
    "a ServiceAccount": (
        {"service_account": {"name": "ci"}},
        Identity(source="service_account", namespace="team", name="ci"),
    ),
    "a ServiceAccount with a role": (
        {"service_account": {"name": "ci"}, "role_arn": ROLE},
        Identity(source="service_account", namespace="team", name="ci", role_arn=ROLE),
    ),
    "a Secret": (
        {"aws_iam_secret": {"name": "a.b"}},
        Identity(source="iam_secret", namespace="team", name="a.b"),
    ),
    "another namespace is not read": (
        {"aws_iam_secret": {"name": "keys", "namespace": "other"}},
        Identity(source="iam_secret", namespace="team", name="keys"),
    ),
    "an empty role is nothing": ({"role_arn": ""}, OPERATOR),
    "null is nothing": ({"role_arn": None, "service_account": None, "aws_iam_secret": None}, OPERATOR),
}


@pytest.mark.parametrize("kind", ["Secret", "ArgoHelmRepoSecret"])
@pytest.mark.parametrize(("spec", "identity"), IDENTITIES.values(), ids=IDENTITIES)
def test_the_spec_names_the_identity(kind: str, spec: dict[str, Any], identity: Identity) -> None:
    resource = parsed(kind, **spec)
    assert resource.problem is None
    assert resource.desired
    assert resource.desired.sources[0] == TokenSource(identity=identity, region="eu-west-1")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "two sources": (
        {"service_account": {"name": "ci"}, "aws_iam_secret": {"name": "keys"}},
        "spec.service_account and spec.aws_iam_secret",
    ),
    "a name that is a path": ({"service_account": {"name": "../x"}}, "spec.service_account.name"),
    "a name in another namespace": ({"aws_iam_secret": {"name": "other/keys"}}, "spec.aws_iam_secret.name"),
    "an empty name": ({"aws_iam_secret": {"name": ""}}, 'spec.aws_iam_secret.name ""'),
    "no name": ({"service_account": {}}, 'spec.service_account.name ""'),
    "two dots": ({"aws_iam_secret": {"name": "a..b"}}, "spec.aws_iam_secret.name"),
    "a long name": ({"aws_iam_secret": {"name": "a" * 254}}, "spec.aws_iam_secret.name"),
    "a name with a line break": ({"aws_iam_secret": {"name": "a\n"}}, "spec.aws_iam_secret.name"),
    "a name that is a number": ({"aws_iam_secret": {"name": 7}}, "spec.aws_iam_secret.name must be a string"),
    "a name in place of an object": ({"service_account": "ci"}, "spec.service_account must be an object"),
}


@pytest.mark.parametrize(("spec", "words"), BAD.values(), ids=BAD)
def test_a_spec_that_makes_no_sense_is_invalid_in_words(spec: dict[str, Any], words: str) -> None:
    problem = parsed(**spec).problem
    assert problem
    assert problem.reason is Reason.INVALID_SPEC
    assert words in problem.message
    assert len(problem.message) < 300


ARNS = [ROLE, "arn:aws-cn:iam::123456789012:role/a/path/r", "arn:aws-us-gov:iam::123456789012:role/a+=,.@_-b"]
NO_ARNS = {
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


@pytest.mark.parametrize("text", ARNS)
def test_the_arn_of_a_role_is_one(text: str) -> None:
    check_role_arn(text)


@pytest.mark.parametrize("text", NO_ARNS.values(), ids=NO_ARNS)
def test_anything_else_is_none_and_refused(text: str) -> None:
    assert not is_role_arn(text)
    problem = parsed(role_arn=text).problem
    assert problem
    assert problem.message.startswith("spec.role_arn ")


@pytest.mark.parametrize(
    ("glob", "covers"),
    [
        (ROLE, True),
        ("*", True),
        ("arn:aws:iam::123456789012:role/*", True),
        ("arn:aws:iam::12345678901?:role/ecr-*", True),
        ("", False),
        ("ecr-puller", False),
        (ROLE.replace("ecr", "Ecr"), False),
        (f"{ROLE} ", False),
        (f"{ROLE}?", False),
        ("arn:aws:iam::123456789012:role/[e]cr-puller", False),
        ("arn:aws:iam::123456789012:role/[!a]cr-puller", False),
        ("arn.aws.iam..123456789012.role.ecr-puller", False),
    ],
)
def test_a_glob_covers_to_the_letter(glob: str, *, covers: bool) -> None:
    assert permits([glob], ROLE) is covers


def test_no_globs_permit_nothing() -> None:
    assert not permits([], ROLE)


SESSION = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)  # AWS's rule


@pytest.mark.parametrize("namespace", ["a", "team", "a" * 43, "a" * 44, "a" * 63])
def test_a_session_names_the_namespace_within_awss_rule(namespace: str) -> None:
    name = session_name(Identity(namespace=namespace, role_arn=ROLE))
    assert SESSION.fullmatch(name)
    assert name.startswith(f"ecr-secret-operator@{namespace[:27]}")
    assert (name == f"ecr-secret-operator@{namespace}") is (len(namespace) <= 44)


def test_long_namespaces_that_begin_alike_have_sessions_of_their_own() -> None:
    names = {session_name(Identity(namespace=f"{'a' * 60}{number}", role_arn=ROLE)) for number in range(100)}
    assert len(names) == 100


NAMESPACES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@given(NAMESPACES)
def test_what_a_long_namespaces_session_is_called_no_other_namespace_can_be(namespace: str) -> None:
    called = session_name(Identity(namespace=namespace, role_arn=ROLE))
    uncut = called.removeprefix("ecr-secret-operator@")
    assert SESSION.fullmatch(called)
    assert uncut == namespace or "+" in uncut


def test_tags_name_namespace_and_resource_where_known() -> None:
    assert session_tags(Identity(namespace="team")) == {"kubernetes-namespace": "team"}
    assert session_tags(Identity(namespace="team", resource="pull")) == {
        "kubernetes-namespace": "team",
        "kubernetes-resource": "pull",
    }


def test_identities_differ_in_words_and_so_in_the_fingerprint_of_a_secret() -> None:
    sources = [TokenSource(identity=each, region="eu-west-1") for _, each in IDENTITIES.values()]
    assert len({str(source) for source in sources}) == len(set(sources)) > 4


def test_the_operators_own_reads_as_it_always_did() -> None:
    assert str(TokenSource(region="eu-west-1")) == "ecr in eu-west-1 as operator"


OLD = KeyDigest(id_hash="old", contents="1")
SAME_ID = KeyDigest(id_hash="old", contents="2")
NEW = KeyDigest(id_hash="new", contents="3")
OTHER = KeyDigest()  # session keys, a web identity, or what makes no sense


@pytest.mark.parametrize(
    ("before", "now", "fetched_by", "renewed"),
    [
        # A start: only the ids tell.
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
        # A file that was away for a while.
        (OTHER, OLD, "old", False),
    ],
)
def test_which_tokens_other_keys_make_due(
    before: KeyDigest | None, now: KeyDigest, fetched_by: str | None, *, renewed: bool
) -> None:
    assert now.replaces(before, fetched_by) is renewed


@given(st.text(max_size=200))
def test_the_hash_of_a_key_id_is_short_and_plain(access_key: str) -> None:
    assert re.fullmatch("[0-9a-f]{12}", hash_key_id(access_key))
