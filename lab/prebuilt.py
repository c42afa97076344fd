"""Prebuilt etcd and kube-apiserver: the archive that Kubernetes' controller-tools publish for envtest.

Nothing of an archive is used unless its SHA-512 is the one recorded here. An archive that can't be fetched is
no error: the caller builds what is missing. Left out: kube-controller-manager, which no archive holds.
"""

import functools
import hashlib
import http.client
import os
import queue
import shutil
import tarfile
import threading
import time
import urllib.request
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lab import gobuild
from lab.processes import LabError
from lab.progress import say

# By version and platform, from a published copy of envtest-releases.yaml of kubernetes-sigs/controller-tools.
_SHA512 = {
    ("1.36.2", "linux-amd64"): (
        "ea743186c8a799f5cf8faf16969f86189d003cb7d130e0ac4b58789f1e5748dc"
        "f30ebe91c837a10d5ac415383da3e10b9e64d65785c938c23e739781cfb76f08"
    ),
    ("1.36.2", "linux-arm64"): (
        "2d72ee985a8e262a3c57dc9f7f0fd891f6a8c7bf7ebaa2db6dc6d8eac8ae2818"
        "1afe51c1f368b67756cdb40b10de9b205609e1726e5f27f7c6d824dd9c6649ac"
    ),
    ("1.36.2", "darwin-arm64"): (
        "9278f9e5af556b2f1f2d139769c1f0d717c7b4426917fdebdba898bcb725a916"
        "e4910d6160886194ff9be9589ea7c5c32c2b8ae0754703874b7c8ba8ddfc41ce"
    ),
}
_RELEASES = "https://github.com/kubernetes-sigs/controller-tools/releases/download"
_LIMIT = 10.0
_READ_LIMIT = 30.0
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive: its address and the SHA-512, in hex, of its content."""

    url: str
    sha512: str


def find(version: str, platform: str) -> Archive | None:
    """Return the archive of a version of Kubernetes for a platform such as `linux-amd64`, if there is one.

    The variable ENVTEST_RELEASES sets the address of a mirror of the releases.
    """
    releases = os.environ.get("ENVTEST_RELEASES") or _RELEASES
    if sha512 := _SHA512.get((version, platform)):
        return Archive(f"{releases}/envtest-v{version}/envtest-v{version}-{platform}.tar.gz", sha512)
    return None


def fetch(archive: Archive, names: Collection[str], target: Path, *, limit: float = _LIMIT) -> None:
    """Get those of `names` that `target` lacks, or none and print why.

    `limit`: seconds until the server answers. Raises LabError if the archive is not the one recorded here, or
    lacks one of them.
    """
    gobuild.fill(target, names, functools.partial(_fetch, archive, limit))


def _fetch(archive: Archive, limit: float, names: list[str], made: Path) -> None:
    file = made / "archive.tar.gz"
    try:
        sha512 = _download(archive.url, file, limit)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        say(f"{archive.url} can't be fetched: {reason}. Building instead")
        return
    if sha512 != archive.sha512:
        raise LabError(
            f"{archive.url} has SHA-512 {sha512[:16]}…, expected {archive.sha512[:16]}…; it is not used. "
            "Try again, or build instead: set BUILD=1"
        )
    _extract(file, names, made)
    if missing := [name for name in names if not (made / name).exists()]:
        raise LabError(f"{archive.url} holds no {', '.join(missing)}; set BUILD=1 to build instead")


def _download(url: str, file: Path, limit: float) -> str:
    """Write what is at an address to a file and return its SHA-512. Raises OSError or HTTPException."""
    digest, shown = hashlib.sha512(), time.monotonic()
    say("Fetching etcd and kube-apiserver; usually 10 seconds…")
    with _open(url, limit) as answer, file.open("wb") as out:
        size = int(answer.headers.get("Content-Length") or 0)
        while part := answer.read(_MEGABYTE):
            digest.update(part)
            out.write(part)
            if time.monotonic() > shown + _LIMIT:
                shown = time.monotonic()
                say(f"  {out.tell() // _MEGABYTE} of {size // _MEGABYTE} MB")
        if out.tell() < size:
            raise ConnectionError(f"it ended after {out.tell()} of {size} bytes")
    return digest.hexdigest()


def _open(url: str, limit: float) -> Any:
    """Open an address within the limit, name look-up included, which no timeout of Python's bounds."""
    opened: queue.SimpleQueue[Any] = queue.SimpleQueue()
    given_up = threading.Event()

    def opener() -> None:
        try:
            answer = urllib.request.urlopen(url, timeout=_READ_LIMIT)
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits
            opened.put(error)
        else:
            opened.put(answer)
            if given_up.is_set():
                answer.close()

    threading.Thread(target=opener, daemon=True).start()
    try:
        answer = opened.get(timeout=limit)
    except queue.Empty:
        given_up.set()
        raise TimeoutError(f"no answer within {limit:g} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _extract(file: Path, names: Collection[str], made: Path) -> None:
    with tarfile.open(file, "r:gz") as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            content = archive.extractfile(member) if name in names else None
            if content is not None:
                with content, (made / name).open("wb") as out:
                    shutil.copyfileobj(content, out)
                (made / name).chmod(0o755)
