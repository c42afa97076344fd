"""One namespace can't fill the log."""

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Final

from lab.api import Json
from lab.audit import position
from tests.cluster.attacks.figures import LINES_A_SECOND, LONGEST_LINE
from tests.cluster.attacks.neighbours import Neighbours, lines_since
from tests.cluster.builders import ecr_secret

MANY: Final = 50
AT_ONCE: Final = 10
# In a window that is a second long at its edges, too.
SLACK: Final = 2 * LINES_A_SECOND


CHANGES: Final[dict[str, Callable[[int], Json]]] = {
    "another wrong registry each time": lambda number: {"ecr_registry": f"not a host {number}"},
    "right and wrong in turn": lambda number: {"frequency": ("1h", "nonsense")[number % 2]},
}


async def test_resources_that_change_all_the_time_write_ten_lines_a_second(neighbours: Neighbours) -> None:
    number = neighbours.scale.of(200, 5000)
    async with neighbours.operator() as operator:
        await neighbours.attack(*(ecr_secret(f"r{number}") for number in range(MANY)))
        # What is logged of it is a first outcome, and the control.
        control = await neighbours.control(operator, 30.0)
        for (text, change), count in itertools.product(CHANGES.items(), (1, MANY)):
            place, began = position(operator.log), time.monotonic()
            # As fast as the API server takes them: on an idle machine, far more than may be logged.
            for first in range(0, number, AT_ONCE):
                some = range(first, first + AT_ONCE)
                changes = (neighbours.change(f"r{each % count}", {"spec": change(each)}) for each in some)
                await asyncio.gather(*changes)
            lasted = time.monotonic() - began
            lines = [
                each for each in lines_since(operator.log, place) if neighbours.attacker.encode() in each
            ]
            said = (
                f"{text}: {len(lines)} lines in {lasted:.1f} s of {number} changes of {count} resources,"
                f" longest {max(map(len, lines), default=0)} bytes; control: {control}"
            )
            assert len(lines) <= LINES_A_SECOND * lasted + SLACK, said
            assert all(len(line) <= LONGEST_LINE for line in lines), said
