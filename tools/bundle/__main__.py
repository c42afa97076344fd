"""`python -m tools.bundle [--check]`: write bundle and catalog, or fail if they are stale."""

import argparse
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.bundle.files import render
from tools.bundle.sources import ROOT, read

# All in these is made.
_FOLDERS: Final = ("bundle", "catalog")


def main() -> int:
    """Write or check all files; 1 if one is stale, 2 if there is nothing to make them from."""
    parser = argparse.ArgumentParser(prog="python -m tools.bundle", description="Make the OLM bundle.")
    parser.add_argument("--check", action="store_true", help="change nothing, and fail if a file is stale")
    parser.add_argument(
        "--image", metavar="IMAGE", help="the operator's image; that of config/manager without it"
    )
    parser.add_argument("--bundle-image", metavar="IMAGE", help="the bundle's image, for the catalog")
    arguments = parser.parse_args()
    try:
        files = render(read(arguments.image, arguments.bundle_image))
    except (subprocess.CalledProcessError, ValueError) as error:
        print(f"The bundle can't be made: {error}", file=sys.stderr)
        return 2
    if not arguments.check:
        write(files)
        return 0
    found = stale(files)
    for path in found:
        print(f"{path} is not what config, samples and the models make: run `make bundle`.", file=sys.stderr)
    return 1 if found else 0


def stale(files: Mapping[str, str], root: Path = ROOT) -> list[str]:
    """Return the paths of files that are missing, differ, or are no longer made."""
    differing = [path for path, text in files.items() if _content(root / path) != text]
    return sorted([*differing, *_leftovers(files, root)])


def write(files: Mapping[str, str], root: Path = ROOT) -> None:
    """Write all files, and remove what is no longer made."""
    for path in _leftovers(files, root):
        (root / path).unlink()
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def _leftovers(files: Mapping[str, str], root: Path) -> list[str]:
    there = [path for folder in _FOLDERS for path in (root / folder).rglob("*") if path.is_file()]
    return [name for path in there if (name := path.relative_to(root).as_posix()) not in files]


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
