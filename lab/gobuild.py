"""Build Go programs once, into a folder of the user's cache, each moved there only when it is whole.

A lock lets one build at a time into a folder; a process that waited for it finds the result there.
"""

import argparse
import contextlib
import fcntl
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lab.processes import LabError
from lab.progress import Step, run, say

MODULES = Path(__file__).with_name("modules")

_MINIMUM = (1, 26)
_UNFINISHED = ".unfinished-"
# A package compiled or a module fetched; the rest of what `go` prints is complaints.
_UNIT = re.compile(r"([\w.\-~]+(/[\w.\-~+!]+)*|go: (downloading|finding|extracting) \S+ \S+)$")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What to build: packages by the names of their binaries, from the module in a folder.

    A package is an import path or, as the recipe's only one, the path of a `main.go`. `tags` are Go's build
    tags, separated by commas. `usually` and `about` are the time and the number of packages of a first build.
    """

    title: str
    module: Path
    packages: Mapping[str, str]
    ldflags: str = ""
    tags: str = ""
    usually: str = "a few minutes"
    about: int = 0


def platform_name() -> str:
    """Return this machine's platform in Go's words, such as `linux-amd64`."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{_ARCHITECTURES.get(machine, machine)}"


def cache_folder(kind: str, name: str) -> Path:
    """Return the cache's folder of one thing of a kind, for this platform; it need not exist."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "ecr-secret-operator" / kind / f"{name}-{platform_name()}"


def fingerprint(*files: Path) -> str:
    """Return eight hex digits that change with the content of the files."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


def is_there(binary: Path) -> bool:
    """Whether a binary exists and can be run."""
    return binary.is_file() and os.access(binary, os.X_OK)


def build(recipe: Recipe, names: Collection[str], target: Path) -> None:
    """Build those of `names` that `target` lacks. Raises LabError."""
    fill(target, names, functools.partial(_compile, recipe))


def fill(target: Path, names: Collection[str], make: Callable[[list[str], Path], None]) -> None:
    """Have `make` write those of `names` that `target` lacks into a folder, then move them to `target`.

    `make` gets these names and the folder. It may leave some out; it raises LabError if it fails.
    """
    if not _missing(names, target):
        return
    target.mkdir(parents=True, exist_ok=True)
    with _locked(target):
        if missing := _missing(names, target):
            for left in target.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=target) as made:
                make(missing, Path(made))
                for name in missing:
                    if is_there(Path(made) / name):
                        (Path(made) / name).replace(target / name)


def _missing(names: Collection[str], target: Path) -> list[str]:
    return [name for name in names if not is_there(target / name)]


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel releases it however this process ends."""
    with (target / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another process that gets the same…")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _compile(recipe: Recipe, names: list[str], made: Path) -> None:
    """Build into a folder, by one `go build`, which keeps all processors busy. Raises LabError."""
    go = find_go()
    packages = {name: recipe.packages[name] for name in names}
    # The linker drops debugging data, so the compiler need not write it: 7% of the processor time (measured).
    flags = ["-v", "-trimpath", "-buildvcs=false", "-tags", recipe.tags, "-gcflags=all=-dwarf=false"]
    flags += ["-ldflags", f"-s -w {recipe.ldflags}".strip()]
    # With several packages Go takes a folder only, and names the binaries itself.
    output = made / names[0] if len(names) == 1 else f"{made}/"
    step = Step(
        title=f"{recipe.title}: building {', '.join(names)}",
        usually=f"{recipe.usually} the first time",
        unit=_UNIT,
        units="Go packages",
        about=recipe.about,
    )
    command = [go, "build", *flags, "-o", output, *packages.values()]
    run(step, command, env=_environment(), cwd=recipe.module)
    if len(names) > 1:
        for name, package in packages.items():
            (made / _executable(package)).replace(made / name)


def _executable(package: str) -> str:
    """Return the name that Go gives a package's binary: the last part of its path, without a version."""
    path = PurePosixPath(package)
    return path.parent.name if re.fullmatch(r"v\d+", path.name) else path.name


def _environment() -> dict[str, str]:
    """The settings that every build shares; the user's own go first.

    Most compilers end before they use 1 GiB, and collect no garbage until then: 4% less processor time than
    with GOGC=400 for kube-apiserver, and 0.9 GiB at most in place of 1.5 (measured).
    """
    fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    return {"GOGC": "off", "GOMEMLIMIT": "1GiB", **os.environ, **fixed}


def sources(module: Path, name: str) -> Path:
    """Return the folder with the files of a module that the one in a folder requires. Raises LabError."""
    command = [str(find_go()), "mod", "download", "-json", name]
    done = subprocess.run(
        command, cwd=module, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LabError(f"{name} can't be fetched: {done.stdout}{done.stderr}")
    return Path(json.loads(done.stdout)["Dir"])


def find_go() -> Path:
    """Return a Go that is new enough: on PATH, or beside this Python. Raises LabError without one."""
    beside = Path(sys.executable).with_name("go")
    for candidate in (shutil.which("go"), beside):
        if candidate and _version(Path(candidate)) >= _MINIMUM:
            return Path(candidate)
    desired = ".".join(map(str, _MINIMUM))
    raise LabError(
        f"Go {desired} or later is needed: neither on PATH nor at {beside}; `make venv` installs it"
    )


def _version(go: Path) -> tuple[int, ...]:
    try:
        done = subprocess.run([go, "version"], capture_output=True, text=True, env=_environment(), check=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    found = re.search(r"go(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, found.groups())) if found else ()


def command(module: str, known: Sequence[str], get: Callable[[Sequence[str]], object]) -> int:
    """Run `python -m MODULE [--only NAMES] [--without NAMES]`: `get` what is missing; the exit code."""

    def names(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(known):
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(sorted(unknown))}; there is {', '.join(known)}"
            )
        return text.split(",")

    parser = argparse.ArgumentParser(prog=f"python -m {module}", description="Get what is missing.")
    parser.add_argument(
        "--only", type=names, default=known, metavar="NAME,NAME", help=f"some of {', '.join(known)}"
    )
    parser.add_argument("--without", type=names, default=(), metavar="NAME,NAME", help="all others")
    given = parser.parse_args()
    try:
        get([name for name in given.only if name not in given.without])
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; Go keeps what was built so far.", file=sys.stderr)
        return 130
    return 0
