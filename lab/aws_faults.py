"""What can go wrong at the local AWS, and on which calls."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypedDict, Unpack

FaultKind = Literal["error", "garbage", "hang", "reset"]

# Answers of HTTP 200 that are no answer at all. `RESHAPED` are the ones made from a good answer.
RAW_BODIES: Final[Mapping[str, bytes]] = {
    "text": b"upstream says hello",
    "html": b"<!DOCTYPE html><html><body><h1>Sign in to the guest network</h1></body></html>",
    "empty": b"",
    "empty-object": b"{}",
    "list": b"[]",
    "half": b'{"authorizationData":[{"authorizationToken":"QVdTOm',
    "binary": b"\xff\xfe\x00\x80\x81",
}
RESHAPED: Final = ("no-data", "not-base64", "no-prefix", "no-token", "no-expiry", "odd-expiry", "past-expiry")
GARBAGE: Final = (*RAW_BODIES, *RESHAPED)


@dataclass(slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong; of several that fit a call, the oldest wins.

    Attributes:
        kind: an AWS error, a garbage answer, no answer until released, or a reset connection.
        code, status, message, retry_after: of an `error`.
        body: which of `GARBAGE`, for `garbage`.
        times: how many calls it hits; None is until cleared.
        operation, region, access_key: of the calls that it hits, the latter two as globs; None is any.
    """

    kind: FaultKind
    code: str = "InternalFailure"
    status: int = 500
    message: str = "We encountered an internal error. Please try again."
    retry_after: float | None = None
    body: str = "text"
    times: int | None = None
    operation: str | None = None
    region: str | None = None
    access_key: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("error", "garbage", "hang", "reset"):
            raise ValueError(f"unknown kind of fault: {self.kind}")
        if self.body not in GARBAGE:
            raise ValueError(f"unknown garbage: {self.body}; known: {', '.join(GARBAGE)}")

    def hits(self, operation: str, region: str, access_key: str) -> bool:
        """Whether it hits this call; counts it if so."""
        desired = ((self.operation, operation), (self.region, region), (self.access_key, access_key))
        if any(want is not None and not fnmatchcase(seen, want) for want, seen in desired):
            return False
        if self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class When(TypedDict, total=False):
    """Which calls a fault hits, and how an error asks for patience; see `Fault`."""

    times: int | None
    operation: str | None
    region: str | None
    access_key: str | None
    retry_after: float | None


def reshape(body: str, datum: dict[str, Any], now: float) -> dict[str, Any]:
    """Spoil a good authorization datum in the way that one of `RESHAPED` names, but `no-data`."""
    changes: dict[str, dict[str, Any]] = {
        "not-base64": {"authorizationToken": "%% not base64 %%"},
        "no-prefix": {"authorizationToken": "Ym9iOmhhbGxv"},
        "no-token": {"authorizationToken": None},
        "no-expiry": {"expiresAt": None},
        "odd-expiry": {"expiresAt": 1e300},
        "past-expiry": {"expiresAt": round(now - 60, 3)},
    }
    return {name: value for name, value in (datum | changes[body]).items() if value is not None}


class Faults:
    """What goes wrong at present.

    Attributes:
        faults: the plan, oldest first. The methods that add to it take `When`.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._released = asyncio.Event()

    def fail(
        self, code: str, status: int = 400, message: str = "Refused by the lab.", **when: Unpack[When]
    ) -> Fault:
        """Answer with an AWS error."""
        return self.add(Fault(kind="error", code=code, status=status, message=message, **when))

    def throttle(self, **when: Unpack[When]) -> Fault:
        """Answer as AWS does when it is asked too often."""
        return self.fail("ThrottlingException", 400, "Rate exceeded", **when)

    def garble(self, body: str, **when: Unpack[When]) -> Fault:
        """Answer 200 with one of `GARBAGE`."""
        return self.add(Fault(kind="garbage", body=body, **when))

    def hang(self, **when: Unpack[When]) -> Fault:
        """Answer nothing until `release`, or until the client disconnects."""
        return self.add(Fault(kind="hang", **when))

    def reset(self, **when: Unpack[When]) -> Fault:
        """Reset the connection in place of an answer."""
        return self.add(Fault(kind="reset", **when))

    def add(self, fault: Fault) -> Fault:
        """Put one more fault at the end of the plan."""
        self.faults.append(fault)
        return fault

    def release(self) -> None:
        """Answer what hangs, and hang no more."""
        self.faults = [fault for fault in self.faults if fault.kind != "hang"]
        self._released.set()
        self._released = asyncio.Event()

    def clear(self) -> None:
        """Let nothing go wrong any more; also releases."""
        self.faults.clear()
        self.release()

    def strike(self, operation: str, region: str, access_key: str) -> Fault | None:
        """Choose the fault that hits this call, if any."""
        return next((fault for fault in self.faults if fault.hits(operation, region, access_key)), None)

    async def released(self) -> None:
        """Wait for the next `release`."""
        await self._released.wait()
