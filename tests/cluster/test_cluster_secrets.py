"""ClusterSecrets on the real API server: one resource, a Secret in each of many namespaces."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from lab.api import CLUSTER_SECRETS, NAMESPACES, SECRETS, SERVICE_ACCOUNTS, Json, Resource
from lab.waiting import LONG, wait_for
from tests.cluster import reading
from tests.cluster.admission import refuse_secrets
from tests.cluster.builders import cluster_secret, core_secret, ecr_secret
from tests.cluster.linked import LINKS, account, link, pulls
from tests.cluster.ownership.conflicts import owner_reference
from tests.cluster.scene import SECRET_WRITE, Scene

LOGIN = "cluster-login"
QUOTAS = Resource("v1", "resourcequotas")
NONE = {"secrets": "0"}


class Many:
    """A number of namespaces with a label of their own, and a ClusterSecret that serves these."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.label = {"tests/of": scene.namespace}
        self.namespaces: list[str] = []
        self.made = ""

    async def add(self, count: int, *, labelled: bool = True) -> list[str]:
        """Create namespaces."""
        names = [f"{self.scene.namespace}-{len(self.namespaces) + place:03}" for place in range(count)]
        self.namespaces += names
        labels = self.label if labelled else {}

        async def create(name: str) -> None:
            metadata = {"name": name, "labels": labels}
            await self.scene.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

        for first in range(0, count, 8):
            await asyncio.gather(*map(create, names[first : first + 8]))
        return names

    async def create(self, **spec: Any) -> str:
        """Create a ClusterSecret for the namespaces with the label, and return its name."""
        name = self.scene.namespace
        chosen = {"selector": {"matchLabels": self.label}}
        await self.scene.api.create(
            cluster_secret(name, **{"generated_secret_name": LOGIN, "namespaces": chosen, **spec})
        )
        self.made = name
        return name

    async def label_namespace(self, name: str, value: str | None) -> None:
        """Set the label of a namespace, or remove it."""
        patch = {"metadata": {"labels": dict.fromkeys(self.label, value)}}
        await self.scene.api.merge_patch(NAMESPACES, name, patch)

    async def secret(self, namespace: str) -> Json | None:
        """Return the Secret in a namespace, or None."""
        return await self.scene.api.find(SECRETS, LOGIN, namespace)

    async def have_it(self, namespaces: Sequence[str], within: float = LONG) -> list[Json]:
        """Wait until each namespace has the Secret, and return them."""
        return [
            await wait_for(partial(self.secret, each), within, f"the Secret in {each}") for each in namespaces
        ]

    async def lack_it(self, namespaces: Sequence[str], within: float = LONG) -> None:
        """Wait until no namespace has the Secret."""
        for each in namespaces:

            async def gone(each: str = each) -> bool:
                return await self.secret(each) is None

            await wait_for(gone, within, f"no Secret in {each}")

    async def status(self, name: str, expected: Mapping[str, Any], within: float = LONG) -> Json:
        """Wait until a ClusterSecret's status of its present generation has these fields, and return it."""

        async def look() -> Json | None:
            found = await self.scene.api.get(CLUSTER_SECRETS, name)
            status = found.get("status", {})
            fits = all(status.get(key) == value for key, value in expected.items())
            return found if fits and reading.is_current(found) else None

        return await wait_for(look, within, f"{name}: {expected}")

    async def ready(self, name: str, count: int, within: float = LONG) -> Json:
        """Wait until a ClusterSecret is Ready in that many namespaces."""
        expected = {"namespaces": {"served": count, "ready": count}, "phase": "Updated"}
        found = await self.status(name, expected, within)
        assert reading.verdict(found, "Ready") == ("True", "Refreshed")
        return found


@asynccontextmanager
async def many(scene: Scene, count: int = 0) -> AsyncIterator[Many]:
    """Namespaces, which are removed at the end with the ClusterSecret of the test."""
    found = Many(scene)
    await found.add(count)
    yield found
    if found.made and await scene.api.find(CLUSTER_SECRETS, found.made):
        await scene.api.delete(CLUSTER_SECRETS, found.made)
    for name in found.namespaces:
        await scene.clear(name)
        await scene.api.end_namespace(name)


async def test_each_namespace_gets_the_secret_by_one_call_and_one_write_also_a_new_one(whole: Scene) -> None:
    async with many(whole, 12) as there, whole.operator(watch=""):
        name = await there.create()
        secrets = await there.have_it(there.namespaces)
        found = await there.ready(name, 12)
        assert all(each["metadata"]["ownerReferences"] == [owner_reference(found)] for each in secrets)
        assert whole.aws.count() == 1
        assert whole.writes()[SECRET_WRITE] == 12
        assert found["status"]["readyNamespaces"] == "12/12"
        late = await there.add(1)
        await there.have_it(late, within=3)
        (other,) = await there.add(1, labelled=False)
        await there.label_namespace(other, whole.namespace)
        await there.have_it([other], within=3)
        await there.ready(name, 14)
        await there.label_namespace(late[0], None)
        await there.lack_it(late)
        await there.ready(name, 13)
        assert whole.aws.count() == 1


async def test_a_restart_costs_nothing_and_acts_on_what_changed_meanwhile(whole: Scene) -> None:
    async with many(whole, 6) as there:
        name = await there.create(link_service_accounts=[link("*")])
        async with whole.operator(watch=""):
            await there.ready(name, 6)
        whole.mark()
        whole.aws.calls.clear()
        async with whole.operator(watch=""):
            await whole.watching(6)
            await whole.writes_are({})
            assert whole.aws.count() == 0
        first, second = there.namespaces[:2]
        await there.label_namespace(first, None)
        await whole.api.delete(SECRETS, LOGIN, second)
        (new,) = await there.add(1)
        async with whole.operator(watch=""):
            await there.lack_it([first])
            await there.have_it([second, new])
            await there.ready(name, 6)


async def test_trouble_in_one_namespace_is_reported_and_delays_no_other(whole: Scene) -> None:
    async with many(whole, 6) as there, whole.operator(watch=""):
        foreign, full, refused, ending, rival, fine = there.namespaces
        mine = await whole.api.create(core_secret(LOGIN), foreign)
        await whole.api.create(_quota(), full)
        await whole.api.merge_patch(QUOTAS, "none", {"status": {"hard": NONE, "used": NONE}}, full, "status")
        await refuse_secrets(whole, ("CREATE",), "probe", namespace=refused, expression="false")
        await whole.api.delete(NAMESPACES, ending)
        await whole.api.create(ecr_secret("older", generated_secret_name=LOGIN), rival)
        await wait_for(partial(there.secret, rival), what="the Secret of the older resource")
        name = await there.create()
        await there.have_it([fine], within=5)
        found = await there.status(name, {"namespaces": {"served": 5, "ready": 1}, "failingCount": 4})
        reasons = {each["namespace"]: each["reason"] for each in found["status"]["failing"]}
        conflicts = dict.fromkeys((foreign, rival), "SecretConflict")
        assert reasons == conflicts | dict.fromkeys((full, refused), "KubernetesRefused")
        assert (await there.secret(foreign) or {})["data"] == mine["data"]


def _quota() -> Json:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": NONE}}


async def test_service_accounts_of_each_namespace_are_linked_and_unlinked_where_it_is_withdrawn(
    whole: Scene,
) -> None:
    async with many(whole, 2) as there:
        first, second = there.namespaces
        for namespace in there.namespaces:
            await whole.api.create(account("builder", pull=("own",)), namespace)
        async with whole.operator(watch=""):
            name = await there.create(link_service_accounts=[link("builder", "pull", "mount"), link("*")])
            await wait_for(lambda: _pulls(there, ["own", LOGIN], ["own", LOGIN]), what="links in both")
            found = await whole.api.get(SERVICE_ACCOUNTS, "builder", first)
            assert f'"ClusterSecret/{name}"' in found["metadata"]["annotations"][LINKS]
            await there.label_namespace(second, None)
            await wait_for(lambda: _pulls(there, ["own", LOGIN], ["own"]), what="one link less")
            await whole.api.delete(CLUSTER_SECRETS, name)
            await wait_for(lambda: _pulls(there, ["own"], ["own"]), what="no link left")


async def _pulls(there: Many, *expected: Sequence[str]) -> bool:
    found = [await there.scene.api.get(SERVICE_ACCOUNTS, "builder", each) for each in there.namespaces]
    return [pulls(each) for each in found] == list(map(list, expected))
