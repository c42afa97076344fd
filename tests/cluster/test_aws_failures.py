"""Whatever AWS does: the last good token stays, the status says what is wrong, and all mends itself."""

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping

from lab.api import Json
from lab.aws import LocalAws
from lab.aws_faults import GARBAGE
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import SECRET_WRITE, STATUS_WRITE, Scene

Break = Callable[[LocalAws, str], object]


def _error(code: str, status: int = 400) -> Break:
    return lambda aws, region: aws.fail(code, status, region=region)


def _garbage(body: str) -> Break:
    return lambda aws, region: aws.garble(body, region=region)


# What goes wrong, the reason that it is told by, and words that help.
FAILURES: Mapping[str, tuple[Break, str, str]] = {
    "denied": (_error("AccessDeniedException"), "AccessDenied", "ecr:GetAuthorizationToken"),
    "unknown-keys": (_error("UnrecognizedClientException"), "AccessDenied", "Put valid keys"),
    "wrong-signature": (_error("InvalidSignatureException"), "AccessDenied", "secret access key"),
    "expired-keys": (_error("ExpiredTokenException"), "CredentialsExpired", "Renew them"),
    "throttled": (_error("ThrottlingException"), "Throttled", "throttles"),
    "http-429": (_error("TooManyRequestsException", 429), "Throttled", "throttles"),
    "http-500": (_error("InternalFailure", 500), "AWSUnavailable", "failed to answer"),
    "http-503": (_error("ServiceUnavailable", 503), "AWSUnavailable", "failed to answer"),
    "unknown-4xx": (_error("SomethingNew", 418), "AccessDenied", "SomethingNew"),
    "reset": (lambda aws, region: aws.reset(region=region), "AWSUnavailable", "can't be reached"),
    **{f"garbage-{body}": (_garbage(body), "InvalidTokenResponse", "AWS") for body in GARBAGE},
}
REGIONS = {name: f"eu-lab-{number}" for number, name in enumerate(FAILURES, 1)}
SILENT, LIVELY = "us-east-1", "us-east-2"


async def test_each_failure_is_told_by_its_reason_while_the_last_token_stays_until_all_mends_itself(
    scene: Scene,
) -> None:
    # Due after 9.5 to 10 s, dead after 15.
    scene.aws.token_life = 15
    await scene.create(*(ecr_secret(name, region=region) for name, region in REGIONS.items()))
    async with scene.operator():
        good = {each["metadata"]["name"]: each for each in await scene.ready(*FAILURES)}
        secrets = await _secrets(scene)
        for name, (spoil, _, _) in FAILURES.items():
            spoil(scene.aws, REGIONS[name])
        failed = {name: await _failed(scene, name) for name in FAILURES}
        await wait_for(lambda: _asked_again(scene), 3, "every region asked again in vain")
        assert await _secrets(scene) == secrets
        scene.aws.clear()
        mended = {each["metadata"]["name"]: each for each in await scene.ready(*FAILURES)}
        renewed = await _secrets(scene)
    assert _reasons(failed) == {name: ("False", reason) for name, (_, reason, _) in FAILURES.items()}
    assert {name for name, (_, _, words) in FAILURES.items() if words not in _message(failed[name])} == set()
    assert {name for name in FAILURES if "expires at" not in _message(failed[name])} == set()
    assert {
        name
        for name in FAILURES
        if reading.token(renewed[name]).serial == reading.token(secrets[name]).serial
    } == set()
    # Ready was True all the time.
    for name in FAILURES:
        times = {
            reading.condition(each[name], "Ready")["lastTransitionTime"] for each in (good, failed, mended)
        }
        assert len(times) == 1
        assert reading.verdict(failed[name], "Ready") == ("True", "Refreshed")
        assert failed[name]["status"]["phase"] == "Updated"
    # A failure that goes on is told once, and AWS is asked once a second at most.
    assert scene.writes() == {SECRET_WRITE: 2 * len(FAILURES), STATUS_WRITE: 3 * len(FAILURES)}
    assert min(itertools.chain(*(_intervals(scene, region) for region in REGIONS.values()))) >= 1


def _asked_again(scene: Scene) -> bool:
    return all(scene.aws.count(region=region) >= 3 for region in REGIONS.values())


async def _secrets(scene: Scene) -> dict[str, Json]:
    return {name: await scene.secret(f"{name}-login") for name in FAILURES}


async def _failed(scene: Scene, name: str) -> Json:
    async def look() -> Json | None:
        resource = await scene.resource(name)
        return resource if reading.verdict(resource, "Refreshed")[0] == "False" else None

    return await wait_for(look, 15, f"{name} told")


def _reasons(resources: Mapping[str, Json]) -> dict[str, tuple[str | None, str | None]]:
    return {name: reading.verdict(each, "Refreshed") for name, each in resources.items()}


def _message(resource: Json) -> str:
    return str(reading.condition(resource, "Refreshed")["message"])


def _intervals(scene: Scene, region: str) -> list[float]:
    times = [call.at for call in scene.aws.select(region=region)]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


async def test_a_region_that_says_nothing_holds_up_no_other_and_is_told(scene: Scene) -> None:
    scene.aws.token_life = 6
    await scene.create(
        ecr_secret("silent", region=SILENT),
        *(ecr_secret(f"more-{number}", region=SILENT) for number in range(40)),
        ecr_secret("lively", region=LIVELY),
    )
    async with scene.operator():
        await scene.ready("silent", "lively")
        before = await scene.secret("silent-login")
        scene.aws.hang(region=SILENT)
        watch = asyncio.create_task(_stays_alive(scene, "lively-login", 16))
        dead = await _not_ready(scene, "silent", reading.token(before).expires_at + 1.5)
        told = await scene.told("silent", "False", "AWSUnavailable", within=14)
        assert await scene.secret("silent-login") == before
        scene.aws.clear()
        await scene.ready("silent", within=10)
        await watch
    assert reading.verdict(dead, "Ready") == ("False", "TokenExpired")
    assert "did not answer in time" in _message(told)


async def _events_are(scene: Scene, expected: list[str]) -> bool:
    return await scene.events("pull") == expected


async def _not_ready(scene: Scene, name: str, deadline: float) -> Json:
    """Wait until Ready is False, at most until the epoch second `deadline`."""

    async def look() -> Json | None:
        resource = await scene.resource(name)
        return resource if reading.verdict(resource, "Ready")[0] == "False" else None

    return await wait_for(look, deadline - time.time(), f"{name} not Ready any more")


async def _stays_alive(scene: Scene, secret: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        asked_at = time.time()
        assert (await scene.token(secret)).expires_at > asked_at
        await asyncio.sleep(0.2)


async def test_a_token_that_dies_for_want_of_another_is_told_dead_and_stays_where_it_is(scene: Scene) -> None:
    scene.aws.token_life = 5
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        await scene.ready("pull")
        before = await scene.secret("pull-login")
        scene.aws.fail("ServiceUnavailable", 503)
        dead = await _not_ready(scene, "pull", reading.token(before).expires_at + 1.5)
        assert await scene.secret("pull-login") == before
        scene.aws.clear()
        await scene.ready("pull", within=15)
        assert reading.verdict(await scene.resource("pull"), "Ready") == ("True", "Refreshed")
        await wait_for(lambda: _events_are(scene, ["AWSUnavailable", "TokenExpired", "Refreshed"]), 2)
    assert dead["status"]["phase"] == "Failed"
    assert reading.verdict(dead, "Ready") == ("False", "TokenExpired")
    assert reading.verdict(dead, "Refreshed") == ("False", "AWSUnavailable")


async def test_a_first_token_that_is_denied_is_told_and_comes_once_it_is_allowed(scene: Scene) -> None:
    scene.aws.fail("AccessDeniedException", region="us-east-1")
    await scene.create(ecr_secret("pull"), ecr_secret("other", region="eu-west-1"))
    async with scene.operator():
        await scene.ready("other")
        resource = await scene.told("pull", "False", "AccessDenied")
        assert resource["status"]["phase"] == "Failed"
        assert reading.verdict(resource, "Ready") == ("False", "AccessDenied")
        assert await scene.find_secret("pull-login") is None
        scene.aws.clear()
        await scene.ready("pull", within=12)


async def test_while_aws_is_slow_the_status_says_that_it_is_being_asked(scene: Scene) -> None:
    scene.aws.delay = 4
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        resource = await scene.told("pull", "Unknown", "Pending")
        assert resource["status"]["phase"] == "Pending"
        await scene.ready("pull")
    assert scene.aws.count() == 1
