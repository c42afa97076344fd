"""One namespace can't fill the log."""

import time
from collections.abc import Callable
from typing import Final

import pytest

from tests.cluster.attacks.figures import LINES_A_SECOND, LONGEST_LINE
from tests.cluster.attacks.neighbours import Neighbours, lines_since
from tests.cluster.builders import ecr_secret
from tests.lab.api import ECR_SECRETS, Json
from tests.lab.audit import position

# In a window that is a second long at its edges, too.
SLACK: Final = 2 * LINES_A_SECOND


def _by_registry(number: int) -> Json:
    return {"ecr_registry": f"not a host {number}"}


def _by_frequency(number: int) -> Json:
    return {"frequency": f"{number} hours"}


def _back_and_forth(number: int) -> Json:
    return {"frequency": ("1h", "nonsense")[number % 2]}


def _by_role(number: int) -> Json:
    return {"role_arn": f"arn:aws:iam::123456789012:role/r{number}"}


CHANGES: Final[dict[str, Callable[[int], Json]]] = {
    "another wrong registry each time": _by_registry,
    "another wrong frequency each time": _by_frequency,
    "right and wrong in turn": _back_and_forth,
    "another role each time": _by_role,
}


@pytest.mark.parametrize("count", [1, 50], ids=["one resource", "50 resources"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_resources_that_change_all_the_time_write_ten_lines_a_second(
    neighbours: Neighbours, change: Callable[[int], Json], count: int
) -> None:
    seconds = neighbours.scale.of(3.0, 60.0)
    async with neighbours.operator() as operator:
        await neighbours.attack(*(ecr_secret(f"r{number}") for number in range(count)))
        control = await neighbours.observe(operator, 1)
        place, began = position(operator.log), time.monotonic()
        number = 0
        while time.monotonic() < began + seconds:
            patch, name = {"spec": change(number)}, f"r{number % count}"
            await neighbours.editor.merge_patch(ECR_SECRETS, name, patch, neighbours.attacker)
            number += 1
        lasted = time.monotonic() - began
        lines = [line for line in lines_since(operator.log, place) if neighbours.attacker.encode() in line]
    said = (
        f"{len(lines)} lines in {lasted:.1f} s of {number} changes,"
        f" longest {max(map(len, lines), default=0)} bytes; control: {control}"
    )
    print(said)
    assert number > 2 * (LINES_A_SECOND * lasted + SLACK), f"too few changes to show anything: {said}"
    assert len(lines) <= LINES_A_SECOND * lasted + SLACK, said
    assert all(len(line) <= LONGEST_LINE for line in lines), said
