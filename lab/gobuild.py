"""Build Go programs once, into a folder of the user's cache, each moved there only when it is whole.

A lock lets one build at a time into a folder; a process that waited for it finds the result there.
"""

import argparse
import contextlib
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.processes import LabError, killed_on_error

MODULES = Path(__file__).with_name("modules")

_MINIMUM = (1, 26)
_UNFINISHED = ".unfinished-"
_REPORT_EVERY = 10.0
# A package compiled or a module fetched; the rest of what `go` prints is complaints.
_STEP = re.compile(r"([\w.\-~]+(/[\w.\-~+!]+)*|go: (downloading|finding|extracting) \S+ \S+)$")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What to build: packages by the names of their binaries, from the module in a folder.

    `tags` are Go's build tags, separated by commas.
    """

    title: str
    module: Path
    packages: Mapping[str, str]
    ldflags: str = ""
    tags: str = ""


def cache_folder(kind: str, name: str) -> Path:
    """Return the cache's folder of one thing of a kind, for this platform; it need not exist."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    machine = platform.machine().lower()
    system = f"{platform.system().lower()}-{_ARCHITECTURES.get(machine, machine)}"
    return home / "ecr-secret-operator" / kind / f"{name}-{system}"


def is_there(binary: Path) -> bool:
    """Whether a binary exists and can be run."""
    return binary.is_file() and os.access(binary, os.X_OK)


def build(recipe: Recipe, names: Collection[str], target: Path) -> None:
    """Build those of `names` that `target` lacks. Raises LabError."""
    if not _missing(names, target):
        return
    target.mkdir(parents=True, exist_ok=True)
    with _locked(target):
        if missing := _missing(names, target):
            for left in target.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=target) as made:
                _compile(recipe, missing, Path(made))
                for name in missing:
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
            print("Waiting for another build…", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _compile(recipe: Recipe, names: list[str], made: Path) -> None:
    """Build into a folder, with a report now and then, for Kubernetes takes minutes. Raises LabError."""
    go = find_go()
    flags = ["-v", "-trimpath", "-buildvcs=false", "-tags", recipe.tags]
    flags += ["-ldflags", f"-s -w {recipe.ldflags}".strip()]
    for name in names:
        process = subprocess.Popen(
            [go, "build", *flags, "-o", made / name, recipe.packages[name]],
            cwd=recipe.module,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with process, killed_on_error(process):
            rest = _follow(f"{recipe.title}: building {name}", process.stderr or ())
        if process.returncode:
            raise LabError("\n".join([f"{go} build failed in {recipe.module}:", *rest]))


def _follow(title: str, lines: Iterable[str]) -> deque[str]:
    """Print a title, every 10 s the number of steps and the last line, and return the last other lines."""
    print(f"{title}…", file=sys.stderr, flush=True)
    shown, steps, rest = time.monotonic(), 0, deque[str](maxlen=20)
    for line in map(str.rstrip, lines):
        if _STEP.match(line):
            steps += 1
        else:
            rest.append(line)
        if time.monotonic() - shown > _REPORT_EVERY:
            shown = time.monotonic()
            print(f"{title}: {steps} done, {line}", file=sys.stderr, flush=True)
    return rest


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


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
    """Run `python -m MODULE [--only NAME,NAME]`: `get` what is missing; the exit code."""

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
    try:
        get(parser.parse_args().only)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; Go keeps what was built so far.", file=sys.stderr)
        return 130
    return 0
