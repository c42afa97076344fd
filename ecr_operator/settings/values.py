"""The types of settings, and how the text of a flag or variable becomes a value of each.

Every function raises SettingsError, which says what is wrong with the text.
"""

import logging
import re
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from ecr_operator.api.tenancy import TenancyPolicy, parse_selector
from ecr_operator.api.text import excerpt

ALL_NAMESPACES: Final = ""

Encoder = Literal["json", "console"]

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ROLE_GLOB: Final = re.compile(r"(arn:|[*?])[A-Za-z0-9:+=.@_/*?-]*")
_EXTERNAL_ID: Final = re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}")
_ADDRESS: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%a-z]+)\]|(?P<host>[^\[\]:\s]*)):(?P<port>\d{1,5})")
_MAX_PORT: Final = 65535
_BOOLEANS: Final = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "panic": logging.CRITICAL,
}


class SettingsError(ArgumentTypeError):
    """A mistake in a flag or variable, in one line; argparse adds which flag it converts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BindAddress:
    """Where to listen.

    Attributes:
        host: address or name; None means all addresses of the machine.
        port: TCP port; 0 lets the system choose.
        explicit: set by a flag, so that a failure to listen ends the process.
    """

    host: str | None
    port: int
    explicit: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """How to log.

    Attributes:
        level: the least severe that is shown, of the standard library's numbers.
        encoder: None means console on a terminal and JSON elsewhere.
    """

    level: int = logging.INFO
    encoder: Encoder | None = None


def boolean(text: str) -> bool:
    """Go's booleans."""
    if text.lower() not in _BOOLEANS:
        raise SettingsError(f"{excerpt(text)} is neither true nor false")
    return _BOOLEANS[text.lower()]


def bind_address(text: str) -> BindAddress | None:
    """Go's `host:port`; None for `0`, which means not at all."""
    if text == "0":
        return None
    found = _ADDRESS.fullmatch(text)
    if not found or int(found["port"]) > _MAX_PORT:
        raise SettingsError(
            f"{excerpt(text)} is not a valid address; expected one such as :8080, 127.0.0.1:8080 or "
            "[::1]:8080, or 0 for off"
        )
    return BindAddress(host=found["six"] or found["host"] or None, port=int(found["port"]))


def log_level(text: str) -> int:
    """One of zap's levels: a name, or a number for ever more of debug."""
    known = _LEVELS.get(text.lower())
    if known is None and not (text.isascii() and text.isdigit() and int(text[:9]) > 0):
        raise SettingsError(
            f"{excerpt(text)} is not a valid level; expected {', '.join(_LEVELS)}, or a number above 0"
        )
    return known if known is not None else logging.DEBUG


def is_namespace(text: str) -> bool:
    """Whether the text is a valid name of a namespace."""
    return _NAMESPACE.fullmatch(text) is not None


def namespaces(text: str, source: str) -> tuple[str, ...]:
    """Names between commas, each once; `source` is the flag or variable."""
    names = dict.fromkeys(name.strip() for name in text.split(",") if name.strip())
    return tuple(namespace(name, source) for name in names)


def namespace(text: str, source: str) -> str:
    """One name."""
    if not is_namespace(text):
        raise SettingsError(f"{source}: {excerpt(text)} is not a valid namespace name.")
    return text


def tenancy(ambient: str | None, hosts: str) -> TenancyPolicy:
    """The policy that `--ambient-credentials` and `--allowed-registry-hosts` describe."""
    policy = TenancyPolicy(registry_hosts=tuple(glob.strip() for glob in hosts.split(",") if glob.strip()))
    if ambient is None:
        return policy
    if "=" not in ambient:
        return replace(policy, ambient_namespaces=namespaces(ambient, "--ambient-credentials"))
    try:
        return replace(policy, ambient_namespaces=(), ambient_selector=parse_selector(ambient))
    except ValueError as error:
        raise SettingsError(f"--ambient-credentials: {error}.") from error


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
    """An external id that AWS accepts; empty is none."""
    if text and not _EXTERNAL_ID.fullmatch(text):
        raise SettingsError("--external-id: AWS accepts 2 to 1224 letters, digits and any of _+=,.@:/-")
    return text
