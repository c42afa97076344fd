"""`refresh`: whether a request is met, and which requests the API server gets."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ecr_operator.api.text import format_time
from ecr_operator.cli.refresh import earliest_refresh, judge, patch, seen, too_late, why_idle
from lab.commands import Ended
from tests.cli import running
from tests.cli.builders import NOW, READY, REFRESHED, Json, cluster, condition, resource, status
from tests.fakes import FakeClock
from tests.kube.server import Answer, ScriptedServer, refuse, reply

WELL = status(READY, REFRESHED, age=1)
FRESH = status(READY, REFRESHED, age=0)
DENIED = condition("Refreshed", "False", "AccessDenied", "AWS denies it.")
AWAY = condition("Refreshed", "False", "AWSUnavailable", "No answer.")
STALLED = condition("Stalled", "True", "AccessDenied", "AWS denies it.")
OF_V060: Json = {"phase": "Updated", "lastUpdatedTime": "2026-11-24T11:00:00Z"}
OF_V060_FRESH: Json = {"phase": "Updated", "lastUpdatedTime": "2026-11-24T12:00:00Z"}
SOON, LATER = timedelta(seconds=1), timedelta(seconds=6)
STUCK, FAILING = status(READY, DENIED, STALLED), status(READY, AWAY)


def covering(ready: int, *conditions: Json, age: float = 0, phase: str = "Failed") -> Json:
    namespaces = {"served": 9, "ready": ready}
    return status(*conditions, age=age, phase=phase, namespaces=namespaces)


def mistaken(reason: str, phase: str) -> Json:
    mistakes = (condition("Refreshed", "False", reason, "x"), condition("Stalled", "True", reason, "x"))
    return status(READY, *mistakes, phase=phase)


TAKEN = condition("Refreshed", "False", "SecretConflict", "1 of 9 namespaces failed.")
WAITING = condition("Refreshed", "Unknown", "Pending", "Waiting.")
CONFLICT = condition("Stalled", "True", "SecretConflict", "1 of 9 namespaces failed.")
PART = "a new token that expires at 2026-11-25T00:00:00Z is in 8 of 9 namespaces. SecretConflict: 1 of 9"
BEFORE = covering(9, READY, REFRESHED, age=1, phase="Updated")
SERVED = covering(9, READY, REFRESHED, phase="Updated")
OLD_PART, NEW_PART = covering(8, TAKEN, CONFLICT, age=1), covering(8, TAKEN, CONFLICT)
RENEWED, BROKEN = mistaken("InvalidRegistry", "Updated"), mistaken("InvalidSpec", "Failed")
# The status before the request and after a wait; whether it is met, None while it is open; what is shown.
JUDGED: dict[str, tuple[Json | None, Json, timedelta, bool | None, str]] = {
    "nothing new": (WELL, WELL, LATER, None, ""),
    "a newer token": (WELL, FRESH, SOON, True, "expires at 2026-11-25T00:00:00Z"),
    "an older token": (FRESH, WELL, SOON, None, ""),
    "the first token": (None, WELL, SOON, True, "has a new token"),
    "a status of v0.6.0": (OF_V060, OF_V060_FRESH, SOON, True, "has a new token"),
    "a failure that a user corrects": (WELL, STUCK, SOON, False, "AccessDenied: AWS"),
    "an old failure that may be over": (STUCK, STUCK, SOON, None, ""),
    "an old failure that stays": (STUCK, STUCK, LATER, False, "The failure is not new"),
    "a passing failure": (WELL, FAILING, LATER, None, "AWSUnavailable: No answer."),
    "a known passing failure": (FAILING, FAILING, LATER, None, ""),
    "a mistake, and the token is renewed": (RENEWED, RENEWED, LATER, None, ""),
    "another such mistake": (WELL, mistaken("InvalidSpec", "Updated"), SOON, None, "InvalidSpec: x"),
    "a mistake, and the token is not renewed": (BROKEN, BROKEN, LATER, False, "InvalidSpec: x"),
    "in each namespace": (BEFORE, SERVED, SOON, True, "has a new token that"),
    "in no namespace yet": (BEFORE, BEFORE, LATER, None, ""),
    "in some so far": (BEFORE, covering(8, WAITING, phase="Pending"), LATER, None, ""),
    "in some, and one is refused": (BEFORE, NEW_PART, SOON, False, PART),
    "in some, and one that was refused may be again": (OLD_PART, NEW_PART, SOON, None, ""),
    "in some, and one is refused once more": (OLD_PART, NEW_PART, LATER, False, PART),
    "in all, for no client": (BEFORE, {**NEW_PART, "phase": "Updated"}, SOON, True, "has a new token"),
}


@pytest.mark.parametrize(("before", "now", "waited", "is_met", "message"), JUDGED.values(), ids=JUDGED)
def test_a_request_is_judged_by_the_status(
    before: Json | None, now: Json, waited: timedelta, message: str, *, is_met: bool | None
) -> None:
    found, words = judge(seen(resource(before)), seen(resource(now)), waited)
    assert found is is_met
    assert message in words
    assert bool(message) == bool(words)


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


def unserved(**fields: Any) -> Json:
    return cluster(status(READY, age=None, **{"namespaces": {"served": 0, "ready": 0}, **fields}))


IDLE: list[tuple[Json, str]] = [
    (resource(suspend=True), "spec.suspend is true"),
    *((resource(suspend=other), "") for other in (False, None, "true")),
    ({"metadata": {}, "spec": None}, ""),
    (unserved(), "no namespace is served"),
    (unserved(observedGeneration=0), ""),
    (unserved(namespaces={"served": 1, "ready": 0}), ""),
]


@pytest.mark.parametrize(("raw", "why"), IDLE)
def test_nothing_is_refreshed_while_suspended_or_where_no_namespace_is_served(raw: Json, why: str) -> None:
    assert why_idle(raw) == why


def path(kind: str, name: str = "") -> str:
    return "/".join(filter(None, ("/apis/ecr.mobb.redhat.com/v1alpha1", kind, name)))


@pytest.fixture
async def refreshing(tmp_path: Path) -> AsyncIterator["Refreshing"]:
    async with ScriptedServer() as server:
        yield Refreshing(server, tmp_path)


class Refreshing:
    """`refresh` against a scripted API server."""

    def __init__(self, server: ScriptedServer, folder: Path) -> None:
        self.server = server
        self.clock = FakeClock()
        self._kubeconfig = running.write_kubeconfig(folder, server.url)

    async def run(self, *arguments: str) -> Ended:
        """Run it to its end."""
        command = running.run("refresh", *arguments, kubeconfig=self._kubeconfig, clock=self.clock)
        task = asyncio.create_task(command)
        while not task.done():
            await self.clock.advance(0.1)
            await asyncio.sleep(0.005)
        return await task

    def verbs(self) -> list[str]:
        """The methods of its requests."""
        return [each.method for each in self.server.asked]

    def forbid(self, plural: str) -> None:
        """Forbid one kind, and have a fresh token of the others once one is requested."""

        async def answer(request: web.Request) -> web.StreamResponse:
            if f"/{plural}" in request.path:
                return await refuse(403, "Forbidden")(request)
            return await reply({"items": [resource(FRESH if "PATCH" in self.verbs() else WELL)]})(request)

        self.server.others = [answer] * 9


ALL = ("--all", "-n", "team-a", "-k", "ecrsecret")


async def test_all_lists_every_two_seconds_also_while_lists_fail(refreshing: Refreshing) -> None:
    items: list[Any] = [resource(name=name) for name in ("a", "b", "c")]
    lists = [*[reply({})] * 3, *[refuse(500, "InternalError")] * 99]
    refreshing.server.others = [reply({"items": items}), *lists]
    ended = await refreshing.run(*ALL, "--timeout", "10s")
    assert ended.code == 1
    assert refreshing.verbs().count("PATCH") == 3
    assert refreshing.verbs().count("GET") in range(3, 8)
    assert ended.err.count("no new token within 10s: nothing happened.") == 3


async def test_all_skips_suspended_resources_and_reports_how_each_ends(refreshing: Refreshing) -> None:
    names = ("met", "denied", "deleted", "away")
    items: list[Any] = [resource(WELL, name=name) for name in names]
    found = {"met": FRESH, "denied": STUCK, "away": FAILING}
    later = [resource(now, name=name) for name, now in found.items()]
    asleep = resource(WELL, name="asleep", suspend=True)
    nowhere = resource(status(READY, namespaces={"served": 0, "ready": 0}), name="nowhere")
    refreshing.server.others = [
        reply({"items": [*items, asleep, nowhere]}),
        *[reply({})] * 4,
        *[reply({"items": later})] * 9,
    ]
    ended = await refreshing.run(*ALL, "--timeout", "5s")
    met = "Secret team-a/met has a new token that expires at 2026-11-25T00:00:00Z.\n"
    assert (ended.code, ended.out) == (1, met)
    for line in (
        "Skipped because spec.suspend is true: 1.",
        "Skipped because no namespace is served: 1.",
        "Secret team-a/denied: AccessDenied: AWS denies it.",
        "Secret team-a/deleted: it was deleted meanwhile.",
        "Secret team-a/away: AWSUnavailable: No answer. Waiting.",
        "Secret team-a/away: no new token within 5s: ",
    ):
        assert ended.err.count(line) == 1


async def test_all_a_kind_that_can_not_be_listed_does_not_end_the_wait_for_the_others(
    refreshing: Refreshing,
) -> None:
    refreshing.forbid("argohelmreposecrets")
    ended = await refreshing.run("--all", "-n", "team-a")
    assert (ended.code, "Secret team-a/pull has a new token" in ended.out) == (1, True)
    assert "not allowed to list argohelmreposecrets" in ended.err
    assert "can't read the status" not in ended.err


async def test_a_status_that_may_no_longer_be_read_ends_the_wait(refreshing: Refreshing) -> None:
    refreshing.server.others = [reply(resource(WELL)), reply({}), refuse(403, "Forbidden")]
    ended = await refreshing.run("-n", "team-a", "ecrsecret/pull")
    assert (ended.code, "Secret team-a/pull: can't read the status: " in ended.err) == (1, True)


async def test_a_refused_request_is_explained(refreshing: Refreshing) -> None:
    refreshing.server.others = [reply(resource(WELL)), refuse(403, "Forbidden")]
    ended = await refreshing.run("-n", "team-a", "ecrsecret/pull")
    assert (ended.code, "ecr-secret-operator-secret-editor-role" in ended.err) == (1, True)


async def test_all_without_resources_is_exit_0(refreshing: Refreshing) -> None:
    refreshing.server.others = [reply({"items": []})]
    ended = await refreshing.run(*ALL)
    assert ended.code == 0
    assert ended.err.endswith("Nothing to refresh in namespace team-a.\n")


async def test_the_wait_for_a_new_token_is_announced(refreshing: Refreshing) -> None:
    fetched = format_time(refreshing.clock.now() - timedelta(minutes=1))
    new = resource(status(READY, REFRESHED, lastUpdatedTime=fetched, expirationTime=None))
    refreshing.server.others = [reply(new)] * 9
    ended = await refreshing.run("-n", "team-a", "ecrsecret/pull", "--timeout", "1s")
    assert ended.code == 1
    assert "Secret team-a/pull: the token is new; AWS can be asked again in " in ended.err


async def test_a_cluster_secret_is_requested_and_read_without_a_namespace(refreshing: Refreshing) -> None:
    refreshing.server.others = [reply(cluster(WELL)), reply({}), reply(cluster(FRESH))]
    ended = await refreshing.run("-n", "team-a", "ecrclustersecret/shared")
    assert (ended.code, ended.out.startswith("ClusterSecret shared has a new token")) == (0, True)
    assert refreshing.verbs() == ["GET", "PATCH", "GET"]
    assert {each.path for each in refreshing.server.asked} == {path("clustersecrets", "shared")}


ABSENT, FORBIDDEN = refuse(404, "NotFound"), refuse(403, "Forbidden")
NO_KIND = refuse(404, "NotFound", "the server could not find the requested resource")
UNKNOWN: dict[str, tuple[str, list[Answer], str]] = {
    "no Secret": ("ecrsecret/pull", [ABSENT], "There is no Secret named pull in namespace team-a; "),
    "of no kind": ("shared", [ABSENT] * 2, "There is no resource named shared in namespace team-a; "),
    "no ClusterSecret": ("ecrclustersecret/a", [ABSENT], "There is no ClusterSecret named a; `status -A`"),
    "no right": ("ecrclustersecret/a", [FORBIDDEN], "not allowed to get clustersecrets"),
    "no CRD": ("ecrclustersecret/a", [NO_KIND], "The cluster has no clustersecrets"),
    "of two kinds": (
        "pull",
        [reply(resource(WELL))] * 2,
        "Two resources are named pull; specify ecrsecret/pull or argohelmrepo/pull.",
    ),
}


@pytest.mark.parametrize(("name", "answers", "message"), UNKNOWN.values(), ids=UNKNOWN)
async def test_a_name_that_is_not_one_resource_is_an_error(
    refreshing: Refreshing, name: str, answers: list[Answer], message: str
) -> None:
    refreshing.server.others = [*answers]
    ended = await refreshing.run("-n", "team-a", name)
    assert (ended.code, message in ended.err) == (1, True)
    # Without a kind, it is not looked up among ClusterSecrets.
    assert [each.path for each in refreshing.server.asked if "clustersecrets" in each.path] == [
        path("clustersecrets", "a") for _ in answers if name.startswith("ecrcluster")
    ]


async def test_all_of_all_namespaces_includes_cluster_secrets_unless_they_may_not_be_listed(
    refreshing: Refreshing,
) -> None:
    refreshing.forbid("clustersecrets")
    ended = await refreshing.run("--all", "-A")
    assert (ended.code, "ClusterSecrets are not listed. You are not allowed" in ended.err) == (0, True)
    alone = await refreshing.run("--all", "-k", "ecrclustersecret")
    assert (alone.code, "not allowed to list clustersecrets" in alone.err) == (1, True)


async def test_a_suspended_resource_is_not_requested(refreshing: Refreshing) -> None:
    refreshing.server.others = [reply(resource(WELL, suspend=True))]
    ended = await refreshing.run("-n", "team-a", "ecrsecret/pull")
    assert (ended.code, refreshing.verbs()) == (1, ["GET"])
    assert "spec.suspend is true" in ended.err
