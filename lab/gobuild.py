"""Build Go programs once, each taken for good only when whole, with the progress shown.

A lock lets one build at a time into a folder; who waited finds the result there. Programs are built in a
folder beside the target and moved in by one rename each.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.processes import guarded
from lab.progress import Progress

_MINIMUM = (1, 26)
_UNFINISHED = ".unfinished-"
# What `go` prints while it works: one line for each package compiled or module fetched.
_STEP = re.compile(r"^[\w.\-~]+(/[\w.\-~+!]+)*$")
_FETCH = re.compile(r"^go: (downloading|finding|extracting) (\S+ \S+)")


class BuildError(Exception):
    """A build failed, or there is no Go to build with; the message tells what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What to build: packages by the names of their binaries, out of the module in a folder.

    `tags` are Go's build tags, separated by commas.
    """

    title: str
    module: Path
    packages: Mapping[str, str]
    ldflags: str = field(default="")
    tags: str = field(default="")


def is_there(binary: Path) -> bool:
    """Tell whether a binary exists and can be run."""
    return binary.is_file() and os.access(binary, os.X_OK)


def build(recipe: Recipe, names: Collection[str], target: Path) -> None:
    """Build those of `names` that `target` lacks. Raises BuildError."""
    if not _missing(names, target):
        return
    target.mkdir(parents=True, exist_ok=True)
    with _locked(target):
        if missing := _missing(names, target):
            _remove_unfinished(target)
            with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=target) as made:
                _compile(recipe, missing, Path(made))
                for name in missing:
                    (Path(made) / name).replace(target / name)


def _missing(names: Collection[str], target: Path) -> list[str]:
    return [name for name in names if not is_there(target / name)]


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel lets it go when this process ends, whatever way."""
    with (target / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another build is at work; waiting for it…", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_unfinished(target: Path) -> None:
    for left in target.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


def _compile(recipe: Recipe, names: list[str], made: Path) -> None:
    go = find_go()
    packages = [recipe.packages[name] for name in names]
    with Progress(f"{recipe.title}: looking up modules") as progress:
        listed = _run(go, ["list", "-deps", "-tags", recipe.tags, *packages], recipe.module, progress)
    with Progress(f"{recipe.title}: building {' and '.join(names)}", total=len(listed)) as progress:
        ldflags = f"-s -w {recipe.ldflags}".strip()
        for name, package in zip(names, packages, strict=True):
            output = ["-o", str(made / name)]
            flags = ["-v", "-trimpath", "-buildvcs=false", "-tags", recipe.tags, "-ldflags", ldflags]
            _run(go, ["build", *flags, *output, package], recipe.module, progress)


def _run(go: Path, arguments: list[str], module: Path, progress: Progress) -> list[str]:
    """Run Go in a module's folder, count its steps, and return what it printed on stdout."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            guarded([go, *arguments]),
            cwd=module,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with process, _ended(process):
            rest = deque(_remarks(process, progress), maxlen=20)
        if process.returncode:
            message = "\n".join([f"{go} {arguments[0]} failed in {module}:", *rest])
            raise BuildError(message)
        output.seek(0)
        return output.read().splitlines()


def _remarks(process: subprocess.Popen[str], progress: Progress) -> Iterator[str]:
    """Pass what Go reports as steps to `progress`, and yield the other lines."""
    for line in process.stderr or ():
        text = line.rstrip()
        if fetched := _FETCH.match(text):
            progress.remark(f"fetching {fetched[2]}")
        elif _STEP.match(text):
            progress.step(text)
        else:
            yield text


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill Go and its compilers when the block is left early, by Ctrl-C for one."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def find_go() -> Path:
    """Return a Go that is new enough: on PATH, or beside this Python. Raises BuildError."""
    beside = Path(sys.executable).with_name("go")
    for candidate in (shutil.which("go"), beside):
        if candidate and _version(Path(candidate)) >= _MINIMUM:
            return Path(candidate)
    desired = ".".join(map(str, _MINIMUM))
    message = f"Go {desired} or later is needed: neither on PATH nor at {beside}; `make venv` installs it"
    raise BuildError(message)


def _version(go: Path) -> tuple[int, ...]:
    try:
        done = subprocess.run([go, "version"], capture_output=True, text=True, env=_environment(), check=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    found = re.search(r"go(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, found.groups())) if found else ()
