"""The session's API server with everything installed on it, and scenes there."""

import pytest

from lab.api import Api
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from tests.conftest import run_in_thread
from tests.manifests import installation
from tests.manifests.installation import Installation


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> ControlPlane:
    """The session's control plane with everything installed."""
    run_in_thread(installation.install_everything(control_plane))
    return control_plane


@pytest.fixture
async def token(installed: ControlPlane, api: Api) -> str:
    """A token of the operator's ServiceAccount."""
    assert installed
    return await installation.token_of(api)


@pytest.fixture
def stage(installed: ControlPlane, api: Api, aws: LocalAws, token: str, namespace: str) -> Installation:
    """A namespace and an operator that runs as the installation's ServiceAccount."""
    return Installation(plane=installed, api=api, aws=aws, namespace=namespace, account_token=token)
