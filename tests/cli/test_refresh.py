"""`refresh`: whether a request was met, and how it asks the API server."""

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
from ecr_operator.cli.refresh import earliest_refresh, is_suspended, judge, patch, run, seen, too_late
from ecr_operator.settings.commands import Refresh, parse_command
from tests.cli.builders import NOW, READY, REFRESHED, Json, condition, resource, status
from tests.fakes import FakeClock
from tests.kube.server import ScriptedServer, refuse, reply
from tests.kube.test_connection import KUBECONFIG

WELL = status(READY, REFRESHED, age=1)
FRESH = status(READY, REFRESHED, age=0)
DENIED = condition("Refreshed", "False", "AccessDenied", "AWS denies it.")
AWAY = condition("Refreshed", "False", "AWSUnavailable", "No answer.")
STALLED = condition("Stalled", "True", "AccessDenied", "AWS denies it.")
OF_V060: Json = {"phase": "Updated", "lastUpdatedTime": "2026-11-24T11:00:00Z"}
SOON, LATER = timedelta(seconds=1), timedelta(seconds=6)
STUCK = status(READY, DENIED, STALLED)


@pytest.mark.parametrize(
    ("before", "now", "waited", "state", "message"),
    [
        pytest.param(WELL, WELL, LATER, "waiting", "", id="nothing new"),
        pytest.param(WELL, FRESH, SOON, "met", "expires at 2026-11-25T00:00:00Z", id="a newer token"),
        pytest.param(FRESH, WELL, SOON, "waiting", "", id="an older token"),
        pytest.param(None, WELL, SOON, "met", "has a new token", id="the first token"),
        pytest.param(
            OF_V060,
            {**OF_V060, "lastUpdatedTime": "2026-11-24T12:00:00Z"},
            SOON,
            "met",
            "has a new token",
            id="a status of v0.6.0",
        ),
        pytest.param(WELL, STUCK, SOON, "failed", "AccessDenied: AWS", id="a failure that a user corrects"),
        pytest.param(STUCK, STUCK, SOON, "waiting", "", id="an old failure may be over"),
        pytest.param(STUCK, STUCK, LATER, "failed", "The failure is not new", id="an old failure that stays"),
        pytest.param(
            WELL, status(READY, AWAY), LATER, "waiting", "AWSUnavailable: No answer.", id="a passing failure"
        ),
        pytest.param(
            status(READY, AWAY), status(READY, AWAY), LATER, "waiting", "", id="a known passing failure"
        ),
    ],
)
def test_a_request_is_judged_by_the_status(
    before: Json | None, now: Json, waited: timedelta, state: str, message: str
) -> None:
    found = judge(seen(resource(before)), seen(resource(now)), waited)
    assert found.state == state
    assert message in found.message
    assert bool(message) == bool(found.message)


@pytest.mark.parametrize("reason", ["InvalidSpec", "InvalidRegistry"])
@pytest.mark.parametrize(("phase", "state"), [("Updated", "waiting"), ("Failed", "failed")])
def test_a_mistake_with_which_the_token_is_renewed_is_no_failure(reason: str, phase: str, state: str) -> None:
    mistake = (condition("Refreshed", "False", reason, "x"), condition("Stalled", "True", reason, "x"))
    now = seen(resource(status(READY, *mistake, phase=phase)))
    assert judge(now, now, LATER).state == state


@pytest.mark.parametrize(
    ("before", "minutes"),
    [
        pytest.param(None, 0, id="no token: at once"),
        pytest.param(WELL, 0, id="an old token: at once"),
        pytest.param({"lastUpdatedTime": "9999-12-31T23:59:59Z"}, 0, id="a time that is no token's: at once"),
        pytest.param(status(READY, age=1 / 60), 4, id="a new one: when it is five minutes old"),
        pytest.param({"lastUpdatedTime": "2026-11-24T11:59:00Z"}, 4, id="the same with v0.6.0's status"),
    ],
)
def test_aws_is_asked_within_its_rate_bound(before: Json | None, minutes: int) -> None:
    assert earliest_refresh(seen(resource(before)), NOW) == NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("present", "hours", "message"),
    [
        pytest.param(WELL, 0, "Is the operator running", id="silence"),
        pytest.param(status(READY, AWAY), 0, "AWSUnavailable: No answer.", id="a failure"),
        pytest.param(WELL, 1, "not asked before 2026-11-24T13:00:00Z", id="too soon"),
    ],
)
def test_when_the_time_is_up_the_likely_cause_is_given(present: Json, hours: int, message: str) -> None:
    assert message in too_late(seen(resource(present)), NOW + timedelta(hours=hours), NOW)


def test_each_request_has_another_value() -> None:
    assert patch(NOW) != patch(NOW + timedelta(microseconds=1))
    annotations = {"ecr.mobb.redhat.com/refresh-requested-at": "2026-11-24T12:00:00.000000Z"}
    assert patch(NOW) == {"metadata": {"annotations": annotations}}


@pytest.mark.parametrize("suspend", [True, False, None, "true"])
def test_only_true_suspends(suspend: object) -> None:
    assert is_suspended(resource(suspend=suspend)) is (suspend is True)
    assert not is_suspended({"spec": None})


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


async def test_all_one_list_in_two_seconds_also_while_lists_fail(tmp_path: Path) -> None:
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
    found = {"met": FRESH, "denied": STUCK, "away": status(READY, AWAY)}
    later = [resource(now, name=name) for name, now in found.items()]
    async with ScriptedServer() as server:
        asleep = resource(WELL, name="asleep", suspend=True)
        server.others = [reply({"items": [*items, asleep]}), *[reply({})] * 4, *[reply({"items": later})] * 9]
        refreshing = Refreshing(server, tmp_path)
        assert await refreshing.run(*ALL, "--timeout", "5s") == 1
    assert (
        refreshing.out.getvalue()
        == "Secret team-a/met has a new token that expires at 2026-11-25T00:00:00Z.\n"
    )
    notes = refreshing.errors.getvalue()
    assert "Skipped because spec.suspend is true: 1." in notes
    assert "Secret team-a/denied: AccessDenied: AWS denies it." in notes
    assert "Secret team-a/deleted: it was deleted meanwhile." in notes
    assert notes.count("Secret team-a/away: AWSUnavailable: No answer. Waiting.") == 1
    assert "Secret team-a/away: no new token within 5s: " in notes


async def test_all_a_kind_that_can_not_be_listed_does_not_end_the_wait_for_the_others(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if "/argohelmreposecrets" in request.path:
            return await refuse(403, "Forbidden")(request)
        requested = any(each.method == "PATCH" for each in server.asked)
        return await reply({"items": [resource(FRESH if requested else WELL)]})(request)

    async with ScriptedServer() as server:
        server.others = [answer] * 9
        refreshing = Refreshing(server, tmp_path)
        assert await refreshing.run("--all", "-n", "team-a") == 1
    assert "Secret team-a/pull has a new token" in refreshing.out.getvalue()
    notes = refreshing.errors.getvalue()
    assert "not allowed to list argohelmreposecrets" in notes
    assert "can't read the status" not in notes


async def test_all_of_nothing_is_exit_0(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        server.others = [reply({"items": []})]
        refreshing = Refreshing(server, tmp_path)
        assert await refreshing.run(*ALL) == 0
    assert refreshing.errors.getvalue().endswith("Nothing to refresh in namespace team-a.\n")


async def test_for_a_token_that_is_still_new_the_wait_is_announced(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        refreshing = Refreshing(server, tmp_path)
        fetched = format_time(refreshing.clock.now() - timedelta(minutes=1))
        new = resource(status(READY, REFRESHED, lastUpdatedTime=fetched, expirationTime=None))
        server.others = [reply(new)] * 9
        assert await refreshing.run("-n", "team-a", "ecrsecret/pull", "--timeout", "1s") == 1
    notes = refreshing.errors.getvalue()
    assert "Secret team-a/pull: the token is new; AWS can be asked again in " in notes


async def test_a_suspended_resource_is_not_requested(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        server.others = [reply(resource(WELL, suspend=True))]
        refreshing = Refreshing(server, tmp_path)
        assert await refreshing.run("-n", "team-a", "ecrsecret/pull") == 1
        assert refreshing.verbs() == ["GET"]
    assert "spec.suspend is true" in refreshing.errors.getvalue()


async def test_a_name_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        server.others = [refuse(404, "NotFound")]
        with pytest.raises(CommandError, match="There is no Secret named pul in namespace team-a"):
            await Refreshing(server, tmp_path).run("-n", "team-a", "ecrsecret/pul")
