"""What the demo measures while it looks on, and the summary made of it."""

import itertools
from dataclasses import dataclass, field

from lab.aws_tokens import IssuedToken
from lab.demo_rows import Row


@dataclass(slots=True)
class Figures:
    """What was measured.

    Attributes:
        tokens: those seen in each resource's Secret, oldest first.
        ready_after: seconds from the operator's start until all was ready.
        repaired_after: seconds from the deletion of a Secret until there was another.
        looks: at a resource that had a token before.
        gaps: those of them that found no live token.
    """

    tokens: dict[str, list[IssuedToken]] = field(default_factory=dict)
    ready_after: float = 0.0
    repaired_after: float | None = None
    looks: int = 0
    gaps: int = 0

    def take(self, row: Row, now: float) -> None:
        """Take in one look at a resource."""
        tokens = self.tokens.setdefault(row.key, [])
        if tokens:
            self.looks += 1
            self.gaps += not row.is_ready(now)
        if row.token and row.token not in tokens:
            tokens.append(row.token)

    def refreshes_of(self, row: Row) -> int:
        """Return how often the token of a resource was replaced."""
        return max(len(self.tokens.get(row.key, [])) - 1, 0)

    @property
    def margins(self) -> list[float]:
        """How long each replaced token had still to live, in seconds."""
        pairs = [pair for seen in self.tokens.values() for pair in itertools.pairwise(seen)]
        return [old.expires_at - new.issued_at for old, new in pairs]

    def summary(self, calls: int) -> list[str]:
        """Say it in a few lines; `calls` is how often AWS was asked for a token."""
        resources, margins = len(self.tokens), self.margins
        lines = [f"{resources} resources were Ready {self.ready_after:.1f} s after the operator's start."]
        if margins:
            spare = f"none later than {min(margins):.0f} s before the old token's end"
            lines.append(f"{len(margins)} refreshes were seen, {spare}.")
        lines.append(f"{self.looks - self.gaps} of {self.looks} looks found a live token in the Secret.")
        if self.repaired_after is not None:
            lines.append(f"A deleted Secret was back after {self.repaired_after * 1000:.0f} ms.")
        written = sum(map(len, self.tokens.values()))
        lines.append(f"{calls} calls to AWS served {resources} resources with {written} tokens.")
        return lines
