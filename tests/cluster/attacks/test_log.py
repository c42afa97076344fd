"""One namespace can't fill the log."""

import time
from collections.abc import Callable
from typing import Final

import pytest

from lab.api import ECR_SECRETS, Json
from lab.audit import position
from tests.cluster.attacks.figures import LINES_A_SECOND, LONGEST_LINE
from tests.cluster.attacks.neighbours import Neighbours, lines_since
from tests.cluster.builders import ecr_secret

MANY: Final = 50
# In a window that is a second long at its edges, too.
SLACK: Final = 2 * LINES_A_SECOND


def _by_registry(number: int) -> Json:
    return {"ecr_registry": f"not a host {number}"}


def _back_and_forth(number: int) -> Json:
    return {"frequency": ("1h", "nonsense")[number % 2]}


CHANGES: Final[dict[str, Callable[[int], Json]]] = {
    "another wrong registry each time": _by_registry,
    "right and wrong in turn": _back_and_forth,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_resources_that_change_all_the_time_write_ten_lines_a_second(
    neighbours: Neighbours, change: Callable[[int], Json]
) -> None:
    seconds = neighbours.scale.of(3.0, 30.0)
    async with neighbours.operator() as operator:
        await neighbours.attack(*(ecr_secret(f"r{number}") for number in range(MANY)))
        # What is logged of it is a first outcome, and the control.
        control = await neighbours.observe(operator, 1.5)
        for count in (1, MANY):
            place, began = position(operator.log), time.monotonic()
            number = 0
            while time.monotonic() < began + seconds:
                patch, name = {"spec": change(number)}, f"r{number % count}"
                await neighbours.editor.merge_patch(ECR_SECRETS, name, patch, neighbours.attacker)
                number += 1
            lasted = time.monotonic() - began
            lines = [
                each for each in lines_since(operator.log, place) if neighbours.attacker.encode() in each
            ]
            said = (
                f"{len(lines)} lines in {lasted:.1f} s of {number} changes of {count} resources,"
                f" longest {max(map(len, lines), default=0)} bytes; control: {control}"
            )
            print(said)
            assert number > 2 * (LINES_A_SECOND * lasted + SLACK), f"too few changes to show anything: {said}"
            assert len(lines) <= LINES_A_SECOND * lasted + SLACK, said
            assert all(len(line) <= LONGEST_LINE for line in lines), said
