"""An operator for two namespaces: at work in both, with no right anywhere else."""

import asyncio

import pytest

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Api, ApiError
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.identities.tenancy import ROLE, permit
from tests.manifests.installation import CONFIG, NAMESPACE, Installation, apply, build, token_of

TEAMS = ("team-a", "team-b")


@pytest.fixture
async def installed_client(plane: ControlPlane, client: Api) -> Api:
    """A client with all rights, and the variant for two namespaces installed."""
    for name in TEAMS:
        await client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await apply(plane, CONFIG / "crd")
    await apply(plane, CONFIG / "namespaced" / "example")
    await client.crds_served(each["metadata"]["name"] for each in build(CONFIG / "crd"))
    return client


@pytest.fixture
async def teams(plane: ControlPlane, installed_client: Api, aws: LocalAws) -> list[Installation]:
    """A scene in each of the two namespaces, for one and the same ServiceAccount."""
    token = await token_of(installed_client)
    return [
        Installation(plane=plane, api=installed_client, aws=aws, namespace=name, account_token=token)
        for name in TEAMS
    ]


async def test_the_operator_works_in_both_namespaces(teams: list[Installation]) -> None:
    for team in teams:
        await permit(team, ROLE)
        await team.create(ecr_secret("pull"), argo_secret("charts"), ecr_secret("by-role", role_arn=ROLE))
    first = teams[0]
    async with first.operator("--leader-elect", watch=",".join(TEAMS), env={"POD_NAMESPACE": NAMESPACE}):
        for team in teams:
            await team.ready("pull", "by-role")
            await team.ready("charts", kind=ARGO_SECRETS)
            await team.change("pull", {"generated_secret_name": "another"})
            await team.ready("pull")
    looks_for_links = {f"list /api/v1/namespaces/{name}/serviceaccounts" for name in TEAMS}
    assert {each.partition("?")[0] for each in first.refusals()} <= looks_for_links


@pytest.mark.parametrize("place", [NAMESPACE, "default", None], ids=["its own", "another", "all"])
async def test_the_operator_has_no_rights_elsewhere(
    plane: ControlPlane, installed_client: Api, place: str | None
) -> None:
    async with Api(plane.url, token=await token_of(installed_client), authority=plane.authority) as operator:
        for kind in (SECRETS, ECR_SECRETS, ARGO_SECRETS):
            with pytest.raises(ApiError, match="is forbidden"):
                await operator.list(kind, place)
            await asyncio.gather(*(operator.list(kind, team) for team in TEAMS))
