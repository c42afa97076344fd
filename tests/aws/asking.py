"""What the tests of this folder ask for, and how.

`python -m tests.aws.asking REGION` asks for a token in a process of its own, for what the SDK decides once,
when it is imported. It prints as JSON whose keys got it, or why there is none.
"""

import asyncio
import json
import sys
from dataclasses import dataclass

import pytest

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.core.ports import SystemClock, TokenIssuer
from lab.aws import decode_token

IRELAND = TokenSource(region="eu-west-1")
OHIO = TokenSource(region="us-east-2")
ROLE = "arn:aws:iam::123456789012:role/puller"


@dataclass
class JumpingClock(SystemClock):
    """A clock whose monotonic time can be put forward."""

    ahead: float = 0.0

    def monotonic(self) -> float:
        """The machine's time, put forward."""
        return super().monotonic() + self.ahead


async def key_id(issuer: TokenIssuer, source: TokenSource = IRELAND) -> str:
    """Fetch a token and return the access key id that signed for it."""
    return decode_token((await issuer.issue(source)).password).access_key


async def refusal(issuer: TokenIssuer, source: TokenSource = IRELAND) -> OperatorError:
    """Ask for a token and return the error that comes instead."""
    with pytest.raises(OperatorError) as caught:
        await issuer.issue(source)
    return caught.value


async def main(region: str) -> None:
    async with EcrTokenIssuer() as issuer:
        try:
            print(json.dumps({"access_key": await key_id(issuer, TokenSource(region=region))}))
        except OperatorError as error:
            print(json.dumps({"reason": error.reason, "message": error.message}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
