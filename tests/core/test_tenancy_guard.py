"""Who may use the operator's own identity."""

import pytest

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.tenancy import TenancyPolicy, parse_selector
from ecr_operator.core.tenancy_guard import TenancyGuard
from tests.builders import NAMESPACE, desired, resource
from tests.core.world import World
from tests.fakes import FakeTenants, settle

OWN = resource()
NAMED = resource(service_account={"name": "ci"})


async def allowed(policy: TenancyPolicy, tenants: FakeTenants | None = None) -> bool:
    try:
        await TenancyGuard(policy, tenants or FakeTenants()).check(desired(OWN))
    except PermanentError as error:
        return error.reason is not Reason.ROLE_NOT_PERMITTED or "--ambient-credentials" not in error.message
    return True


async def test_without_a_policy_every_namespace_may() -> None:
    assert await allowed(TenancyPolicy())


async def test_named_namespaces_may_and_others_may_not() -> None:
    assert await allowed(TenancyPolicy(ambient_namespaces=("x", NAMESPACE)))
    assert not await allowed(TenancyPolicy(ambient_namespaces=("x",)))
    assert not await allowed(TenancyPolicy(ambient_namespaces=()))


async def test_a_selector_is_held_against_the_labels_of_now() -> None:
    tenants = FakeTenants()
    policy = TenancyPolicy(ambient_namespaces=(), ambient_selector=parse_selector("team=a"))
    assert not await allowed(policy, tenants)
    tenants.labels[NAMESPACE] = {"team": "a"}
    assert await allowed(policy, tenants)


async def test_who_names_an_identity_needs_no_leave() -> None:
    await TenancyGuard(TenancyPolicy(ambient_namespaces=()), FakeTenants()).check(desired(NAMED))


async def test_a_refusal_asks_aws_for_nothing_and_is_told() -> None:
    world = World(policy=TenancyPolicy(ambient_namespaces=("other",)))
    async with world.working():
        of = world.see()
        await settle()
        assert (world.aws.asked, world.secrets.calls) == ([], [])
        assert world.condition(of) == ("False", Reason.ROLE_NOT_PERMITTED)


@pytest.mark.parametrize("hosts", [("*.example",)])
async def test_a_registry_that_is_not_allowed_is_told(hosts: tuple[str, ...]) -> None:
    world = World(policy=TenancyPolicy(registry_hosts=hosts))
    async with world.working():
        of = world.see()
        await settle()
        assert world.aws.asked == []
        assert world.condition(of) == ("False", Reason.INVALID_REGISTRY)
