"""`make dist`: build the wheel and the sdist, and try both as a user would.

twine checks them; then each is installed into an empty environment of every Python found, where each command
of the package must run. All other packages come from lock files. Leaves out publishing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tools import ROOT

_UV: Final = (sys.executable, "-m", "uv", "--quiet")
_VERSION_OF: Final = "import sys; print('.'.join(map(str, sys.version_info[:2])))"


def main() -> int:
    """Build, check and try; the exit code. CalledProcessError if a step fails, with its output shown."""
    files = build(ROOT / "dist")
    check(files)
    for version, python in pythons().items():
        for file in files:
            commands = ", ".join(try_out(file, python))
            print(f"Python {version}, {file.name}: {commands}")
    return 0


def project() -> dict[str, Any]:
    """The table `project` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def build(folder: Path) -> list[Path]:
    """Build the sdist, and the wheel from it; both replace those of earlier versions in the folder."""
    for old in folder.glob("ecr_secret_operator-*"):
        old.unlink()
    options = ("--no-build-isolation", "--offline", "--python", sys.executable, "--out-dir", str(folder))
    _run(*_UV, "build", *options, str(ROOT))
    return sorted(folder.glob("ecr_secret_operator-*"))


def check(files: Iterable[Path]) -> None:
    """Check with twine that an index would accept the files."""
    with tempfile.TemporaryDirectory() as folder:
        bin_folder = _environment(Path(folder), sys.executable, ROOT / ".github" / "twine.lock")
        _run(bin_folder / "twine", "check", "--strict", *files)


def pythons() -> dict[str, str]:
    """One interpreter of each version that the package names, where there is one: on PATH or from pyenv."""
    prefix = "Programming Language :: Python :: "
    versions = [name.removeprefix(prefix) for name in project()["classifiers"] if name.startswith(prefix)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found: dict[str, str] = {}
    for version in versions:
        candidates = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"))]
        # A shim of pyenv may be on PATH for a version that it does not run.
        working = [str(each) for each in [sys.executable, *candidates] if each and _runs(each, version)]
        if working:
            found[version] = working[0]
    return found


def try_out(file: Path, python: str) -> list[str]:
    """Install a file with the locked packages into an empty environment, and run the commands there."""
    with tempfile.TemporaryDirectory() as folder:
        bin_folder = _environment(Path(folder), python, ROOT / "requirements.lock")
        build_lock = ROOT / "requirements-dev.lock"
        options = (
            "--no-deps",
            "--python",
            str(bin_folder / "python"),
            "--build-constraints",
            str(build_lock),
        )
        _run(*_UV, "pip", "install", *options, str(file))
        return [run_command(bin_folder / name) for name in project()["scripts"]]


def run_command(command: Path) -> str:
    """The output of a command's `--version`. kubectl's completion has none, and need only succeed."""
    # Not the package of this folder.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    output = subprocess.check_output([command, "--version"], text=True, cwd=command.parent, env=environment)
    return command.name if "_complete" in command.name else output.strip()


def _environment(folder: Path, python: str, lock: Path) -> Path:
    """The folder with the programs of a new environment that has a lock file's packages and nothing else."""
    _run(*_UV, "venv", "--clear", "--python", python, str(folder))
    interpreter = folder / "bin" / "python"
    options = ("--require-hashes", "--no-deps", "--python", str(interpreter), "-r", str(lock))
    _run(*_UV, "pip", "install", *options)
    return interpreter.parent


def _runs(python: str | Path, version: str) -> bool:
    result = subprocess.run([python, "-c", _VERSION_OF], check=False, capture_output=True, text=True)
    return result.stdout.strip() == version


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"make dist: {error}")
