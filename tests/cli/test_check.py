"""`check`: what is reported of the API server, the CRDs and rights, and the checks of AWS."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from ecr_operator.cli.check import check_cluster, conclusion
from ecr_operator.cli.output import Result, Verdict
from ecr_operator.kube import paths
from ecr_operator.settings import Settings
from lab import commands
from lab.api import Json
from lab.aws import LocalAws
from tests.cli.running import write_kubeconfig
from tests.kube.server import Answer, ScriptedServer, refuse, reply


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


def schemas(*kinds: str, **status: Json) -> Answer:
    """The OpenAPI document, in which these kinds' status has these fields."""
    found = {
        kind: {
            "x-kubernetes-group-version-kind": [{"kind": kind}],
            "properties": {"status": {"properties": status}},
        }
        for kind in kinds
    }
    return reply({"components": {"schemas": found}})


def kinds(*served: str) -> Answer:
    return reply({"resources": [{"kind": kind} for kind in served]})


async def review(request: web.Request) -> web.StreamResponse:
    """Refuse to delete, to watch Namespaces, and everything in the namespace `closed`."""
    asked = json.loads(await request.text())["spec"]["resourceAttributes"]
    refused = asked["verb"] == "delete" or (asked["verb"], asked["resource"]) == ("watch", "namespaces")
    allowed = not refused and asked.get("namespace") != "closed"
    return await reply({"status": {"allowed": allowed}})(request)


NAMESPACED = ("Secret", "ArgoHelmRepoSecret")
USUAL: dict[str, Answer] = {
    "/version": reply({"gitVersion": "v1.36.3"}),
    paths.SELF_REVIEW: reply({"status": {"userInfo": {"username": "jane"}}}),
    paths.KINDS: kinds(*NAMESPACED, "ClusterSecret"),
    paths.OPENAPI: schemas(*NAMESPACED, observedGeneration={}),
    paths.ACCESS_REVIEW: review,
}
Checked = Callable[..., Awaitable[list[Result]]]


@pytest.fixture
async def checked(tmp_path: Path) -> AsyncIterator[Checked]:
    """Checks an API server with these answers by path in place of the usual ones."""
    async with ScriptedServer() as server:
        kubeconfig = (str(write_kubeconfig(tmp_path, server.url)),)

        async def check(
            answers: dict[str, Answer] | None = None, *namespaces: str, leader_elect: bool = False
        ) -> list[Result]:
            async def answer(request: web.Request) -> web.StreamResponse:
                return await {**USUAL, **(answers or {})}[request.path](request)

            server.others = [answer] * 99
            plain = Settings(
                kubeconfig=kubeconfig, in_cluster=False, namespaces=namespaces or ("",), pod_name=""
            )
            settings = replace(plain, leader_elect=leader_elect)
            return [result async for result in check_cluster(settings, "")]

        yield check


CRDS = {
    "all": ({}, [("good", "Secret, ArgoHelmRepoSecret and ClusterSecret")]),
    "none": (
        {paths.KINDS: refuse(404, "NotFound")},
        [("bad", "not installed: Secret and ArgoHelmRepoSecret")],
    ),
    "without ClusterSecrets": (
        {paths.KINDS: kinds(*NAMESPACED)},
        [("good", "Secret and ArgoHelmRepoSecret"), ("optional", "not installed: ClusterSecret")],
    ),
    "those of v0.6.0": (
        {paths.OPENAPI: schemas(*NAMESPACED)},
        [("optional", "Secret and ArgoHelmRepoSecret of v0.6.0, which keep only two fields of the status")],
    ),
}


@pytest.mark.parametrize(("answers", "expected"), CRDS.values(), ids=CRDS)
async def test_crds_that_are_missing_or_old_are_named_with_the_command_to_apply(
    checked: Checked, answers: dict[str, Answer], expected: list[tuple[str, str]]
) -> None:
    found = [each for each in await checked(answers) if each.topic == "CRDs"]
    assert [(each.verdict, each.text) for each in found] == expected
    assert all(("kubectl apply -k config/crd" in each.advice) == (each.verdict != "good") for each in found)
    # Where some namespaces are served, no ClusterSecret is.
    one = await checked(answers, "team-a")
    assert not any("not installed: ClusterSecret" in each.text for each in one)


ROLE = "grant what config/rbac/role.yaml grants"


async def test_rights_are_checked_in_each_namespace_that_is_served(checked: Checked) -> None:
    everywhere = [each for each in await checked() if each.topic == "rights"]
    expected: list[tuple[Verdict, str, str]] = [
        ("good", "secrets.ecr.mobb.redhat.com: get, list, watch", ""),
        ("good", "events.events.k8s.io: create, for Events on changes of outcome", ""),
        ("bad", "secrets: no delete in all namespaces; needed for the generated Secrets", ROLE),
        ("optional", "namespaces: no watch; needed for ClusterSecrets", f"{ROLE}, if you use it"),
    ]
    for verdict, text, advice in expected:
        assert Result(verdict, "rights", text, advice) in everywhere
    assert not any("leases" in each.text for each in everywhere)
    some = {
        each.text.partition(";")[0]: each.verdict
        for each in await checked({}, "team-a", "closed", leader_elect=True)
    }
    assert some["secrets: no delete, get, list, watch, create, patch in team-a, closed"] == "bad"
    assert some["events.events.k8s.io: no create in closed"] == "optional"
    assert some["leases.coordination.k8s.io: get, create, update"] == "good"
    assert not any("clustersecrets" in each for each in some)


UNREACHED = {
    "unknown credentials": ({paths.SELF_REVIEW: refuse(401, "Unauthorized")}, "log in again"),
    "a gateway without a server": ({"/version": refuse(502, "BadGateway")}, "log in again"),
}


@pytest.mark.parametrize(("answers", "advice"), UNREACHED.values(), ids=UNREACHED)
async def test_nothing_else_is_checked_of_a_server_that_does_not_answer(
    checked: Checked, answers: dict[str, Answer], advice: str
) -> None:
    [result] = await checked(answers)
    assert (result.verdict, result.topic, result.advice) == ("bad", "API server", advice)


async def test_a_review_that_fails_ends_the_check_of_rights(checked: Checked) -> None:
    server, crds, last = await checked({paths.ACCESS_REVIEW: refuse(500, "InternalError", "broken")})
    assert (server.text.partition(", ")[2], crds.verdict) == ("v1.36.3, as jane", "good")
    assert (last.verdict, last.text) == ("bad", "can't be checked: broken")


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
