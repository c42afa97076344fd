"""Resources as the API server holds them, and what is made of them: say only what the test cares about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.text import format_time
from ecr_operator.cli.keyring import Login
from ecr_operator.cli.origins import Owner, owner_of
from ecr_operator.cli.rows import Row

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
LIFE = timedelta(hours=12)

Json = dict[str, Any]


def condition(name: str, status: str, reason: str, message: str = "") -> Json:
    """Make a condition."""
    return {"type": name, "status": status, "reason": reason, "message": message}


def at(hours: float) -> str:
    """Write the time that is so many hours from now."""
    return format_time(NOW + timedelta(hours=hours))


def status(*conditions: Json, age: float | None = 1.0, **fields: Any) -> Json:
    """Make a status of a token that is `age` hours old, of 12 hours' life; None is no token."""
    times: Json = {}
    if age is not None:
        times = {
            "lastUpdatedTime": at(-age),
            "expirationTime": at(12 - age),
            "nextRefreshTime": at(10 - age),
        }
    found = {"phase": "Updated", "observedGeneration": 1, **times, "conditions": list(conditions), **fields}
    return {key: value for key, value in found.items() if value is not None}


READY = condition("Ready", "True", "Refreshed", "The Secret holds a token.")
REFRESHED = condition("Refreshed", "True", "Refreshed", "The last refresh succeeded.")


def resource(status: Json | None = None, *, name: str = "pull", generation: int = 1, **spec: Any) -> Json:
    """Make a resource."""
    found = {
        "metadata": {"name": name, "namespace": "team-a", "uid": "u", "generation": generation},
        "spec": {"generated_secret_name": f"{name}-login", "ecr_registry": "host", **spec},
    }
    return found if status is None else {**found, "status": status}


def cluster(status: Json | None = None, *, name: str = "shared", **spec: Any) -> Json:
    """Make a ClusterSecret."""
    found = resource(status, name=name, **spec)
    del found["metadata"]["namespace"]
    return found


def failing(*namespaces: str, count: int = 0) -> Json:
    """Make the fields of a ClusterSecret's status that list its failing namespaces."""
    entries = [{"namespace": each, "reason": "SecretConflict", "message": "Taken."} for each in namespaces]
    return {"failing": entries, "failingCount": count or len(entries)}


def owner(*conditions: Json, **spec: Any) -> Owner:
    """Make the resource that generates the Secret pull-login, ready unless the conditions say otherwise."""
    found = resource(status(*(conditions or (READY, REFRESHED))), ecr_registry=HOST, **spec)
    return owner_of("Secret", found, NOW)


def login(username: str = "AWS", key: str = HOST) -> Login:
    """Make a login in that Secret."""
    return Login(secret="pull-login", key=key, username=username, password="hidden")  # noqa: S106 - made up


def row(name: str = "pull", *, kind: str = "Secret", namespace: str = "team-a", **fields: Any) -> Row:
    """Make a row that is ready."""
    usual: Json = {
        "key": ResourceKey(kind=kind, namespace=namespace, name=name),
        "state": "Ready",
        "reason": "Refreshed",
        "secret": "pull-login",
        "registry": "host",
        "refreshed_at": NOW - timedelta(hours=1),
        "expires_at": NOW + timedelta(hours=11),
        "next_refresh_at": NOW + timedelta(hours=9),
    }
    return Row(**{**usual, **fields})
