"""ClusterSecrets on the real API server: one resource, a Secret in each of many namespaces."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from lab.api import (
    CLUSTER_SECRETS,
    CRDS,
    ECR_SECRETS,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    ApiError,
    Json,
    Resource,
)
from lab.waiting import LONG, wait_for
from tests.cluster import reading
from tests.cluster.admission import allow_secrets, refuse_secrets
from tests.cluster.builders import core_secret, ecr_secret, registry
from tests.cluster.linked import LINKS, account, link, pulls
from tests.cluster.scene import QUIET, SECRET_WRITE, Scene

LOGIN = "cluster-login"
QUOTAS = Resource("v1", "resourcequotas")
NONE = {"secrets": "0"}


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


async def test_an_operator_that_is_killed_in_the_midst_leaves_nothing_undone(whole: Scene) -> None:
    async with many(whole, 60) as there:
        name = await there.create()
        async with whole.operator(watch="") as operator:
            await there.have_it(there.namespaces[7:8])
            await operator.kill()
        async with whole.operator(watch=""):
            await there.ready(name, 60)
        assert whole.writes()[SECRET_WRITE] <= 60 + 16  # those that were under way
        assert whole.aws.count() <= 2


async def test_a_repair_takes_the_cached_token_and_a_write_of_that_secret_alone(whole: Scene) -> None:
    async with many(whole, 3) as there, whole.operator(watch=""):
        name = await there.create()
        await there.ready(name, 3)
        before = await there.have_it(there.namespaces)
        whole.mark()
        first, second, _ = there.namespaces
        await whole.api.delete(SECRETS, LOGIN, first)
        await whole.api.merge_patch(SECRETS, LOGIN, {"data": {".dockerconfigjson": "e30="}}, second)
        await wait_for(lambda: _have_data(there, before), what="the Secrets as they were")
        await whole.writes_are({SECRET_WRITE: 2})
        assert whole.aws.count() == 1


async def _have_data(there: Many, expected: Sequence[Json]) -> bool:
    found = [await there.secret(each["metadata"]["namespace"]) for each in expected]
    return [each and each["data"] for each in found] == [each["data"] for each in expected]


async def test_trouble_in_one_namespace_is_reported_and_delays_no_other(whole: Scene) -> None:
    async with many(whole, 6) as there, whole.operator(watch=""):
        foreign, full, refused, ending, rival, fine = there.namespaces
        mine = await whole.api.create(core_secret(LOGIN), foreign)
        await whole.api.create(_quota(), full)
        await whole.api.merge_patch(QUOTAS, "none", {"status": {"hard": NONE, "used": NONE}}, full, "status")
        await _refuse(there, refused)
        await whole.api.delete(NAMESPACES, ending)
        await whole.api.create(ecr_secret("older", generated_secret_name=LOGIN), rival)
        await wait_for(partial(there.secret, rival), what="the Secret of the older resource")
        name = await there.create()
        await there.have_it([fine], within=5)
        found = await there.status(name, {"namespaces": {"served": 5, "ready": 1}, "failingCount": 4})
        reasons = {each["namespace"]: each["reason"] for each in found["status"]["failing"]}
        assert reasons == {
            foreign: "SecretConflict",
            full: "KubernetesRefused",
            refused: "KubernetesRefused",
            rival: "SecretConflict",
        }
        assert reading.verdict(found, "Ready") == ("False", "SecretConflict")
        assert foreign in reading.condition(found, "Ready")["message"]
        assert found["status"]["failing"] == sorted(
            found["status"]["failing"], key=lambda each: str(each["namespace"])
        )
        assert (await there.secret(foreign) or {})["data"] == mine["data"]
        await whole.api.delete(SECRETS, LOGIN, foreign)
        await whole.api.delete(QUOTAS, "none", full)
        await allow_secrets(whole, refused)
        await whole.api.delete(ECR_SECRETS, "older", rival)
        await whole.api.delete(SECRETS, LOGIN, rival)
        await there.have_it([foreign, full, refused, rival], within=60)
        await there.ready(name, 5)


def _quota() -> Json:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": NONE}}


async def _refuse(there: Many, namespace: str) -> None:
    """Have an admission policy refuse Secrets in a namespace, and wait until it does."""
    await refuse_secrets(there.scene, ("CREATE",), namespace=namespace, expression="false")

    async def refuses() -> bool:
        try:
            await there.scene.api.create(core_secret("probe"), namespace)
        except ApiError:
            return True
        await there.scene.api.delete(SECRETS, "probe", namespace)
        return False

    await wait_for(refuses, what="a policy that refuses")


async def test_of_two_that_name_one_secret_the_older_has_it_and_the_other_takes_over(whole: Scene) -> None:
    async with many(whole, 3) as there, whole.operator(watch=""):
        first = await there.create(f"{whole.namespace}-a")
        await there.ready(first, 3)
        second = await there.create(f"{whole.namespace}-b")
        found = await there.status(second, {"namespaces": {"served": 3, "ready": 0}, "failingCount": 3})
        assert reading.verdict(found, "Refreshed") == ("False", "SecretConflict")
        assert first in reading.condition(found, "Refreshed")["message"]
        await there.change(first, generated_secret_name="other")  # noqa: S106 - a name
        await there.ready(second, 3, within=60)
        assert all([await there.secret(each, "other") for each in there.namespaces])


async def test_another_selection_moves_the_secrets_and_a_slip_in_it_moves_none(whole: Scene) -> None:
    async with many(whole, 6) as there, whole.operator(watch=""):
        half, others = there.namespaces[:3], there.namespaces[3:]
        name = await there.create()
        await there.ready(name, 6)
        await there.change(name, namespaces={"selector": None, "names": None})
        found = await there.status(name, {"namespaces": {"served": 6, "ready": 6}})
        assert reading.verdict(found, "Ready") == ("True", "Refreshed")
        assert reading.verdict(found, "Refreshed") == ("False", "InvalidSpec")
        await there.change(name, namespaces={"names": [f"{whole.namespace}-*"], "exclude": others})
        await there.ready(name, 3)
        await there.lack_it(others)
        await there.have_it(half)
        await there.change(name, deletion_policy="Orphan")
        await there.ready(name, 3)
        await there.change(name, namespaces={"names": [half[0]], "exclude": None})
        await there.ready(name, 1)
        await asyncio.sleep(QUIET)
        assert all([await there.secret(each) for each in half])


async def test_without_its_crd_one_calm_line_says_so_and_all_else_is_served(rough: Scene) -> None:
    await rough.api.delete(CRDS, "clustersecrets.ecr.mobb.redhat.com")
    await rough.create(ecr_secret("pull"))
    async with rough.operator(watch="") as operator:
        await rough.ready("pull")
        await asyncio.sleep(QUIET)
        lines = [line for line in operator.log.read_text().splitlines() if "clustersecrets" in line.lower()]
        (line,) = [json.loads(line) for line in lines if '"debug"' not in line]
        assert (line["level"], line["message"]) == ("info", "ClusterSecrets are not served")
    await rough.api.install_crds()


async def test_with_watch_namespace_none_is_served_and_none_is_asked_for(whole: Scene) -> None:
    async with many(whole, 1) as there, whole.operator() as operator:
        name = await there.create()
        await whole.create(ecr_secret("pull"))
        await whole.ready("pull")
        await asyncio.sleep(QUIET)
        assert "status" not in await whole.api.get(CLUSTER_SECRETS, name)
        (line,) = [each for each in operator.log.read_text().splitlines() if "are not served" in each]
        assert json.loads(line)["level"] == "info"
        asked = {request.resource for request in whole.requests()}
        assert "clustersecrets.ecr.mobb.redhat.com" not in asked


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
