"""What a user sees when the API server refuses the operator, or lacks its CRDs."""

from functools import partial
from pathlib import Path

from lab.api import ARGO_SECRETS, CRDS, ECR_SECRETS, Api, ApiError, Resource
from lab.kubeconfig import cluster, token_user, write
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import Scene


async def test_credentials_that_the_api_server_refuses_are_reported_in_one_line(
    scene: Scene, tmp_path: Path
) -> None:
    path = tmp_path / "config"
    write(path, cluster(scene.plane.url, scene.plane.authority.encode()), token_user("a-stale-token"))
    async with OperatorProcess(kubeconfig=path) as operator:
        code = await operator.wait()
        lines = operator.log.read_text().splitlines()
    assert (code, len(lines)) == (1, 1), lines
    assert scene.plane.url in lines[0]
    assert "a-stale-token" not in lines[0]


async def test_without_crds_the_log_says_how_to_install_them_and_serves_them_when_they_are_there(
    rough: Scene,
) -> None:
    await _remove_crds(rough.api)
    async with rough.operator() as operator:
        await wait_for(lambda: _advices(operator) == 2, 10, "advice for each kind")
        await rough.api.install_crds()
        await rough.create(ecr_secret("pull"))
        await rough.ready("pull")
        assert _advices(operator) == 2


def _advices(operator: OperatorProcess) -> int:
    return operator.log.read_text().count("kubectl apply -k config/crd")


async def _remove_crds(api: Api) -> None:
    for resource in (ECR_SECRETS, ARGO_SECRETS):
        await api.delete(CRDS, f"{resource.plural}.ecr.mobb.redhat.com")
        await wait_for(partial(_is_unknown, api, resource), 15, f"{resource.plural} gone")


async def _is_unknown(api: Api, resource: Resource) -> bool:
    try:
        await api.list(resource)
    except ApiError as error:
        return error.status == 404
    return False
