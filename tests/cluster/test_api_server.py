"""The API server goes away and comes back: as it was, older, or without our CRDs."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterable

from lab.api import CRDS, ECR_SECRETS, SECRETS
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import QUIET, Scene

# A server that comes up refuses a few times more, and the longest pause between two attempts is 5 s.
RECOVERED = 3 * 5.0 + 15.0
KINDS = ("secrets.ecr.mobb.redhat.com", "argohelmreposecrets.ecr.mobb.redhat.com")
ADVICE = "kubectl apply -k config/crd"
# A server whose etcd went back ends a watch from "the future" in silence, at the watch's own end.
NOTICED = 60.0 + RECOVERED


async def test_a_restarted_api_server_costs_one_list_and_loses_nothing(rough: Scene) -> None:
    await rough.create(*map(ecr_secret, BEFORE))
    async with rough.operator() as operator:
        await rough.ready(*BEFORE)
        await rough.watching()
        rough.mark()
        await asyncio.to_thread(rough.plane.kill_api_server)
        await wait_for(lambda: "can't watch" in operator.log.read_text(), what="the operator to notice")
        # The operator is held back, so that all happens while its watches are down.
        operator.signal(signal.SIGSTOP)
        await asyncio.to_thread(rough.plane.start_api_server)
        await _change_everything(rough)
        operator.signal(signal.SIGCONT)
        await _secrets_are(rough, HERE, GONE, RECOVERED)
        await rough.ready("damaged", "edited", "added")
        await asyncio.sleep(QUIET)
        assert await rough.find_secret("doomed-login") is None
        assert len(operator.log.read_text().splitlines()) < 60
    assert max(_lists(rough).values(), default=0) <= 1
    assert rough.aws.count() == 1


BEFORE = ("doomed", "damaged", "edited")
HERE = ("damaged-login", "edited-anew", "added-login")
GONE = ("edited-login", "doomed-login")


async def _change_everything(scene: Scene) -> None:
    """Delete a resource, with its Secret as the garbage collector would; delete, rename and create others."""
    await scene.delete("doomed", ECR_SECRETS)
    for name in ("doomed-login", "damaged-login"):
        await scene.delete(name)
    await scene.change("edited", {"generated_secret_name": "edited-anew"})
    await scene.create(ecr_secret("added"))


async def _secrets_are(scene: Scene, here: Iterable[str], gone: Iterable[str], within: float) -> None:
    """Wait until some Secrets are there and others are not."""

    async def so() -> bool:
        found = {each["metadata"]["name"] for each in await scene.api.list(SECRETS, scene.namespace)}
        return found >= set(here) and not found & set(gone)

    await wait_for(so, within, f"{here} there and {gone} gone")


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
        await _secrets_are(rough, RESTORED, UNDONE, NOTICED)
        await rough.create(ecr_secret("last"))
        await rough.ready("last", within=NOTICED)
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


async def test_missing_crds_are_reported_once_and_served_when_they_are_installed_again(rough: Scene) -> None:
    await rough.create(ecr_secret("gone"))
    async with rough.operator() as operator:
        await rough.ready("gone")
        rough.mark()
        for name in KINDS:
            await rough.api.delete(CRDS, name)
        await wait_for(lambda: operator.log.read_text().count(ADVICE) == len(KINDS), what="advice for each")
        await rough.delete("gone-login")
        await asyncio.sleep(3 * QUIET)
        # Two collections, asked for again and again but calmly, and nothing made for what is gone.
        assert 2 <= sum(rough.requests().values()) <= 2 * 2 * 8
        await rough.api.install_crds()
        await rough.create(ecr_secret("new"))
        await rough.ready("new", within=RECOVERED)
        assert await rough.find_secret("gone-login") is None
        assert operator.log.read_text().count(ADVICE) == len(KINDS)
