"""A link to every ServiceAccount of a namespace, on the real API server."""

from lab.api import SERVICE_ACCOUNTS
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.linked import ACCOUNT_WRITE, account, link
from tests.cluster.scene import Scene

MANY = 60


async def _linked(scene: Scene) -> set[str]:
    """Return the ServiceAccounts whose pods pull with the generated Secret."""
    found = await scene.api.list(SERVICE_ACCOUNTS, scene.namespace)
    entry = {"name": "pull-login"}
    return {each["metadata"]["name"] for each in found if entry in each.get("imagePullSecrets", ())}


async def test_every_service_account_is_linked_also_a_new_one_and_unlinked_again(scene: Scene) -> None:
    names = {f"app-{number}" for number in range(MANY)}
    await scene.create(*map(account, sorted(names)))
    await scene.create(ecr_secret("pull", link_service_accounts=[link("*")]))
    async with scene.operator():
        await scene.ready("pull")
        await wait_for(lambda: _are_linked(scene, names), 20, "all linked")
        assert scene.writes()[ACCOUNT_WRITE] == len(names)
        await scene.create(account("new"))
        await wait_for(lambda: _are_linked(scene, names | {"new"}), 10, "the new one linked")
        await scene.ready("pull")
    scene.mark()
    async with scene.operator():
        await scene.watching(4)
        await scene.writes_are({})
        await scene.change("pull", {"link_service_accounts": []})
        await wait_for(lambda: _are_linked(scene, set()), 20, "all unlinked")


async def _are_linked(scene: Scene, names: set[str]) -> bool:
    return await _linked(scene) == names
