"""A cached token is given only to resources that the cluster's objects still permit to have it."""

from typing import Final

from lab.api import ECR_SECRETS, NAMESPACES, SERVICE_ACCOUNTS, Json
from lab.waiting import wait_for
from tests.cluster.attacks.neighbours import empty
from tests.cluster.builders import ecr_secret
from tests.cluster.identities.tenancy import ROLE, iam_secret, permit, service_account
from tests.cluster.scene import Scene

OTHER_KEY: Final = "AKIAANOTHER000000000"
REFUSED: Final = {"role": "RoleNotPermitted"}


def _spec(name: str) -> Json:
    """Return how a resource names its identity; each has objects of its own."""
    keys, account = {"aws_iam_secret": {"name": f"of-{name}"}}, {"service_account": {"name": f"of-{name}"}}
    role = {"role_arn": ROLE}
    specs: dict[str, Json] = {
        "role": role,
        "keys": keys,
        "keys-role": keys | role,
        "account": account,
        "annotation": account,
        "account-role": account | role,
    }
    return specs[name]


IDENTITIES: Final = ("role", "keys", "keys-role", "account", "annotation", "account-role")


async def _give(scene: Scene) -> None:
    """Create what the identities need."""
    await permit(scene, ROLE)
    await scene.create(
        iam_secret("of-keys"),
        iam_secret("of-keys-role", key=OTHER_KEY),
        service_account("of-account", role=ROLE),
        service_account("of-annotation", role=f"{ROLE}-annotated"),
        service_account("of-account-role"),
    )


async def _take(scene: Scene) -> None:
    """Take away what the identities need, as little as possible."""
    await permit(scene, None)
    await scene.delete("of-keys")
    await scene.delete("of-keys-role")
    await scene.delete("of-account", SERVICE_ACCOUNTS)
    await scene.delete("of-account-role", SERVICE_ACCOUNTS)
    annotations = {"eks.amazonaws.com/role-arn": None}
    patch = {"metadata": {"annotations": annotations}}
    await scene.api.merge_patch(SERVICE_ACCOUNTS, "of-annotation", patch, scene.namespace)


def _login(name: str) -> str:
    return f"{name}-login"


async def _create(scene: Scene, prefix: str) -> list[str]:
    """Create a resource of each identity, and return their names."""
    names = [f"{prefix}-{name}" for name in IDENTITIES]
    await scene.create(
        *(ecr_secret(name, **_spec(each)) for name, each in zip(names, IDENTITIES, strict=True))
    )
    return names


async def _refused(scene: Scene, names: list[str], calls: int) -> None:
    """Assert that resources get nothing, for the right reason, and that AWS was not asked."""
    for name, identity in zip(names, IDENTITIES, strict=True):
        await scene.told(name, "False", REFUSED.get(identity, "CredentialsMissing"))
        assert await scene.find_secret(_login(name)) is None, f"{name} has a token"
    assert scene.aws.calls[calls:] == []


async def _create_again(scene: Scene) -> None:
    await empty(scene, scene.namespace)

    async def gone() -> bool:
        return await scene.api.find(NAMESPACES, scene.namespace) is None

    await wait_for(gone, what="the namespace gone")
    await scene.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.namespace}})


async def test_what_is_taken_away_ends_for_new_resources_repairs_and_resources_created_again(
    scene: Scene,
) -> None:
    await _give(scene)
    async with scene.operator():
        old = await _create(scene, "old")
        await scene.ready(*old)
        calls, before = len(scene.aws.calls), await scene.secrets(*map(_login, old))
        # While permitted, a repair asks no AWS.
        for name in old:
            await scene.delete(_login(name))
            await scene.appears(_login(name))
        repaired = await scene.secrets(*map(_login, old))
        assert [each["data"] for each in repaired] == [each["data"] for each in before]
        await _take(scene)
        await _refused(scene, await _create(scene, "new"), calls)
        # The last good token stays in its place, and is not given back once it is deleted.
        assert await scene.secrets(*map(_login, old)) == repaired
        for name in old:
            await scene.delete(_login(name))
        await _refused(scene, old, calls)
        for name in old:
            await scene.delete(name, ECR_SECRETS)
        await _refused(scene, await _create(scene, "again"), calls)


async def test_a_namespace_created_again_gets_nothing_of_the_former_one(scene: Scene) -> None:
    await _give(scene)
    async with scene.operator():
        await scene.ready(*await _create(scene, "old"))
        calls = len(scene.aws.calls)
        await _create_again(scene)
        await scene.create(service_account("of-annotation"))
        await _refused(scene, await _create(scene, "again"), calls)
        # Permitted again under its old name it is another tenant: AWS is asked, and refuses the role.
        await permit(scene, ROLE)
        scene.aws.services.trust = {}
        await scene.create(ecr_secret("permitted", role_arn=ROLE))
        await scene.told("permitted", "False", "AccessDenied")
