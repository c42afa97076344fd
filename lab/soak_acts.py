"""What users, tools and other people do to a soak's namespace at random, and the record of it.

The record (`World`) holds what each resource asks for and since when it has been left alone, which is all
that the observer goes by.
"""

import base64
import random
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Api, ApiError, Json, Resource

REGIONS: Final = ("us-east-1", "us-east-2", "eu-west-1", "eu-central-1")
_MOST_NAMES: Final = 8
_FREQUENCIES: Final = ("1s", "10h", "0s", "24h", "7s", "-1h")
# Three changes of one Secret within this time are a fight, in which the operator stops repairing for a while.
_FIGHT: Final = 60.0
_GARBAGE_COLLECTOR_RETURNS: Final = 45.0  # seconds after the API server
_SPOILED: Final = base64.b64encode(b"spoiled").decode()

_Act = Callable[[], Awaitable[None]]
_Change = Callable[["Row"], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Row:
    """A custom resource as it was asked for.

    Attributes:
        steady: neither it nor its Secret is changed.
        changed_at: monotonic time of the last change to it, to its Secret, or to a rival.
        tampered: monotonic times at which its Secret was changed.
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
        """Its registry."""
        return _host(self.region)

    def __str__(self) -> str:
        return f"{self.kind.plural}/{self.name}"


def controller_of(secret: Json) -> str | None:
    """The uid of the resource that a Secret's controller ownerReference names."""
    owners = secret["metadata"].get("ownerReferences", ())
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), None)


def _host(region: str) -> str:
    return f"123456789012.dkr.ecr.{region}.amazonaws.com"


@dataclass(slots=True, kw_only=True)
class Trouble:
    """An outage in one region, or everywhere (an empty one); monotonic times."""

    region: str
    began: float
    ended: float = float("inf")


@dataclass(slots=True, kw_only=True, eq=False)
class Stripped:
    """One removal of a Secret's ownerReferences; `owner` is the uid of the resource that they named."""

    owner: str


class World:
    """What the soak's actors and its observer share.

    Attributes:
        rows: the custom resources that exist, by kind and name.
        foreign: other people's Secrets, whole, as they were made.
        stripped: by uid, Secrets whose ownerReferences an act has removed, until they are seen restored.
        troubles: past and present outages.
        serving: whether the API server is up.
        deleted: when the last resource of each kind and name was deleted, monotonic time.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}
        self.foreign: dict[str, Json] = {}
        self.stripped: dict[str, Stripped] = {}
        self.troubles: list[Trouble] = []
        self.serving = True
        self.deleted: dict[tuple[str, str], float] = {}
        self._server_outages: list[Trouble] = []
        self._began = time.monotonic()
        self._history: deque[str] = deque(maxlen=80)

    def note(self, what: str) -> None:
        """Remember what happened, for the report of a failure."""
        self._history.append(f"{time.monotonic() - self._began:7.2f} s  {what}")

    @property
    def history(self) -> str:
        """The last things that happened, one a line."""
        return "\n".join(self._history)

    @contextmanager
    def trouble(self, what: str, region: str = "") -> Iterator[Trouble]:
        """Record an outage for as long as the block runs."""
        self.note(f"{what} begins{f' in {region}' if region else ''}")
        trouble = Trouble(region=region, began=time.monotonic())
        self.troubles.append(trouble)
        yield trouble
        trouble.ended = time.monotonic()
        self.note(f"{what} is over")

    @contextmanager
    def without_api_server(self, what: str) -> Iterator[None]:
        """Record an outage of the API server for as long as the block runs."""
        with self.trouble(what) as outage:
            self._server_outages.append(outage)
            self.serving = False
            yield
            self.serving = True

    def is_name_free(self, kind: str, name: str) -> bool:
        """Whether a resource may get this name.

        Not one whose last owner the garbage collector may not have seen being deleted, since its watches
        return up to half a minute after the API server: it then takes the new resource for the old one, and
        leaves that one's Secret for ever.
        """
        if (kind, name) in self.rows:
            return False
        at, late = self.deleted.get((kind, name), float("-inf")), _GARBAGE_COLLECTOR_RETURNS
        missed = any(each.began - 1 <= at <= each.ended + late for each in self._server_outages)
        return not missed or time.monotonic() > self._server_outages[-1].ended + late

    def calm_since(self, row: Row) -> float:
        """Since when a row was left alone and all that it needs was available; inf while it is not."""
        return max([row.changed_at, *(each.ended for each in self._troubles_of(row))])

    def away(self, row: Row, since: float, until: float) -> float:
        """Seconds of that time in which something that a row needs was not available, at most."""
        spans = [min(until, each.ended) - max(since, each.began) for each in self._troubles_of(row)]
        return sum(max(span, 0.0) for span in spans)

    def _troubles_of(self, row: Row) -> list[Trouble]:
        return [each for each in self.troubles if each.region in ("", row.region)]

    def saw(self, secrets: Iterable[Json], stripped: Mapping[str, Stripped]) -> None:
        """Note which ownerReferences are restored; `stripped` as it was before the Secrets were read."""
        for uid in (each["metadata"]["uid"] for each in secrets if controller_of(each)):
            if uid in stripped and self.stripped.get(uid) is stripped[uid]:
                del self.stripped[uid]

    def is_released(self, secret: Json) -> bool:
        """Whether a Secret rightly has no owner: its resource was deleted after an act had removed it.

        The garbage collector then leaves the Secret, and the operator may not delete what has no owner.
        """
        removal = self.stripped.get(secret["metadata"]["uid"])
        living = {row.uid for row in self.rows.values()}
        return removal is not None and controller_of(secret) is None and removal.owner not in living

    def claimants(self, secret: str) -> list[Row]:
        """The resources that name a Secret."""
        return [row for row in self.rows.values() if row.secret == secret]

    def touched(self, *rows: Row) -> None:
        """Record that something was done to rows."""
        for row in rows:
            row.changed_at = time.monotonic()


class Acts:
    """Acts on one namespace, with its own source of randomness."""

    def __init__(self, api: Api, namespace: str, world: World, rng: random.Random) -> None:
        self._api = api
        self._namespace = namespace
        self._world = world
        self._rng = rng
        self._numbers = iter(range(1_000_000))
        # With their weights.
        self._acts: dict[_Act, int] = {self._create_some: 6, self.make_foreign: 1, self._delete_foreign: 1}
        self._changes: dict[_Change, int] = {self._edit: 6, self._rename: 3, self._delete: 2, self._tamper: 5}

    async def act(self) -> None:
        """Do something; what the server refuses was no longer possible, and is noted."""
        acts = dict(self._acts)
        if (row := self._some_row()) is not None:
            acts |= {partial(change, row): weight for change, weight in self._changes.items()}
        (act,) = self._rng.choices(list(acts), list(acts.values()))
        try:
            await act()
        except ApiError as error:
            self._world.note(f"refused: {error}")

    async def create_steady(self) -> None:
        """Create a resource of each kind in each region, which are never changed."""
        for region in REGIONS:
            for kind in (ECR_SECRETS, ARGO_SECRETS):
                await self._create(kind, f"steady-{region}", region, f"{kind.plural}-{region}", steady=True)

    async def _create_some(self) -> None:
        kind = self._rng.choice((ECR_SECRETS, ECR_SECRETS, ARGO_SECRETS))
        name = f"r{self._rng.randrange(_MOST_NAMES)}"
        if self._world.is_name_free(kind.plural, name):
            await self._create(kind, name, self._rng.choice(REGIONS), self._secret_name())

    async def _create(
        self, kind: Resource, name: str, region: str, secret: str, *, steady: bool = False
    ) -> None:
        spec = {
            "generated_secret_name": secret,
            "region": region,
            "frequency": self._rng.choice(_FREQUENCIES),
            "url" if kind == ARGO_SECRETS else "ecr_registry": _host(region),
        }
        manifest = {
            "apiVersion": kind.api_version,
            "kind": "ArgoHelmRepoSecret" if kind == ARGO_SECRETS else "Secret",
            "metadata": {"name": name},
            "spec": spec,
        }
        uid = (await self._api.create(manifest, self._namespace))["metadata"]["uid"]
        row = Row(kind=kind, name=name, uid=uid, secret=secret, region=region, steady=steady)
        self._world.rows[kind.plural, name] = row
        self._world.touched(*self._world.claimants(secret))
        self._world.note(f"created {row} for {secret} in {region}")

    def _secret_name(self) -> str:
        """A new name, or at times that of a foreign Secret or of another resource's."""
        pick = self._rng.random()
        if pick < 0.1 and self._world.foreign:
            return self._rng.choice(sorted(self._world.foreign))
        if pick < 0.2 and (row := self._some_row()):
            return row.secret
        return f"s{next(self._numbers)}"

    def _some_row(self) -> Row | None:
        rows = [row for _, row in sorted(self._world.rows.items()) if not row.steady]
        return self._rng.choice(rows) if rows else None

    async def _change(self, row: Row, spec: Json) -> None:
        await self._api.merge_patch(row.kind, row.name, {"spec": spec}, self._namespace)
        self._world.note(f"changed {row}: {spec}")

    async def _edit(self, row: Row) -> None:
        if self._rng.random() < 0.5:
            await self._change(row, {"frequency": self._rng.choice(_FREQUENCIES)})
        else:
            region = self._rng.choice(REGIONS)
            target = "url" if row.kind == ARGO_SECRETS else "ecr_registry"
            await self._change(row, {"region": region, target: _host(region)})
            row.region = region
        self._world.touched(row)

    async def _rename(self, row: Row) -> None:
        secret = self._secret_name()
        rivals = self._world.claimants(row.secret)
        await self._change(row, {"generated_secret_name": secret})
        row.secret = secret
        self._world.touched(*rivals, *self._world.claimants(secret))

    async def _delete(self, row: Row) -> None:
        await self._api.delete(row.kind, row.name, self._namespace)
        del self._world.rows[row.kind.plural, row.name]
        self._world.deleted[row.kind.plural, row.name] = time.monotonic()
        self._world.touched(*self._world.claimants(row.secret))
        self._world.note(f"deleted {row}, which had {row.secret}")

    async def _tamper(self, row: Row) -> None:
        if row.secret in self._world.foreign:
            return
        if len(row.tampered) == row.tampered.maxlen and row.changed_at - row.tampered[0] < _FIGHT:
            return
        change = self._rng.choice((self._delete_secret, self._spoil_data, self._spoil_metadata))
        what = await change(row.secret)
        self._world.touched(*self._world.claimants(row.secret))
        row.tampered.append(row.changed_at)
        self._world.note(f"tampered with {row.secret}: {what}")

    async def _delete_secret(self, name: str) -> str:
        await self._api.delete(SECRETS, name, self._namespace)
        return "deleted"

    async def _spoil_data(self, name: str) -> str:
        secret = await self._api.get(SECRETS, name, self._namespace)
        key = min(secret["data"])
        value = base64.b64encode(b"{}").decode() if key.startswith(".docker") else _SPOILED
        await self._api.merge_patch(SECRETS, name, {"data": {key: value}}, self._namespace)
        return f"spoiled {key}"

    async def _spoil_metadata(self, name: str) -> str:
        patches: tuple[dict[str, Any], ...] = (
            {"labels": {"app.kubernetes.io/managed-by": "somebody"}},
            {"annotations": None},
            {"ownerReferences": None},
        )
        patch = self._rng.choice(patches)
        owner = controller_of(await self._api.get(SECRETS, name, self._namespace))
        spoiled = await self._api.merge_patch(SECRETS, name, {"metadata": patch}, self._namespace)
        if owner and controller_of(spoiled) is None:
            self._world.stripped[spoiled["metadata"]["uid"]] = Stripped(owner=owner)
        return f"spoiled {', '.join(patch)}"

    async def make_foreign(self) -> None:
        """Create a foreign Secret, at times with the operator's label, at times immutable."""
        name = f"f{next(self._numbers)}"
        ours = {"labels": {"app.kubernetes.io/managed-by": "ecr-secret-operator"}}
        manifest: Json = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name} | (ours if self._rng.random() < 0.5 else {}),
            "data": {"theirs": base64.b64encode(secrets.token_bytes(40)).decode()},
            "immutable": self._rng.random() < 0.3,
        }
        self._world.foreign[name] = await self._api.create(manifest, self._namespace)
        self._world.note(f"created the foreign Secret {name}")

    async def _delete_foreign(self) -> None:
        if len(self._world.foreign) < 3:
            return
        name = self._rng.choice(sorted(self._world.foreign))
        del self._world.foreign[name]
        await self._api.delete(SECRETS, name, self._namespace)
        self._world.touched(*self._world.claimants(name))
        self._world.note(f"deleted the foreign Secret {name}")
