"""`check`, the side of AWS: who we are there, and whether we get a token."""

from collections.abc import AsyncIterator
from typing import Final

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.registry import is_region
from ecr_operator.api.text import format_time
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.aws.whoami import WhoAmI
from ecr_operator.cli.findings import ErrorMeaning, Finding
from ecr_operator.core.ports import Clock

_USUAL: Final = "us-east-1"


async def look(region: str, clock: Clock) -> AsyncIterator[Finding]:
    """Look at one thing after another, and stop where the next would fail for the same reason.

    Args:
        region: to ask in; empty for that of the SDK.
        clock: the time.
    """
    async with WhoAmI(clock) as identity:
        given = region or identity.region
        region = given if is_region(given) else _USUAL
        yield _region(given, region)
        try:
            origin = await identity.origin(region)
            yield Finding(verdict="good", topic="credentials", text=f"from {origin}")
        except OperatorError as error:
            yield _failed("credentials", error)
            return
        try:
            yield Finding(verdict="good", topic="identity", text=await identity.arn(region))
        except OperatorError as error:
            # Without STS nobody learns the name, but ECR may still answer.
            yield _failed("identity", error, verdict="optional")
        try:
            async with EcrTokenIssuer(clock, regions=lambda: (region,)) as issuer:
                token = await issuer.issue(TokenSource(region=region))
            text = f"ECR in {region} gives one that lives until {format_time(token.expires_at)}"
            yield Finding(verdict="good", topic="token", text=text)
        except OperatorError as error:
            yield _failed("token", error)


def _region(given: str, region: str) -> Finding:
    if is_region(given):
        return Finding(verdict="good", topic="region", text=given)
    return Finding(
        verdict="optional",
        topic="region",
        text=f"none is set, so {region} is asked; the operator takes it from each resource",
        advice="name another with --region",
    )


def _failed(topic: str, error: OperatorError, verdict: ErrorMeaning = "bad") -> Finding:
    return Finding(verdict=verdict, topic=topic, text=f"{error.reason}: {error.message}")
