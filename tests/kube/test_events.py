"""Events: their form, and that they never stand in anybody's way."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog.testing

from ecr_operator.api.outcome import Outcome, Reason
from ecr_operator.core.outcomes import suspended
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.events import KubeEvents, event_of
from tests.builders import NOW, outcome, resource
from tests.fakes import FakeClock
from tests.kube.server import ScriptedServer, hold, refuse, reply, text

DNS = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
DENIED = outcome(Reason.ACCESS_DENIED, message="You may not.")


class Booth:
    """Events over a scripted server, in virtual time."""

    def __init__(self, client: KubeClient) -> None:
        self.clock = FakeClock()
        self.events = KubeEvents(client, self.clock, "pod-1")

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Have Events sent for a while."""
        task = asyncio.create_task(self.events.run())
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def booth(client: KubeClient) -> Booth:
    """Events."""
    return Booth(client)


async def test_an_event_is_posted_to_the_resources_namespace(server: ScriptedServer, booth: Booth) -> None:
    server.others = [reply({})]
    booth.events.emit(resource(), DENIED)
    async with booth.sending():
        await server.until(1)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/apis/events.k8s.io/v1/namespaces/team/events")
    assert asked.body == event_of(resource(), DENIED, NOW, "pod-1", 1)


async def test_what_was_queued_in_an_earlier_term_is_not_told_in_a_later_one(
    server: ScriptedServer, booth: Booth
) -> None:
    server.others = [hold, reply({})]
    booth.events.emit(resource(uid="1"), DENIED)
    booth.events.emit(resource(uid="2"), DENIED)
    async with booth.sending():
        await server.until(1)
    await booth.clock.advance(3600)
    booth.events.emit(resource(uid="3"), DENIED)
    async with booth.sending():
        await server.until(2)
        await booth.events.all_sent()
    assert [asked.body["regarding"]["uid"] for asked in server.asked] == ["1", "3"]


def test_the_whole_event() -> None:
    assert event_of(resource(), DENIED, NOW, "pod-1", 18) == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"web.{int(NOW.timestamp() * 1e6):x}.12", "namespace": "team"},
        "eventTime": "2026-03-01T12:00:00.000000Z",
        "reportingController": "ecr-secret-operator",
        "reportingInstance": "pod-1",
        "action": "Refresh",
        "reason": "AccessDenied",
        "type": "Warning",
        "note": "You may not.",
        "regarding": {
            "apiVersion": "ecr.mobb.redhat.com/v1alpha1",
            "kind": "Secret",
            "namespace": "team",
            "name": "web",
            "uid": "uid-of-web",
        },
    }


def test_a_success_and_a_wish_of_the_user_are_normal() -> None:
    assert event_of(resource(), outcome(), NOW, "pod-1", 1)["type"] == "Normal"
    assert event_of(resource(), suspended(resource(), None), NOW, "pod-1", 1)["type"] == "Normal"


@pytest.mark.parametrize(
    "name",
    ["a" * 253, "a" * 199 + "-" + "b" * 53, "a" * 199 + "." + "b" * 53, "a" * 197 + "---" + "b" * 53],
    ids=["a long name", "a dash where it is cut", "a dot where it is cut", "dashes before the cut"],
)
def test_whatever_the_resource_is_called_the_event_has_a_name(name: str) -> None:
    made = event_of(resource(name=name), DENIED, NOW, "pod-1", 1)["metadata"]["name"]
    assert DNS.fullmatch(made)
    assert len(made) <= 253


@pytest.mark.parametrize(
    "message", ["x" * 5000, "ü" * 5000, "🔑" * 5000], ids=["letters", "umlauts", "pictures"]
)
def test_a_note_has_at_most_the_1024_bytes_that_the_api_server_takes(message: str) -> None:
    note = event_of(resource(), outcome(message=message), NOW, "pod-1", 1)["note"]
    assert 0 < len(note.encode()) <= 1024


def test_an_instance_has_at_most_the_128_letters_that_the_api_server_takes() -> None:
    assert len(event_of(resource(), DENIED, NOW, "p" * 253, 1)["reportingInstance"]) <= 128


async def test_forbidden_is_taken_calmly_and_told_once(server: ScriptedServer, booth: Booth) -> None:
    server.others = [refuse(403, "Forbidden", "events is forbidden"), text("<html>", 502), reply({})]
    with structlog.testing.capture_logs() as logs:
        async with booth.sending():
            for number in range(3):
                booth.events.emit(resource(name=f"r{number}"), DENIED)
            await server.until(3)
    assert [each["error"] for each in logs if each["log_level"] == "warning"] == ["events is forbidden"]


async def test_what_does_not_fit_is_dropped_and_nobody_waits(server: ScriptedServer, booth: Booth) -> None:
    server.others = [hold]
    for number in range(2000):
        booth.events.emit(resource(name=f"r{number}"), DENIED)
    async with booth.sending():
        await server.until(1)


async def test_one_namespace_leaves_room_for_the_events_of_others(
    server: ScriptedServer, booth: Booth
) -> None:
    server.others = [reply({})] * 2000
    for number in range(2000):
        booth.events.emit(resource(name=f"r{number}"), DENIED)
    booth.events.emit(resource(namespace="other"), DENIED)
    async with booth.sending(), asyncio.timeout(20):
        await booth.events.all_sent()
    assert len(server.asked) < 700
    assert server.asked[-1].path.endswith("/namespaces/other/events")


async def test_one_can_wait_until_all_are_sent(server: ScriptedServer, booth: Booth) -> None:
    server.others = [reply({}), refuse(403, "Forbidden")]
    for name in ("a", "b"):
        booth.events.emit(resource(name=name), DENIED)
    async with booth.sending(), asyncio.timeout(5):
        await booth.events.all_sent()
    assert len(server.asked) == 2
    await booth.events.all_sent()


async def emitted(server: ScriptedServer, booth: Booth, *said: Outcome, every: float = 0) -> int:
    """Emit one after another and return how many came through."""
    server.others = [reply({})] * (len(said) + 1)
    async with booth.sending():
        for each in said:
            booth.events.emit(resource(), each)
            await booth.clock.advance(every)
        booth.events.emit(resource(name="last"), DENIED)
        async with asyncio.timeout(5):
            while not any(each.body["regarding"]["name"] == "last" for each in server.asked):  # noqa: ASYNC110 - a real server, which sets no event
                await asyncio.sleep(0.002)
    return len(server.asked) - 1


@pytest.mark.parametrize(
    ("messages", "every", "sent"),
    [
        pytest.param("aaaa", 1, 1, id="the same within a minute comes once"),
        pytest.param("aaa", 61, 3, id="the same after a minute comes again"),
        pytest.param("abab", 1, 2, id="to and fro comes once each"),
        pytest.param("abcdefgh", 1, 4, id="four a minute come at most"),
        pytest.param("abcdefgh", 20, 8, id="at a slower pace all come"),
    ],
)
async def test_nobody_is_flooded(
    server: ScriptedServer, booth: Booth, messages: str, every: float, sent: int
) -> None:
    said = [outcome(Reason.ACCESS_DENIED, message=message) for message in messages]
    assert await emitted(server, booth, *said, every=every) == sent


async def test_what_is_remembered_is_bounded(booth: Booth) -> None:
    for number in range(3000):
        booth.events.emit(resource(name=f"r{number}"), DENIED)
        await booth.clock.advance(1) if number % 100 == 0 else None
    await booth.clock.advance(61)
    booth.events.emit(resource(), DENIED)
    assert len(booth.events._recent) < 10  # noqa: SLF001 - memory has no other face
