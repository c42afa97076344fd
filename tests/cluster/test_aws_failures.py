"""Whatever AWS answers: the last good token stays, the status says what is wrong, and a success ends it."""

import itertools
from collections.abc import Callable, Mapping

from lab.aws import LocalAws
from lab.aws_faults import GARBAGE
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.concurrent import waits
from tests.cluster.scene import SECRET_WRITE, STATUS_WRITE, Scene

Break = Callable[[LocalAws, str], object]


def _error(code: str, status: int = 400) -> Break:
    return lambda aws, region: aws.fail(code, status, region=region)


def _garbage(body: str) -> Break:
    return lambda aws, region: aws.garble(body, region=region)


# What goes wrong, the reason that is reported, and words of the message.
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


@waits
async def test_each_failure_is_reported_once_and_the_last_token_stays(scene: Scene) -> None:
    # Due after 19 to 20 s, expired after 30.
    scene.aws.token_life = 30
    logins = [f"{name}-login" for name in FAILURES]
    await scene.create(*(ecr_secret(name, region=region) for name, region in REGIONS.items()))
    async with scene.operator():
        good = await scene.ready(*FAILURES)
        before = await scene.secrets(*logins)
        for name, (spoil, _, _) in FAILURES.items():
            spoil(scene.aws, REGIONS[name])
        failed = [await scene.told(name, "False", reason) for name, (_, reason, _) in FAILURES.items()]
        await wait_for(lambda: _asked_again(scene), what="every region asked again in vain")
        assert await scene.secrets(*logins) == before
        scene.aws.clear()
        recovered = await scene.ready(*FAILURES)
        renewed = await scene.secrets(*logins)
    assert all(
        reading.token(new).serial != reading.token(old).serial
        for old, new in zip(before, renewed, strict=True)
    )
    # A failure that goes on is reported once, and AWS is asked once a second at most.
    await scene.writes_are({SECRET_WRITE: 2 * len(FAILURES), STATUS_WRITE: 3 * len(FAILURES)})
    assert min(itertools.chain(*(scene.intervals(region) for region in REGIONS.values()))) >= 1
    for (name, (_, _, words)), *seen in zip(FAILURES.items(), good, failed, recovered, strict=True):
        message = reading.condition(seen[1], "Refreshed")["message"]
        assert words in message, name
        assert seen[1]["status"]["expirationTime"] in message, name
        # Ready was True all the time.
        assert {reading.verdict(each, "Ready") for each in seen} == {("True", "Refreshed")}, name
        assert len({reading.condition(each, "Ready")["lastTransitionTime"] for each in seen}) == 1, name
        assert {each["status"]["phase"] for each in seen} == {"Updated"}, name


def _asked_again(scene: Scene) -> bool:
    return all(scene.aws.count(region=region) >= 3 for region in REGIONS.values())
