"""Whether the links of one resource need work is known without a look at those of the others."""

import asyncio
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecr_operator.links.account import AccountReconciler
from ecr_operator.links.plan import LABEL, LINKS, view_account
from tests.builders import service_account
from tests.core.world import World

BUILDER = ("team", "builder")
USES = ("pull", "mount")
RESOURCES = ("web", "shop")
SECRETS = ("web-pull", "shop-pull", "mine")

secrets = st.lists(st.sampled_from(SECRETS), unique=True)
records = st.dictionaries(
    st.sampled_from(SECRETS), st.dictionaries(st.sampled_from(USES), st.sampled_from(RESOURCES), min_size=1)
)
specs = st.fixed_dictionaries(
    {
        "generated_secret_name": st.sampled_from(SECRETS),
        "link_service_accounts": st.lists(st.sampled_from(USES), unique=True).map(
            lambda uses: [{"name": "builder", "for": uses}] if uses else None
        ),
        "suspend": st.booleans(),
    }
)
resources = st.tuples(*[st.tuples(specs, st.booleans()) for _ in RESOURCES])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(said=resources, pulls=secrets, mounts=secrets, record=records, labelled=st.booleans())
def test_an_account_needs_work_where_the_links_of_a_resource_do(
    *,
    said: tuple[tuple[dict[str, Any], bool], ...],
    pulls: list[str],
    mounts: list[str],
    record: dict[str, dict[str, str]],
    labelled: bool,
) -> None:
    world = World()
    keys = []
    for name, (spec, has_secret) in zip(RESOURCES, said, strict=True):
        of = world.see(name=name, **spec)
        keys.append(of.key)
        if has_secret:
            world.has_secret(of)
    account_reconciler = AccountReconciler(world.cache, world.accounts, world.resources)
    if labelled:
        noted = {LINKS: json.dumps(record)} if record else {}
        raw = world.accounts.put(pull=pulls, mount=mounts, labels={LABEL: "true"}, annotations=noted)
        account_reconciler.linked.put(view_account(raw))
    needing = [key for key in keys if not account_reconciler.is_linked(key, BUILDER)]
    if needing:
        # Otherwise a resource would ask for what no pass ever does.
        assert account_reconciler.needs_work(BUILDER)
    elif labelled:
        # What no resource asks for is no link, but the label, or how the record is written.
        asyncio.run(account_reconciler.bring_about(BUILDER))
        assert linked(world) == (pulls, mounts)


async def test_an_account_that_is_named_settles_however_many_bear_the_label() -> None:
    world = World()
    of = world.see(link_service_accounts=[{"name": "builder", "for": ["pull"]}])
    world.has_secret(of)
    account_reconciler = AccountReconciler(world.cache, world.accounts, world.resources)
    for number in range(500):
        account_reconciler.linked.put(view_account(service_account(f"a{number}", labels={LABEL: "true"})))
    world.accounts.put(mount=["mine"])
    assert await account_reconciler.bring_about(BUILDER) is None
    assert linked(world) == (["web-pull"], ["mine"])
    assert not account_reconciler.needs_work(BUILDER)


def linked(world: World) -> tuple[list[str], ...]:
    """Return what the ServiceAccount's pods pull with and mount."""
    raw = world.accounts.objects[BUILDER]
    return tuple([entry["name"] for entry in raw[field]] for field in ("imagePullSecrets", "secrets"))
