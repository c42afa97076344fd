"""What a soak knows of its namespace: what it asked for, what is not ours, and when what was in trouble."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from lab.api import ARGO_SECRETS, Json, Resource

REGIONS: Final = ("us-east-1", "us-east-2", "eu-west-1", "eu-central-1")
TOKEN_LIFE: Final = 30.0
# The longest pause that the operator may make after a few seconds of trouble: its fourth try of a first
# token comes 16 s after the third at the latest.
GRACE: Final = 20.0
_HISTORY: Final = 80


@dataclass(slots=True, kw_only=True)
class Row:
    """A custom resource as it was asked for.

    Attributes:
        kind: which of the two.
        name: its name.
        uid: of this very object.
        secret: the name of the Secret that it should generate.
        region: where its registry is.
        steady: nobody does anything to it.
        changed_at: monotonic time at which we last did something to it, to its Secret, or to a rival.
        tampered: when we last harmed its Secret; more than a few in a minute are a fight.
    """

    kind: Resource
    name: str
    uid: str
    secret: str
    region: str
    steady: bool = False
    changed_at: float = field(default_factory=time.monotonic)
    tampered: deque[float] = field(default_factory=lambda: deque(maxlen=3))

    @property
    def host(self) -> str:
        """The registry."""
        return host_of(self.region)

    @property
    def is_argo(self) -> bool:
        """Whether it is an ArgoHelmRepoSecret."""
        return self.kind == ARGO_SECRETS


def host_of(region: str) -> str:
    """Return a registry in a region."""
    return f"123456789012.dkr.ecr.{region}.amazonaws.com"


@dataclass(slots=True, kw_only=True)
class Trouble:
    """Something was away: in one region, or for everybody (an empty one)."""

    what: str
    region: str
    began: float
    ended: float | None = None


class World:
    """Everything that the soak's actors and its observer share.

    Attributes:
        rows: the custom resources that exist, by kind and name.
        foreign: Secrets that are not ours, whole, as they were made.
        troubles: past and present.
        serving: whether the API server is to be asked.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}
        self.foreign: dict[str, Json] = {}
        self.troubles: list[Trouble] = []
        self.serving = True
        self._began = time.monotonic()
        self._history: deque[str] = deque(maxlen=_HISTORY)

    def note(self, what: str) -> None:
        """Remember what happened, to be told if something goes wrong."""
        self._history.append(f"{time.monotonic() - self._began:7.2f} s  {what}")

    @property
    def history(self) -> str:
        """The last things that happened."""
        return "\n".join(self._history)

    def begin(self, what: str, region: str = "") -> Trouble:
        """Note that trouble begins."""
        self.note(f"{what} begins{f' in {region}' if region else ''}")
        trouble = Trouble(what=what, region=region, began=time.monotonic())
        self.troubles.append(trouble)
        return trouble

    def end(self, trouble: Trouble) -> None:
        """Note that it is over."""
        trouble.ended = time.monotonic()
        self.note(f"{trouble.what} is over")

    def calm_since(self, row: Row) -> float:
        """Since when nothing was done to a row and all that it needs has been there; inf while it is not."""
        ends = [
            float("inf") if trouble.ended is None else trouble.ended
            for trouble in self.troubles
            if trouble.region in ("", row.region)
        ]
        return max([row.changed_at, *ends])

    def away(self, row: Row, since: float, until: float) -> float:
        """How many seconds of that time something that a row needs was away; counted twice if two were."""
        spans = [
            min(until, until if trouble.ended is None else trouble.ended) - max(since, trouble.began)
            for trouble in self.troubles
            if trouble.region in ("", row.region)
        ]
        return sum(max(span, 0.0) for span in spans)

    def claimants(self, secret: str) -> list[Row]:
        """The resources that name a Secret."""
        return [row for row in self.rows.values() if row.secret == secret]

    def touched(self, *rows: Row) -> None:
        """Note that something was done to rows."""
        for row in rows:
            row.changed_at = time.monotonic()
