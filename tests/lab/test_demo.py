"""The demo as a user starts it, but for the terminal: what it says, and that it leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from lab import assets
from lab.kubectl import find_kubectl
from tests.lab.scripts import ROOT

SAID = (
    r"^kubectl apply -k config/crd: ",
    r"^kubectl apply -f samples/: 2 resources",
    r"Secret ecr-secret: phase Updated, ready True, \S+, Secret ecr-docker-secret \(token 1\), time left",
    r"ArgoHelmRepoSecret helm-repo: phase Updated, ready True, .*\(token 2\)",
    r"Refreshed: every Secret has a new token",
    r"It was back after \d+ ms with the same token; calls to AWS: 0",
    r"2 resources were Ready",
    r"calls to AWS served 2 resources",
)


@contextmanager
def _demo(folder: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start the demo with a home and a folder for temporary files of its own."""
    (folder / "home").mkdir()
    (folder / "tmp").mkdir()
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
        start_new_session=True,
    ) as demo:
        yield demo


def _read_to(demo: subprocess.Popen[str], text: str) -> str:
    """Read its output up to a line that holds `text`."""
    output = ""
    for line in demo.stdout or ():
        output += line
        if text in line:
            return output
    raise AssertionError(output)


def _kubectl(kubeconfig: str, *arguments: str) -> None:
    environment = {**os.environ, "KUBECONFIG": kubeconfig, "HOME": str(Path(kubeconfig).parent)}
    subprocess.run([find_kubectl(), *arguments], cwd=ROOT, env=environment, check=True, capture_output=True)


def _left(folder: Path) -> list[str]:
    """Return the files and the processes that a demo left behind."""
    files = [str(path) for name in ("home", "tmp") for path in (folder / name).iterdir()]
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            known = [*process.cmdline(), *process.environ().values()]
            if any(str(folder) in text for text in known):
                processes.append(" ".join(process.cmdline()))
    return files + processes


@pytest.fixture
def bad_assets(tmp_path: Path) -> Path:
    """A folder with a good etcd, and an API server that ends at once."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / assets.ETCD).symlink_to(assets.ensure([assets.ETCD]) / assets.ETCD)
    server = folder / assets.API_SERVER
    server.write_text("#!/bin/sh\necho 'panic: no good'\nexit 3\n")
    server.chmod(0o755)
    return folder


def test_it_shows_the_main_job_and_ends_by_itself(tmp_path: Path) -> None:
    with _demo(tmp_path) as demo:
        output = demo.communicate()[0]
    assert demo.returncode == 0, output
    for said in SAID:
        assert re.search(said, output, re.MULTILINE), f"{said}\n{output}"
    times = [float(time) for time in re.findall(r"^ *([\d.]+) s  ", output, re.MULTILINE)]
    assert max(times) < 60
    assert len(output.splitlines()) < 50
    assert not re.search(r"[^\n -~…]|[\w+/=]{100}", output), "control characters, or a token"
    assert str(ROOT) not in output
    assert _left(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "at"),
    [
        (signal.SIGINT, "etcd and kube-apiserver…"),
        (signal.SIGTERM, "kubectl apply -k"),
        (signal.SIGHUP, "Local AWS"),
    ],
    ids=["Ctrl-C at the start", "SIGTERM in between", "a closed terminal"],
)
def test_interrupted_it_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, at: str) -> None:
    with _demo(tmp_path) as demo:
        _read_to(demo, at)
        demo.send_signal(number)
        output = demo.communicate()[0]
    assert demo.returncode == 128 + number, output
    assert "Traceback" not in output
    assert _left(tmp_path) == []


def test_kept_it_says_what_to_try_and_ctrl_c_is_its_good_end(tmp_path: Path) -> None:
    with _demo(tmp_path, KEEP="1") as demo:
        _read_to(demo, f"export KUBECONFIG={tmp_path}")
        lines = [_read_to(demo, "kubectl") for _ in range(3)]
        _read_to(demo, "-m ecr_operator status --watch")
        metrics = _read_to(demo, "/metrics").split()[-1]
        with urllib.request.urlopen(metrics, timeout=10) as answer:
            assert b"ecr_secret_operator_resources" in answer.read()
        demo.send_signal(signal.SIGINT)
        demo.communicate()
    assert len(lines) == 3
    assert demo.returncode == 0
    assert _left(tmp_path) == []


def test_kept_it_stays_when_somebody_takes_its_kinds_away(tmp_path: Path) -> None:
    with _demo(tmp_path, KEEP="1") as demo:
        kubeconfig = _read_to(demo, f"export KUBECONFIG={tmp_path}").split("=")[-1].strip()
        _kubectl(kubeconfig, "delete", "-k", "config/crd")
        _read_to(demo, "stays up")
        _kubectl(kubeconfig, "apply", "-k", "config/crd")
        (samples,) = (tmp_path / "tmp").glob("ecr-demo-*/samples")
        _kubectl(kubeconfig, "wait", "--for=condition=Established", "crd", "--all")
        _kubectl(kubeconfig, "apply", "-f", str(samples))
        _read_to(demo, "Secret ecr-secret: phase Updated, ready True")
        demo.send_signal(signal.SIGINT)
        demo.communicate()
    assert demo.returncode == 0
    assert _left(tmp_path) == []


def test_a_step_that_fails_says_so_with_the_end_of_its_log(tmp_path: Path, bad_assets: Path) -> None:
    with _demo(tmp_path, KUBEBUILDER_ASSETS=str(bad_assets)) as demo:
        output = demo.communicate()[0]
    assert demo.returncode == 1
    assert "The demo failed: kube-apiserver ended with exit code 3" in output
    assert output.endswith("panic: no good\n")
    assert _left(tmp_path) == []
