"""`refresh`: whether a request is met, and which requests the API server gets."""

import asyncio
import io
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ecr_operator.api.text import format_time
from ecr_operator.cli.output import CommandError, Terminal
from ecr_operator.cli.refresh import earliest_refresh, judge, patch, run, seen, too_late, why_idle
from ecr_operator.settings.commands import Refresh, parse_command
from tests.cli.builders import NOW, READY, REFRESHED, Json, cluster, condition, resource, status
from tests.fakes import FakeClock
from tests.kube.server import Answer, ScriptedServer, refuse, reply
from tests.kube.test_connection import KUBECONFIG

WELL = status(READY, REFRESHED, age=1)
FRESH = status(READY, REFRESHED, age=0)
DENIED = condition("Refreshed", "False", "AccessDenied", "AWS denies it.")
AWAY = condition("Refreshed", "False", "AWSUnavailable", "No answer.")
STALLED = condition("Stalled", "True", "AccessDenied", "AWS denies it.")
OF_V060: Json = {"phase": "Updated", "lastUpdatedTime": "2026-11-24T11:00:00Z"}
OF_V060_FRESH: Json = {"phase": "Updated", "lastUpdatedTime": "2026-11-24T12:00:00Z"}
SOON, LATER = timedelta(seconds=1), timedelta(seconds=6)
STUCK, FAILING = status(READY, DENIED, STALLED), status(READY, AWAY)


BEFORE_AND_NOW: dict[str, tuple[Json | None, Json, timedelta, str, str]] = {
    "nothing new": (WELL, WELL, LATER, "waiting", ""),
    "a newer token": (WELL, FRESH, SOON, "met", "expires at 2026-11-25T00:00:00Z"),
    "an older token": (FRESH, WELL, SOON, "waiting", ""),
    "the first token": (None, WELL, SOON, "met", "has a new token"),
    "a status of v0.6.0": (OF_V060, OF_V060_FRESH, SOON, "met", "has a new token"),
    "a failure that a user corrects": (WELL, STUCK, SOON, "failed", "AccessDenied: AWS"),
    "an old failure that may be over": (STUCK, STUCK, SOON, "waiting", ""),
    "an old failure that stays": (STUCK, STUCK, LATER, "failed", "The failure is not new"),
    "a passing failure": (WELL, FAILING, LATER, "waiting", "AWSUnavailable: No answer."),
    "a known passing failure": (FAILING, FAILING, LATER, "waiting", ""),
}


@pytest.mark.parametrize(
    ("before", "now", "waited", "state", "message"), BEFORE_AND_NOW.values(), ids=BEFORE_AND_NOW
)
def test_a_request_is_judged_by_the_status(
    before: Json | None, now: Json, waited: timedelta, state: str, message: str
) -> None:
    found = judge(seen(resource(before)), seen(resource(now)), waited)
    assert found.state == state
    assert message in found.message
    assert bool(message) == bool(found.message)


def covering(ready: int, *conditions: Json, age: float = 0, phase: str = "Failed") -> Json:
    namespaces = {"served": 9, "ready": ready}
    return cluster(status(*conditions, age=age, phase=phase, namespaces=namespaces))


TAKEN = condition("Refreshed", "False", "SecretConflict", "1 of 9 namespaces failed.")
WAITING = condition("Refreshed", "Unknown", "Pending", "Waiting.")
CONFLICT = condition("Stalled", "True", "SecretConflict", "1 of 9 namespaces failed.")
PART = "a new token that expires at 2026-11-25T00:00:00Z is in 8 of 9 namespaces. SecretConflict: 1 of 9"
COVERAGES: dict[str, tuple[Json, timedelta, str, str]] = {
    "in each namespace": (
        covering(9, READY, REFRESHED, phase="Updated"),
        SOON,
        "met",
        "has a new token that",
    ),
    "in no namespace yet": (covering(9, READY, REFRESHED, age=1, phase="Updated"), LATER, "waiting", ""),
    "in some so far": (covering(8, WAITING, phase="Pending"), LATER, "waiting", ""),
    "in some, and one is refused": (covering(8, TAKEN, CONFLICT), SOON, "failed", PART),
    "in all, for no client": (covering(0, TAKEN, CONFLICT, phase="Updated"), SOON, "met", "has a new token"),
}


@pytest.mark.parametrize(("now", "waited", "state", "message"), COVERAGES.values(), ids=COVERAGES)
def test_a_cluster_secret_is_refreshed_when_each_namespace_has_the_token(
    now: Json, waited: timedelta, state: str, message: str
) -> None:
    found = judge(seen(covering(9, READY, REFRESHED, age=1, phase="Updated")), seen(now), waited)
    assert found.state == state
    assert message in found.message
    assert bool(message) == bool(found.message)


def test_a_refused_namespace_that_was_refused_before_fails_the_request_once_it_is_processed() -> None:
    before, now = seen(covering(8, TAKEN, CONFLICT, age=1)), seen(covering(8, TAKEN, CONFLICT))
    assert judge(before, now, SOON).state == "waiting"
    assert PART in judge(before, now, LATER).message


@pytest.mark.parametrize("reason", ["InvalidSpec", "InvalidRegistry"])
@pytest.mark.parametrize(("phase", "state"), [("Updated", "waiting"), ("Failed", "failed")])
def test_a_mistake_with_which_the_token_is_renewed_is_no_failure(reason: str, phase: str, state: str) -> None:
    mistake = (condition("Refreshed", "False", reason, "x"), condition("Stalled", "True", reason, "x"))
    now = seen(resource(status(READY, *mistake, phase=phase)))
    assert judge(now, now, LATER).state == state


@pytest.mark.parametrize(
    ("before", "minutes"),
    [
        (None, 0),
        (WELL, 0),
        ({"lastUpdatedTime": "9999-12-31T23:59:59Z"}, 0),
        (status(READY, age=1 / 60), 4),
        ({"lastUpdatedTime": "2026-11-24T11:59:00Z"}, 4),
    ],
    ids=["no token", "an old one", "a time of no token", "one until it is 5 minutes old", "v0.6.0's status"],
)
def test_aws_is_called_within_its_rate_bound(before: Json | None, minutes: int) -> None:
    assert earliest_refresh(seen(resource(before)), NOW) == NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("present", "hours", "message"),
    [
        (WELL, 0, "Is the operator running"),
        (FAILING, 0, "AWSUnavailable: No answer."),
        (WELL, 1, "not asked before 2026-11-24T13:00:00Z"),
    ],
    ids=["silence", "a failure", "too soon"],
)
def test_when_the_time_is_up_the_likely_cause_is_given(present: Json, hours: int, message: str) -> None:
    assert message in too_late("Secret", seen(resource(present)), NOW + timedelta(hours=hours), NOW)


def test_each_request_has_another_value() -> None:
    assert patch(NOW) != patch(NOW + timedelta(microseconds=1))
    annotations = {"ecr.mobb.redhat.com/refresh-requested-at": "2026-11-24T12:00:00.000000Z"}
    assert patch(NOW) == {"metadata": {"annotations": annotations}}


@pytest.mark.parametrize("suspend", [True, False, None, "true"])
def test_only_true_suspends(suspend: object) -> None:
    assert why_idle(resource(suspend=suspend)) == ("spec.suspend is true" if suspend is True else "")
    assert why_idle({"metadata": {}, "spec": None}) == ""


@pytest.mark.parametrize(("served", "observed", "idle"), [(0, 1, True), (0, 0, False), (1, 1, False)])
def test_a_cluster_secret_without_namespaces_has_nothing_to_refresh(
    served: int, observed: int, *, idle: bool
) -> None:
    namespaces = {"served": served, "ready": 0}
    found = cluster(status(READY, age=None, namespaces=namespaces, observedGeneration=observed))
    assert why_idle(found) == ("no namespace is served" if idle else "")


class Refreshing:
    """`refresh` against a scripted API server."""

    def __init__(self, server: ScriptedServer, folder: Path) -> None:
        self.server = server
        self.clock = FakeClock()
        self.out, self.errors = io.StringIO(), io.StringIO()
        self._kubeconfig = folder / "config"
        self._kubeconfig.write_text(textwrap.dedent(KUBECONFIG.format(url=server.url)), encoding="utf-8")

    async def run(self, *arguments: str) -> int:
        """Run it to its end and return its exit code."""
        command = parse_command(["refresh", *arguments, "--kubeconfig", str(self._kubeconfig)], {})
        assert isinstance(command, Refresh)
        running = asyncio.create_task(run(command, Terminal(self.out, self.errors), self.clock))
        while not running.done():
            await self.clock.advance(0.1)
            await asyncio.sleep(0.005)
        return await running

    def verbs(self) -> list[str]:
        """The methods of its requests."""
        return [each.method for each in self.server.asked]


ALL = ("--all", "-n", "team-a", "-k", "ecrsecret")


async def test_all_lists_every_two_seconds_also_while_lists_fail(tmp_path: Path) -> None:
    items: list[Any] = [resource(name=name) for name in ("a", "b", "c")]
    async with ScriptedServer() as server:
        server.others = [reply({"items": items}), *[reply({})] * 3, *[refuse(500, "InternalError")] * 99]
        refreshing = Refreshing(server, tmp_path)
        assert await refreshing.run(*ALL, "--timeout", "10s") == 1
        assert refreshing.verbs().count("PATCH") == 3
        assert refreshing.verbs().count("GET") in range(3, 8)
    assert refreshing.errors.getvalue().count("no new token within 10s: nothing happened.") == 3


async def test_all_skips_suspended_resources_and_reports_how_each_ends(tmp_path: Path) -> None:
    names = ("met", "denied", "deleted", "away")
    items: list[Any] = [resource(WELL, name=name) for name in names]
    found = {"met": FRESH, "denied": STUCK, "away": FAILING}
    later = [resource(now, name=name) for name, now in found.items()]
    async with ScriptedServer() as server:
        asleep = resource(WELL, name="asleep", suspend=True)
        nowhere = resource(status(READY, namespaces={"served": 0, "ready": 0}), name="nowhere")
        server.others = [
            reply({"items": [*items, asleep, nowhere]}),
            *[reply({})] * 4,
            *[reply({"items": later})] * 9,
        ]
        refreshing = Refreshing(server, tmp_path)
        assert await refreshing.run(*ALL, "--timeout", "5s") == 1
    met = "Secret team-a/met has a new token that expires at 2026-11-25T00:00:00Z.\n"
    assert refreshing.out.getvalue() == met
    notes = refreshing.errors.getvalue()
    assert "Skipped because spec.suspend is true: 1." in notes
    assert "Skipped because no namespace is served: 1." in notes
    assert "Secret team-a/denied: AccessDenied: AWS denies it." in notes
    assert "Secret team-a/deleted: it was deleted meanwhile." in notes
    assert notes.count("Secret team-a/away: AWSUnavailable: No answer. Waiting.") == 1
    assert "Secret team-a/away: no new token within 5s: " in notes


def refusing(server: ScriptedServer, plural: str) -> Answer:
    """An answer that forbids one kind, and has a fresh token of the others once one is requested."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if f"/{plural}" in request.path:
            return await refuse(403, "Forbidden")(request)
        requested = any(each.method == "PATCH" for each in server.asked)
        return await reply({"items": [resource(FRESH if requested else WELL)]})(request)

    return answer


async def test_all_a_kind_that_can_not_be_listed_does_not_end_the_wait_for_the_others(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        answer = refusing(server, "argohelmreposecrets")
        server.others = [answer] * 9
        refreshing = Refreshing(server, tmp_path)
        assert await refreshing.run("--all", "-n", "team-a") == 1
    assert "Secret team-a/pull has a new token" in refreshing.out.getvalue()
    notes = refreshing.errors.getvalue()
    assert "not allowed to list argohelmreposecrets" in notes
    assert "can't read the status" not in notes


async def test_all_without_resources_is_exit_0(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        server.others = [reply({"items": []})]
        refreshing = Refreshing(server, tmp_path)
        assert await refreshing.run(*ALL) == 0
    assert refreshing.errors.getvalue().endswith("Nothing to refresh in namespace team-a.\n")


async def test_the_wait_for_a_new_token_is_announced(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        refreshing = Refreshing(server, tmp_path)
        fetched = format_time(refreshing.clock.now() - timedelta(minutes=1))
        new = resource(status(READY, REFRESHED, lastUpdatedTime=fetched, expirationTime=None))
        server.others = [reply(new)] * 9
        assert await refreshing.run("-n", "team-a", "ecrsecret/pull", "--timeout", "1s") == 1
    notes = refreshing.errors.getvalue()
    assert "Secret team-a/pull: the token is new; AWS can be asked again in " in notes


async def test_a_cluster_secret_is_requested_and_read_without_a_namespace(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        server.others = [reply(cluster(WELL)), reply({}), reply(cluster(FRESH))]
        refreshing = Refreshing(server, tmp_path)
        assert await refreshing.run("-n", "team-a", "ecrclustersecret/shared") == 0
        path = "/apis/ecr.mobb.redhat.com/v1alpha1/clustersecrets/shared"
        assert [(each.method, each.path) for each in server.asked] == [
            ("GET", path),
            ("PATCH", path),
            ("GET", path),
        ]
    assert refreshing.out.getvalue().startswith("ClusterSecret shared has a new token")


async def test_a_name_without_a_kind_is_not_looked_up_among_cluster_secrets(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        server.others = [refuse(404, "NotFound")] * 2
        refreshing = Refreshing(server, tmp_path)
        with pytest.raises(CommandError, match="There is no resource named shared in namespace team-a"):
            await refreshing.run("-n", "team-a", "shared")
        assert ["clustersecrets" in each.path for each in server.asked] == [False, False]
        server.others = [refuse(404, "NotFound"), refuse(403, "Forbidden")]
        with pytest.raises(CommandError, match="There is no ClusterSecret named shared; "):
            await refreshing.run("ecrclustersecret/shared")
        with pytest.raises(CommandError, match="not allowed to get clustersecrets"):
            await refreshing.run("ecrclustersecret/shared")


async def test_all_of_all_namespaces_includes_cluster_secrets_unless_they_may_not_be_listed(
    tmp_path: Path,
) -> None:
    async with ScriptedServer() as server:
        answer = refusing(server, "clustersecrets")
        server.others = [answer] * 9
        refreshing = Refreshing(server, tmp_path)
        assert await refreshing.run("--all", "-A") == 0
        assert "ClusterSecrets are not listed. You are not allowed" in refreshing.errors.getvalue()
        server.others = [answer]
        with pytest.raises(CommandError, match="not allowed to list clustersecrets"):
            await refreshing.run("--all", "-k", "ecrclustersecret")


async def test_a_suspended_resource_is_not_requested(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        server.others = [reply(resource(WELL, suspend=True))]
        refreshing = Refreshing(server, tmp_path)
        assert await refreshing.run("-n", "team-a", "ecrsecret/pull") == 1
        assert refreshing.verbs() == ["GET"]
    assert "spec.suspend is true" in refreshing.errors.getvalue()


async def test_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        server.others = [refuse(404, "NotFound")]
        with pytest.raises(CommandError, match="There is no Secret named pul in namespace team-a"):
            await Refreshing(server, tmp_path).run("-n", "team-a", "ecrsecret/pul")
