"""`python -m tools.crds [--check]`: write config/crd/bases from the models, or fail if they differ."""

import sys
from pathlib import Path

import yaml

from ecr_operator.api.kinds import GROUP, KINDS, PLURALS
from tools.crd_schema import custom_resource_definition

_BASES = Path(__file__).parents[1] / "config" / "crd" / "bases"
_HEADER = "# Made from ecr_operator/api/kinds.py by `make crds`.\n---\n"


def main() -> int:
    """Write or check each CRD; 1 if a file is stale."""
    check = "--check" in sys.argv[1:]
    stale = [kind for kind in KINDS if not _settle(kind, check=check)]
    for kind in stale:
        print(f"{_path(kind).name} differs from the models: run `make crds`.", file=sys.stderr)
    return 1 if stale else 0


def render(kind: str) -> str:
    """Return the CRD of a kind as YAML."""
    return _HEADER + yaml.safe_dump(custom_resource_definition(kind), sort_keys=False, width=110)


def _path(kind: str) -> Path:
    return _BASES / f"{GROUP}_{PLURALS[kind]}.yaml"


def _settle(kind: str, *, check: bool) -> bool:
    path, text = _path(kind), render(kind)
    if check:
        return path.is_file() and path.read_text(encoding="utf-8") == text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True


if __name__ == "__main__":
    sys.exit(main())
