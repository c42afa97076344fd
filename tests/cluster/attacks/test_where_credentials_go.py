"""Where an editor can have the operator's credentials and logins sent: nowhere else than otherwise."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from lab.api import ARGO_SECRETS, ECR_SECRETS, NAMESPACES, SECRETS, Json
from lab.aws import LocalAws
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.attacks.aws_by_name import ASKED, aws_by_name
from tests.cluster.attacks.figures import assert_undisturbed
from tests.cluster.attacks.neighbours import Neighbours
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.identities.tenancy import ROLE

OWN_ROLE: Final = "arn:aws:iam::123456789012:role/operator"
JWT: Final = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcGVyYXRvciJ9.c2lnbmF0dXJl"
HOME: Final = "us-east-1"
IRELAND: Final = "eu-west-1"
ELSEWHERE: Final = ("cn-tenant-1", "cn-north-1", "us-gov-west-1", "made-up-1", "eu-evil-1", "us-iso-east-1")


def _hosts(region: str) -> tuple[str, str]:
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"api.ecr.{region}.{suffix}", f"sts.{region}.{suffix}"


ALL_HOSTS: Final = [host for region in (HOME, IRELAND, *ELSEWHERE) for host in _hosts(region)]


@asynccontextmanager
async def _by_name(
    neighbours: Neighbours, folder: Path, *hosts: str, **slow: object
) -> AsyncIterator[tuple[LocalAws, dict[str, str | None]]]:
    """Put an AWS that is known by its names in the place of the neighbours' plain one."""
    plain = neighbours.victim.aws
    async with aws_by_name(folder, *(hosts or ALL_HOSTS), **slow) as (aws, env):  # type: ignore[arg-type]
        neighbours.victim.aws = aws
        yield aws, env
    neighbours.victim.aws = plain


@pytest.mark.parametrize("home", [HOME, None], ids=["AWS_REGION", "no region of the operator's own"])
async def test_the_operators_own_web_identity_token_goes_to_one_sts(
    neighbours: Neighbours, tmp_path: Path, home: str | None
) -> None:
    token = tmp_path / "token"
    token.write_text(JWT)
    (names := tmp_path / "names").mkdir()
    async with _by_name(neighbours, names) as (aws, env):
        env |= {
            "AWS_ACCESS_KEY_ID": None,
            "AWS_SECRET_ACCESS_KEY": None,
            "AWS_ROLE_ARN": OWN_ROLE,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_REGION": home,
        }
        async with neighbours.operator(env=env):
            control = {call.host for call in aws.calls if call.token == JWT}
            await neighbours.attack(*(ecr_secret(f"r-{each}", region=each) for each in ELSEWHERE))
            await neighbours.settled(len(ELSEWHERE))
        # An operator without a session yet, whatever is asked for first.
        await neighbours.victim.delete("standing", ECR_SECRETS)
        await neighbours.victim.delete("standing-login")
        for secret in await neighbours.editor.list(SECRETS, neighbours.attacker):
            await neighbours.editor.delete(SECRETS, secret["metadata"]["name"], neighbours.attacker)
        async with neighbours.operator(env=env) as operator:
            await neighbours.observe(operator, 1)
        sent = sorted({call.host for call in aws.calls if call.token == JWT})
        asked = {name for name in (names / ASKED).read_text().split() if name.startswith("sts.")}
    said = f"the operator's web identity token went to {sent}; names of STS that were asked for: {asked}"
    assert control == {f"sts.{HOME}.amazonaws.com"}, said
    assert set(sent) == control, said
    assert asked == control, said


async def test_the_first_hop_of_a_role_goes_to_one_sts(neighbours: Neighbours, tmp_path: Path) -> None:
    async with _by_name(neighbours, tmp_path) as (aws, env):
        env["AWS_REGION"] = HOME
        annotations = {"ecr.mobb.redhat.com/permitted-roles": ROLE}
        await neighbours.victim.api.merge_patch(
            NAMESPACES, neighbours.attacker, {"metadata": {"annotations": annotations}}
        )
        async with neighbours.operator(env=env) as operator:
            await neighbours.attack(ecr_secret("control", role_arn=ROLE, region=HOME))
            await neighbours.settled(1)
            control = {call.host for call in aws.select("AssumeRole")}
            await neighbours.attack(
                *(ecr_secret(f"r-{each}", role_arn=ROLE, region=each) for each in ELSEWHERE)
            )
            await neighbours.settled(1 + len(ELSEWHERE))
            await neighbours.observe(operator, 1)
        hosts = {call.host for call in aws.select("AssumeRole")}
    said = f"AssumeRole with the operator's keys went to {hosts}, without the attack to {control}"
    assert control == {f"sts.{HOME}.amazonaws.com"}, said
    # A region of a partition's form may be a new one; other partitions and forms are never asked.
    assert hosts <= control | {"sts.eu-evil-1.amazonaws.com"}, said


async def test_a_region_of_no_partition_is_never_asked(neighbours: Neighbours, tmp_path: Path) -> None:
    async with _by_name(neighbours, tmp_path) as (aws, env):
        async with neighbours.operator(env=env):
            before = len(aws.calls)
            await neighbours.attack(ecr_secret("r-made-up-1", region="made-up-1"))
            await neighbours.settled(1)
            resource = await neighbours.get("r-made-up-1")
        hosts = [call.host for call in aws.calls[before:]]
        asked = [name for name in (tmp_path / ASKED).read_text().split() if "made-up" in name]
    assert reading.verdict(resource, "Refreshed") == ("False", "InvalidSpec"), resource["status"]
    assert (hosts, asked) == ([], [])


SLOW_SECONDS: Final = 10.0


async def test_a_slow_name_server_for_made_up_regions_delays_no_other_namespace(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    count, each, seconds = neighbours.scale.of((1, 60, 4.0), (20, 100, 30.0))
    regions = ["us-east-1", "us-east-2", "us-west-1", "us-west-2", "eu-west-1", "eu-west-2", "eu-west-3"]
    regions += ["eu-central-1", "eu-north-1", "sa-east-1", "ca-central-1", "ap-south-1", "ap-southeast-1"]
    regions += ["ap-southeast-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "eu-south-1"]
    hosts = [host for region in regions for host in _hosts(region)]
    slow = {"slow": ("*.eu-slow*",), "seconds": SLOW_SECONDS}
    async with (
        _by_name(neighbours, tmp_path, *hosts, **slow) as (_, env),
        neighbours.operator(env=env) as run,
    ):
        half = len(regions) // 2
        control = await neighbours.control(run, seconds, regions=regions[1:half])
        for number in range(count):
            first, *others = [f"eu-slow{number * each + at}-1" for at in range(each)]
            extra = [registry(region) for region in others]
            await neighbours.attack(ecr_secret(f"r{number}", region=first, additional_registries=extra))
        attacked = await neighbours.observe(run, seconds, regions=regions[half:])
        # A thread that resolves a name can't be interrupted, so the operator is ended with it.
        await run.kill()
    assert_undisturbed(
        f"{count} x {each} regions whose names take {SLOW_SECONDS:g} s", control, attacked, neighbours.scale
    )


WIDE: Final = (
    "https:",
    "h",
    "*",
    "https://",
    "oci:",
    "oci://",
    "oci://*",
    "123456789012",
    "12*",
    "?",
    "localhost",
)


async def test_a_login_for_every_host_is_never_offered(neighbours: Neighbours) -> None:
    wide: dict[str, Any] = {"repo_type": "oci", "credential_scope": "repo-creds"}
    async with neighbours.operator():
        await neighbours.attack(argo_secret("limited", **wide, project="team"))
        await neighbours.settled(1, ARGO_SECRETS)
        limited = await neighbours.get("limited", ARGO_SECRETS)
        await neighbours.editor.delete(ARGO_SECRETS, "limited", neighbours.attacker)
        await neighbours.attack(argo_secret("whole", **wide))
        await neighbours.attack(*(argo_secret(f"wide-{n}", **wide, url=url) for n, url in enumerate(WIDE)))
        # A login that was offered for one URL only, and is there.
        narrow = [argo_secret(f"was-{n}", repo_type="oci", url=url) for n, url in enumerate(WIDE)]
        await neighbours.attack(*narrow)
        await neighbours.settled(1 + 2 * len(WIDE), ARGO_SECRETS)
        for each in narrow:
            name, patch = each["metadata"]["name"], {"spec": {"credential_scope": "repo-creds"}}
            await neighbours.change(name, patch, ARGO_SECRETS)
            await wait_for(partial(_judged, neighbours, name), what=f"a status of the new scope of {name}")
        offered = sorted(
            (reading.decoded(each)["url"], each["metadata"]["name"])
            for each in await neighbours.editor.list(SECRETS, neighbours.attacker)
            if each["metadata"].get("labels", {}).get("argocd.argoproj.io/secret-type") == "repo-creds"
        )
        kept = [n for n, url in enumerate(WIDE) if await _find_login(neighbours, f"was-{n}")]
        found = await neighbours.editor.list(ARGO_SECRETS, neighbours.attacker)
    reasons = {each["spec"]["url"]: reading.verdict(each, "Refreshed") for each in found}
    said = f"offered to Argo CD for every host: {offered}; kept: {[WIDE[n] for n in kept]}; {reasons}"
    assert offered == [(registry(), "whole-login")], said
    assert reasons == dict.fromkeys(WIDE, ("False", "InvalidRegistry")) | {
        registry(): ("True", "Refreshed")
    }, said
    assert not kept, said
    # Argo CD ignores a project there, so it can't limit the login.
    assert reading.verdict(limited, "Refreshed") == ("False", "InvalidSpec"), limited["status"]


async def _find_login(neighbours: Neighbours, name: str) -> Json | None:
    return await neighbours.editor.find(SECRETS, f"{name}-login", neighbours.attacker)


async def _judged(neighbours: Neighbours, name: str) -> bool:
    resource = await neighbours.get(name, ARGO_SECRETS)
    return reading.is_current(resource) and bool(reading.condition(resource, "Refreshed"))
