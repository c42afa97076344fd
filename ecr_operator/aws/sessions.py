"""Temporary keys of assumed roles: one set per identity and STS region, made by one call, renewed in time.

Invariants: keys serve the identity alone that they were made for, and go when what they were made from is
another. At most a thousand are kept; those that are about to expire, or that AWS blames, are made anew.
"""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ecr_operator.api.identity import Identity
from ecr_operator.aws.identities import AwsKeys
from ecr_operator.core.ports import Clock

# Each takes 3 KiB.
MOST_SESSIONS: Final = 1024
# What AWS gives to a role that is assumed from a role, at most.
SESSION_SECONDS: Final = 3600
_MARGIN: Final = 900.0


@dataclass(slots=True)
class _Slot:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    keys: AwsKeys | None = None
    made_from: object = None
    good_until: float = 0.0

    def is_stale(self, now: float) -> bool:
        """Whether nobody uses it or could."""
        return not self.lock.locked() and (self.keys is None or self.good_until <= now)


class RoleSessions:
    """Hands out the keys of assumed roles. Belongs to one event loop."""

    def __init__(self, clock: Clock, most: int = MOST_SESSIONS) -> None:
        """Keep nothing yet.

        Args:
            clock: tells when keys are too old.
            most: how many are kept; the least recently used go first.
        """
        self._clock = clock
        self._most = most
        self._slots: OrderedDict[tuple[Identity, str], _Slot] = OrderedDict()
        self._regions: defaultdict[Identity, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._slots)

    async def keys(
        self,
        identity: Identity,
        region: str,
        made_from: object,
        assume: Callable[[], Awaitable[Mapping[str, Any]]],
    ) -> AwsKeys:
        """The identity's keys, from the last session while it is good.

        Args:
            identity: as the resource names it.
            region: of STS.
            made_from: what permits the session and signs for it; one made from another thing is not used.
            assume: asks STS for a session, and returns its answer.
        """
        slot = self._slot((identity, region))
        async with slot.lock:
            if slot.keys and slot.made_from == made_from and self._clock.monotonic() < slot.good_until:
                return slot.keys
            slot.keys, life = _read(await assume(), self._clock.now())
            slot.made_from = made_from
            slot.good_until = self._clock.monotonic() + life - min(_MARGIN, life / 4)
            return slot.keys

    def forget(self, identity: Identity, region: str, keys: AwsKeys) -> None:
        """Drop these keys, unless others have taken their place meanwhile."""
        slot = self._slots.get((identity, region))
        if slot and slot.keys == keys:
            slot.keys = None

    def release(self, identity: Identity) -> None:
        """Drop an identity's keys of all regions."""
        for region in self._regions.pop(identity, ()):
            self._slots.pop((identity, region), None)

    def _slot(self, key: tuple[Identity, str]) -> _Slot:
        slot = self._slots.setdefault(key, _Slot())
        self._regions[key[0]].add(key[1])
        self._slots.move_to_end(key)
        # Those longest unused go, when they are of no use any more or too many; one in use is only unlinked.
        while (oldest := next(iter(self._slots.values()))) is not slot:
            if len(self._slots) <= self._most and not oldest.is_stale(self._clock.monotonic()):
                break
            self._drop(next(iter(self._slots)))
        return slot

    def _drop(self, key: tuple[Identity, str]) -> None:
        del self._slots[key]
        regions = self._regions[key[0]]
        regions.discard(key[1])
        if not regions:
            del self._regions[key[0]]


def _read(answer: Mapping[str, Any], now: datetime) -> tuple[AwsKeys, float]:
    """The keys in an answer of STS, and the seconds that they live. ValueError or the like for garbage."""
    found = answer["Credentials"]
    expires_at: datetime = found["Expiration"]
    values = (found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
    if not all(isinstance(value, str) and value for value in values):
        message = "an answer of STS without keys"
        raise ValueError(message)
    access_key, secret_key, session_token = values
    keys = AwsKeys(access_key=access_key, secret_key=secret_key, session_token=session_token)
    return keys, (expires_at.astimezone(UTC) - now).total_seconds()
