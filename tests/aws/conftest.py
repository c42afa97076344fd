"""A local AWS, and an environment in which the SDK finds nothing that a test didn't put there."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ecr_operator.aws.ecr import EcrTokenIssuer
from lab.aws import LocalAws
from lab.key_endpoints import KeyEndpoints

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105 -- of AWS's own examples
OTHER_KEY = "AKIAI44QH8DHBEXAMPLE"
OTHER_SECRET = "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"  # noqa: S105 -- the same
KEYS = f"aws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n"

Environ = Callable[..., None]


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Environ:
    """Set variables of the environment."""

    def put(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take out everything that the SDK would find on this machine."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "BOTO_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
async def aws(environ: Environ) -> AsyncIterator[LocalAws]:
    """A local AWS that the SDK is pointed at, and which knows two users."""
    async with LocalAws() as local:
        local.keys.known = {ACCESS_KEY: SECRET_KEY, OTHER_KEY: OTHER_SECRET}
        environ(AWS_ENDPOINT_URL=local.url)
        yield local


@pytest.fixture
def user(environ: Environ) -> None:
    """The first user's keys in the environment."""
    environ(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)


@pytest.fixture
def config(aws: LocalAws, environ: Environ, tmp_path: Path) -> Path:
    """v0.6.0's AWS_CONFIG_FILE, which is absent at first."""
    assert aws.url
    environ(AWS_CONFIG_FILE=str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def web_token(tmp_path: Path) -> Path:
    """A projected service account token."""
    path = tmp_path / "token"
    path.write_text("header.payload.signature")
    return path


@pytest.fixture
async def metadata(aws: LocalAws, environ: Environ) -> AsyncIterator[KeyEndpoints]:
    """The metadata service of an instance without a role at first; also an agent."""
    async with KeyEndpoints(aws.keys) as endpoints:
        environ(AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=endpoints.url)
        yield endpoints


@pytest.fixture
def agent(metadata: KeyEndpoints, environ: Environ) -> KeyEndpoints:
    """The container's agent, as EKS Pod Identity sets it up, without a token."""
    environ(AWS_CONTAINER_CREDENTIALS_FULL_URI=metadata.agent)
    return metadata


@pytest.fixture
async def issuer() -> AsyncIterator[EcrTokenIssuer]:
    """The operator's issuer; depend on it last, for it looks at the environment when it is made."""
    async with EcrTokenIssuer() as made:
        yield made
