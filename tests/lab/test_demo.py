"""The demo as a user starts it: what it shows, its exit codes, and that it leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import assets
from lab.processes import ROOT
from lab.waiting import wait_for
from tests.lab.scripts import processes_in

SHOWN = (
    r"^\$ kubectl apply -k config/crd$",
    r"^Both resources are Ready \d",
    r"^ecrsecret/ecr-secret +Ready +Refreshed",
    r"^Every Secret has a new token, \d+ s before",
    r"^It was back after \d+ ms with the same token; calls to AWS: 0\.",
    r"^2 resources: 2 ready$",
)


@contextmanager
def _demo(folder: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start the demo with a HOME and a TMPDIR of its own."""
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    environment = {
        **os.environ,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "KUBEBUILDER_ASSETS": str(assets.ensure([assets.ETCD, assets.API_SERVER])),
        "KEEP": "",
        **variables,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "lab.demo"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        yield demo


def _read_to(demo: subprocess.Popen[str], text: str) -> str:
    """Read its output up to a line that holds `text`, and return that line."""
    for line in demo.stdout or ():
        if text in line:
            return line
    raise AssertionError(text)


def _left(folder: Path) -> list[str]:
    files = [str(path) for name in ("home", "tmp") for path in (folder / name).iterdir()]
    return files + processes_in(folder)


def test_it_shows_a_refresh_and_a_repair_and_ends_by_itself(tmp_path: Path) -> None:
    with _demo(tmp_path) as demo:
        output = demo.communicate()[0]
    assert demo.returncode == 0, output
    for shown in SHOWN:
        assert re.search(shown, output, re.MULTILINE), f"{shown}\n{output}"
    assert not re.search(r"[^\n -~…]|[\w+/=]{100}", output), "control characters, or a token"
    assert str(ROOT) not in output
    assert _left(tmp_path) == []


def test_kept_it_shows_what_to_try_until_ctrl_c(tmp_path: Path) -> None:
    with _demo(tmp_path, KEEP="1") as demo:
        _read_to(demo, f"export KUBECONFIG={tmp_path}")
        metrics = _read_to(demo, "/metrics").split()[-1]
        with urllib.request.urlopen(metrics, timeout=10) as answer:
            assert b"ecr_secret_operator_resources" in answer.read()
        _read_to(demo, "until Ctrl-C")
        demo.send_signal(signal.SIGINT)
        demo.communicate()
    assert demo.returncode == 0
    assert _left(tmp_path) == []


def _with_api_server(folder: Path, script: str) -> str:
    """Return a folder with the real etcd, and a script in place of the API server."""
    folder.mkdir()
    (folder / assets.ETCD).symlink_to(assets.ensure([assets.ETCD]) / assets.ETCD)
    (folder / assets.API_SERVER).write_text(f"#!/bin/sh\n{script}\n")
    (folder / assets.API_SERVER).chmod(0o755)
    return str(folder)


def test_failed_step_is_exit_code_1_with_the_end_of_its_log(tmp_path: Path) -> None:
    binaries = _with_api_server(tmp_path / "bad", "echo 'panic: no good'; exit 3")
    with _demo(tmp_path, KUBEBUILDER_ASSETS=binaries) as demo:
        output = demo.communicate()[0]
    assert demo.returncode == 1
    assert "The demo failed: kube-apiserver ended with exit code 3" in output
    assert output.endswith("panic: no good\n")


async def test_ctrl_c_before_all_is_ready_is_exit_code_130_and_nothing_is_left(tmp_path: Path) -> None:
    binaries = _with_api_server(tmp_path / "slow", f"touch {tmp_path}/started; exec sleep 600")
    with _demo(tmp_path, KUBEBUILDER_ASSETS=binaries) as demo:
        await wait_for((tmp_path / "started").exists)
        demo.send_signal(signal.SIGINT)
        output = demo.communicate()[0]
    assert demo.returncode == 130
    assert "Traceback" not in output
    await wait_for(lambda: not _left(tmp_path), 5, "the janitor")
