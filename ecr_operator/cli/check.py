"""`check`: whether the operator could run here, as a list of results with what to do next."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.kinds import CLUSTER, NAMESPACED_KINDS
from ecr_operator.api.registry import is_region
from ecr_operator.api.text import format_time
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.cli.cluster import INSTALL_CRDS, own_namespace
from ecr_operator.cli.output import Result, Terminal, Verdict
from ecr_operator.core.ports import Clock
from ecr_operator.kube import access_review, connection
from ecr_operator.kube.access_review import NEEDS, Need, Right
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.resources import KubeResources
from ecr_operator.settings import ALL_NAMESPACES, Settings
from ecr_operator.settings.commands import Check
from ecr_operator.settings.values import LogOptions
from ecr_operator.telemetry import logs

_DEFAULT_REGION: Final = "us-east-1"
_CONCURRENCY: Final = 8


async def run(command: Check, terminal: Terminal, clock: Clock) -> int:
    """Check everything that was asked for, and show each result as soon as it is known.

    Returns:
        0 if nothing that every installation needs is missing, else 1.
    """
    # The results have what the operator's parts would log.
    logs.configure(LogOptions(level=logging.CRITICAL))
    results = list[Result]()
    if "aws" in command.parts:
        results += await _show("AWS", check_aws(command.region, clock), terminal)
    if "cluster" in command.parts:
        place = command.place
        results += await _show("Cluster", check_cluster(place.settings, place.context), terminal)
    terminal.write()
    terminal.write(conclusion(results, terminal.marks["bad"]))
    return 1 if any(result.verdict == "bad" for result in results) else 0


async def _show(title: str, results: AsyncIterator[Result], terminal: Terminal) -> list[Result]:
    terminal.write_styled((title, "bold"))
    shown = []
    async for result in results:
        shown.append(result)
        terminal.write_result(result)
    return shown


def conclusion(results: Iterable[Result], mark: str) -> str:
    """The last line; `mark` is that of a failed check."""
    bad = sum(result.verdict == "bad" for result in results)
    if not bad:
        return "All required checks passed."
    return f"{bad} required {'check' if bad == 1 else 'checks'} failed; see the lines marked {mark}."


async def check_aws(region: str, clock: Clock) -> AsyncIterator[Result]:
    """Check in a region (empty: the SDK's own) the AWS identity, and that it gets a token.

    Stops where the remaining checks would fail for the same reason.
    """
    async with EcrTokenIssuer(clock, regions=lambda: (region,)) as issuer:
        configured = region or issuer.region
        region = configured if is_region(configured) else _DEFAULT_REGION
        yield _region(configured, region)
        try:
            yield Result("good", "credentials", f"from {await issuer.fetched_origin(region)}")
        except OperatorError as error:
            yield _failed("bad", "credentials", error)
            return
        try:
            yield Result("good", "identity", await issuer.caller_arn(region))
        except OperatorError as error:
            # Without STS the name is unknown, but ECR may still answer.
            yield _failed("optional", "identity", error)
        try:
            token = await issuer.issue(TokenSource(region=region))
            text = f"issued by ECR in {region}, expires at {format_time(token.expires_at)}"
            yield Result("good", "token", text)
        except OperatorError as error:
            yield _failed("bad", "token", error)


def _region(configured: str, region: str) -> Result:
    if is_region(configured):
        return Result("good", "region", configured)
    text = f"not set, using {region}; the operator uses the region of each resource"
    return Result("optional", "region", text, "select another one with --region")


def _failed(verdict: Verdict, topic: str, error: OperatorError) -> Result:
    return Result(verdict, topic, f"{error.reason}: {error.message}")


async def check_cluster(settings: Settings, context: str) -> AsyncIterator[Result]:
    """Check the API server, the CRDs, and the rights in the namespaces that the settings name.

    Stops where the remaining checks would fail for the same reason.
    """
    try:
        client = await connection.connect(settings, context=context)
    except connection.ConnectionSetupError as error:
        yield Result("bad", "API server", str(error))
        return
    async with client:
        server = await _server(client)
        yield server
        if server.verdict == "bad":
            return
        try:
            async for result in _crds(client, settings):
                yield result
            async for result in _rights(client, settings):
                yield result
        except ApiError as failure:
            yield Result("bad", "rights", f"can't be checked: {failure.message}", "try again")


async def _server(client: KubeClient) -> Result:
    try:
        version, user = await access_review.server_version(client), await access_review.username(client)
    except ApiError as failure:
        advice = "log in again" if failure.code else "is it running? Check the kubeconfig and its context"
        return Result("bad", "API server", f"{client.host}: {failure.message}", advice)
    return Result("good", "API server", f"{client.host}, {version}" + (f", as {user}" if user else ""))


async def _crds(client: KubeClient, settings: Settings) -> AsyncIterator[Result]:
    known = await access_review.served_kinds(client)
    if missing := [kind for kind in NAMESPACED_KINDS if kind not in known]:
        yield Result("bad", "CRDs", f"not installed: {_listed(missing)}", INSTALL_CRDS)
        return
    statuses = KubeResources(client)
    if old := [kind for kind in NAMESPACED_KINDS if not await statuses.keeps_details(kind)]:
        text = f"{_listed(old)} of v0.6.0, which keep only two fields of the status"
        yield Result("optional", "CRDs", text, INSTALL_CRDS)
    else:
        yield Result("good", "CRDs", _listed(known))
    if CLUSTER not in known and ALL_NAMESPACES in settings.namespaces:
        yield Result("optional", "CRDs", f"not installed: {CLUSTER}", f"{INSTALL_CRDS}, if you use it")


def _listed(kinds: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(kinds[:-1]), kinds[-1])))


async def _rights(client: KubeClient, settings: Settings) -> AsyncIterator[Result]:
    # The namespace of the operator's Lease: POD_NAMESPACE counts outside of a cluster too.
    own = settings.namespace or own_namespace(settings, client)
    slots = asyncio.Semaphore(_CONCURRENCY)

    async def is_missing(right: Right) -> bool:
        async with slots:
            return not await access_review.is_allowed(client, right)

    for need in NEEDS:
        if need.place == "own" and not settings.leader_elect:
            continue
        if not (asked := need.rights(settings.namespaces, own)):
            continue
        answers = await asyncio.gather(*map(is_missing, asked))
        yield _rights_result(need, [right for right, lacks in zip(asked, answers, strict=True) if lacks])


def _rights_result(need: Need, missing: Sequence[Right]) -> Result:
    """Whether a need of the table is met, given those of its rights that are missing."""
    if not missing:
        purpose = "" if need.required else f", for {need.purpose}"
        return Result("good", "rights", f"{need}: {', '.join(need.verbs)}{purpose}")
    verbs = ", ".join(dict.fromkeys(right.verb for right in missing))
    namespaces = dict.fromkeys(right.namespace for right in missing)
    where = f" in {', '.join(namespaces)}" if all(namespaces) else " in all namespaces"
    return Result(
        "bad" if need.required else "optional",
        "rights",
        f"{need}: no {verbs}{'' if need.place == 'cluster' else where}; needed for {need.purpose}",
        f"grant what {need.granted_by} grants" + ("" if need.required else ", if you use it"),
    )
