"""What an editor writes may be huge: it costs the operator next to nothing, and nobody else notices."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pytest

from lab.api import EVENTS, SERVICE_ACCOUNTS, ApiError, Json
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.attacks.figures import LONGEST_LINE, MIB, MOST_MEMORY, assert_undisturbed, record
from tests.cluster.attacks.neighbours import Neighbours, accepted, lines_since, meanwhile
from tests.cluster.builders import argo_secret, core_secret, ecr_secret, registry
from tests.cluster.linked import account, link

# As much as fits into an object: etcd takes 1.5 MiB.
HUGE: Final = 1_300_000
ANNOTATION: Final = 255 * 1024
NASTY: Final = "\x1b[2J\n\r\u202e%s{}\u0000"[:-1]
# Share of what was written by which the most memory may grow: what one page or event takes for a moment.
KEPT: Final = 0.5
LONGEST_MESSAGE: Final = 1024
MANAGED: Final = {"app.kubernetes.io/managed-by": "ecr-secret-operator"}

A_FREQUENCY: Final = ecr_secret("huge", frequency="1ns" * (HUGE // 3))
SPECS: Final[list[Json]] = [
    A_FREQUENCY,
    ecr_secret("hosts", additional_registries=[registry(f"eu-{number}") for number in range(17_000)]),
    ecr_secret("labels", secret_labels={f"l{number}": "x" for number in range(20_000)}),
    ecr_secret("links", link_service_accounts=[link(f"a{n}") for n in range(17_000)]),
    ecr_secret("host", ecr_registry="1" * HUGE),
    argo_secret("url", url="oci://" + "a/" * (HUGE // 2)),
]


async def test_huge_specs_that_change_twice_a_second_delay_no_other_namespace(neighbours: Neighbours) -> None:
    seconds = neighbours.scale.of(2.5, 30.0)
    async with neighbours.operator() as operator:
        control = await neighbours.control(operator, seconds)
        there = [manifest for manifest in SPECS if await neighbours.attack(manifest)]

        async def toggle(number: int) -> None:
            await _patch(neighbours, there, {"spec": {"region": f"us-east-{1 + number % 2}"}})

        async with meanwhile(toggle, 0.5):
            attacked = await neighbours.observe(operator, seconds)
    assert_undisturbed("huge specs", control, attacked, neighbours.scale)


async def _patch(neighbours: Neighbours, manifests: list[Json], patch: Json) -> None:
    for manifest in manifests:
        kind = await neighbours.editor.resource_of(manifest)
        await neighbours.change(manifest["metadata"]["name"], patch, kind)


async def test_a_start_with_huge_frequencies_delays_no_other_namespace(neighbours: Neighbours) -> None:
    seconds = neighbours.scale.of(2.5, 30.0)
    async with neighbours.operator(ready=False) as operator:
        control = await neighbours.control(operator, seconds)
    count = neighbours.scale.of(6, 30)
    manifests = [A_FREQUENCY | {"metadata": {"name": f"huge-{number}"}} for number in range(count)]
    await neighbours.attack(*manifests)
    async with neighbours.operator(ready=False) as operator:
        attacked = await neighbours.observe(operator, seconds)
    assert_undisturbed("a start with huge frequencies", control, attacked, neighbours.scale)


@dataclass(frozen=True, kw_only=True)
class Hoard:
    """Objects that are to fill the operator's memory.

    Attributes:
        make: makes one by its number and its size in bytes.
        size: of a huge one, in bytes.
        small: how many there are in every test run.
        full: how many there are at full size.
    """

    make: Callable[[int, int], Json]
    size: int
    small: int
    full: int


def _account(number: int, size: int) -> Json:
    made = account(f"account-{size}-{number}")
    made["metadata"]["annotations"] = {"fat": "x" * size}
    return made


def _labelled(number: int, size: int) -> Json:
    return core_secret(f"ours-{size}-{number}", labels=MANAGED, annotations={"fat": "x" * size})


def _foreign(number: int, size: int) -> Json:
    return core_secret(f"theirs-{size}-{number}", annotations={"fat": "x" * size})


def _many_keys(number: int, size: int) -> Json:
    """A Secret whose managedFields name each of its keys."""
    secret = core_secret(f"keys-{size}-{number}", labels=MANAGED)
    return secret | {"data": {f"{'k' * 200}{key}": "" for key in range(1 + size // 200)}}


def _project(number: int, size: int) -> Json:
    return argo_secret(f"project-{size}-{number}", project="x" * size)


def _registry(number: int, size: int) -> Json:
    return ecr_secret(f"registry-{size}-{number}", ecr_registry="x" * size)


# What makes the operator watch all Secrets and ServiceAccounts.
ALL_WATCHED: Final = (
    ecr_secret("links", link_service_accounts=[link("*")]),
    ecr_secret("keys", aws_iam_secret={"name": "absent"}),
    ecr_secret("account", service_account={"name": "absent"}),
)
HOARDS: Final = {
    "specs": (
        Hoard(make=_project, size=HUGE, small=10, full=95),
        Hoard(make=_registry, size=HUGE, small=10, full=95),
    ),
    "metadata": (
        Hoard(make=_labelled, size=ANNOTATION, small=100, full=600),
        Hoard(make=_many_keys, size=400_000, small=60, full=300),
        Hoard(make=_foreign, size=ANNOTATION, small=20, full=600),
        Hoard(make=_account, size=ANNOTATION, small=20, full=600),
    ),
}


@pytest.mark.parametrize("kind", HOARDS)
async def test_memory_does_not_grow_with_what_an_editor_writes(neighbours: Neighbours, kind: str) -> None:
    hoards = HOARDS[kind]
    plain, huge = [], []
    for hoard in hoards:
        numbers = range(neighbours.scale.of(hoard.small, hoard.full))
        plain += [partial(hoard.make, number, 1) for number in numbers]
        huge += [partial(hoard.make, number, hoard.size) for number in numbers]
    await neighbours.attack(*ALL_WATCHED)
    async with neighbours.operator() as operator:
        await neighbours.attack(*(make() for make in plain))
        control = await neighbours.control(operator, 1.5)
        made = await neighbours.attack(*(make() for make in huge))
        attacked = await neighbours.observe(operator, 2)
    async with neighbours.operator() as operator:
        restarted = await neighbours.observe(operator, 1.5)
    size = sum(hoard.size * neighbours.scale.of(hoard.small, hoard.full) for hoard in hoards)
    record(f"memory: {kind}", control, attacked)
    said = (
        f"{made} of {len(huge)} objects, with {size / MIB:.0f} MiB in all\n  control: {control}\n"
        f"  attack:  {attacked}\n  after a restart: {restarted}"
    )
    for figures in (attacked, restarted):
        growth = figures.peak - control.peak
        assert growth <= KEPT * size, f"memory grew by {growth / MIB:.0f} MiB for {said}"
        if neighbours.scale.full:
            assert figures.peak <= MOST_MEMORY, said


async def test_huge_metadata_that_changes_all_the_time_delays_no_other_namespace(
    neighbours: Neighbours,
) -> None:
    seconds = neighbours.scale.of(2.5, 30.0)
    made = [make(0, ANNOTATION) for make in (_labelled, _foreign, _account)]
    await neighbours.attack(*ALL_WATCHED, *made)
    async with neighbours.operator() as operator:
        control = await neighbours.control(operator, seconds)

        async def change(number: int) -> None:
            await _patch(neighbours, made, {"metadata": {"annotations": {"number": str(number)}}})

        async with meanwhile(change, 0.1):
            attacked = await neighbours.observe(operator, seconds)
    assert_undisturbed("huge metadata changes ten times a second", control, attacked, neighbours.scale)


# Each character of it takes up to six bytes in JSON.
NASTY_TEXT: Final = NASTY * (HUGE // 3 // len(json.dumps(NASTY)))
NASTY_FIELDS: Final = [
    ecr_secret("name", generated_secret_name=NASTY_TEXT),
    ecr_secret("registry", ecr_registry=NASTY_TEXT),
    ecr_secret("region", region=NASTY_TEXT),
    ecr_secret("frequency", frequency=NASTY_TEXT),
    ecr_secret("role", role_arn=NASTY_TEXT),
    ecr_secret("keys", aws_iam_secret={"name": NASTY_TEXT}),
    ecr_secret("labels", secret_labels={NASTY_TEXT: NASTY_TEXT[:9]}),
]


async def test_huge_nasty_fields_are_excerpted(neighbours: Neighbours) -> None:
    async with neighbours.operator() as operator:
        for manifest in NASTY_FIELDS:
            if await neighbours.attack(manifest):
                name = manifest["metadata"]["name"]
                await _says_little(neighbours, operator, await _reported(neighbours, operator, name))


async def _reported(neighbours: Neighbours, operator: OperatorProcess, name: str) -> Json:
    """Wait until a resource's status is written, and return the resource."""

    async def look() -> Json | None:
        resource = await neighbours.get(name)
        return resource if reading.condition(resource, "Refreshed") else None

    try:
        return await wait_for(look, what=f"a status of {name}")
    except TimeoutError as error:
        longest = max(map(len, lines_since(operator.log, 0)), default=0)
        error.add_note(f"the log's longest line has {longest} bytes")
        raise


async def _says_little(neighbours: Neighbours, operator: OperatorProcess, resource: Json) -> None:
    """Assert that status, Events and log are short, printable and of one line."""
    messages = [condition["message"] for condition in resource["status"]["conditions"]]
    events = await neighbours.victim.api.list(EVENTS, neighbours.attacker)
    messages += [event["message"] for event in events]
    for message in messages:
        assert message.isprintable(), ascii(message[:200])
        assert len(message) <= LONGEST_MESSAGE, len(message)
    await asyncio.sleep(0.5)
    lines = lines_since(operator.log, 0)
    assert max(map(len, lines)) <= LONGEST_LINE, f"a log line of {max(map(len, lines))} bytes"
    assert all(json.loads(line) for line in lines)


async def test_a_record_of_10000_links_that_changes_delays_no_other_namespace(neighbours: Neighbours) -> None:
    seconds = neighbours.scale.of(2.5, 30.0)
    record = json.dumps({f"s{number}": {"pull": "r"} for number in range(10_000)}, separators=(",", ":"))
    async with neighbours.operator() as operator:
        await neighbours.attack(
            account("builder"),
            *(
                ecr_secret(f"linked-{number}", link_service_accounts=[link("builder")])
                for number in range(20)
            ),
        )
        control = await neighbours.control(operator, seconds)

        async def patch(number: int) -> None:
            annotations = {"ecr.mobb.redhat.com/links": record, "number": str(number)}
            metadata = {"annotations": annotations, "labels": {"ecr.mobb.redhat.com/linked": "true"}}
            request = neighbours.editor.merge_patch(
                SERVICE_ACCOUNTS, "builder", {"metadata": metadata}, neighbours.attacker
            )
            await accepted(_despite_conflict(request))

        async with meanwhile(patch, 0.2):
            attacked = await neighbours.observe(operator, seconds)
    assert_undisturbed("a record of 10,000 links", control, attacked, neighbours.scale)


async def _despite_conflict(request: Any) -> None:
    try:
        await request
    except ApiError as error:
        if error.reason != "Conflict":
            raise
