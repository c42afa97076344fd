"""How often an object that others keep changing is restored: a few times at once, then at a limited rate."""

from dataclasses import dataclass
from typing import Final

Repairs = tuple[float, ...]
"""The latest repairs of one object, in monotonic seconds, the oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairLimit:
    """At most `at_once` repairs within `window` seconds."""

    window: float
    at_once: int

    def note(self, repairs: Repairs, now: float) -> Repairs:
        """The repairs with one more."""
        return (*repairs, now)[-self.at_once :]

    def wait(self, repairs: Repairs, now: float) -> float:
        """Seconds until the next repair is allowed; 0 for at once."""
        if len(repairs) < self.at_once:
            return 0.0
        return max(repairs[0] + self.window - now, 0.0)

    def is_contested(self, repairs: Repairs, now: float) -> bool:
        """Whether the object was repaired within the last two windows."""
        return bool(repairs) and repairs[-1] + 2 * self.window > now


REPAIRS: Final = RepairLimit(window=60.0, at_once=6)
# Whether a label that an admission webhook overwrites stays by now is tried this often.
LABELS: Final = RepairLimit(window=600.0, at_once=1)
