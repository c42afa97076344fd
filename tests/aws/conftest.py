"""A local AWS, and an environment in which the SDK finds nothing that a test didn't put there."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ecr_operator.aws.ecr import EcrTokenIssuer
from lab.aws import LocalAws

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105 -- of AWS's own examples
OTHER_KEY = "AKIAI44QH8DHBEXAMPLE"
OTHER_SECRET = "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"  # noqa: S105 -- the same


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take out everything that the SDK would find on this machine."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "BOTO_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
async def aws(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalAws]:
    """A local AWS that the SDK is pointed at, and which knows two users."""
    async with LocalAws() as local:
        local.keys.known = {ACCESS_KEY: SECRET_KEY, OTHER_KEY: OTHER_SECRET}
        monkeypatch.setenv("AWS_ENDPOINT_URL", local.url)
        yield local


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first user's keys in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)


@pytest.fixture
async def issuer() -> AsyncIterator[EcrTokenIssuer]:
    """The operator's issuer; depend on it last, for it looks at the environment when it is made."""
    async with EcrTokenIssuer() as made:
        yield made
