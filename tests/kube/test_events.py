"""Events: their form, and that they never delay anything."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import structlog.testing

from ecr_operator.api.kinds import API_VERSION
from ecr_operator.api.outcome import Reason
from ecr_operator.core.outcomes import suspended
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.events import KubeEvents, event_of
from tests.builders import NOW, outcome, resource
from tests.fakes import FakeClock
from tests.kube.conftest import configuration
from tests.kube.server import ScriptedServer, hold, refuse, reply, text

DNS = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
DENIED = outcome(Reason.ACCESS_DENIED, message="You may not.")


class Scene:
    """Events over a scripted server, in virtual time."""

    def __init__(self, client: KubeClient) -> None:
        self.clock = FakeClock()
        self.events = KubeEvents(client, self.clock, "pod-1")

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send Events during the block."""
        task = asyncio.create_task(self.events.run())
        try:
            async with asyncio.timeout(20):
                yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def scene(client: KubeClient) -> Scene:
    return Scene(client)


async def test_event_is_posted_to_the_resources_namespace(server: ScriptedServer, scene: Scene) -> None:
    server.others = [reply({})]
    scene.events.emit(resource(), DENIED)
    async with scene.sending():
        await scene.events.all_sent()
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/apis/events.k8s.io/v1/namespaces/team/events")
    assert asked.body == event_of(resource(), DENIED, NOW, "pod-1", 1)


async def test_event_of_a_cluster_secret_is_posted_to_default(server: ScriptedServer, scene: Scene) -> None:
    server.others = [reply({})]
    scene.events.emit(resource("ClusterSecret"), DENIED)
    async with scene.sending():
        await scene.events.all_sent()
    (asked,) = server.asked
    assert asked.path == "/apis/events.k8s.io/v1/namespaces/default/events"
    assert asked.body["metadata"]["namespace"] == "default"
    assert "namespace" not in asked.body["regarding"]


async def test_event_of_an_earlier_term_is_not_sent_later(server: ScriptedServer, scene: Scene) -> None:
    server.others = [hold, reply({})]
    scene.events.emit(resource(uid="1"), DENIED)
    scene.events.emit(resource(uid="2"), DENIED)
    async with scene.sending():
        await server.until(1)
    await scene.clock.advance(3600)
    scene.events.emit(resource(uid="3"), DENIED)
    async with scene.sending():
        await server.until(2)
        await scene.events.all_sent()
    assert [asked.body["regarding"]["uid"] for asked in server.asked] == ["1", "3"]


def test_whole_event() -> None:
    regarding = {"apiVersion": API_VERSION, "kind": "Secret", "namespace": "team"}
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
        "regarding": regarding | {"name": "web", "uid": "uid-of-web"},
    }


def test_success_and_suspension_are_normal() -> None:
    for each in (outcome(), suspended(resource(), None)):
        assert event_of(resource(), each, NOW, "pod-1", 1)["type"] == "Normal"


@pytest.mark.parametrize(
    "name", ["a" * 253, *("a" * 197 + each + "b" * 53 for each in ("aa-", "aa.", "---"))]
)
def test_event_has_a_valid_name_for_every_name_of_a_resource(name: str) -> None:
    made = event_of(resource(name=name), DENIED, NOW, "pod-1", 1)["metadata"]["name"]
    assert DNS.fullmatch(made)
    assert len(made) <= 253


@pytest.mark.parametrize("letter", ["x", "ü", "🔑"])
def test_note_and_instance_are_as_long_as_the_api_server_accepts(letter: str) -> None:
    made = event_of(resource(), outcome(message=letter * 5000), NOW, "p" * 253, 1)
    assert 0 < len(made["note"].encode()) <= 1024
    assert len(made["reportingInstance"]) == 128


async def test_refusal_is_logged_once_and_later_events_are_sent(server: ScriptedServer, scene: Scene) -> None:
    server.others = [refuse(403, "Forbidden", "events is forbidden"), text("<html>", 502), reply({})]
    with structlog.testing.capture_logs() as logs:
        async with scene.sending():
            for number in range(3):
                scene.events.emit(resource(name=f"r{number}"), DENIED)
            await scene.events.all_sent()
    assert len(server.asked) == 3
    assert [each["error"] for each in logs if each["log_level"] == "warning"] == ["events is forbidden"]


async def test_event_of_a_replica_that_does_not_lead_is_dropped_silently(server: ScriptedServer) -> None:
    client = KubeClient(configuration(server.url))
    client.guard_writes(lambda: False)
    with structlog.testing.capture_logs() as logs:
        async with client:
            scene = Scene(client)
            scene.events.emit(resource(), DENIED)
            async with scene.sending():
                await scene.events.all_sent()
    assert (server.asked, logs) == ([], [])


async def test_emit_never_waits_and_leaves_room_for_others(server: ScriptedServer, scene: Scene) -> None:
    server.others = [reply({})]
    of = resource()
    for number in range(1000):
        scene.events.emit(replace(of, uid=str(number)), DENIED)
    scene.clock.skip(301)  # so that only the last is young enough to be sent
    scene.events.emit(resource(namespace="other"), DENIED)
    async with scene.sending():
        await scene.events.all_sent()
    assert [asked.path for asked in server.asked] == ["/apis/events.k8s.io/v1/namespaces/other/events"]


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
async def test_events_of_a_resource_are_limited(
    server: ScriptedServer, scene: Scene, messages: str, every: float, sent: int
) -> None:
    server.others = [reply({})] * len(messages)
    async with scene.sending():
        for message in messages:
            scene.events.emit(resource(), outcome(Reason.ACCESS_DENIED, message=message))
            await scene.clock.advance(every)
        await scene.events.all_sent()
    assert len(server.asked) == sent


async def test_memory_of_recent_events_is_bounded(scene: Scene) -> None:
    of = resource()
    for number in range(1500):
        scene.events.emit(replace(of, uid=str(number)), DENIED)
        scene.clock.skip(0.01)
    assert len(scene.events._recent) <= 1000  # noqa: SLF001 - memory has no other face
    await scene.clock.advance(61)
    scene.events.emit(of, DENIED)
    assert len(scene.events._recent) < 10  # noqa: SLF001 - the same
