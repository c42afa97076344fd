"""TenancyGuard: which namespaces may use the operator's identity, and for which registries."""

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.tenancy import TenancyPolicy, parse_selector
from ecr_operator.core.tenancy_guard import TenancyGuard
from tests.builders import NAMESPACE, desired, resource
from tests.core.world import World
from tests.fakes import FakeTenants

OWN = resource()
NAMED = resource(service_account={"name": "ci"})


async def allowed(policy: TenancyPolicy, tenants: FakeTenants | None = None) -> bool:
    try:
        await TenancyGuard(policy, tenants or FakeTenants()).check(desired(OWN))
    except PermanentError as error:
        return error.reason is not Reason.ROLE_NOT_PERMITTED or "--ambient-credentials" not in error.message
    return True


async def test_without_a_policy_every_namespace_may_use_the_operators_identity() -> None:
    assert await allowed(TenancyPolicy())


async def test_ambient_namespaces_limit_the_operators_identity() -> None:
    assert await allowed(TenancyPolicy(ambient_namespaces=("x", NAMESPACE)))
    assert not await allowed(TenancyPolicy(ambient_namespaces=("x",)))
    assert not await allowed(TenancyPolicy(ambient_namespaces=()))


async def test_ambient_selector_applies_to_the_present_labels() -> None:
    tenants = FakeTenants()
    policy = TenancyPolicy(ambient_namespaces=(), ambient_selector=parse_selector("team=a"))
    assert not await allowed(policy, tenants)
    tenants.labels[NAMESPACE] = {"team": "a"}
    assert await allowed(policy, tenants)


async def test_a_named_identity_is_not_limited() -> None:
    await TenancyGuard(TenancyPolicy(ambient_namespaces=()), FakeTenants()).check(desired(NAMED))


async def test_a_refused_namespace_is_reported_without_a_call() -> None:
    world = World(policy=TenancyPolicy(ambient_namespaces=("other",)))
    async with world.working():
        of = await world.apply()
        assert (world.aws.asked, world.secrets.calls) == ([], [])
        assert world.condition(of) == ("False", Reason.ROLE_NOT_PERMITTED)


async def test_a_refused_registry_is_reported_without_a_call() -> None:
    world = World(policy=TenancyPolicy(registry_hosts=("*.example",)))
    async with world.working():
        of = await world.apply()
        assert world.aws.asked == []
        assert world.condition(of) == ("False", Reason.INVALID_REGISTRY)
