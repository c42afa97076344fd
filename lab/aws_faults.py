"""What can go wrong at the local AWS, and on which calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from lab import faults
from lab.aws_calls import Call

# Invalid answers with HTTP 200. `RESHAPED` names those that are made from a valid answer.
RAW_BODIES: Final[Mapping[str, bytes]] = {
    "text": b"upstream says hello",
    "html": b"<!DOCTYPE html><html><body><h1>Sign in to the guest network</h1></body></html>",
    "empty": b"",
    "empty-object": b"{}",
    "list": b"[]",
    "half": b'{"authorizationData":[{"authorizationToken":"QVdTOm',
    "binary": b"\xff\xfe\x00\x80\x81",
}
_CHANGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "not-base64": {"authorizationToken": "%% not base64 %%"},
    "no-prefix": {"authorizationToken": "Ym9iOmhhbGxv"},
    "no-token": {"authorizationToken": None},
    "no-expiry": {"expiresAt": None},
    "odd-expiry": {"expiresAt": 1e300},
    "past-expiry": {"expiresAt": 1.7e9},
}
RESHAPED: Final = ("no-data", *_CHANGES)
GARBAGE: Final = (*RAW_BODIES, *RESHAPED)


def reshape(body: str, datum: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Spoil a valid authorization datum in the way that one of `RESHAPED` names; "" leaves it as it is."""
    if body == "no-data":
        return []
    changed = {**datum, **(_CHANGES[body] if body else {})}
    return [{name: value for name, value in changed.items() if value is not None}]


@dataclass(slots=True, kw_only=True)
class Fault(faults.Fault):
    """One thing that goes wrong.

    Attributes:
        kind: `error` of AWS, `garbage`, `hang` (no answer until released), or `reset` (of the connection).
        code, status, message, retry_after: of an `error`.
        body: which of `GARBAGE`, for `garbage`.
        operation, region, access_key: of the calls that it hits, the latter two as globs; None is any.
    """

    code: str = "InternalFailure"
    status: int = 500
    message: str = "We encountered an internal error. Please try again."
    retry_after: float | None = None
    body: str = ""
    operation: str | None = None
    region: str | None = None
    access_key: str | None = None

    def fits(self, call: Call) -> bool:
        """Whether operation, region and access key match."""
        wanted = (self.operation, self.region, self.access_key)
        seen = (call.operation, call.region, call.access_key)
        return all(want is None or fnmatchcase(have, want) for want, have in zip(wanted, seen, strict=True))


class AwsFaults(faults.Faults[Fault]):
    """What goes wrong at present; the methods that add to it take fields of `Fault`."""

    def fail(self, code: str, status: int = 400, message: str = "Refused by the lab.", **match: Any) -> Fault:
        """Answer with an AWS error."""
        return self.add(Fault(kind="error", code=code, status=status, message=message, **match))

    def throttle(self, **match: Any) -> Fault:
        """Answer as AWS does to too many requests."""
        return self.fail("ThrottlingException", 400, "Rate exceeded", **match)

    def garble(self, body: str, **match: Any) -> Fault:
        """Answer 200 with one of `GARBAGE`."""
        return self.add(Fault(kind="garbage", body=body, **match))

    def hang(self, **match: Any) -> Fault:
        """Answer nothing until `release`, or until the client disconnects."""
        return self.add(Fault(kind="hang", **match))

    def reset(self, **match: Any) -> Fault:
        """Reset the connection in place of an answer."""
        return self.add(Fault(kind="reset", **match))
