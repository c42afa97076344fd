"""A write that fails, or whose answer is lost, is made again and ends well."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from lab.fault_proxy import HTML, FaultProxy
from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.concurrent import waits
from tests.cluster.scene import Scene

# A call of the operator's gives up after 20 s.
CALL_LIMIT = 20.0
LOGIN = r"^/api/v1/namespaces/[^/]+/secrets/pull-login$"
STATUS = r"/secrets/pull/status$"
TIMES = 3

Break = Callable[[FaultProxy, str], object]

FAILURES: Mapping[str, Break] = {
    "409": lambda proxy, path: proxy.answer(409, verb="patch", path=path, times=TIMES),
    "500": lambda proxy, path: proxy.answer(500, verb="patch", path=path, times=TIMES),
    "html-with-200": lambda proxy, path: proxy.answer(200, body=HTML, verb="patch", path=path, times=TIMES),
    "an-empty-200": lambda proxy, path: proxy.answer(200, body=b"", verb="patch", path=path, times=TIMES),
    "a-reset-connection": lambda proxy, path: proxy.drop(verb="patch", path=path, times=TIMES),
    "500-although-it-was-done": lambda proxy, path: proxy.answer(
        500, after=True, verb="patch", path=path, times=1
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failed_write_of_secret_and_status_is_repeated(scene: Scene, failure: str) -> None:
    def spoil(proxy: FaultProxy) -> None:
        for path in (LOGIN, STATUS):
            FAILURES[failure](proxy, path)

    await _ends_well(scene, spoil, within=30)


@waits
async def test_a_write_that_never_gets_an_answer_is_made_again(scene: Scene) -> None:
    def spoil(proxy: FaultProxy) -> None:
        proxy.hang(verb="patch", path=LOGIN, times=1, after=True)
        proxy.hang(verb="patch", path=STATUS, times=1)

    await _ends_well(scene, spoil, within=2 * CALL_LIMIT + 10)


async def _ends_well(scene: Scene, spoil: Callable[[FaultProxy], object], within: float) -> None:
    async with FaultProxy(scene.kubeconfig) as proxy:
        scene.kubeconfig = proxy.kubeconfig
        spoil(proxy)
        await scene.create(ecr_secret("pull"))
        async with scene.operator() as operator:
            (resource,) = await scene.ready("pull", within=within + 20)
            assert operator.running
        assert any(each.fault for each in proxy.requests)
    assert reading.verdict(resource, "Ready") == ("True", "Refreshed")
    assert (await scene.token("pull-login")).serial == 1
    assert scene.aws.count() == 1


async def test_retry_after_is_obeyed_by_a_write_and_delays_no_other(scene: Scene) -> None:
    async with FaultProxy(scene.kubeconfig) as proxy:
        scene.kubeconfig = proxy.kubeconfig
        for path in (LOGIN, STATUS):
            proxy.answer(429, headers={"Retry-After": "4"}, verb="patch", path=path, times=1)
        await scene.create(ecr_secret("pull"), ecr_secret("other"))
        async with scene.operator():
            await scene.ready("pull", within=30)
        for path in (LOGIN, STATUS):
            refused, again = (each.at for each in proxy.asked(verb="patch", path=path)[:2])
            assert again - refused >= 4
        # The other resource doesn't wait for it.
        other = [each.at for each in proxy.asked(verb="patch", path=r"/secrets/other/status$")]
        assert other[0] < proxy.asked(verb="patch", path=LOGIN)[1].at


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
            await rough.ready("pull", within=30)
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
