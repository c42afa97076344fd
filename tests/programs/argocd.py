"""Argo CD: its repo server and application controller, its own manifests, and what an Application reports.

Left out: its API server and user interface. An Application is created, refreshed and read by the API of
Kubernetes, as kubectl does.
"""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import yaml

from lab import programs
from lab.api import Api, Json, Resource
from lab.control_plane import ControlPlane
from lab.processes import Process, lean_environment, temporary_folder
from lab.waiting import LONG, wait_for
from tests.programs.client import printed
from tests.programs.registry import EcrRegistry

APPLICATIONS: Final = Resource("argoproj.io/v1alpha1", "applications")
CONFIG_MAPS: Final = Resource("v1", "configmaps")
REFRESH: Final = "argocd.argoproj.io/refresh"
IN_CLUSTER: Final = {"server": "https://kubernetes.default.svc"}

_PROJECT: Final = {
    "sourceRepos": ["*"],
    "destinations": [{"namespace": "*", "server": "*"}],
    "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
}
# Any free port; the metrics of the controller are on all addresses.
_REPO_SERVER: Final = (
    "--address=127.0.0.1",
    "--port=0",
    "--metrics-address=127.0.0.1",
    "--metrics-port=0",
    "--disable-tls",
)
_CONTROLLER: Final = ("--metrics-port=0", "--repo-server-plaintext")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgoCd:
    """One that runs, in a namespace."""

    api: Api
    namespace: str

    async def create(self, name: str, source: Json, *, project: str = "default", **policy: bool) -> None:
        """Create an Application that syncs by itself to Argo CD's own namespace."""
        destination = {**IN_CLUSTER, "namespace": self.namespace}
        policies = {"syncPolicy": {"automated": policy}}
        spec = {"project": project, "source": source, "destination": destination, **policies}
        await self.api.create(_object("Application", name, spec), self.namespace)

    async def create_project(self, name: str, **spec: object) -> None:
        """Create a project that permits all but what the spec says."""
        await self.api.create(_object("AppProject", name, {**_PROJECT, **spec}), self.namespace)

    async def refresh(self, name: str) -> Json:
        """Refresh an Application hard, which asks the registry again, and return it once that is done."""
        marks = {"metadata": {"annotations": {REFRESH: "hard"}}}
        await self.api.merge_patch(APPLICATIONS, name, marks, self.namespace)
        return await self._until(
            name, "refreshed", lambda found: REFRESH not in found["metadata"].get("annotations", {})
        )

    async def synced(self, name: str) -> Json:
        """Wait until an Application is Synced, without any error, and return it."""
        return await self._until(name, "Synced", _is_synced)

    async def health_is(self, name: str, health: str) -> Json:
        """Wait until Argo CD finds an Application in this health, and return it."""
        return await self._until(
            name, health, lambda found: found.get("status", {}).get("health", {}).get("status") == health
        )

    async def _until(self, name: str, what: str, is_so: Callable[[Json], bool]) -> Json:
        async def look() -> Json | None:
            found = await self.api.get(APPLICATIONS, name, self.namespace)
            return found if is_so(found) else None

        return await wait_for(look, LONG, f"{name} {what}")


def _is_refreshed(application: Json) -> bool:
    return REFRESH not in application["metadata"].get("annotations", {})


def _is_synced(application: Json) -> bool:
    status = application.get("status", {})
    is_synced = status.get("sync", {}).get("status") == "Synced" and "operationState" in status
    return is_synced and not errors(application)


def errors(application: Json) -> list[str]:
    """Return the errors that an Application shows."""
    conditions = application.get("status", {}).get("conditions", [])
    return [each["message"] for each in conditions if each["type"].endswith("Error")]


def _object(kind: str, name: str, spec: Mapping[str, object]) -> Json:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


async def install_crds(api: Api) -> None:
    """Install Argo CD's CRDs, those that its application controller watches."""
    folder = programs.argocd_manifests() / "crds"
    crds = [_read(folder / f"{name}-crd.yaml") for name in ("application", "appproject")]
    for crd in crds:
        await api.apply(crd)
    await api.crds_served(crd["metadata"]["name"] for crd in crds)


@asynccontextmanager
async def argocd(
    program: Path, helm: Path, plane: ControlPlane, namespace: str, registry: EcrRegistry
) -> AsyncIterator[ArgoCd]:
    """Run one that reaches a registry, in a namespace with its settings and the project `default`."""
    config = programs.argocd_manifests() / "base" / "config"
    async with plane.api() as api:
        await api.apply(_read(config / "argocd-cm.yaml"), namespace)
        # The key is made by its API server, which isn't there.
        key = {"stringData": {"server.secretkey": "of the lab"}}
        await api.apply(_read(config / "argocd-secret.yaml") | key, namespace)
        running = ArgoCd(api=api, namespace=namespace)
        await running.create_project("default")
        with temporary_folder("ecr-argocd-") as folder, ExitStack() as stack:
            start = partial(_start, stack, program, folder)
            redis = await printed(start("redis", "127.0.0.1:0", env={}), r"(127[\d.:]+)")
            path = os.pathsep.join((str(helm.parent), os.environ["PATH"]))
            reached = {"HTTPS_PROXY": registry.proxy, "SSL_CERT_FILE": str(registry.authority)}
            server = start(
                "argocd-repo-server", *_REPO_SERVER, f"--redis={redis}", env=reached | {"PATH": path}
            )
            address = await printed(server, r"listening on ([\d.:]+)")
            flags = (f"--redis={redis}", f"--repo-server={address}", f"--kubeconfig={plane.kubeconfig}")
            env = {"KUBECONFIG": str(plane.kubeconfig), "ARGOCD_FAKE_IN_CLUSTER": "true"}
            start("argocd-application-controller", *_CONTROLLER, f"--namespace={namespace}", *flags, env=env)
            yield running


def _start(
    stack: ExitStack, program: Path, folder: Path, name: str, *arguments: str, env: Mapping[str, str]
) -> Process:
    """Start one of its programs, killed with the stack; the end of its log is shown then."""
    log = folder / f"{name}.log"
    # Folders that would otherwise be in /tmp and /app; the repo server reads certificates from the latter.
    own = {"TMPDIR": folder, "ARGOCD_TLS_DATA_PATH": folder / "none", "ARGOCD_SSH_DATA_PATH": folder / "none"}
    paths = {key: str(path) for key, path in own.items()} | {
        "ARGOCD_ASK_PASS_SOCK": f"{folder}/ask-pass.sock"
    }
    environment = lean_environment(folder, ARGOCD_GPG_ENABLED="false", **paths, **env)
    process = Process(name, [program, name, *arguments], log=log, env=environment, cwd=folder)
    stack.callback(lambda: print(f"{name}:\n{process.tail(15)}"))
    stack.callback(process.kill)
    process.start()
    return process


def _read(path: Path) -> Json:
    manifest: Json = yaml.safe_load(path.read_text(encoding="utf-8"))
    return manifest
