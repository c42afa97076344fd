"""ClusterSecrets on the real API server: one resource, a Secret in each of many namespaces."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from lab.api import NAMESPACES, SECRETS, Json, Resource
from lab.audit import Request
from lab.waiting import LONG, wait_for
from tests.cluster import reading
from tests.cluster.builders import registry
from tests.cluster.scene import SECRET_WRITE, Scene

CLUSTER_SECRETS = Resource("ecr.mobb.redhat.com/v1alpha1", "clustersecrets", namespaced=False)
CLUSTER_STATUS_WRITE = Request("patch", "clustersecrets.ecr.mobb.redhat.com", "status")
LOGIN = "cluster-login"


class Many:
    """A number of namespaces with a label of their own, and ClusterSecrets that serve these."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.label = {"tests/of": scene.namespace}
        self.namespaces: list[str] = []
        self.made: list[str] = []

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

    async def create(self, name: str = "", **spec: Any) -> str:
        """Create a ClusterSecret for the namespaces with the label, unless the spec says otherwise."""
        name = name or self.scene.namespace
        spec = {
            "generated_secret_name": LOGIN,
            "ecr_registry": registry(),
            "namespaces": {"selector": {"matchLabels": self.label}},
            **spec,
        }
        manifest = {
            "apiVersion": "ecr.mobb.redhat.com/v1alpha1",
            "kind": "ClusterSecret",
            "metadata": {"name": name},
            "spec": spec,
        }
        await self.scene.api.create(manifest)
        self.made.append(name)
        return name

    async def label_namespace(self, name: str, value: str | None) -> None:
        """Set the label of a namespace, or remove it."""
        patch = {"metadata": {"labels": dict.fromkeys(self.label, value)}}
        await self.scene.api.merge_patch(NAMESPACES, name, patch)

    async def change(self, name: str, **spec: Any) -> None:
        """Change fields of a spec."""
        await self.scene.api.merge_patch(CLUSTER_SECRETS, name, {"spec": spec})

    async def secret(self, namespace: str, name: str = LOGIN) -> Json | None:
        """Return a Secret, or None."""
        return await self.scene.api.find(SECRETS, name, namespace)

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
    """Namespaces, which are removed at the end with the ClusterSecrets of the test."""
    found = Many(scene)
    await found.add(count)
    yield found
    for name in found.made:
        if await scene.api.find(CLUSTER_SECRETS, name):
            await scene.api.delete(CLUSTER_SECRETS, name)
    for name in found.namespaces:
        await scene.clear(name)
        await scene.api.end_namespace(name)


async def test_each_namespace_gets_the_secret_by_one_call_and_one_write_also_a_new_one(whole: Scene) -> None:
    async with many(whole, 12) as there, whole.operator(watch=""):
        name = await there.create()
        secrets = await there.have_it(there.namespaces)
        found = await there.ready(name, 12)
        uid = found["metadata"]["uid"]
        owners = {
            (one["kind"], one["uid"], one["controller"])
            for each in secrets
            for one in each["metadata"]["ownerReferences"]
        }
        assert owners == {("ClusterSecret", uid, True)}
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
