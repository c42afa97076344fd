"""Prebuilt binaries: used with the recorded hash, refused with another, built if they can't be fetched."""

import contextlib
import hashlib
import io
import re
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab import assets, prebuilt
from lab.prebuilt import Archive
from lab.processes import LabError
from tests.lab.scripts import put, run

SCRIPT = "#!/bin/sh\necho it runs\n"
# Writes what `go build` would, without compiling Kubernetes.
GO = """#!/bin/sh
test "$1" = version && { echo go version go1.99.0; exit; }
while test "$1" != -o; do shift; done
case $2 in */) set -- $2server $2kube-apiserver;; *) set -- $2;; esac
for file; do : >$file; /bin/chmod +x $file; done
"""


class Releases(ThreadingHTTPServer):
    """A local server that answers each request with `content`, of which it announces `size` bytes.

    `requests` are the paths asked for. It answers once `answering` is set.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = _archive("etcd", "kube-apiserver", "kubectl")
        self.size = len(self.content)
        self.requests: list[str] = []
        self.answering = threading.Event()
        self.answering.set()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def archive(self) -> Archive:
        """The archive as it would be recorded."""
        return Archive(f"{self.url}/envtest.tar.gz", hashlib.sha512(self.content).hexdigest())


class _Handler(BaseHTTPRequestHandler):
    server: Releases

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.server.answering.wait()
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.size))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(self.server.content)

    def log_message(self, *_: object) -> None:
        pass


def _archive(*names: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(f"controller-tools/envtest/{name}")
            member.size = len(SCRIPT)
            archive.addfile(member, io.BytesIO(SCRIPT.encode()))
    return stream.getvalue()


@pytest.fixture
def releases() -> Iterator[Releases]:
    """A local server in place of GitHub."""
    with Releases() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.answering.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the binaries go."""
    return tmp_path / "target"


def _in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_archive_with_the_recorded_hash_is_fetched_once_and_only_the_desired_binaries_are_used(
    releases: Releases, target: Path
) -> None:
    for _ in range(2):
        prebuilt.fetch(releases.archive(), ["etcd", "kube-apiserver"], target)
    assert releases.requests == ["/envtest.tar.gz"]
    assert _in(target) == [".lock", "etcd", "kube-apiserver"]
    assert subprocess.run([target / "etcd"], capture_output=True, text=True, check=True).stdout == "it runs\n"


def test_archive_with_another_hash_is_an_error_that_says_what_to_do(releases: Releases, target: Path) -> None:
    recorded = releases.archive()
    releases.content = _archive("etcd")
    releases.size = len(releases.content)
    with pytest.raises(LabError, match=r"it is not used\. Try again, or build instead: set BUILD=1"):
        prebuilt.fetch(recorded, ["etcd"], target)
    assert _in(target) == [".lock"]


def test_archive_without_a_desired_binary_is_an_error(releases: Releases, target: Path) -> None:
    with pytest.raises(LabError, match="holds no kube-scheduler"):
        prebuilt.fetch(releases.archive(), ["etcd", "kube-scheduler"], target)
    assert _in(target) == [".lock"]


def _cut(releases: Releases) -> None:
    releases.content = releases.content[: releases.size // 2]


def _silence(releases: Releases) -> None:
    releases.answering.clear()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(_cut, r"it ended after \d+ of \d+ bytes"), (_silence, r"no answer within 0\.1 s")],
    ids=["half an archive", "no answer"],
)
def test_what_cannot_be_fetched_is_not_used_and_the_reason_is_printed(
    releases: Releases,
    target: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Releases], None],
    reason: str,
) -> None:
    recorded = releases.archive()
    spoil(releases)
    # Only a server that is silent is given up: any other is as slow as the machine.
    prebuilt.fetch(recorded, ["etcd"], target, limit=0.1 if spoil is _silence else 60)
    assert _in(target) == [".lock"]
    assert re.search(f"can't be fetched: {reason}. Building instead", capsys.readouterr().err)


def _assets(folder: Path, releases: str, **variables: str) -> tuple[int, str, str]:
    """Run `python -m lab.assets` with an empty cache and a Go that compiles nothing."""
    env = {
        "PATH": str(put(folder / "bin", "go", script=GO)),
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "ENVTEST_RELEASES": releases,
        **variables,
    }
    return run("-m", "lab.assets", **env)


def test_without_network_all_binaries_are_built(releases: Releases, tmp_path: Path) -> None:
    releases.server_close()
    code, output, error = _assets(tmp_path, releases.url)
    assert (code, _in(Path(output.strip()))) == (0, [".lock", *sorted(assets.ALL)])
    assert "can't be fetched" in error
    assert "building etcd, kube-apiserver; usually 5 minutes on two processors the first time…" in error
    assert "building kube-controller-manager; usually a minute or two the first time…" in error


@pytest.mark.parametrize("variables", [{"BUILD": "1"}, {"KUBERNETES": assets.known_versions()[0]}])
def test_nothing_is_fetched_when_a_build_is_desired_or_no_archive_is_known(
    releases: Releases, tmp_path: Path, variables: dict[str, str]
) -> None:
    code, output, _ = _assets(tmp_path, releases.url, **variables)
    assert (code, _in(Path(output.strip()))) == (0, [".lock", *sorted(assets.ALL)])
    assert releases.requests == []
