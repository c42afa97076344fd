"""The commands as a plug-in of the real kubectl: `kubectl ecr`, and what it completes."""

import asyncio
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from ecr_operator.cli.cluster import list_names
from ecr_operator.settings import parse_settings
from ecr_operator.settings.commands import Place
from ecr_operator.settings.flags import COMMANDS
from lab.commands import Ended
from lab.kubectl import find_kubectl
from lab.processes import ROOT
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.linked import account, pod
from tests.cluster.scene import Scene
from tests.cluster.users import admin

_LIMIT = 60.0


class Kubectl:
    """Kubectl with the package's scripts on its PATH, in a folder, as an installation writes them."""

    def __init__(self, folder: Path) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for name, target in project["scripts"].items():
            module, _, function = target.partition(":")
            code = f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n"
            script = folder / name
            script.write_text(f"#!{sys.executable}\n{code}")
            script.chmod(0o755)
        path = f"{folder}:{os.environ['PATH']}"
        self._env = {"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}

    async def __call__(self, *arguments: str, kubeconfig: Path | str = "/nonexistent") -> Ended:
        """Run it."""
        return await asyncio.to_thread(self._run, arguments, {"KUBECONFIG": str(kubeconfig)})

    def _run(self, arguments: Sequence[str], env: dict[str, str]) -> Ended:
        done = subprocess.run(
            [find_kubectl(), *arguments],
            env={**self._env, **env},
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
        return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


async def test_kubectl_finds_the_plug_in_and_its_help_is_by_kubectls_name(tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    assert "kubectl-ecr" in (await kubectl("plugin", "list")).out
    shown = await kubectl("ecr")
    assert (shown.code, shown.out.splitlines()[0]) == (0, "usage: kubectl ecr COMMAND [FLAGS]")
    shown = await kubectl("ecr", "status", "--help")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("usage: kubectl ecr status ")
    mistake = await kubectl("ecr", "stat")
    assert (mistake.code, mistake.out) == (2, "")
    assert mistake.err == 'kubectl ecr: unknown argument "stat", did you mean status? See --help.\n'


async def test_kubectls_flags_choose_cluster_and_namespace(scene: Scene, tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    await scene.create(ecr_secret("pull"))
    kubeconfig = admin(scene)
    for line in ("ecr status --context lab", f"ecr -n {scene.namespace} --kubeconfig {kubeconfig} status"):
        shown = await kubectl(*line.split(), kubeconfig=kubeconfig)
        assert (shown.code, "ecrsecret/pull" in shown.out) == (1, True), line
    elsewhere = await kubectl("ecr", "status", "-n", "default", kubeconfig=kubeconfig)
    assert elsewhere.err == "kubectl ecr: No resources in namespace default; -A shows all.\n"


async def test_kubectl_completes_commands_and_what_the_cluster_has(scene: Scene, tmp_path: Path) -> None:
    kubectl = Kubectl(tmp_path)
    await scene.create(ecr_secret("one"), argo_secret("two"), account("builder"), account("default"))
    await scene.create(pod("web"))
    kubeconfig = admin(scene)

    async def completed(*words: str) -> tuple[set[str], str]:
        """The candidates without their descriptions, and the directive."""
        ended = await kubectl("__complete", "ecr", *words, kubeconfig=kubeconfig)
        *found, directive = ended.out.splitlines()
        return {each.partition("\t")[0] for each in found}, directive

    assert await completed("") == (set(COMMANDS), ":4")
    found = await completed("-n", scene.namespace, "refresh", "")
    assert found == ({"ecrsecret/one", "argohelmrepo/two"}, ":4")
    place = Place(settings=parse_settings([f"--kubeconfig={kubeconfig}"], {}), namespace=scene.namespace)
    for what, name in (("namespaces", scene.namespace), ("serviceaccounts", "builder"), ("pods", "web")):
        assert name in await list_names(place, what, limit=500, seconds=30)
