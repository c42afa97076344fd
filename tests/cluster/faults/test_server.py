"""The API server goes away and comes back: as it was, older, without our CRDs, or without our rights."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable

import pytest

from lab.api import CRDS, ECR_SECRETS
from lab.audit import Request
from lab.control_plane import ControlPlane
from lab.fault_proxy import FaultProxy
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.faults import meanwhile
from tests.cluster.scene import QUIET, Scene
from tests.cluster.users import GROUP, allow, disallow, rule

# A server that comes up refuses a few times more, and the longest pause between two attempts is 5 s.
RECOVERED = 3 * 5.0 + 15.0
KINDS = ("secrets.ecr.mobb.redhat.com", "argohelmreposecrets.ecr.mobb.redhat.com")
ADVICE = "kubectl apply -k config/crd"
# A server whose etcd went back ends a watch from "the future" in silence, at the watch's own end.
NOTICED = 60.0 + RECOVERED

Stop = Callable[[ControlPlane], None]


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(ControlPlane.stop_api_server, id="stopped"),
        pytest.param(ControlPlane.kill_api_server, id="killed"),
    ],
)
async def test_a_restarted_api_server_costs_one_list_and_loses_nothing(rough: Scene, stop: Stop) -> None:
    await meanwhile.create_before(rough)
    async with rough.operator() as operator:
        await _steady(rough)
        await asyncio.to_thread(stop, rough.plane)
        await asyncio.sleep(2)
        # The operator is held back, so that all happens while its watches are down.
        operator.signal(signal.SIGSTOP)
        await asyncio.to_thread(rough.plane.start_api_server)
        await meanwhile.change_everything(rough)
        operator.signal(signal.SIGCONT)
        await meanwhile.all_is_right(rough, RECOVERED)
        await asyncio.sleep(QUIET)
        assert await rough.find_secret("doomed-login") is None
        assert operator.running
        assert len(operator.log.read_text().splitlines()) < 60
    assert max(_lists(rough).values(), default=0) <= 1
    assert rough.aws.count() == 1


async def test_a_token_that_is_fetched_while_the_server_is_away_is_written_when_it_is_back(
    rough: Scene,
) -> None:
    # Due after 5.7 to 6 s.
    rough.aws.token_life = 9
    await rough.create(ecr_secret("pull"))
    async with rough.operator() as operator:
        await rough.ready("pull")
        rough.aws.token_life = 3600
        await asyncio.to_thread(rough.plane.kill_api_server)
        try:
            await wait_for(lambda: rough.aws.count() == 2, what="the second token")
        finally:
            await asyncio.to_thread(rough.plane.start_api_server)
        await rough.renewed("pull-login", 2, within=RECOVERED)
        (resource,) = await rough.ready("pull")
        assert operator.running
    assert reading.verdict(resource, "Ready") == ("True", "Refreshed")
    assert rough.aws.count() == 2


async def _steady(scene: Scene) -> None:
    await scene.ready(*meanwhile.NAMES)
    await scene.watching()
    scene.mark()


def _lists(scene: Scene) -> Counter[str]:
    """The operator's lists since the mark, by collection."""
    return Counter(
        {request.resource: count for request, count in scene.requests().items() if request.verb == "list"}
    )


async def test_an_etcd_restored_from_an_older_snapshot_is_noticed_and_read_anew(rough: Scene) -> None:
    plane = rough.plane
    await rough.create(*(ecr_secret(name) for name in ("kept", "edited", "deleted-later")))
    async with rough.operator() as operator:
        await rough.ready("kept", "edited", "deleted-later")
        saved = await asyncio.to_thread(plane.snapshot)
        await _change_after_the_snapshot(rough)
        rough.mark()
        operator.signal(signal.SIGSTOP)
        await asyncio.to_thread(plane.restore, saved)
        # The same generation as the operator knows, with another spec.
        await rough.change("edited", {"generated_secret_name": "edited-anew"})
        await rough.delete("kept-login")
        operator.signal(signal.SIGCONT)
        await rough.ready("edited", "kept", "deleted-later", within=NOTICED)
        await meanwhile.secrets_are(rough, RESTORED, UNDONE, NOTICED)
        await _later_changes_are_seen(rough)
        assert operator.running
    assert max(_lists(rough).values()) <= 2
    assert rough.aws.count() == 1


RESTORED = ("kept-login", "deleted-later-login", "edited-anew")
UNDONE = ("edited-login", "edited-in-vain", "created-in-vain-login")


async def _change_after_the_snapshot(scene: Scene) -> None:
    """Make changes that will be undone, and enough of them that versions go back by far."""
    await scene.change("edited", {"generated_secret_name": "edited-in-vain"})
    await scene.delete("deleted-later", ECR_SECRETS)
    await scene.delete("deleted-later-login")
    await scene.create(ecr_secret("created-in-vain"))
    await scene.ready("edited", "created-in-vain")
    for number in range(300):
        note = {"metadata": {"annotations": {"note": str(number)}}}
        await scene.api.merge_patch(ECR_SECRETS, "kept", note, scene.namespace)


async def _later_changes_are_seen(scene: Scene) -> None:
    await scene.create(ecr_secret("last"))
    await scene.delete("kept-login")
    await scene.ready("last", within=NOTICED)
    await wait_for(lambda: scene.find_secret("kept-login"), NOTICED, "the Secret made again")


async def test_missing_crds_are_reported_once_and_served_when_they_are_installed_again(rough: Scene) -> None:
    await rough.create(ecr_secret("gone"))
    async with rough.operator() as operator:
        await rough.ready("gone")
        rough.mark()
        await _delete_crds(rough)
        await rough.delete("gone-login")
        await asyncio.sleep(5)
        # Two collections, asked for again and again but calmly, and nothing made for what is gone.
        assert 2 <= sum(rough.requests().values()) <= 2 * 2 * 8
        assert await rough.find_secret("gone-login") is None
        assert operator.log.read_text().count(ADVICE) == len(KINDS)
    async with rough.operator() as operator:
        await wait_for(lambda: operator.log.read_text().count(ADVICE) == len(KINDS), what="advice for each")
        await rough.api.install_crds()
        await rough.create(ecr_secret("new"))
        await rough.ready("new", within=RECOVERED)
        await asyncio.sleep(QUIET)
        assert await rough.find_secret("gone-login") is None
        assert operator.log.read_text().count(ADVICE) == len(KINDS)


async def _delete_crds(scene: Scene) -> None:
    for name in KINDS:
        await scene.api.delete(CRDS, name)
    for name in KINDS:
        await wait_for(lambda name=name: _is_gone(scene, name), what=f"{name} gone")  # type: ignore[misc]


async def _is_gone(scene: Scene, name: str) -> bool:
    return await scene.api.find(CRDS, name) is None


async def test_rights_that_are_taken_away_and_given_back_cost_nothing(scene: Scene) -> None:
    scene.kubeconfig = scene.plane.write_kubeconfig(scene.user)
    await _grant(scene)
    await meanwhile.create_before(scene)
    async with (
        FaultProxy(scene.kubeconfig) as proxy,
        scene.operator(env={"KUBECONFIG": str(proxy.kubeconfig)}) as operator,
    ):
        await _steady(scene)
        await disallow(scene)
        # Open watches outlive the rights.
        proxy.cut()
        await meanwhile.change_everything(scene)
        await asyncio.sleep(5)
        assert 3 <= sum(_reads(scene).values()) <= 3 * 2 * 8
        await meanwhile.nothing_is_done_yet(scene)
        await _grant(scene)
        await meanwhile.all_is_right(scene, RECOVERED)
        assert operator.running
        assert await scene.find_secret("doomed-login") is None
    assert scene.aws.count() == 1


def _reads(scene: Scene) -> Counter[Request]:
    return Counter(
        {each: count for each, count in scene.requests().items() if each.verb in {"list", "watch"}}
    )


async def _grant(scene: Scene) -> None:
    """Give the operator what it needs in the namespace."""
    every = ("get", "list", "watch", "create", "patch", "delete")
    rules = (rule("", ["secrets"], *every), rule(GROUP, ["*"], *every, "update"))
    await allow(scene, scene.user, *rules, rule("events.k8s.io", ["events"], "create"))
