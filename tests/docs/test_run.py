"""The commands of each page run in order, with a real API server and a running operator.

Every page starts with the same state: the operator is installed, `builds` has the resource of the first
sample, and `argocd` an Argo CD. What a page creates is deleted after it. One operator serves all pages.
"""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import yaml

from ecr_operator.api.kinds import PLURALS
from lab import rights
from lab.api import (
    ARGO_SECRETS,
    CLUSTER_SECRETS,
    CRDS,
    ECR_SECRETS,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Api,
    Resource,
)
from lab.aws import LocalAws
from lab.control_plane import ControlPlane
from lab.kubectl import kubectl
from lab.operator import OperatorProcess
from lab.processes import Process
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import foreign_crd
from tests.docs.blocks import DOCUMENTS, Block, blocks
from tools import ROOT

OPERATORS_NAMESPACE: Final = "ecr-secret-operator"
# `refresh` waits for a quarter of it.
TOKEN_LIFE: Final = 16
ACCOUNT: Final = "123456789012"
KINDS: Final = tuple(f"{plural}.ecr.mobb.redhat.com" for plural in sorted(PLURALS.values()))
# The page that deletes the installation comes last, and its Lease and CRDs are not waited for again.
PAGES: Final = {
    document: runnable
    for document in sorted(DOCUMENTS, key=lambda each: each.name == "install.md")
    if (runnable := [block for block in blocks(document) if block.is_run])
}
# Kinds of other projects: group, version and kind. The last two are in `config`.
_FOREIGN: Final = {
    *(
        found
        for runnable in PAGES.values()
        for block in runnable
        for found in re.findall(r"^apiVersion: ([\w.-]+)/(\w+)\nkind: (\w+)$", block.text, re.MULTILINE)
        if "." in found[0] and not found[0].endswith(("k8s.io", "ecr.mobb.redhat.com"))
    ),
    ("monitoring.coreos.com", "v1", "PrometheusRule"),
    ("monitoring.coreos.com", "v1", "ServiceMonitor"),
}
# Namespaces that readers have.
_NAMESPACES: Final = (
    "argocd",
    "builds",
    "crossplane-system",
    "flux-system",
    "kargo-demo",
    "openshift-marketplace",
)
_LIMIT: Final = 100.0
# Only paths that the commands read.
_OF_THE_REPOSITORY: Final = ("Makefile", "config", "ecr_operator", "samples")
_OF_THE_SYSTEM: Final = ("default", "kube-", "ecr-secret-operator")
_PRELUDE: Final = """\
set -euo pipefail
make() { command make -o "$VENV/.installed" VENV="$VENV" "$@"; }
"""


async def set_up(plane: ControlPlane) -> None:
    """Create the initial state, idempotently."""
    async with plane.api() as api:
        if await api.find(CRDS, KINDS[0]) is None:
            await kubectl("apply", "-k", "config/default", kubeconfig=plane.kubeconfig, home=plane.folder)
            await rights.grant(api)
            for kind in _FOREIGN:
                await api.apply(foreign_crd(*kind))
            await api.crds_served([*KINDS, *(foreign_crd(*kind)["metadata"]["name"] for kind in _FOREIGN)])
        namespace = {"apiVersion": "v1", "kind": "Namespace"}
        await asyncio.gather(*(api.apply({**namespace, "metadata": {"name": each}}) for each in _NAMESPACES))
        settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}}
        await api.apply(settings, "argocd")
        sample = (ROOT / "samples" / "ecr_v1alpha1_secret.yaml").read_text(encoding="utf-8")
        await api.apply(yaml.safe_load(sample.replace("ACCOUNT_ID", ACCOUNT)), "builds")


async def ready(plane: ControlPlane) -> None:
    """Wait until the resource of the initial state is Ready."""

    async def look() -> bool:
        resource = await api.get(ECR_SECRETS, "ecr-secret", "builds")
        return reading.verdict(resource, "Ready") == ("True", "Refreshed")

    async with plane.api() as api:
        await wait_for(look, 30, "the resource of the initial state")


async def clear(plane: ControlPlane) -> None:
    """Delete what a page created."""
    async with plane.api() as api:
        kinds = [SECRETS]
        if await api.find(CRDS, KINDS[0]) is not None:
            kinds = [ECR_SECRETS, ARGO_SECRETS, SECRETS]
            for resource in await api.list(CLUSTER_SECRETS):
                await api.delete(CLUSTER_SECRETS, resource["metadata"]["name"])
        names = [each["metadata"]["name"] for each in await api.list(NAMESPACES)]
        await asyncio.gather(*(_clear_namespace(api, name, kinds) for name in names))

        async def gone() -> bool:
            return not any(_is_of_a_page(each["metadata"]["name"]) for each in await api.list(NAMESPACES))

        # By their controller: one that it still empties must not have a successor of the same name.
        await wait_for(gone, 60, "the end of the page's namespaces")


async def _clear_namespace(api: Api, name: str, kinds: Iterable[Resource]) -> None:
    for kind in kinds:
        await api.delete_all(kind, name)
    if not name.startswith(_OF_THE_SYSTEM):
        await api.delete_all(SERVICE_ACCOUNTS, name)
    if _is_of_a_page(name):
        await api.delete(NAMESPACES, name)


def _is_of_a_page(namespace: str) -> bool:
    return namespace not in _NAMESPACES and not namespace.startswith(_OF_THE_SYSTEM)


async def run(blocks: Iterable[Block], *, plane: ControlPlane, aws: str, folder: Path) -> None:
    """Run blocks as one script, in a folder like the repository. Raises LabError if a command fails."""
    for name in _OF_THE_REPOSITORY:
        (folder / name).symlink_to(ROOT / name)
    # As the guides create it.
    (folder / "credentials").write_text("[default]\naws_access_key_id=AKIA...\naws_secret_access_key=...\n")
    script = folder / "commands.sh"
    script.write_text(_PRELUDE + "".join(f"echo '== {each.place}'\n{each.script}\n" for each in blocks))
    log = folder / "commands.log"
    environment = _environment(plane, aws)
    process = Process("the script", [_bash(), script], log=log, env=environment, cwd=folder)
    with process:
        code = await asyncio.to_thread(process.wait, _LIMIT)
        print(log.read_text(encoding="utf-8"))
        if code:
            raise process.error(f"failed with exit code {code}")


def _bash() -> str:
    found = shutil.which("bash")
    assert found, "there is no bash"
    return found


def _environment(plane: ControlPlane, aws: str) -> dict[str, str]:
    return {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "VENV": sys.prefix,
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        # One for all pages, in which kubectl keeps what it has learnt about the kinds.
        "HOME": str(plane.folder),
        "KUBECONFIG": str(plane.kubeconfig),
        "AWS_ENDPOINT_URL": aws,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "lab-secret-key",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@asynccontextmanager
async def _operator(plane: ControlPlane, aws: LocalAws) -> AsyncIterator[None]:
    """Run an operator with the permissions of an installation."""
    await set_up(plane)
    async with OperatorProcess(
        "--leader-elect",
        kubeconfig=plane.write_kubeconfig("operator", groups=(rights.OPERATORS,)),
        aws_endpoint=aws.url,
        env={"POD_NAMESPACE": OPERATORS_NAMESPACE},
    ) as operator:
        try:
            yield
        finally:
            print(operator.tail(40))


@pytest.mark.timeout(400)
async def test_the_commands_of_each_page_succeed(
    bare_plane: ControlPlane, subtests: pytest.Subtests, tmp_path: Path
) -> None:
    async with LocalAws(token_life=TOKEN_LIFE) as aws, _operator(bare_plane, aws):
        for document, runnable in PAGES.items():
            page = str(document.relative_to(ROOT))
            with subtests.test(page):
                await set_up(bare_plane)
                await ready(bare_plane)
                folder = tmp_path / page
                folder.mkdir(parents=True)
                await run(runnable, plane=bare_plane, aws=aws.url, folder=folder)
            await clear(bare_plane)
