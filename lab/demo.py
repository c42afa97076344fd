"""The demo: the operator's main job on real parts, in about a minute.

A real etcd and API server, a local AWS whose tokens expire after 30 s, the CRDs, two samples, the operator;
then its own `status --watch` shows a refresh, and a deleted Secret comes back. With KEEP=1 it stays up, once
all is Ready, until Ctrl-C.

Exit codes: 0; 1 when a step or a check failed, with the end of the right log; 130 for Ctrl-C before that.
However it ends, by a signal too, the janitor of `lab.processes` leaves no process and no folder behind.
"""

import asyncio
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import aiohttp

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Api, ApiError
from lab.aws import IssuedToken, LocalAws, token_in
from lab.control_plane import ControlPlane
from lab.kubectl import find_kubectl, kubectl
from lab.operator import OperatorProcess
from lab.processes import ROOT, LabError, Process, lean_environment, tail, temporary_folder
from lab.waiting import wait_for

TOKEN_LIFE = 30.0

_NAMESPACE = "default"
_KINDS = (ECR_SECRETS, ARGO_SECRETS)
_SAMPLES = ("ecr_v1alpha1_secret.yaml", "ecr_v1alpha1_argohelmreposecret.yaml")


class Demo:
    """The demo on a control plane that runs; `home` is a folder for what its parts write."""

    def __init__(self, plane: ControlPlane, api: Api, aws: LocalAws, home: Path) -> None:
        self._plane = plane
        self._api = api
        self._aws = aws
        self._home = home
        self._seen: dict[str, list[IssuedToken]] = {}

    async def run(self, *, keep: bool) -> None:
        """Run it. Raises LabError for a step that failed."""
        version = (await self._api.request("GET", "/version"))["gitVersion"]
        say(f"etcd and kube-apiserver {version} are up, and a local AWS.")
        await self._kubectl("apply -k config/crd")
        await self._api.crds_served(f"{kind.plural}.ecr.mobb.redhat.com" for kind in _KINDS)
        # With the local AWS's account in place of ACCOUNT_ID.
        samples = self._home / "samples"
        samples.mkdir()
        for name in _SAMPLES:
            text = (ROOT / "samples" / name).read_text().replace("ACCOUNT_ID", self._aws.services.account)
            (samples / name).write_text(text)
        await self._kubectl(f"apply -n {_NAMESPACE} -f samples/", cwd=self._home)
        say("$ python -m ecr_operator")
        async with OperatorProcess(kubeconfig=self._plane.kubeconfig, aws_endpoint=self._aws.url) as operator:
            try:
                await wait_for(self._all_ready, 15, "all resources Ready, with live tokens")
                took = time.monotonic() - operator.started_at
                say(f"Both resources are Ready {took:.1f} s after the operator's start.")
                await (self._stay(operator) if keep else self._play())
            except (LabError, TimeoutError) as error:
                raise LabError(f"{error}\nThe end of the operator's log:\n{operator.tail()}") from error
            if code := await operator.stop():
                raise operator.process.error(f"ended with exit code {code} after SIGTERM")

    async def _play(self) -> None:
        with self._status("--watch") as process:
            await wait_for(self._refreshed, TOKEN_LIFE, "a refresh of every token")
            await asyncio.sleep(2)  # on a terminal, the bars show it
            process.signal(signal.SIGINT)
            await asyncio.to_thread(process.wait, 10)
        pairs = [(old, new) for old, new, *_ in self._seen.values()]
        margin = min(old.expires_at - new.issued_at for old, new in pairs)
        say(f"Every Secret has a new token, {margin:.0f} s before the old one expires.")
        await self._repair()
        with self._status() as process:
            if code := await asyncio.to_thread(process.wait, 20):
                raise process.error(f"ended with exit code {code}")
        calls = self._aws.count("GetAuthorizationToken")
        tokens = sum(map(len, self._seen.values()))
        say(f"{calls} calls to AWS fetched the {tokens} tokens; every look found a live one in each Secret.")

    async def _repair(self) -> None:
        name, calls = min(self._seen), self._aws.count()
        before = await self._api.get(SECRETS, name, _NAMESPACE)
        say(f"$ kubectl delete secret {name}")
        began = time.monotonic()
        await self._api.delete(SECRETS, name, _NAMESPACE)
        while (after := await self._api.find(SECRETS, name, _NAMESPACE)) is None:
            if time.monotonic() > began + 5:
                raise LabError(f"the Secret {name} did not come back within 5 s")
            await asyncio.sleep(0.002)
        took = time.monotonic() - began
        if after["data"] != before["data"]:
            raise LabError(f"the Secret {name} came back with other data")
        say(
            f"It was back after {1000 * took:.0f} ms with the same token; "
            f"calls to AWS: {self._aws.count() - calls}."
        )

    async def _stay(self, operator: OperatorProcess) -> None:
        program = "kubectl" if shutil.which("kubectl") else str(find_kubectl())
        secret = min(self._seen)
        say(
            "To try in another terminal:",
            f"  export KUBECONFIG={self._plane.kubeconfig}",
            f"  {program} get ecr",
            f"  {program} delete secret {secret}; {program} get secret {secret}",
            f"  {sys.executable} -m ecr_operator status --watch",
            f"  curl http://127.0.0.1:{await operator.port('/metrics')}/metrics",
            "It stays up until Ctrl-C.",
        )
        await asyncio.Event().wait()

    async def _kubectl(self, arguments: str, cwd: Path = ROOT) -> None:
        """Run kubectl and show the command and what it prints."""
        say(f"$ kubectl {arguments}")
        kubeconfig = self._plane.kubeconfig
        say((await kubectl(*arguments.split(), kubeconfig=kubeconfig, home=self._home, cwd=cwd)).rstrip())

    def _status(self, *arguments: str) -> Process:
        """Return the operator's own command, which writes to the demo's output."""
        say("", f"$ python -m ecr_operator status {' '.join(arguments)}".rstrip())
        env = {"KUBECONFIG": str(self._plane.kubeconfig), "TERM": os.environ.get("TERM")}
        return Process(
            "status",
            [sys.executable, "-m", "ecr_operator", "status", *arguments],
            log=None,
            env=lean_environment(self._home, **env),
            cwd=ROOT,
        )

    async def _all_ready(self) -> bool:
        await self._look()
        found = [each for kind in _KINDS for each in await self._api.list(kind, _NAMESPACE)]
        phases = [each.get("status", {}).get("phase") for each in found]
        return phases == ["Updated"] * len(_SAMPLES) and len(self._seen) == len(_SAMPLES)

    async def _refreshed(self) -> bool:
        await self._look()
        return all(len(tokens) > 1 for tokens in self._seen.values())

    async def _look(self) -> None:
        """Note the token in each Secret. Raises LabError for one that has expired or disappeared."""
        found = {each["metadata"]["name"]: each for each in await self._api.list(SECRETS, _NAMESPACE)}
        if missing := self._seen.keys() - found.keys():
            raise LabError(f"missing: {', '.join(missing)}")
        for name, secret in found.items():
            token = token_in(secret)
            if token is None or token.expires_at < time.time():
                raise LabError(f"the Secret {name} holds no live token")
            tokens = self._seen.setdefault(name, [])
            if token not in tokens:
                tokens.append(token)


def say(*lines: str) -> None:
    """Print lines at once."""
    print(*lines, sep="\n", flush=True)


async def _run(plane: ControlPlane, home: Path, *, keep: bool) -> None:
    async with plane.api() as api, LocalAws(token_life=TOKEN_LIFE) as aws:
        try:
            await Demo(plane, api, aws, home).run(keep=keep)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            log = tail(plane.folder / "kube-apiserver.log")
            raise LabError(f"the API server failed ({error}); the end of its log:\n{log}") from error


def main() -> int:
    """Run the demo as KEEP says; the exit code."""
    keep = os.environ.get("KEEP", "") not in {"", "0"}
    try:
        end = "up until Ctrl-C" if keep else "usually 40 s to the end"
        say(f"Starting etcd, kube-apiserver and a local AWS; {end}…")
        with temporary_folder("ecr-demo-") as home, ControlPlane() as plane:
            asyncio.run(_run(plane, home, keep=keep))
    except LabError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("", "Stopped; nothing is left behind.")
        return 0 if keep else 130
    except BrokenPipeError:
        # The reader has gone, and Python would fail again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


if __name__ == "__main__":
    sys.exit(main())
