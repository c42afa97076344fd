"""The soak's observer: it reads the namespace through the API, knows what was asked for, and nothing else."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

import aiohttp

from lab.api import SECRETS, Api, ApiError, Json
from lab.aws_tokens import IssuedToken, decode_token
from lab.soak_world import GRACE, Row, World

_SAMPLE: Final = 0.25
_RECHECK: Final = 30.0  # how often a conflict is looked at again


class SoakError(Exception):
    """A promise was broken; the message says which, and where."""


class Judge:
    """Checks a namespace against a world."""

    def __init__(self, api: Api, namespace: str, world: World) -> None:
        self._api = api
        self._namespace = namespace
        self._world = world
        self.samples = 0
        self.checks = 0
        self.forced = 0

    async def watch(self) -> None:
        """Look again and again, until cancelled; raise SoakError for what must never be."""
        while True:
            await asyncio.sleep(_SAMPLE)
            if not self._world.serving:
                continue
            asked_at, asked = time.time(), time.monotonic()
            foreign = dict(self._world.foreign)
            try:
                found = await self._secrets()
            except (ApiError, aiohttp.ClientError, TimeoutError):
                continue
            self.samples += 1
            self._check_foreign(foreign, found)
            for row in list(self._world.rows.values()):
                self._check_row(row, found, asked_at, asked)

    async def _secrets(self) -> dict[str, Json]:
        return {each["metadata"]["name"]: each for each in await self._api.list(SECRETS, self._namespace)}

    def _check_foreign(self, foreign: dict[str, Json], found: dict[str, Json]) -> None:
        for name, made in foreign.items():
            if (
                name in self._world.foreign
                and {**found.get(name, {}), "apiVersion": "v1", "kind": "Secret"} != made
            ):
                raise SoakError(f"the foreign Secret {name} is not as it was made: {found.get(name)}")

    def _check_row(self, row: Row, found: dict[str, Json], asked_at: float, asked: float) -> None:
        if row.secret in self._world.foreign or len(self._world.claimants(row.secret)) > 1:
            return
        calm_since = self._world.calm_since(row)
        secret = found.get(row.secret)
        self.checks += row.steady
        if asked - calm_since > GRACE:
            self.forced += 1
            _check_login(row, secret, asked_at)
        elif secret is not None and (token := _token(row, secret)) and token.expires_at < asked_at:
            self._check_death(row, token, asked - (asked_at - token.expires_at))

    def _check_death(self, row: Row, token: IssuedToken, died: float) -> None:
        """Make sure that a token which died, at that monotonic time, could not have been renewed."""
        life = token.expires_at - token.issued_at
        due = died - life / 3
        away = self._world.away(row, due, died)
        if row.changed_at < due and away <= life / 10:
            raise SoakError(f"{row.secret} let its token die; only {away:.1f} s were lost since it was due")

    async def everything_is_right(self, within: float) -> None:
        """Wait until all is as it was asked for. Raises SoakError."""
        until = time.monotonic() + within
        while wrong := [problem async for problem in self._problems()]:
            if time.monotonic() > until:
                raise SoakError(f"{within:g} s after all is quiet:\n" + "\n".join(wrong))
            await asyncio.sleep(_SAMPLE)

    async def _problems(self) -> AsyncIterator[str]:
        now, found, foreign = time.time(), await self._secrets(), self._world.foreign
        rows = list(self._world.rows.values())
        desired, owners = {row.secret for row in rows}, {row.uid: row for row in rows}
        for name in sorted(set(found) - set(foreign)):
            owner = owners.get(_owner(found[name]) or "")
            if owner is None:
                yield f"the Secret {name} belongs to nobody who is there"
            # What a resource had before is kept until it gets what it names now.
            elif name not in desired and _has(owner, found.get(owner.secret)):
                yield f"the Secret {name} was left behind by {owner.kind.plural}/{owner.name}"
        for name in sorted((desired | set(foreign)) - set(found)):
            yield f"the Secret {name} should be there"
        for row in rows:
            resource = await self._api.get(row.kind, row.name, self._namespace)
            for problem in _problems_of(row, resource, found.get(row.secret), foreign, now):
                yield f"{row.kind.plural}/{row.name} ({row.secret}, {row.region}): {problem}"


def _problems_of(
    row: Row, resource: Json, secret: Json | None, foreign: dict[str, Json], now: float
) -> Iterator[str]:
    status = resource.get("status", {})
    conditions = {each["type"]: (each["status"], each["reason"]) for each in status.get("conditions", ())}
    if status.get("observedGeneration") != resource["metadata"]["generation"]:
        yield "the status is not about the present spec"
    if row.secret in foreign or (secret and _owner(secret) != row.uid):
        if conditions.get("Ready") != ("False", "SecretConflict"):
            yield f"no conflict is told: {conditions}"
        return
    try:
        token = _check_login(row, secret, now)
    except SoakError as error:
        yield str(error)
        return
    if conditions.get("Ready") != ("True", "Refreshed") or status.get("phase") != "Updated":
        yield f"the status does not say that it is ready: {conditions}"
    told = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(token.expires_at))}"
    if (status.get("secretName"), status.get("expirationTime")) != (row.secret, told):
        yield f"it tells of {status.get('secretName')} until {status.get('expirationTime')}, not {told}"


def _check_login(row: Row, secret: Json | None, now: float) -> IssuedToken:
    """Make sure that a Secret holds a live token of the right region for the right host."""
    if secret is None:
        raise SoakError(f"{row.secret} of {row.kind.plural}/{row.name} is not there")
    if _owner(secret) != row.uid:
        raise SoakError(f"{row.secret} is not owned by {row.kind.plural}/{row.name}")
    token = _token(row, secret)
    if token is None:
        raise SoakError(f"{row.secret} holds no login for {row.host}")
    if token.region != row.region:
        raise SoakError(f"{row.secret} holds a token of {token.region} in place of {row.region}")
    if token.expires_at <= now:
        raise SoakError(f"{row.secret} holds a token that died {now - token.expires_at:.1f} s ago")
    return token


def _has(row: Row, secret: Json | None) -> bool:
    return secret is not None and _owner(secret) == row.uid


def _owner(secret: Json) -> str | None:
    owners = secret["metadata"].get("ownerReferences", ())
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), None)


def _token(row: Row, secret: Json) -> IssuedToken | None:
    """The token for the row's host; None where there is none."""
    data = {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}
    try:
        if row.is_argo:
            return decode_token(data["password"]) if data["url"] == row.host else None
        return decode_token(json.loads(data[".dockerconfigjson"])["auths"][row.host]["password"])
    except (KeyError, ValueError):
        return None
