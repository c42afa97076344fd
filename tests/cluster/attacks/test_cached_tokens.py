"""A cached token is given only to resources that the cluster's objects still permit to have it."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from lab.api import ECR_SECRETS, NAMESPACES, SERVICE_ACCOUNTS, Json
from lab.aws import Trust
from lab.waiting import wait_for
from tests.cluster.attacks.figures import Scale
from tests.cluster.attacks.neighbours import empty
from tests.cluster.builders import ecr_secret
from tests.cluster.identities.tenancy import ROLE, TENANT_KEY, iam_secret, permit, service_account, signer
from tests.cluster.scene import Scene

OTHER_KEY: Final = "AKIAANOTHER000000000"
# Of the contract: calls after drops and changes, per identity and region.
MOST_CALLS: Final = 10
SHORTEST_GAP: Final = 1.0
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


async def test_resources_created_again_with_nothing_left_of_their_identity_get_nothing(scene: Scene) -> None:
    await _give(scene)
    async with scene.operator():
        old = await _create(scene, "old")
        await scene.ready(*old)
        calls = len(scene.aws.calls)
        await _take(scene)
        for name in old:
            await scene.delete(name, ECR_SECRETS)
            await scene.delete(_login(name))
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


async def test_a_service_account_counts_as_it_is_now(scene: Scene) -> None:
    account: Json = {"service_account": {"name": "ci"}}
    await scene.create(service_account(role=ROLE), ecr_secret("pull", **account))
    async with scene.operator():
        await scene.ready("pull")
        weaker = service_account(role=f"{ROLE}-weaker")
        await scene.api.apply(weaker, scene.namespace, manager="Mozilla")
        await scene.create(ecr_secret("new", **account))
        await scene.ready("new")
        assert await signer(scene, "new-login") == f"{ROLE}-weaker"
        # One created again has no session of the former one.
        await scene.delete("ci", SERVICE_ACCOUNTS)
        await scene.create(weaker)
        scene.aws.services.trust = {f"{ROLE}-weaker": Trust(subjects=frozenset({"nobody"}))}
        await scene.create(ecr_secret("again", **account))
        await scene.told("again", "False", "AccessDenied")


async def test_a_new_resource_gets_a_token_of_the_keys_that_are_there_now(scene: Scene) -> None:
    names = ("edited", "again")
    keys: dict[str, Json] = {name: {"aws_iam_secret": {"name": f"keys-{name}"}} for name in names}
    await scene.create(*(iam_secret(f"keys-{name}") for name in names))
    await scene.create(*(ecr_secret(name, **keys[name]) for name in names))
    async with scene.operator():
        await scene.ready(*names)
        assert {await signer(scene, _login(name)) for name in names} == {TENANT_KEY}
        await scene.delete("keys-again")
        for name in names:
            await scene.api.apply(iam_secret(f"keys-{name}", key=OTHER_KEY), scene.namespace)
            await scene.create(ecr_secret(f"new-{name}", **keys[name]))
            await scene.ready(f"new-{name}")
            assert await signer(scene, f"new-{name}-login") == OTHER_KEY


async def test_the_operators_own_token_goes_only_where_it_is_permitted_now(scene: Scene) -> None:
    async def label(value: str | None) -> None:
        await scene.api.merge_patch(NAMESPACES, scene.namespace, {"metadata": {"labels": {"team": value}}})

    await label("x")
    await scene.create(ecr_secret("pull"))
    async with scene.operator("--ambient-credentials=team=x"):
        await scene.ready("pull")
        await label(None)
        await scene.create(ecr_secret("new"))
        await scene.told("new", "False", "RoleNotPermitted")
        assert await scene.find_secret("new-login") is None
    assert scene.aws.count() == 1


@dataclass(frozen=True, kw_only=True)
class Drop:
    """A way to make the operator drop a token.

    Attributes:
        name: of the Secret with keys.
        keys: access key ids that are in it in turn.
        act: is done before a new resource takes the place of the old one.
    """

    name: str
    keys: tuple[str, ...]
    act: Callable[[Scene, Json], Awaitable[object]]

    async def cycle(self, scene: Scene, number: int) -> None:
        """Drop the token, and ask for one."""
        await self.act(scene, iam_secret(self.name, self.keys[number % len(self.keys)]))
        await scene.delete(f"{self.name}-{number}", ECR_SECRETS)
        await scene.create(ecr_secret(f"{self.name}-{number + 1}", aws_iam_secret={"name": self.name}))


async def _nothing(scene: Scene, secret: Json) -> None:
    """The resource alone is created again."""


async def _exchange(scene: Scene, secret: Json) -> None:
    await scene.api.apply(secret, scene.namespace)


async def _replace(scene: Scene, secret: Json) -> None:
    await scene.delete(secret["metadata"]["name"])
    await scene.create(secret)


DROPS: Final = (
    Drop(name="resource", keys=("AKIARESOURCE00000000",), act=_nothing),
    Drop(name="exchanged", keys=("AKIAONE0000000000000", "AKIATWO0000000000000"), act=_exchange),
    Drop(name="replaced", keys=("AKIAREPLACED00000000",), act=_replace),
)


async def test_aws_can_not_be_hammered_by_dropping_tokens(scene: Scene) -> None:
    seconds = Scale.chosen().of(13.0, 60.0)
    for drop in DROPS:
        await scene.create(
            iam_secret(drop.name, drop.keys[0]),
            ecr_secret(f"{drop.name}-0", aws_iam_secret={"name": drop.name}),
        )
    async with scene.operator("--zap-log-level=info"):
        await scene.ready(*(f"{drop.name}-0" for drop in DROPS))
        until = time.monotonic() + seconds
        cycles = 0
        while time.monotonic() < until or cycles <= 2 * MOST_CALLS:
            await asyncio.gather(*(drop.cycle(scene, cycles) for drop in DROPS))
            cycles += 1
            await asyncio.sleep(0.1)
    for drop in DROPS:
        calls = [call.at for call in scene.aws.calls if call.access_key in drop.keys]
        gaps = [round(later - earlier, 2) for earlier, later in itertools.pairwise(calls)]
        said = f"{drop.name}: {len(calls)} calls to AWS of {cycles} drops, {gaps} s apart"
        print(said)
        assert len(calls) <= MOST_CALLS + 1, said
        # A call that was sent later may arrive with less delay.
        assert min(gaps, default=SHORTEST_GAP) >= SHORTEST_GAP - 0.1, said
