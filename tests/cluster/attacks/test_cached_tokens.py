"""A cached token goes only to whom the cluster's objects still permit it; counts, of one operator's run."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from lab import rights
from lab.api import ARGO_SECRETS, ECR_SECRETS, NAMESPACES, SECRETS, SERVICE_ACCOUNTS, Json
from lab.aws import LocalAws, Trust
from lab.control_plane import ControlPlane
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.attacks.figures import Scale
from tests.cluster.builders import ecr_secret
from tests.cluster.identities.tenancy import (
    ROLE,
    TENANT_KEY,
    iam_secret,
    permit,
    service_account,
    signer,
)
from tests.cluster.scene import Scene

OTHER_KEY: Final = "AKIAANOTHER000000000"
# Of the contract: calls after drops and changes, per identity and region.
MOST_CALLS: Final = 10
SHORTEST_GAP: Final = 1.0
_OURS: Final = (ECR_SECRETS, ARGO_SECRETS, SECRETS, SERVICE_ACCOUNTS)


@pytest.fixture
async def scene(attacked_plane: ControlPlane, aws: LocalAws) -> AsyncIterator[Scene]:
    """A namespace that may be deleted and made again."""
    async with attacked_plane.api() as api:
        await rights.grant(api)
        scene = Scene(plane=attacked_plane, api=api, aws=aws, namespace=await api.create_namespace("tenant"))
        yield scene
        for kind in _OURS:
            await api.delete_all(kind, scene.namespace)
        await api.end_namespace(scene.namespace)
        assert scene.refusals() == []


async def _no_annotation(scene: Scene) -> None:
    await permit(scene, None)


async def _no_keys(scene: Scene) -> None:
    await scene.delete("keys")


async def _no_account(scene: Scene) -> None:
    await scene.delete("ci", SERVICE_ACCOUNTS)


async def _no_role(scene: Scene) -> None:
    annotations = {"eks.amazonaws.com/role-arn": None}
    await scene.api.merge_patch(
        SERVICE_ACCOUNTS, "ci", {"metadata": {"annotations": annotations}}, scene.namespace
    )


@dataclass(frozen=True, kw_only=True)
class Named:
    """An identity that a resource names.

    Attributes:
        spec: how it is named.
        give: makes what it needs in the namespace.
        take: takes that away.
        reason: of the resource from then on.
    """

    spec: dict[str, Any]
    give: Callable[[Scene], Awaitable[None]]
    take: Callable[[Scene], Awaitable[None]]
    reason: str


ACCOUNT: Final[dict[str, Any]] = {"service_account": {"name": "ci"}}
NAMED: Final = {
    "a permitted role": Named(
        spec={"role_arn": ROLE},
        give=lambda scene: permit(scene, ROLE),
        take=_no_annotation,
        reason="RoleNotPermitted",
    ),
    "keys in a Secret": Named(
        spec={"aws_iam_secret": {"name": "keys"}},
        give=lambda scene: scene.create(iam_secret()),
        take=_no_keys,
        reason="CredentialsMissing",
    ),
    "keys in a Secret and a role": Named(
        spec={"aws_iam_secret": {"name": "keys"}, "role_arn": ROLE},
        give=lambda scene: scene.create(iam_secret()),
        take=_no_keys,
        reason="CredentialsMissing",
    ),
    "a ServiceAccount": Named(
        spec=ACCOUNT,
        give=lambda scene: scene.create(service_account(role=ROLE)),
        take=_no_account,
        reason="CredentialsMissing",
    ),
    "a ServiceAccount's role": Named(
        spec=ACCOUNT,
        give=lambda scene: scene.create(service_account(role=ROLE)),
        take=_no_role,
        reason="CredentialsMissing",
    ),
    "a ServiceAccount and a role": Named(
        spec={**ACCOUNT, "role_arn": ROLE},
        give=lambda scene: scene.create(service_account()),
        take=_no_account,
        reason="CredentialsMissing",
    ),
}
each_identity: Final = pytest.mark.parametrize("named", NAMED.values(), ids=NAMED)


async def _refused(scene: Scene, name: str, named: Named, calls: int) -> None:
    """Assert that a resource gets nothing, for the right reason, and that AWS was not asked."""

    async def look() -> Json | None:
        resource = await scene.resource(name)
        return resource if reading.condition(resource, "Refreshed") else None

    resource = await wait_for(look, 20, f"a status of {name}")
    secret = await scene.find_secret(f"{name}-login")
    said = (*reading.verdict(resource, "Ready"), "no Secret" if secret is None else "a Secret with a token")
    asked = len(scene.aws.calls) - calls
    assert said == ("False", named.reason, "no Secret"), f"{name}: {said}, after {asked} calls to AWS"
    assert not asked, f"{name}: {said}, after calls to AWS: {scene.aws.calls[calls:]}"


async def _make_again(scene: Scene) -> None:
    """Delete the namespace with all that is in it, and make an empty one of the same name."""
    for kind in _OURS:
        await scene.api.delete_all(kind, scene.namespace)
    await scene.api.end_namespace(scene.namespace)
    await scene.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.namespace}})


@each_identity
async def test_a_namespace_made_again_gets_nothing_of_the_former_one(scene: Scene, named: Named) -> None:
    await named.give(scene)
    await scene.create(ecr_secret("pull", **named.spec))
    async with scene.operator():
        await scene.ready("pull")
        calls = len(scene.aws.calls)
        await _make_again(scene)
        if named.take is _no_role:
            await scene.create(service_account())
        await scene.create(ecr_secret("again", **named.spec))
        await _refused(scene, "again", named, calls)


@each_identity
async def test_what_is_taken_away_is_gone_for_resources_that_are_made_again(
    scene: Scene, named: Named
) -> None:
    await named.give(scene)
    await scene.create(ecr_secret("pull", **named.spec))
    async with scene.operator():
        await scene.ready("pull")
        calls = len(scene.aws.calls)
        await named.take(scene)
        await scene.delete("pull", ECR_SECRETS)
        await scene.delete("pull-login")
        await scene.create(ecr_secret("again", **named.spec))
        await _refused(scene, "again", named, calls)


@each_identity
async def test_a_new_resource_gets_nothing_while_an_old_one_of_the_same_identity_lives(
    scene: Scene, named: Named
) -> None:
    await named.give(scene)
    await scene.create(ecr_secret("pull", **named.spec))
    async with scene.operator():
        await scene.ready("pull")
        calls, before = len(scene.aws.calls), await scene.token("pull-login")
        await named.take(scene)
        await scene.create(ecr_secret("again", **named.spec))
        await _refused(scene, "again", named, calls)
        # The last good token stays in its place.
        assert await scene.token("pull-login") == before


@each_identity
async def test_a_repair_asks_no_aws_while_permitted_and_gives_nothing_back_when_not(
    scene: Scene, named: Named
) -> None:
    await named.give(scene)
    await scene.create(ecr_secret("pull", **named.spec))
    async with scene.operator():
        await scene.ready("pull")
        calls, before = len(scene.aws.calls), await scene.token("pull-login")
        await scene.delete("pull-login")
        await wait_for(lambda: scene.find_secret("pull-login"), 10, "the repair")
        assert await scene.token("pull-login") == before
        assert len(scene.aws.calls) == calls
        await named.take(scene)
        await scene.delete("pull-login")
        await scene.told("pull", "False", named.reason, within=10)
        await _refused(scene, "pull", named, calls)


async def test_a_namespace_permitted_again_under_its_old_name_is_another_tenant(scene: Scene) -> None:
    await permit(scene, ROLE)
    await scene.create(ecr_secret("pull", role_arn=ROLE))
    async with scene.operator():
        await scene.ready("pull")
        await _make_again(scene)
        await permit(scene, ROLE)
        # What AWS no longer grants ends with the next call, so there has to be one.
        scene.aws.services.trust = {}
        await scene.create(ecr_secret("again", role_arn=ROLE))
        await scene.told("again", "False", "AccessDenied", within=10)


async def test_a_service_account_made_again_has_no_session_of_the_former_one(scene: Scene) -> None:
    await scene.create(service_account(role=ROLE), ecr_secret("pull", **ACCOUNT))
    async with scene.operator():
        await scene.ready("pull")
        await scene.delete("ci", SERVICE_ACCOUNTS)
        await scene.create(service_account(role=ROLE))
        scene.aws.services.trust = {ROLE: Trust(subjects=frozenset({"nobody"}))}
        await scene.create(ecr_secret("again", **ACCOUNT))
        await scene.told("again", "False", "AccessDenied", within=10)


async def test_a_new_role_of_a_service_account_counts_at_once(scene: Scene) -> None:
    await scene.create(service_account(role=ROLE), ecr_secret("pull", **ACCOUNT))
    async with scene.operator():
        await scene.ready("pull")
        await scene.api.apply(service_account(role=f"{ROLE}-weaker"), scene.namespace, manager="Mozilla")
        await scene.create(ecr_secret("again", **ACCOUNT))
        await scene.ready("again")
    assert await signer(scene, "again-login") == f"{ROLE}-weaker"


@pytest.mark.parametrize("again", [False, True], ids=["edited", "deleted and made again"])
async def test_a_new_resource_gets_a_token_of_the_keys_that_are_there_now(scene: Scene, again: bool) -> None:  # noqa: FBT001
    keys: dict[str, Any] = {"aws_iam_secret": {"name": "keys"}}
    await scene.create(iam_secret(), ecr_secret("pull", **keys))
    async with scene.operator():
        await scene.ready("pull")
        assert await signer(scene) == TENANT_KEY
        if again:
            await scene.delete("keys")
        await scene.api.apply(iam_secret(key=OTHER_KEY), scene.namespace)
        await scene.create(ecr_secret("again", **keys))
        await scene.ready("again")
    assert await signer(scene, "again-login") == OTHER_KEY


async def test_the_operators_own_token_goes_only_where_it_is_permitted_now(scene: Scene) -> None:
    await scene.api.merge_patch(NAMESPACES, scene.namespace, {"metadata": {"labels": {"team": "x"}}})
    await scene.create(ecr_secret("pull"))
    async with scene.operator("--ambient-credentials=team=x"):
        await scene.ready("pull")
        calls = len(scene.aws.calls)
        await scene.api.merge_patch(NAMESPACES, scene.namespace, {"metadata": {"labels": {"team": None}}})
        await scene.create(ecr_secret("again"))
        named = Named(spec={}, give=_no_keys, take=_no_keys, reason="RoleNotPermitted")
        await _refused(scene, "again", named, calls)


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
        """Drop the token, and want one."""
        await self.act(scene, iam_secret(self.name, self.keys[number % len(self.keys)]))
        await scene.delete(f"{self.name}-{number}", ECR_SECRETS)
        await scene.create(ecr_secret(f"{self.name}-{number + 1}", aws_iam_secret={"name": self.name}))


async def _nothing(scene: Scene, secret: Json) -> None:
    """The resource alone is made again."""


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
        while time.monotonic() < until:
            await asyncio.gather(*(drop.cycle(scene, cycles) for drop in DROPS))
            cycles += 1
            await asyncio.sleep(0.1)
    for drop in DROPS:
        calls = [call.at for call in scene.aws.calls if call.access_key in drop.keys]
        gaps = [round(later - earlier, 2) for earlier, later in itertools.pairwise(calls)]
        said = f"{drop.name}: {len(calls)} calls to AWS in {seconds:g} s of {cycles} drops, {gaps} s apart"
        print(said)
        assert cycles > 2 * MOST_CALLS, said
        assert len(calls) <= MOST_CALLS + 1, said
        # A call that was sent later may arrive with less delay.
        assert min(gaps, default=SHORTEST_GAP) >= SHORTEST_GAP - 0.1, said
