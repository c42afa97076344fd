"""What the demo shows of the cluster, read from the live objects."""

import asyncio
import base64
import json
from dataclasses import dataclass
from datetime import datetime

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Api, Json
from lab.aws_tokens import IssuedToken, decode_token

NAMESPACE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One custom resource and its generated Secret.

    Attributes:
        target: the registry host or URL.
        ready: status of its condition Ready; `-` where there is none yet.
        reason: of that condition, with its message.
        updated_at, expires_at: epoch seconds, as its status says.
        token: what its Secret holds; None while there is no Secret, or nothing of the local AWS in it.
    """

    kind: str
    name: str
    target: str
    secret_name: str
    phase: str
    ready: str
    reason: str
    updated_at: float | None
    expires_at: float | None
    token: IssuedToken | None

    @property
    def key(self) -> str:
        """Kind and name."""
        return f"{self.kind} {self.name}"

    def left(self, now: float) -> float | None:
        """Return the seconds that its token still lives by its status, None where that tells of no token."""
        return None if self.expires_at is None else max(self.expires_at - now, 0.0)

    def is_ready(self, now: float) -> bool:
        """Tell whether it says Ready, and its Secret bears that out."""
        alive = self.token is not None and self.token.expires_at > now
        return self.phase == "Updated" and self.ready == "True" and alive


async def read_rows(api: Api) -> list[Row]:
    """Read all resources, then their Secrets: so a Secret is never older than what is said of it."""
    kinds = await asyncio.gather(*(api.list(kind, NAMESPACE) for kind in (ECR_SECRETS, ARGO_SECRETS)))
    secrets = {item["metadata"]["name"]: item for item in await api.list(SECRETS, NAMESPACE)}
    return [_row(item, secrets) for items in kinds for item in items]


def held_token(secret: Json | None) -> IssuedToken | None:
    """Decode the token in a generated Secret of either kind; None where it holds none of the local AWS."""
    data = (secret or {}).get("data") or {}
    try:
        if ".dockerconfigjson" in data:
            (login,) = json.loads(base64.b64decode(data[".dockerconfigjson"]))["auths"].values()
            return decode_token(login["password"])
        return decode_token(base64.b64decode(data["password"]).decode())
    except (KeyError, TypeError, ValueError):
        return None


def _row(item: Json, secrets: dict[str, Json]) -> Row:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    secret_name = spec.get("generated_secret_name", "-")
    ready = _condition(status, "Ready")
    return Row(
        kind=item["kind"],
        name=item["metadata"]["name"],
        target=spec.get("ecr_registry") or spec.get("url", "-"),
        secret_name=secret_name,
        phase=status.get("phase", "-"),
        ready=ready.get("status", "-"),
        reason=f"{ready.get('reason', 'no condition')}: {ready.get('message', 'no word of it yet')}",
        updated_at=_epoch(status.get("lastUpdatedTime")),
        expires_at=_epoch(status.get("expirationTime")),
        token=held_token(secrets.get(secret_name)),
    )


def _condition(status: Json, desired: str) -> Json:
    conditions: list[Json] = status.get("conditions") or []
    return next((each for each in conditions if each["type"] == desired), {})


def _epoch(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
