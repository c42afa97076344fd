"""What the benchmark is to measure, and what it measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from lab.bench_lives import Lives
from lab.bench_loops import LoopRun
from lab.bench_replicas import Rolling
from lab.bench_rest import Repairs, Rest, Strangers
from lab.bench_runs import OperatorRun
from lab.bench_start import Starts


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure; times in seconds.

    Attributes:
        sizes: numbers of resources, ascending.
        large: from this many on there is one round, and no search for the loop's best concurrency.
        rounds: how often each run is made.
        concurrencies: what the bare loop is tried with.
        delay: what each AWS call takes in one more case of the smallest size.
        settle: how long an operator must be idle to count as at rest.
        quiet: how long one at rest is watched.
        frequent: how long resources with `frequency: 1s` are watched.
        repairs: how many Secrets are deleted, and how many others changed.
        strangers: how many Secrets of 40 kB other people have.
        life: of a token in the case where they die soon.
        lives: how long that is watched.
        imports: how often imports are timed.
    """

    sizes: Sequence[int] = (200, 1000, 10_000)
    large: int = 2000
    rounds: int = 3
    concurrencies: Sequence[int] = (8, 16, 32)
    delay: float = 0.05
    settle: float = 3.0
    quiet: float = 60.0
    frequent: float = 30.0
    repairs: int = 5
    strangers: int = 3000
    life: float = 40.0
    lives: float = 120.0
    imports: int = 5

    @property
    def least(self) -> int:
        """The size for what needs few resources."""
        return self.sizes[0]

    @property
    def main(self) -> int:
        """The size for what is measured once: the greatest that isn't large."""
        return max((size for size in self.sizes if size < self.large), default=self.least)

    def rounds_of(self, size: int) -> int:
        """How often the runs of a size are made."""
        return 1 if size >= self.large else self.rounds

    def searches(self, size: int) -> bool:
        """Whether the loop's best concurrency is looked for; else that of the size before is taken."""
        return size == self.least or size < self.large

    @property
    def steps(self) -> int:
        """How many steps of progress there are."""
        searched = sum(len(self.concurrencies) for size in self.sizes if self.searches(size))
        runs = sum(2 * self.rounds_of(size) + 1 for size in self.sizes) + self.rounds_of(self.least)
        return searched + runs + 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What was measured with one number of resources.

    Attributes:
        title: heads the column.
        size: number of resources.
        operator: every run of the operator.
        loop: every run of the bare loop, beside it.
        concurrency: how many writes at a time the bare loop was best with.
        rest: a start with everything fresh; None where AWS is slow.
    """

    title: str
    size: int
    operator: Sequence[OperatorRun]
    loop: Sequence[LoopRun]
    concurrency: int
    rest: Rest | None

    @property
    def operator_seconds(self) -> float:
        """The operator's median."""
        return median(run.seconds for run in self.operator)

    @property
    def loop_seconds(self) -> float:
        """The bare loop's median, from the start of its process."""
        return median(run.seconds for run in self.loop)

    @property
    def loop_without_start(self) -> float:
        """The bare loop's median, from when its imports were done."""
        return median(run.without_start for run in self.loop)

    @property
    def first_write(self) -> tuple[float, float]:
        """Seconds from process start to first write of the operator and of the bare loop, medians."""
        return median(run.first_write for run in self.operator), median(run.first_write for run in self.loop)

    @property
    def cpu(self) -> tuple[float, float]:
        """Processor time of the operator and of the bare loop, medians."""
        return median(run.cpu for run in self.operator), median(run.cpu for run in self.loop)

    @property
    def share(self) -> float:
        """What share of the bare loop's speed the operator reaches; 1 is the same speed."""
        return self.loop_seconds / self.operator_seconds

    @property
    def resident(self) -> int:
        """Memory after the work, in bytes, the most of all runs."""
        return max(run.resident for run in self.operator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """What was measured with the main size only.

    Attributes:
        repairs: of deleted and of edited Secrets.
        strangers: what other people's Secrets cost.
        rolling: a rolling restart of two replicas.
    """

    repairs: Repairs
    strangers: Strangers
    rolling: Rolling


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All that was measured.

    Attributes:
        plan: what was to be measured.
        cases: the cold starts.
        once: with the main size.
        frequent: AWS calls from resources with `frequency: 1s`, their first included.
        lives: of tokens that die soon.
        starts: imports and first write, with and without bytecode.
    """

    plan: Plan
    cases: Sequence[Case]
    once: Once
    frequent: int
    lives: Lives
    starts: Starts
