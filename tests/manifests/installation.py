"""An installation on a real API server: what kustomize builds, applied by kubectl, and its ServiceAccount."""

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import yaml

from lab import audit, rights
from lab.api import SECRETS, SERVICE_ACCOUNTS, Api, ApiError, Json
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.kubectl import find_kubectl, kubectl
from lab.waiting import wait_for
from tests.cluster.ownership import v060
from tests.cluster.scene import Scene

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
EVERYTHING = Path(__file__).parent / "everything"
NAMESPACE = "ecr-secret-operator"
V060 = Path(__file__).with_name("v0.6.0.yaml")
ACCOUNT = "ecr-secret-operator-controller-manager"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
# Once at the operator's start, to see whether there is something to undo; the right for it is an addition.
LOOK_FOR_LINKS = "list /api/v1/serviceaccounts"


def build(folder: Path) -> list[Json]:
    """Return the objects that kustomize builds; it must have nothing to say about it."""
    return list(yaml.safe_load_all(_built(folder)))


@cache
def _built(folder: Path) -> str:
    done = subprocess.run([find_kubectl(), "kustomize", folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def roles_of(objects: Iterable[Json], account: str) -> list[Json]:
    """Return the roles that a set of manifests binds to a ServiceAccount."""
    objects = list(objects)
    bound = {
        (each["roleRef"]["kind"], each["roleRef"]["name"])
        for each in objects
        if each["kind"] in {"RoleBinding", "ClusterRoleBinding"}
        and any(subject["name"] == account for subject in each["subjects"])
    }
    return [each for each in objects if (each["kind"], each["metadata"]["name"]) in bound]


async def apply(plane: ControlPlane, folder: Path, *flags: str) -> str:
    """Apply what a folder builds, as a user does, and return what kubectl said."""
    return await kubectl("apply", *flags, "-k", str(folder), kubeconfig=plane.kubeconfig, home=plane.folder)


async def present(api: Api, manifest: Json) -> Json:
    """Return what the server has of an object."""
    metadata = manifest["metadata"]
    return await api.get(await api.resource_of(manifest), metadata["name"], metadata.get("namespace"))


async def token_of(api: Api, namespace: str = NAMESPACE, name: str = ACCOUNT) -> str:
    """Return a token of a ServiceAccount, the operator's unless another is named."""
    answer = await api.request(
        "POST",
        SERVICE_ACCOUNTS.path(name, namespace, "token"),
        body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )
    token: str = answer["status"]["token"]
    return token


async def install_everything(plane: ControlPlane) -> None:
    """Apply all there is, and wait until the server serves the CRDs and holds the account to the policies."""
    await apply(plane, EVERYTHING)
    async with plane.api() as api:
        await api.crds_served(each["metadata"]["name"] for each in build(CONFIG / "crd"))
        async with Api(plane.url, token=await token_of(api), authority=plane.authority) as operator:
            await wait_for(partial(_is_denied, operator), 20, "the policies at work")


async def _is_denied(operator: Api) -> bool:
    """Tell whether a policy keeps the operator from a Secret that is none of its own."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "probe"}}
    try:
        await operator.request("POST", SECRETS.path(None, NAMESPACE), body=secret, query={"dryRun": "All"})
    except ApiError as error:
        return "ecr-secret-operator-secret-writes" in str(error)
    return False


@dataclass(slots=True, kw_only=True)
class Installation(Scene):
    """A scene whose operators are the installation's own ServiceAccount.

    Attributes:
        account_token: of that account.
    """

    account_token: str = field(repr=False)

    def __post_init__(self) -> None:
        self.kubeconfig = self.plane.write_kubeconfig("installed", token=self.account_token)
        self.since = self.begun = audit.mark(self.plane.audit_log)

    @property
    def user(self) -> str:
        """The account's name."""
        return USER

    def refusals(self) -> list[str]:
        """Tell what the operator asked for and was refused."""
        return [rights.in_words(entry) for entry in rights.refused(self.plane, USER, self.begun)]


async def apply_v060(plane: ControlPlane) -> None:
    """Apply v0.6.0's manifests, as its `make deploy` did."""
    await kubectl("apply", "-f", str(V060), kubeconfig=plane.kubeconfig, home=plane.folder)


async def install_v060(plane: ControlPlane, api: Api, aws: LocalAws) -> Installation:
    """Install v0.6.0, and return a scene on it."""
    await apply_v060(plane)
    await api.crds_served(each["metadata"]["name"] for each in v060.crds())
    namespace, token = await api.create_namespace(), await token_of(api)
    return Installation(plane=plane, api=api, aws=aws, namespace=namespace, account_token=token)
