"""TenancyGuard: which namespaces may use the operator's identity, and for which registries."""

from typing import Any

import pytest

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.tenancy import TenancyPolicy, parse_selector
from ecr_operator.core.tenancy_guard import TenancyGuard
from tests.builders import HOST, NAMESPACE, cases, desired, host, resource
from tests.core.world import DUE, LIFE, World
from tests.fakes import FakeTenants

NONE = TenancyPolicy(ambient_namespaces=())
SELECTOR = TenancyPolicy(ambient_namespaces=(), ambient_selector=parse_selector("team=a"))
NAMED = {"service_account": {"name": "ci"}}


@cases(
    "policy, labels, spec, allowed",
    {
        "no policy": (TenancyPolicy(), {}, {}, True),
        "a namespace that is named": (TenancyPolicy(ambient_namespaces=("x", NAMESPACE)), {}, {}, True),
        "another namespace": (TenancyPolicy(ambient_namespaces=("x",)), {}, {}, False),
        "no namespace": (NONE, {}, {}, False),
        "present labels that are selected": (SELECTOR, {"team": "a"}, {}, True),
        "other labels": (SELECTOR, {}, {}, False),
        "a named identity, which is not limited": (NONE, {}, NAMED, True),
    },
)
async def test_the_operators_identity_is_limited_by(
    policy: TenancyPolicy, labels: dict[str, str], spec: dict[str, Any], *, allowed: bool
) -> None:
    tenants = FakeTenants()
    tenants.labels[NAMESPACE] = labels
    guard = TenancyGuard(policy, tenants)
    if allowed:
        await guard.check(desired(resource(**spec)))
        return
    with pytest.raises(PermanentError, match="--ambient-credentials") as caught:
        await guard.check(desired(resource(**spec)))
    assert caught.value.reason is Reason.ROLE_NOT_PERMITTED


@cases(
    "policy, reason",
    {
        "namespace": (TenancyPolicy(ambient_namespaces=("other",)), Reason.ROLE_NOT_PERMITTED),
        "registry": (TenancyPolicy(registry_hosts=("*.example",)), Reason.INVALID_REGISTRY),
    },
)
async def test_nothing_is_called_or_written_for_a_refused(policy: TenancyPolicy, reason: Reason) -> None:
    world = World(policy=policy)
    async with world.working():
        of = await world.apply()
        assert (world.aws.asked, world.secrets.calls) == ([], [])
        assert world.condition(of) == ("False", reason)


async def test_an_extra_registry_that_is_not_allowed_is_left_out_and_reported() -> None:
    world = World(life=LIFE, policy=TenancyPolicy(registry_hosts=(HOST,)))
    other = host("eu-west-1")
    async with world.working():
        of = await world.change(await world.apply(), additional_registries=[other])
        world.check_reported(of, Reason.INVALID_REGISTRY)
        assert "--allowed-registry-hosts" in world.message(of)
        assert other in world.message(of)
        await world.clock.advance(DUE)
        world.check_reported(of, Reason.INVALID_REGISTRY)
        assert (world.password(), list(world.auths())) == ("token-2", [HOST])
