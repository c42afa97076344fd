"""Development tools: what `make` runs beside the tests. Each makes files that are committed.

Run with `--check` a tool writes nothing, and fails if a file is not what it would make.
"""

import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]


def settle(files: Mapping[str, str], make: str, folders: Collection[str] = ()) -> int:
    """Write files by their paths in the present directory, or with --check compare them; the exit code.

    Args:
        files: paths and contents.
        make: the target that makes them, for the message.
        folders: those in which nothing else may be.
    """
    root = Path.cwd()
    if "--check" not in sys.argv[1:]:
        write(files, root, folders)
        return 0
    found = stale(files, root, folders)
    for path in found:
        print(f"{path} is not what its sources make: run `make {make}`.", file=sys.stderr)
    return 1 if found else 0


def write(files: Mapping[str, str], root: Path, folders: Collection[str] = ()) -> None:
    """Write all files, and remove others in these folders."""
    for path in _others(files, root, folders):
        (root / path).unlink()
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def stale(files: Mapping[str, str], root: Path, folders: Collection[str] = ()) -> list[str]:
    """Return the paths of files that are missing or differ, and of others in these folders."""
    different = [path for path, text in files.items() if _content(root / path) != text]
    return sorted([*different, *_others(files, root, folders)])


def _others(files: Mapping[str, str], root: Path, folders: Collection[str]) -> list[str]:
    there = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    return [name for path in there if (name := path.relative_to(root).as_posix()) not in files]


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def to_yaml(content: Any) -> str:
    """Return YAML with text of several lines as blocks, and no anchors."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        """Repeat what is the same."""
        return data is not None


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
