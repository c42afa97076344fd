"""What a start costs before there is anything to do: imports, with compiled bytecode and without.

The image ships bytecode. Without, Python compiles every module that it imports, those of its own library
too, and here keeps nothing of it.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.bench_audit import STATUSES
from lab.bench_field import Field
from lab.bench_runs import LIMIT, Lab, operator_at
from lab.bench_stage import ROOT, lean_environment
from lab.janitor import temporary_folder

_OPERATOR: Final = "import ecr_operator.app, ecr_operator.telemetry.logs"
_LOOP: Final = "import asyncio, kubernetes_asyncio.client, kubernetes_asyncio.config"
_TRIES: Final = 5
_UNCOMPILED_TRIES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """Seconds.

    Attributes:
        imports: that the operator's and the bare loop's libraries take.
        imports_uncompiled: the same without bytecode.
        first_write_uncompiled: from the start of the operator's process to its first write, without bytecode.
    """

    imports: tuple[float, float]
    imports_uncompiled: tuple[float, float]
    first_write_uncompiled: float


async def starts(lab: Lab, field: Field, tries: int = _TRIES) -> Starts:
    """Measure them; the field's resources have no Secrets yet."""
    with temporary_folder("ecr-bench-") as home:
        without = _without_bytecode(home)
        async with operator_at(lab, field, env=without) as running:
            await running.tail.until(STATUSES, 1, LIMIT)
            first_write = running.tail.first_write - running.started
        few = min(tries, _UNCOMPILED_TRIES)
        return Starts(
            imports=(_import_seconds(_OPERATOR, tries), _import_seconds(_LOOP, tries)),
            imports_uncompiled=(
                _import_seconds(_OPERATOR, few, without),
                _import_seconds(_LOOP, few, without),
            ),
            first_write_uncompiled=first_write,
        )


def _without_bytecode(home: Path) -> dict[str, str]:
    """An environment in which none is found, and none is kept."""
    return {"PYTHONPYCACHEPREFIX": str(home / "nothing"), "PYTHONDONTWRITEBYTECODE": "1"}


def _import_seconds(statement: str, tries: int, env: Mapping[str, str] | None = None) -> float:
    """Time a Python that only imports, less one that does nothing: the best of some tries of each."""
    best, nothing = (
        min(_python_seconds(each, env or {}) for _ in range(tries)) for each in (statement, "pass")
    )
    return best - nothing


def _python_seconds(statement: str, env: Mapping[str, str]) -> float:
    with temporary_folder("ecr-bench-") as home:
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-c", statement], cwd=ROOT, check=True, env=lean_environment(home, **env)
        )
        return time.monotonic() - began
