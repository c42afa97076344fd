"""`python -m tests.aws.ask REGION`: ask for a token as the operator would, in a process of its own.

Prints as JSON whose keys got it, or why there is none. For what the SDK decides once, when it is imported.
"""

import asyncio
import json
import sys

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from lab.aws import decode_token


async def main(region: str) -> None:
    """Ask once."""
    async with EcrTokenIssuer() as issuer:
        try:
            token = await issuer.issue(TokenSource(region=region))
        except OperatorError as error:
            print(json.dumps({"reason": error.reason, "message": error.message}))
        else:
            print(json.dumps({"access_key": decode_token(token.password).access_key}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
