"""One namespace asks for as much as it can; another one's new resources and tokens don't wait for it."""

import asyncio
from pathlib import Path
from typing import Final

import pytest
from botocore.session import Session

from lab.api import ECR_SECRETS, SECRETS, Json
from lab.key_endpoints import KeyEndpoints
from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.attacks.figures import assert_undisturbed
from tests.cluster.attacks.neighbours import HOME, Neighbours, meanwhile
from tests.cluster.builders import core_secret, ecr_secret, registry
from tests.cluster.identities.tenancy import iam_secret
from tests.cluster.linked import account, link

# Regions that the SDK lists; each costs its first user a call.
LISTED: Final = sorted(set(Session().get_available_regions("ecr")) - {HOME})
ONE: Final = "one"
SLOW: Final = "xx-slow-*"
LIVES: Final = 20.0


def _made_up(count: int, start: int = 0) -> list[str]:
    return [f"xx-slow-{number}" for number in range(start, start + count)]


def _over(name: str, regions: list[str], **spec: object) -> Json:
    """Make a resource that needs a token in each of these regions."""
    first, *others = regions
    return ecr_secret(name, region=first, additional_registries=[registry(each) for each in others], **spec)


def _rivals(count: int) -> list[Json]:
    """Make resources that name one Secret."""
    return [ecr_secret(f"r{number}", generated_secret_name=ONE) for number in range(count)]


async def test_many_resources_that_name_one_secret_delay_no_other_namespace(neighbours: Neighbours) -> None:
    # At full size a phase is longer than the 30 s after which a conflict is looked at again.
    count, seconds = neighbours.scale.of((500, 2.5), (3000, 65.0))
    async with neighbours.operator() as operator:
        control = await neighbours.control(operator, seconds)
        await neighbours.attack(*_rivals(count))
        await neighbours.settled(count)
        settled = await neighbours.observe(operator, seconds)
        # Whoever has it is deleted: all others want to be the next.
        secret = await neighbours.editor.get(SECRETS, ONE, neighbours.attacker)
        (owner,) = secret["metadata"]["ownerReferences"]
        await neighbours.editor.delete(ECR_SECRETS, owner["name"], neighbours.attacker)
        await neighbours.editor.delete(SECRETS, ONE, neighbours.attacker)
        freed = await neighbours.observe(operator, seconds)
    for phase, attacked in {"settled": settled, "freed": freed}.items():
        name = f"{count} resources that name one Secret, {phase}"
        assert_undisturbed(name, control, attacked, neighbours.scale)


@pytest.mark.parametrize("kind", ["made-up regions", "real regions with keys of its own"])
async def test_many_regions_that_hang_delay_no_other_namespace(neighbours: Neighbours, kind: str) -> None:
    # A resource of the other namespace that stays has to be renewed meanwhile.
    neighbours.victim.aws.token_life = LIVES
    count, each, seconds = neighbours.scale.of((4, 30, 3.0), (100, 100, 2 * LIVES))
    half = len(LISTED) // 2
    async with neighbours.operator() as operator:
        control = await neighbours.control(operator, seconds, regions=LISTED[:half])
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
    live, hang = LISTED[:15], LISTED[15:30]
    for region in hang:
        neighbours.victim.aws.hang(region=region)
    keys = [iam_secret(f"k{number}", f"AKIAHANG{number:012}") for number in range(6)]
    hanging = [
        ecr_secret(f"{secret['metadata']['name']}-{region}", region=region, aws_iam_secret=_named(secret))
        for region in hang
        for secret in keys
    ]
    async with neighbours.operator() as operator:
        control = await neighbours.control(operator, 2.0, regions=live)
        await neighbours.attack(*keys, *hanging)
        await wait_for(lambda: neighbours.victim.aws.count(outcome="pending") > 0, what="a call that hangs")
        await neighbours.attack(*(ecr_secret(f"live-{region}", region=region) for region in live))

        async def all_live() -> bool:
            return await _ready(neighbours) == len(live)

        said = f"{len(live)} resources Ready while {len(hanging)} of their namespace hang; control: {control}"
        try:
            await wait_for(all_live, neighbours.scale.of(20.0, 10.0), said)
        except TimeoutError as error:
            error.add_note(f"{await _ready(neighbours)} are")
            raise
        neighbours.victim.aws.clear()


def _named(secret: Json) -> dict[str, str]:
    return {"name": secret["metadata"]["name"]}


async def _ready(neighbours: Neighbours) -> int:
    found = await neighbours.editor.list(ECR_SECRETS, neighbours.attacker)
    return sum(reading.verdict(each, "Ready")[0] == "True" for each in found)


async def test_many_regions_with_keys_of_a_container_agent_or_a_process_ask_it_once(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    no_keys = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    async with KeyEndpoints(neighbours.victim.aws.keys) as endpoints:
        env = {**no_keys, "AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoints.agent}
        async with neighbours.operator(env=env) as operator:
            await _over_regions(neighbours, operator, "agent")
        assert len(endpoints.asked) == 1
    for namespace in (neighbours.victim.namespace, neighbours.attacker):
        await neighbours.victim.clear(namespace)
    keys = '{"Version": 1, "AccessKeyId": "AKIAOFAPROCESS000000", "SecretAccessKey": "of-a-process"}'
    starts, program, config = (tmp_path / name for name in ("starts", "program", "config"))
    program.write_text(f"#!/bin/sh\necho started >>{starts}\necho '{keys}'\n")
    program.chmod(0o755)
    config.write_text(f"[default]\ncredential_process = {program}\n")
    async with neighbours.operator(env={**no_keys, "AWS_CONFIG_FILE": str(config)}) as operator:
        await _over_regions(neighbours, operator, "process")
    assert starts.read_text().splitlines() == ["started"]


async def _over_regions(neighbours: Neighbours, operator: OperatorProcess, prefix: str) -> None:
    """Have the attacker ask for a token in each of many regions, and wait for all of them."""
    count, aws = neighbours.scale.of(60, 400), neighbours.victim.aws
    aws.calls.clear()
    regions = _made_up(count)
    await neighbours.attack(*(ecr_secret(f"{prefix}-{n}", region=region) for n, region in enumerate(regions)))
    figures = await neighbours.observe(operator, 2)
    await wait_for(lambda: aws.count(outcome="answered") >= count, what=f"{count} tokens; {figures}")


async def test_many_links_delay_no_other_namespace(neighbours: Neighbours) -> None:
    count, each, seconds = neighbours.scale.of((6, 60, 2.5), (20, 100, 30.0))
    async with neighbours.operator() as operator:
        await neighbours.attack(*(account(f"a{number}") for number in range(each)))
        control = await neighbours.control(operator, seconds)
        links = [link(f"a{number}", "pull", "mount") for number in range(each)]
        await neighbours.attack(*(ecr_secret(f"r{n}", link_service_accounts=links) for n in range(count)))

        async def turn(number: int) -> None:
            # All links are taken out and put in again, without end.
            patch = {"spec": {"link_service_accounts": links if number // count % 2 else []}}
            name = f"r{number % count}"
            await neighbours.change(name, patch)

        async with meanwhile(turn, 0.05):
            attacked = await neighbours.observe(operator, seconds)
    assert_undisturbed(f"{count} resources x {each} links", control, attacked, neighbours.scale)


_FIRST_LOOKS = 20  # of 150 or more; what polls reads each of them every few seconds


async def test_many_resources_whose_keys_are_absent_are_not_polled(neighbours: Neighbours) -> None:
    count, seconds = neighbours.scale.of((150, 2.5), (1500, 30.0))
    async with neighbours.operator() as operator:
        control = await neighbours.control(operator, seconds)
        manifests = [ecr_secret(f"r{n}", aws_iam_secret={"name": f"absent-{n}"}) for n in range(count)]
        await neighbours.attack(*manifests)
        await neighbours.settled(count)
        neighbours.victim.mark()
        # What polls does so every few seconds.
        quiet = neighbours.scale.of(4.0, 30.0)
        await asyncio.sleep(quiet)
        polled = _reads_of_secrets(neighbours)
        attacked = await neighbours.observe(operator, seconds)
        neighbours.victim.mark()
        await neighbours.attack(iam_secret("absent-0"))

        async def one_ready() -> bool:
            return await _ready(neighbours) == 1

        await wait_for(one_ready, what="the resource whose Secret is there now")
        read = _reads_of_secrets(neighbours)
    said = f"{polled} GETs of Secrets in {quiet:g} s of {count} resources without keys; {read} once one came"
    assert_undisturbed(f"{count} resources whose keys are absent", control, attacked, neighbours.scale)
    # Those that were looked at before the watch had its list are read once more.
    assert polled <= _FIRST_LOOKS, said
    assert read <= 4, said


def _reads_of_secrets(neighbours: Neighbours) -> int:
    found = neighbours.victim.requests()
    return sum(number for request, number in found.items() if request[:2] == ("get", "secrets"))


async def test_a_burst_of_new_resources_delays_no_other_namespace(neighbours: Neighbours) -> None:
    count, seconds = neighbours.scale.of((300, 3.0), (5000, 30.0))
    async with neighbours.operator() as operator:
        control = await neighbours.control(operator, seconds)
        creating = asyncio.create_task(neighbours.attack(*(ecr_secret(f"r{n}") for n in range(count))))
        attacked = await neighbours.observe(operator, seconds)
        await creating
        await neighbours.settled(count)
        after = await neighbours.observe(operator, 2)
    assert_undisturbed(f"a burst of {count} new resources", control, attacked, neighbours.scale)
    assert_undisturbed(f"after a burst of {count} new resources", control, after, neighbours.scale)


async def test_a_start_with_many_new_resources_delays_no_other_namespace(neighbours: Neighbours) -> None:
    count, seconds = neighbours.scale.of((300, 3.0), (5000, 30.0))
    async with neighbours.operator(ready=False) as operator:
        control = await neighbours.control(operator, seconds)
    await neighbours.attack(*(ecr_secret(f"r{n}") for n in range(count)))
    async with neighbours.operator(ready=False) as operator:
        attacked = await neighbours.observe(operator, seconds)
    assert_undisturbed(f"a start with {count} new resources", control, attacked, neighbours.scale)


async def _churn(neighbours: Neighbours, number: int) -> None:
    """Spoil a generated Secret, touch and edit a resource, and change a Secret that only bears our label."""
    labels = {"app.kubernetes.io/managed-by": "ecr-secret-operator", "number": str(number)}
    await asyncio.gather(
        neighbours.change(f"r{number}-login", {"data": {".dockerconfigjson": "e30="}}, SECRETS),
        neighbours.change(f"r{number}", {"metadata": {"annotations": {"number": str(number)}}}),
        neighbours.change(f"r{number}", {"spec": {"frequency": f"{number % 7 + 1}h"}}),
        neighbours.editor.apply(core_secret(f"marked-{number}", labels=labels), neighbours.attacker),
    )


async def test_a_namespace_that_changes_all_the_time_delays_no_other(neighbours: Neighbours) -> None:
    count, seconds = neighbours.scale.of((60, 3.0), (200, 30.0))
    async with neighbours.operator() as operator:
        await neighbours.attack(*(ecr_secret(f"r{number}") for number in range(count)))
        await neighbours.settled(count)
        control = await neighbours.control(operator, seconds)

        async with meanwhile(lambda number: _churn(neighbours, number % count), 0.02):
            attacked = await neighbours.observe(operator, seconds)
    assert_undisturbed("everything changes all the time", control, attacked, neighbours.scale)
