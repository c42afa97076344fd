"""An installation on a real API server: what kustomize builds, applied by kubectl, and its ServiceAccount."""

import asyncio
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster.scene import Scene
from tests.lab import audit, rights
from tests.lab.api import SERVICE_ACCOUNTS, Api, Json
from tests.lab.control_plane import ControlPlane
from tests.lab.kubectl import find_kubectl, kubectl

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
EVERYTHING = Path(__file__).parent / "everything"
NAMESPACE = "ecr-secret-operator"
ACCOUNT = "ecr-secret-operator-controller-manager"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"


def build(folder: Path) -> list[Json]:
    """Return the objects that kustomize builds. Raises CalledProcessError with what it said."""
    done = subprocess.run([find_kubectl(), "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower(), done.stderr
    return list(yaml.safe_load_all(done.stdout))


def pick(objects: Iterable[Json], kind: str, name: str = "") -> Json:
    """Return the one object of a kind, and of a name where there are several."""
    (found,) = (each for each in objects if each["kind"] == kind and name in ("", each["metadata"]["name"]))
    return found


async def apply(plane: ControlPlane, folder: Path, *flags: str) -> str:
    """Apply what a folder builds, as a user does, and return what kubectl said."""
    return await kubectl("apply", *flags, "-k", str(folder), kubeconfig=plane.kubeconfig, home=plane.folder)


async def token_of(api: Api, namespace: str = NAMESPACE, name: str = ACCOUNT) -> str:
    """Return a token of a ServiceAccount, the operator's unless another is named."""
    answer = await api.request(
        "POST",
        SERVICE_ACCOUNTS.path(name, namespace, "token"),
        body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )
    token: str = answer["status"]["token"]
    return token


async def install(plane: ControlPlane, folder: Path) -> None:
    """Apply a folder, and wait until the server serves its CRDs."""
    await apply(plane, folder)
    async with plane.api() as api:
        await api.install_crds()


def installed(plane: ControlPlane, folder: Path) -> None:
    """Do the same from outside of a coroutine."""
    asyncio.run(install(plane, folder))


@dataclass(slots=True, kw_only=True)
class Installation(Scene):
    """A stage whose operators are the installation's own ServiceAccount.

    Attributes:
        token: of that account.
    """

    token: str

    def __post_init__(self) -> None:
        self.kubeconfig = self.plane.write_kubeconfig("installed", token=self.token)
        self.since = self.begun = audit.position(self.plane.audit_log)

    @property
    def user(self) -> str:
        """The account's name."""
        return USER

    def refusals(self) -> list[str]:
        """Tell what the operator asked for and was refused."""
        return rights.refusals(self.plane, USER, group="system:serviceaccounts", since=self.begun)
