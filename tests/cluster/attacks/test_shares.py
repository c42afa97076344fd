"""One namespace asks for as much as it can; another one's new resources and tokens don't wait for it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest
from botocore.session import Session

from tests.cluster import reading
from tests.cluster.attacks.figures import Figures, assert_undisturbed
from tests.cluster.attacks.neighbours import HOME, Neighbours, meanwhile
from tests.cluster.builders import core_secret, ecr_secret, registry
from tests.cluster.identities.tenancy import iam_secret
from tests.lab.api import ECR_SECRETS, SECRETS, Json
from tests.lab.key_endpoints import KeyEndpoints
from tests.lab.operator import OperatorProcess
from tests.lab.waiting import wait_for

# Regions that the SDK lists; each costs its first user a call.
LISTED: Final = sorted(set(Session().get_available_regions("ecr")) - {HOME})
ONE: Final = "one"
SLOW: Final = "xx-slow-*"
LIVES: Final = 40.0


def _made_up(count: int, start: int = 0) -> list[str]:
    return [f"xx-slow-{number}" for number in range(start, start + count)]


def _over(name: str, regions: list[str], **spec: object) -> Json:
    """Make a resource that needs a token in each of these regions."""
    first, *others = regions
    return ecr_secret(name, region=first, additional_registries=[registry(each) for each in others], **spec)


def _rivals(count: int) -> list[Json]:
    """Make resources that name one Secret."""
    return [ecr_secret(f"r{number}", generated_secret_name=ONE) for number in range(count)]


async def test_very_many_resources_that_name_one_secret(neighbours: Neighbours) -> None:
    count, seconds = neighbours.scale.of((800, 4.0), (3000, 75.0))
    async with neighbours.operator() as operator:
        control = await neighbours.observe(operator, seconds)
        await neighbours.attack(*_rivals(count))
        attacked = await neighbours.observe(operator, seconds)
        await _settled(neighbours, count)
        # Whoever has it is deleted: all others want to be the next.
        owner = (await neighbours.editor.get(SECRETS, ONE, neighbours.attacker))["metadata"][
            "ownerReferences"
        ]
        await neighbours.editor.delete(ECR_SECRETS, owner[0]["name"], neighbours.attacker)
        await neighbours.editor.delete(SECRETS, ONE, neighbours.attacker)
        after = await neighbours.observe(operator, seconds)
    assert_undisturbed(f"{count} resources that name one Secret, made", control, attacked, neighbours.scale)
    assert_undisturbed(f"{count} resources that name one Secret, freed", control, after, neighbours.scale)


async def test_very_many_resources_that_name_one_secret_are_quiet(neighbours: Neighbours) -> None:
    count, seconds = neighbours.scale.of((300, 33.0), (3000, 65.0))
    await neighbours.attack(*_rivals(count))
    async with neighbours.operator() as operator:
        await _settled(neighbours, count)
        control = await neighbours.observe(operator, 2)
        neighbours.victim.mark()
        # Longer than the 30 s after which a conflict is looked at again.
        await asyncio.sleep(seconds)
        requests = neighbours.victim.requests()
    rechecks = sum(number for request, number in requests.items() if request.verb in {"get", "patch"})
    said = f"{rechecks} requests in {seconds:g} s of {count} resources that name one Secret: {requests}"
    print(said, control)
    assert rechecks <= 2 * (2 + seconds // 30), said


async def _settled(neighbours: Neighbours, count: int) -> None:
    """Wait until so many of the attacker's resources have a status of their present spec."""

    async def look() -> bool:
        found = await neighbours.editor.list(ECR_SECRETS, neighbours.attacker)
        return sum(bool(reading.condition(each, "Refreshed")) for each in found) >= count

    await wait_for(look, 120, f"{count} statuses")


@pytest.mark.parametrize("kind", ["made-up regions", "real regions with keys of its own"])
async def test_very_many_regions_that_hang(neighbours: Neighbours, kind: str) -> None:
    # A resource of the other namespace that stays has to be renewed meanwhile.
    neighbours.victim.aws.token_life = LIVES
    count, each, seconds = neighbours.scale.of((30, 30, 6.0), (100, 100, 2 * LIVES))
    half = len(LISTED) // 2
    async with neighbours.operator() as operator:
        control = await neighbours.observe(operator, seconds, regions=LISTED[:half])
        if kind == "made-up regions":
            neighbours.victim.aws.hang(region=SLOW)
            manifests = [_over(f"r{n}", _made_up(each, n * each)) for n in range(count)]
        else:
            neighbours.victim.aws.hang(access_key="AKIAHANG*")
            await neighbours.attack(*(iam_secret(f"k{n}", f"AKIAHANG{n:012}") for n in range(count)))
            manifests = [
                _over(f"r{n}", LISTED[:each], aws_iam_secret={"name": f"k{n}"}) for n in range(count)
            ]
        await neighbours.attack(*manifests)
        attacked = await neighbours.observe(operator, seconds, regions=LISTED[half:])
        standing = await neighbours.victim.resource("standing")
        neighbours.victim.aws.clear()
    assert_undisturbed(f"{count} x {each} regions that hang, {kind}", control, attacked, neighbours.scale)
    assert reading.verdict(standing, "Ready")[0] == "True"


async def test_half_of_ones_own_regions_hang_and_the_other_half_lives(neighbours: Neighbours) -> None:
    count, live = neighbours.scale.of((10, 10), (15, 15))
    neighbours.victim.aws.hang(region=SLOW)
    lively = [ecr_secret(f"live-{number}", region=LISTED[number]) for number in range(live)]
    async with neighbours.operator() as operator:
        control = await neighbours.observe(operator, 3, regions=LISTED[live:])
        await neighbours.attack(*(ecr_secret(f"hang-{n}", region=r) for n, r in enumerate(_made_up(count))))
        await wait_for(
            lambda: neighbours.victim.aws.count(region=_made_up(1)[0]) > 0, 20, "a call that hangs"
        )
        await neighbours.attack(*lively)

        async def all_live() -> bool:
            found = await neighbours.editor.list(ECR_SECRETS, neighbours.attacker)
            ready = [each for each in found if reading.verdict(each, "Ready")[0] == "True"]
            return len(ready) == live

        within = neighbours.scale.of(20.0, 10.0)
        said = f"{live} resources Ready while {count} regions of their namespace hang; control: {control}"
        await wait_for(all_live, within, said)
        neighbours.victim.aws.clear()


async def test_many_regions_with_keys_of_a_container_agent_ask_it_once(neighbours: Neighbours) -> None:
    count = neighbours.scale.of(60, 400)
    no_keys = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    async with KeyEndpoints(neighbours.victim.aws.keys) as endpoints:
        env = {**no_keys, "AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoints.agent}
        async with neighbours.operator(env=env) as operator:
            control = list(endpoints.asked)
            attacked = await _over_regions(neighbours, operator, count)
            asked = list(endpoints.asked)
    said = f"{len(control)} fetches of keys for one region, {len(asked)} for {count + 1}: {attacked}"
    print(said)
    assert len(control) == 1, said
    assert len(asked) == 1, said


async def test_many_regions_with_keys_of_a_process_start_it_once(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    count = neighbours.scale.of(60, 400)
    keys = '{"Version": 1, "AccessKeyId": "AKIAOFAPROCESS000000", "SecretAccessKey": "of-a-process"}'
    starts, program = tmp_path / "starts", tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho started >>{starts}\necho '{keys}'\n")
    program.chmod(0o755)
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {program}\n")
    no_keys = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    async with neighbours.operator(env={**no_keys, "AWS_CONFIG_FILE": str(config)}) as operator:
        control = len(starts.read_text().splitlines())
        attacked = await _over_regions(neighbours, operator, count)
        started = len(starts.read_text().splitlines())
    said = f"{control} starts of the process for one region, {started} for {count + 1}: {attacked}"
    print(said)
    assert (control, started) == (1, 1), said


async def _over_regions(neighbours: Neighbours, operator: OperatorProcess, count: int) -> Figures:
    """Have the attacker ask for a token in each of many regions, and wait for all of them."""
    await neighbours.attack(*(ecr_secret(f"r{n}", region=region) for n, region in enumerate(_made_up(count))))
    figures = await neighbours.observe(operator, 2)
    await wait_for(
        lambda: neighbours.victim.aws.count(outcome="answered") > count, 60, f"{count} tokens; {figures}"
    )
    return figures


async def test_many_links(neighbours: Neighbours) -> None:
    count, each, seconds = neighbours.scale.of((6, 100, 5.0), (20, 100, 60.0))
    async with neighbours.operator() as operator:
        await neighbours.attack(
            *(
                {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": f"a{number}"}}
                for number in range(each)
            )
        )
        control = await neighbours.observe(operator, seconds)
        links = [{"name": f"a{number}", "for": ["pull", "mount"]} for number in range(each)]
        await neighbours.attack(*(ecr_secret(f"r{n}", link_service_accounts=links) for n in range(count)))
        attacked = await neighbours.observe(operator, seconds)
    assert_undisturbed(f"{count} resources x {each} links", control, attacked, neighbours.scale)


async def test_very_many_resources_whose_keys_are_absent(neighbours: Neighbours) -> None:
    count, seconds = neighbours.scale.of((300, 6.0), (1500, 60.0))
    async with neighbours.operator() as operator:
        control = await neighbours.observe(operator, 3)
        manifests = [ecr_secret(f"r{n}", aws_iam_secret={"name": f"absent-{n}"}) for n in range(count)]
        await neighbours.attack(*manifests)
        await _settled(neighbours, count)
        neighbours.victim.mark()
        # What polls does so more than once in that time.
        await asyncio.sleep(11)
        polled = _reads_of_secrets(neighbours)
        attacked = await neighbours.observe(operator, seconds)
        neighbours.victim.mark()
        await neighbours.attack(iam_secret("absent-0"))
        await wait_for(lambda: _is_ready(neighbours, "r0"), 10, "the resource whose Secret is there now")
        read = _reads_of_secrets(neighbours)
    said = (
        f"{polled} GETs of Secrets in 11 s of {count} resources whose keys are absent; {read} once one came"
    )
    print(said)
    assert_undisturbed(f"{count} resources whose keys are absent", control, attacked, neighbours.scale)
    assert polled == 0, said
    assert read <= 3, said


def _reads_of_secrets(neighbours: Neighbours) -> int:
    found = neighbours.victim.requests()
    return sum(number for request, number in found.items() if request[:2] == ("get", "secrets"))


async def _is_ready(neighbours: Neighbours, name: str) -> bool:
    resource = await neighbours.editor.get(ECR_SECRETS, name, neighbours.attacker)
    return reading.verdict(resource, "Ready")[0] == "True"


async def test_a_burst_of_very_many_new_resources(neighbours: Neighbours) -> None:
    count, seconds = neighbours.scale.of((600, 6.0), (5000, 60.0))
    async with neighbours.operator() as operator:
        control = await neighbours.observe(operator, seconds)
        creating = asyncio.create_task(neighbours.attack(*(ecr_secret(f"r{n}") for n in range(count))))
        attacked = await neighbours.observe(operator, seconds)
        await creating
        await _settled(neighbours, count)
        after = await neighbours.observe(operator, 2)
    assert_undisturbed(f"a burst of {count} new resources", control, attacked, neighbours.scale)
    assert_undisturbed(f"after a burst of {count} new resources", control, after, neighbours.scale)


async def test_a_start_with_very_many_new_resources(neighbours: Neighbours) -> None:
    count, seconds = neighbours.scale.of((600, 6.0), (5000, 60.0))
    async with neighbours.operator(ready=False) as operator:
        control = await neighbours.observe(operator, seconds)
    await neighbours.attack(*(ecr_secret(f"r{n}") for n in range(count)))
    async with neighbours.operator(ready=False) as operator:
        attacked = await neighbours.observe(operator, seconds)
    assert_undisturbed(f"a start with {count} new resources", control, attacked, neighbours.scale)


async def _spoil(neighbours: Neighbours, number: int) -> None:
    patch = {"data": {".dockerconfigjson": "e30="}}
    await neighbours.editor.merge_patch(SECRETS, f"r{number}-login", patch, neighbours.attacker)


async def _touch(neighbours: Neighbours, number: int) -> None:
    patch = {"metadata": {"annotations": {"number": str(number)}}}
    await neighbours.editor.merge_patch(ECR_SECRETS, f"r{number}", patch, neighbours.attacker)


async def _edit(neighbours: Neighbours, number: int) -> None:
    patch = {"spec": {"frequency": f"{number % 7 + 1}h"}}
    await neighbours.editor.merge_patch(ECR_SECRETS, f"r{number}", patch, neighbours.attacker)


async def _mark(neighbours: Neighbours, number: int) -> None:
    """Change a Secret that merely bears the operator's label."""
    labels = {"app.kubernetes.io/managed-by": "ecr-secret-operator", "number": str(number)}
    await neighbours.editor.apply(core_secret(f"marked-{number}", labels=labels), neighbours.attacker)


CHURN: Final[dict[str, Callable[[Neighbours, int], Awaitable[None]]]] = {
    "generated Secrets spoiled": _spoil,
    "resources touched": _touch,
    "specs edited": _edit,
    "marked Secrets changed": _mark,
}


@pytest.mark.parametrize("churn", CHURN.values(), ids=CHURN)
async def test_a_namespace_that_changes_all_the_time(
    neighbours: Neighbours,
    churn: Callable[[Neighbours, int], Awaitable[None]],
    request: pytest.FixtureRequest,
) -> None:
    count, seconds = neighbours.scale.of((60, 4.0), (200, 30.0))
    async with neighbours.operator() as operator:
        await neighbours.attack(*(ecr_secret(f"r{number}") for number in range(count)))
        await _settled(neighbours, count)
        control = await neighbours.observe(operator, seconds)
        async with meanwhile(lambda number: churn(neighbours, number % count), 0.01):
            attacked = await neighbours.observe(operator, seconds)
    assert_undisturbed(request.node.name, control, attacked, neighbours.scale)
