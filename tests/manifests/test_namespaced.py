"""The namespaced variant for two namespaces."""

import asyncio

import pytest

from lab.api import ARGO_SECRETS, CLUSTER_SECRETS, ECR_SECRETS, SECRETS, Api, ApiError
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.cluster.builders import argo_secret, cluster_secret, ecr_secret
from tests.cluster.identities.tenancy import ROLE, permit
from tests.manifests.installation import CONFIG, NAMESPACE, Installation, apply, token_of

TEAMS = ("team-a", "team-b")


async def test_the_operator_works_in_both_namespaces_has_no_rights_elsewhere_and_serves_no_clustersecret(
    bare_plane: ControlPlane, aws: LocalAws
) -> None:
    async with bare_plane.api() as api:
        await _work(bare_plane, api, aws)


async def _work(plane: ControlPlane, client: Api, aws: LocalAws) -> None:
    for name in TEAMS:
        await client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await client.install_crds()
    await apply(plane, CONFIG / "namespaced" / "example")
    token = await token_of(client)
    teams = [
        Installation(plane=plane, api=client, aws=aws, namespace=name, account_token=token) for name in TEAMS
    ]
    for team in teams:
        await permit(team, ROLE)
        await team.create(ecr_secret("pull"), argo_secret("charts"), ecr_secret("by-role", role_arn=ROLE))
    await client.create(cluster_secret("everywhere", *TEAMS))
    first = teams[0]
    async with first.operator("--leader-elect", watch=",".join(TEAMS), env={"POD_NAMESPACE": NAMESPACE}):
        for team in teams:
            await team.ready("pull", "by-role")
            await team.ready("charts", kind=ARGO_SECRETS)
            await team.change("pull", {"generated_secret_name": "another"})
            await team.ready("pull")
    assert [await team.find_secret("everywhere-login") for team in teams] == [None, None]
    assert "status" not in await client.get(CLUSTER_SECRETS, "everywhere")
    looks_for_links = {f"list /api/v1/namespaces/{name}/serviceaccounts" for name in TEAMS}
    assert {each.partition("?")[0] for each in first.refusals()} <= looks_for_links
    async with Api(plane.url, token=token, authority=plane.authority) as operator:
        with pytest.raises(ApiError, match="is forbidden"):
            await operator.list(CLUSTER_SECRETS)
        for kind in (SECRETS, ECR_SECRETS, ARGO_SECRETS):
            await asyncio.gather(*(operator.list(kind, team) for team in TEAMS))
            for place in (NAMESPACE, "default", None):
                with pytest.raises(ApiError, match="is forbidden"):
                    await operator.list(kind, place)
