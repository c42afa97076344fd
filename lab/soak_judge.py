"""The soak's observer: it compares the namespace, read through the API, with what was asked for."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

import aiohttp

from lab.api import SECRETS, Api, ApiError, Json
from lab.aws import IssuedToken, token_in
from lab.soak_acts import Row, World, controller_of

# The operator's longest pause after a few seconds of trouble: its fourth try of a first token comes 16 s
# after the third at the latest.
GRACE: Final = 20.0
_SAMPLE: Final = 0.25


class SoakError(Exception):
    """A promise was broken; the message names it and the place."""


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
        """Look at everything four times a second, until cancelled. Raises SoakError."""
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
        stripped = dict(self._world.stripped)
        found = await self._api.list(SECRETS, self._namespace)
        self._world.saw(found, stripped)
        return {each["metadata"]["name"]: each for each in found}

    def _check_foreign(self, foreign: dict[str, Json], found: dict[str, Json]) -> None:
        for name, made in foreign.items():
            if (
                name in self._world.foreign
                and {**found.get(name, {}), "apiVersion": "v1", "kind": "Secret"} != made
            ):
                raise SoakError(f"the foreign Secret {name} was changed: {found.get(name)}")

    def _check_row(self, row: Row, found: dict[str, Json], asked_at: float, asked: float) -> None:
        if row.secret in self._world.foreign or len(self._world.claimants(row.secret)) > 1:
            return
        calm_since = self._world.calm_since(row)
        secret = found.get(row.secret)
        self.checks += row.steady
        if asked - calm_since > GRACE:
            self.forced += 1
            _check_login(row, secret, asked_at)
        elif secret is not None and (token := token_in(secret, row.host)) and token.expires_at < asked_at:
            self._check_expiry(row, token, asked - (asked_at - token.expires_at))

    def _check_expiry(self, row: Row, token: IssuedToken, expired: float) -> None:
        """Raise SoakError if a token that expired, at that monotonic time, could have been renewed."""
        life = token.expires_at - token.issued_at
        due = expired - life / 3
        away = self._world.away(row, due, expired)
        if row.changed_at < due and away <= life / 10:
            raise SoakError(
                f"{row.secret} let its token expire; only {away:.1f} s were lost since it was due"
            )

    async def everything_is_right(self, within: float) -> None:
        """Wait until all is as it was asked for. Raises SoakError after `within` seconds."""
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
            owner = owners.get(controller_of(found[name]) or "")
            if self._world.is_released(found[name]):
                continue
            if owner is None:
                yield f"the Secret {name} has no owner that exists"
            # What a resource had before is kept until it gets what it names now.
            elif name not in desired and _has(owner, found.get(owner.secret)):
                yield f"the Secret {name} was left behind by {owner}"
        for name in sorted((desired | set(foreign)) - set(found)):
            yield f"the Secret {name} is missing"
        for row in rows:
            resource = await self._api.get(row.kind, row.name, self._namespace)
            for problem in _problems_of(row, resource, found.get(row.secret), foreign, now):
                yield f"{row} ({row.secret}, {row.region}): {problem}"


def _problems_of(
    row: Row, resource: Json, secret: Json | None, foreign: dict[str, Json], now: float
) -> Iterator[str]:
    status = resource.get("status", {})
    conditions = {each["type"]: (each["status"], each["reason"]) for each in status.get("conditions", ())}
    if status.get("observedGeneration") != resource["metadata"]["generation"]:
        yield "the status is of an older spec"
    if row.secret in foreign or (secret and controller_of(secret) != row.uid):
        if conditions.get("Ready") != ("False", "SecretConflict"):
            yield f"no conflict is reported: {conditions}"
        return
    try:
        token = _check_login(row, secret, now)
    except SoakError as error:
        yield str(error)
        return
    if conditions.get("Ready") != ("True", "Refreshed") or status.get("phase") != "Updated":
        yield f"the status is not ready: {conditions}"
    expires = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(token.expires_at))}"
    if (status.get("secretName"), status.get("expirationTime")) != (row.secret, expires):
        yield f"the status has {status.get('secretName')} until {status.get('expirationTime')}, not {expires}"


def _check_login(row: Row, secret: Json | None, now: float) -> IssuedToken:
    """Return a Secret's token if it is live and of the right region and host, else raise SoakError."""
    if secret is None:
        raise SoakError(f"{row.secret} of {row} is missing")
    if controller_of(secret) != row.uid:
        raise SoakError(f"{row.secret} is not owned by {row}")
    token = token_in(secret, row.host)
    if token is None:
        raise SoakError(f"{row.secret} holds no login for {row.host}")
    if token.region != row.region:
        raise SoakError(f"{row.secret} holds a token of {token.region} in place of {row.region}")
    if token.expires_at <= now:
        raise SoakError(f"{row.secret} holds a token that expired {now - token.expires_at:.1f} s ago")
    return token


def _has(row: Row, secret: Json | None) -> bool:
    return secret is not None and controller_of(secret) == row.uid
