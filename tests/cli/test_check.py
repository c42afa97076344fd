"""`check`: how rights are reported, and the checks of AWS."""

import io

import pytest

from ecr_operator.cli.check import conclusion, rights_result
from ecr_operator.cli.output import Result, Terminal
from ecr_operator.kube.access_review import Need, Right
from lab import commands
from lab.aws import LocalAws

NEED = Need("", "secrets", ("get", "list"), "the generated Secrets")
EXTRA = Need("events.k8s.io", "events", ("create",), "Events", granted_by="x", required=False)
CLUSTER = Need(
    "", "namespaces", ("list", "watch"), "ClusterSecrets", granted_by="x", required=False, place="cluster"
)


def lacks(need: Need, verb: str, namespace: str = "") -> Right:
    return Right(group=need.group, resource=need.resource, verb=verb, namespace=namespace)


GRANT = "                   -> grant what config/rbac/role.yaml grants"
RIGHTS: dict[str, tuple[Need, list[Right], list[str]]] = {
    "nothing is missing": (NEED, [], ["  ok rights        secrets: get, list"]),
    "a verb in all namespaces": (
        NEED,
        [lacks(NEED, "list")],
        ["  NO rights        secrets: no list in all namespaces; needed for the generated Secrets", GRANT],
    ),
    "verbs in some namespaces": (
        NEED,
        [lacks(NEED, "get", "a"), lacks(NEED, "list", "a"), lacks(NEED, "get", "b")],
        ["  NO rights        secrets: no get, list in a, b; needed for the generated Secrets", GRANT],
    ),
    "an optional need": (EXTRA, [], ["  ok rights        events.events.k8s.io: create, for Events"]),
    "an unmet optional need": (
        EXTRA,
        [lacks(EXTRA, "create")],
        [
            "  -- rights        events.events.k8s.io: no create in all namespaces; needed for Events",
            "                   -> grant what x grants, if you use it",
        ],
    ),
    "an unmet need in the cluster": (
        CLUSTER,
        [lacks(CLUSTER, "watch")],
        [
            "  -- rights        namespaces: no watch; needed for ClusterSecrets",
            "                   -> grant what x grants, if you use it",
        ],
    ),
}


@pytest.mark.parametrize(("need", "missing", "lines"), RIGHTS.values(), ids=RIGHTS)
def test_a_missing_right_is_shown_with_its_purpose_and_what_grants_it(
    need: Need, missing: list[Right], lines: list[str]
) -> None:
    out = io.StringIO()
    Terminal(out).write_result(rights_result(need, missing))
    assert out.getvalue().splitlines() == lines


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        (0, "All required checks passed."),
        (1, "1 required check failed; see the lines marked NO."),
        (2, "2 required checks failed; see the lines marked NO."),
    ],
)
def test_the_last_line_counts_failed_checks(bad: int, line: str) -> None:
    results = [Result("good", "x", ""), Result("optional", "x", ""), *[Result("bad", "x", "")] * bad]
    assert conclusion(results, "NO") == line


async def test_aws_region_credentials_identity_and_token_are_shown_but_no_secret(aws: LocalAws) -> None:
    ended = await commands.run("check", "aws", "--region", "us-east-1", aws=aws.url)
    assert (ended.code, ended.err) == (0, "")
    lines = [line.split()[:2] for line in ended.out.splitlines()[1:5]]
    assert lines == [["✓", topic] for topic in ("region", "credentials", "identity", "token")]
    assert "arn:aws:iam::123456789012:user/lab" in ended.out
    assert aws.services.passwords
    assert not any(password in ended.out for password in (*aws.services.passwords, "lab-secret-key"))


async def test_aws_a_denied_token_fails_with_what_to_allow(aws: LocalAws) -> None:
    aws.fail("AccessDeniedException", operation="GetAuthorizationToken")
    ended = await commands.run("check", "aws", aws=aws.url)
    assert ended.code == 1
    assert "✓ identity" in ended.out
    assert "✗ token" in ended.out
    assert "Allow ecr:GetAuthorizationToken on *" in ended.out


async def test_aws_without_sts_the_token_alone_decides(aws: LocalAws) -> None:
    aws.fail("AccessDenied", operation="GetCallerIdentity")
    ended = await commands.run("check", "aws", aws=aws.url)
    assert ended.code == 0
    assert "○ identity" in ended.out


async def test_aws_without_credentials_the_places_searched_are_named(aws: LocalAws) -> None:
    nothing = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    ended = await commands.run("check", "aws", aws=aws.url, env=nothing)
    assert ended.code == 1
    assert "✗ credentials   CredentialsMissing" in ended.out
    assert "/nonexistent/.aws/credentials (absent)" in ended.out
    assert aws.calls == []
