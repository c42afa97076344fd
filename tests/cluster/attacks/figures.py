"""What one phase of an attack test measured, the comparison of two phases, and the bounds of the contract."""

import os
from dataclasses import dataclass, field
from statistics import fmean
from typing import Final, TypeVar

import pytest

from lab.soak import FULL_ATTACKS

MIB: Final = 1 << 20

# How much longer another namespace's new resource, or a health probe, may take during an attack. It is the
# mean that is compared, so that one long stall counts as much as many short ones. A control that took less
# than the seconds beside it counts as that long: on a busy machine, less is chance.
SLOWDOWN: Final = 10.0
QUICK: Final = 0.2
HEALTH_SLOWDOWN: Final = 40.0
QUICK_PROBE: Final = 0.02
# Of the contract, on a quiet machine.
READY_SECONDS: Final = 2.0
HEALTH_SECONDS: Final = 1.0
# Where the API server answers a request later than this, the bound grows in proportion.
API_SECONDS: Final = 0.1
MOST_MEMORY: Final = 256 * MIB
LONGEST_LINE: Final = 4096
LINES_A_SECOND: Final = 10

Size = TypeVar("Size")


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the attacks are: small ones in every test run, full ones on a quiet machine.

    Attributes:
        full: full size; the absolute bounds of the contract are asserted too.
    """

    full: bool

    @classmethod
    def chosen(cls) -> "Scale":
        """Return full size under `make soak ARGS=--attacks`, else the small one."""
        return cls(bool(os.environ.get(FULL_ATTACKS)))

    def of(self, small: Size, full: Size) -> Size:
        """Choose one of two sizes."""
        return full if self.full else small


@dataclass(slots=True, kw_only=True)
class Figures:
    """One phase.

    Attributes:
        seconds: how long it lasted.
        ready: seconds from the creation of a resource to Ready, one for each that was created.
        accepted: seconds that the API server took to answer each of those creations.
        unready: how many of them were not Ready at the end of the phase, the last one aside.
        health: seconds that each probe of /healthz took; the longest that is waited is 10.
        peak: of the operator's resident memory since its start, in bytes.
        processor: the operator's processor time, in seconds.
        lines: of the operator's log.
        longest_line: in bytes.
        calls: to AWS.
    """

    seconds: float = 0.0
    ready: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    unready: int = 0
    health: list[float] = field(default_factory=list)
    peak: int = 0
    processor: float = 0.0
    lines: int = 0
    longest_line: int = 0
    calls: int = 0

    def __str__(self) -> str:
        """All of it in one line."""
        return (
            f"{len(self.ready)} new resources in {self.seconds:.1f} s, Ready after {_spread(self.ready)}"
            f" (accepted after {_spread(self.accepted)}), {self.unready} never;"
            f" healthz {_spread(self.health)}; memory {self.peak / MIB:.0f} MiB;"
            f" processor {self.processor:.1f} s; log {self.lines} lines, longest {self.longest_line} bytes;"
            f" {self.calls} calls to AWS"
        )


def _spread(values: list[float]) -> str:
    if not values:
        return "none"
    return f"{fmean(values):.3f} s mean, {max(values):.3f} s worst"


def slowdown(control: Figures, attack: Figures) -> float:
    """How many times longer a new resource took, beyond what the API server itself became slower."""
    server = max(1.0, fmean(attack.accepted) / fmean(control.accepted))
    return fmean(attack.ready) / max(QUICK, fmean(control.ready)) / server


def health_slowdown(control: Figures, attack: Figures) -> float:
    """How many times longer a health probe took."""
    return fmean(attack.health) / max(QUICK_PROBE, fmean(control.health))


# The figures of all attacks, for the end of the run.
TABLE: Final[list[str]] = []


def show(reporter: pytest.TerminalReporter) -> None:
    """Show the figures of all attacks at full size."""
    if Scale.chosen().full and TABLE:
        reporter.section("attacks")
        for line in TABLE:
            reporter.write_line(line)


def record(attack: str, control: Figures, attacked: Figures) -> None:
    """Keep two phases of one attack for the end of the run."""
    TABLE.extend((f"{attack}: control: {control}", f"{attack}: attack: {attacked}"))


def assert_undisturbed(
    attack: str, control: Figures, attacked: Figures, scale: Scale, *, most_memory: int = MOST_MEMORY
) -> None:
    """Assert that another namespace hardly noticed an attack; every message tells all figures.

    Args:
        attack: its name.
        control: the phase without it.
        attacked: the phase with it, in the same run.
        scale: at full size the contract's absolute bounds are asserted too.
        most_memory: bytes; asserted at full size.
    """
    record(attack, control, attacked)
    slower, slower_health = slowdown(control, attacked), health_slowdown(control, attacked)
    said = (
        f"{attack}\n  control: {control}\n  attack:  {attacked}\n"
        f"  new resources {slower:.1f} times slower (bound {SLOWDOWN:g}),"
        f" healthz {slower_health:.1f} times (bound {HEALTH_SLOWDOWN:g})"
    )
    assert not attacked.unready, f"a new resource of another namespace was never Ready: {said}"
    assert slower <= SLOWDOWN, f"another namespace's new resources wait: {said}"
    assert slower_health <= HEALTH_SLOWDOWN, f"/healthz waits: {said}"
    assert attacked.longest_line <= LONGEST_LINE, f"a log line is too long: {said}"
    if not scale.full:
        return
    late = [
        (took, answered)
        for took, answered in zip(attacked.ready, attacked.accepted, strict=True)
        if took > READY_SECONDS * max(1.0, answered / API_SECONDS)
    ]
    assert not late, f"later than {READY_SECONDS:g} s (Ready, accepted): {late}; {said}"
    assert max(attacked.health) <= HEALTH_SECONDS, f"/healthz later than {HEALTH_SECONDS:g} s: {said}"
    assert attacked.peak <= most_memory, f"more than {most_memory / MIB:g} MiB: {said}"
