"""What an installation may do, and that a refusal is noticed."""

import subprocess
import sys
from pathlib import Path

import pytest

from lab import audit, rights
from lab.control_plane import ControlPlane

USER = "curious-operator"


@pytest.fixture
def since(control_plane: ControlPlane) -> int:
    """The audit log's end before the test."""
    return audit.position(control_plane.audit_log)


@pytest.fixture
def kubeconfig(control_plane: ControlPlane) -> Path:
    """An operator as installed."""
    return control_plane.write_kubeconfig(USER, groups=(rights.OPERATORS,))


def _get(kubeconfig: Path, *arguments: str) -> int:
    kubectl = Path(sys.executable).with_name("kubectl")
    command: list[str | Path] = [kubectl, "--kubeconfig", kubeconfig, "get", "--raw", *arguments]
    return subprocess.run(command, capture_output=True, check=False, env={"HOME": "/nonexistent"}).returncode


def test_what_the_role_allows_is_no_refusal(
    control_plane: ControlPlane, kubeconfig: Path, since: int
) -> None:
    assert _get(kubeconfig, "/api/v1/secrets?limit=1") == 0
    assert rights.beyond(control_plane, USER, since) == []


def test_what_it_does_not_allow_is_told(control_plane: ControlPlane, kubeconfig: Path, since: int) -> None:
    assert _get(kubeconfig, "/api/v1/configmaps") == 1
    assert rights.beyond(control_plane, USER, since) == ["list /api/v1/configmaps"]


def test_the_roles_of_all_additions_are_among_them() -> None:
    names = {role["metadata"]["name"] for role in rights.roles()}
    assert names >= {
        "as-installed-manager-role",
        "as-installed-leader-election-role",
        "as-installed-ecr-secret-operator-service-account-role",
    }
