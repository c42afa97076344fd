"""What the values of flags and variables mean; each function says in words what is wrong with one."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from ecr_operator.api.tenancy import TenancyPolicy, parse_selector
from ecr_operator.api.text import excerpt

ALL_NAMESPACES: Final = ""

Encoder = Literal["json", "console"]

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ROLE_GLOB: Final = re.compile(r"(arn:|[*?])[A-Za-z0-9:+=.@_/*?-]*")
_EXTERNAL_ID: Final = re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}")
_ADDRESS: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%a-z]+)\]|(?P<host>[^\[\]:\s]*)):(?P<port>\d{1,5})")
_HIGHEST_PORT: Final = 65535
_BOOLEANS: Final = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "panic": logging.CRITICAL,
}
# zap's, which have no effect here: no user's mistake prints a stack trace, and every time is RFC 3339.
_STACK_TRACE_LEVELS: Final = ("info", "warn", "error", "panic")
_TIME_ENCODINGS: Final = ("epoch", "millis", "nano", "iso8601", "rfc3339", "rfc3339nano")


class SettingsError(Exception):
    """A mistake in a flag or variable, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BindAddress:
    """Where to listen.

    Attributes:
        host: address or name; None means all addresses of the machine.
        port: TCP port; 0 lets the system choose.
        explicit: somebody asked for it, so it is a failure not to have it.
    """

    host: str | None
    port: int
    explicit: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """How to log.

    Attributes:
        level: the least severe that is shown, of the standard library's numbers.
        encoder: `json` or `console`; None means console on a terminal and JSON elsewhere.
    """

    level: int = logging.INFO
    encoder: Encoder | None = None


def boolean(text: str) -> bool:
    """Go's booleans."""
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise SettingsError(f"{excerpt(text)} is neither true nor false") from None


def bind_address(text: str) -> BindAddress | None:
    """Go's `host:port`; None for `0`, which means not at all."""
    if text == "0":
        return None
    found = _ADDRESS.fullmatch(text)
    if not found or int(found["port"]) > _HIGHEST_PORT:
        raise SettingsError(
            f"{excerpt(text)} is not a valid address; expected one such as :8080, 127.0.0.1:8080 or "
            "[::1]:8080, or 0 for off"
        )
    return BindAddress(host=found["six"] or found["host"] or None, port=int(found["port"]))


def log_level(text: str) -> int:
    """One of zap's levels: a name, or a number that stands for ever more of debug."""
    known = _LEVELS.get(text.lower())
    if known is None and not (text.isascii() and text.isdigit() and int(text[:9]) > 0):
        raise SettingsError(
            f"{excerpt(text)} is not a valid level; expected {', '.join(_LEVELS)}, or a number above 0"
        )
    return known if known is not None else logging.DEBUG


def encoder(text: str) -> Encoder:
    """One of zap's encoders."""
    for name in get_args(Encoder):
        if text == name:
            return name  # type: ignore[no-any-return] # get_args gives Any
    raise SettingsError(f"{excerpt(text)} is neither json nor console")


def stack_trace_level(text: str) -> str:
    """Checked, and of no effect."""
    return _one_of(text, _STACK_TRACE_LEVELS)


def time_encoding(text: str) -> str:
    """Checked, and of no effect."""
    return _one_of(text, _TIME_ENCODINGS)


def namespaces(text: str, where: str) -> tuple[str, ...]:
    """Names between commas, each once."""
    names = dict.fromkeys(name.strip() for name in text.split(",") if name.strip())
    return tuple(namespace(name, where) for name in names)


def namespace(text: str, where: str) -> str:
    """One name of a namespace."""
    if not is_namespace(text):
        raise SettingsError(f"{where}: {excerpt(text)} is not a valid namespace name.")
    return text


def is_namespace(text: str) -> bool:
    """Whether a namespace may be called that."""
    return _NAMESPACE.fullmatch(text) is not None


def tenancy(ambient: str | None, hosts: str) -> TenancyPolicy:
    """Who may use the operator's own identity, and for which hosts."""
    globs = tuple(glob.strip() for glob in hosts.split(",") if glob.strip())
    if ambient is None:
        return TenancyPolicy(registry_hosts=globs)
    if "=" not in ambient:
        names = namespaces(ambient, "--ambient-credentials")
        return TenancyPolicy(ambient_namespaces=names, registry_hosts=globs)
    try:
        selector = parse_selector(ambient)
    except ValueError as error:
        raise SettingsError(f"--ambient-credentials: {error}.") from error
    return TenancyPolicy(ambient_namespaces=(), ambient_selector=selector, registry_hosts=globs)


def permitted_roles(flags: Sequence[str]) -> tuple[str, ...]:
    """Globs of role ARNs between commas."""
    globs = tuple(glob.strip() for flag in flags for glob in flag.split(","))
    for glob in globs:
        if not _ROLE_GLOB.fullmatch(glob):
            raise SettingsError(
                f"--permitted-roles: {excerpt(glob)} is not a valid pattern of role ARNs; expected "
                "one such as arn:aws:iam::123456789012:role/ecr-*."
            )
    return globs


def external_id(text: str) -> str:
    """What AWS takes for one; empty is none."""
    if text and not _EXTERNAL_ID.fullmatch(text):
        raise SettingsError("--external-id: AWS accepts 2 to 1224 letters, digits and any of _+=,.@:/-")
    return text


def _one_of(text: str, known: Sequence[str]) -> str:
    if text.lower() not in known:
        raise SettingsError(f"{excerpt(text)} is not valid; expected one of {', '.join(known)}")
    return text.lower()
