"""What the tests of this folder ask for, and how."""

from contextlib import AbstractAsyncContextManager, nullcontext

import pytest

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.identity import Identity
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.core.ports import TokenIssuer
from lab.aws import decode_token

IRELAND = TokenSource(region="eu-west-1")
OHIO = TokenSource(region="us-east-2")
PUBLIC = TokenSource(region="us-east-1", service="ecr-public")
LAB = [TokenSource(region=f"lab-{number}") for number in range(8)]
ACCOUNT = Identity(source="service_account", namespace="team", name="ci")
KEYS = Identity(source="iam_secret", namespace="team", name="keys")
ROLE = "arn:aws:iam::123456789012:role/puller"


def _given_or_new(issuer: TokenIssuer | None) -> AbstractAsyncContextManager[TokenIssuer]:
    return nullcontext(issuer) if issuer else EcrTokenIssuer()


async def key_id(issuer: TokenIssuer | None = None, source: TokenSource = IRELAND) -> str:
    """Fetch a token, without an issuer by a new one, and return the access key id that signed for it."""
    async with _given_or_new(issuer) as asked:
        return decode_token((await asked.issue(source)).password).access_key


async def refusal(issuer: TokenIssuer | None = None, source: TokenSource = IRELAND) -> OperatorError:
    """Ask for a token, without an issuer a new one, and return the error that comes instead."""
    async with _given_or_new(issuer) as asked:
        with pytest.raises(OperatorError) as caught:
            await asked.issue(source)
    return caught.value
