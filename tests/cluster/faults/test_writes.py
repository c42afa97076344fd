"""A write that fails, or whose answer is lost, is made again and ends well."""

import asyncio
import itertools
from collections.abc import Callable, Mapping

from lab.fault_proxy import HTML, FaultProxy
from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.concurrent import waits
from tests.cluster.scene import Scene

# A call of the operator's gives up after 20 s.
CALL_LIMIT = 20.0
LOGIN = r"^/api/v1/namespaces/[^/]+/secrets/{}-login$"
STATUS = r"/secrets/{}/status$"
TIMES = 3

Break = Callable[[FaultProxy, str], object]

# What happens to the first writes of the Secret and of the status, by the resource's name.
FAILURES: Mapping[str, Break] = {
    "conflict": lambda proxy, path: proxy.answer(409, verb="patch", path=path, times=TIMES),
    "failed": lambda proxy, path: proxy.answer(500, verb="patch", path=path, times=TIMES),
    "html": lambda proxy, path: proxy.answer(200, body=HTML, verb="patch", path=path, times=TIMES),
    "empty": lambda proxy, path: proxy.answer(200, body=b"", verb="patch", path=path, times=TIMES),
    "reset": lambda proxy, path: proxy.drop(verb="patch", path=path, times=TIMES),
    "done-and-failed": lambda proxy, path: proxy.answer(500, after=True, verb="patch", path=path, times=1),
    "no-answer": lambda proxy, path: proxy.hang(verb="patch", path=path, times=1, after="login" in path),
}


@waits
async def test_failed_writes_of_secret_and_status_are_repeated(scene: Scene) -> None:
    async with FaultProxy(scene.kubeconfig) as proxy:
        scene.kubeconfig = proxy.kubeconfig
        for (name, spoil), path in itertools.product(FAILURES.items(), (LOGIN, STATUS)):
            spoil(proxy, path.format(name))
        await scene.create(*map(ecr_secret, FAILURES))
        async with scene.operator() as operator:
            resources = await scene.ready(*FAILURES, within=2 * CALL_LIMIT + 40)
            assert operator.running
        assert all(_was_hit(proxy, path.format(name)) for name in FAILURES for path in (LOGIN, STATUS))
    assert {reading.verdict(each, "Ready") for each in resources} == {("True", "Refreshed")}
    assert {(await scene.token(f"{name}-login")).serial for name in FAILURES} == {1}
    assert scene.aws.count() == 1


def _was_hit(proxy: FaultProxy, path: str) -> bool:
    return any(each.fault for each in proxy.asked(verb="patch", path=path))


async def test_retry_after_is_obeyed_by_a_write_and_delays_no_other(scene: Scene) -> None:
    async with FaultProxy(scene.kubeconfig) as proxy:
        scene.kubeconfig = proxy.kubeconfig
        login, status = LOGIN.format("pull"), STATUS.format("pull")
        for path in (login, status):
            proxy.answer(429, headers={"Retry-After": "4"}, verb="patch", path=path, times=1)
        await scene.create(ecr_secret("pull"), ecr_secret("other"))
        async with scene.operator():
            await scene.ready("pull")
        for path in (login, status):
            refused, again = (each.at for each in proxy.asked(verb="patch", path=path)[:2])
            assert again - refused >= 4
        # The other resource doesn't wait for it.
        other = [each.at for each in proxy.asked(verb="patch", path=r"/secrets/other/status$")]
        assert other[0] < proxy.asked(verb="patch", path=login)[1].at


async def test_a_namespace_that_is_being_deleted_costs_few_writes(rough: Scene) -> None:
    await rough.create(ecr_secret("pull"))
    # Something that lets no controller finish.
    holder = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "holder", "finalizers": ["lab/holder"]},
    }
    await rough.create(holder)
    try:
        async with rough.operator() as operator:
            await rough.ready("pull")
            await rough.api.request("DELETE", f"/api/v1/namespaces/{rough.namespace}")
            await rough.delete("pull-login")
            rough.mark()
            await rough.told("pull", "False", "KubernetesRefused")
            await asyncio.sleep(6)
            assert operator.running
        assert sum(rough.writes("pull-login").values()) <= 8
        assert sum(rough.writes("pull").values()) <= 2
    finally:
        path = f"/api/v1/namespaces/{rough.namespace}/configmaps/holder"
        body = {"metadata": {"finalizers": None}}
        await rough.api.request("PATCH", path, body=body, content_type="application/merge-patch+json")
    assert rough.aws.count() == 1
