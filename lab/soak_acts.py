"""What users and their tools do to a soak's namespace, at random: one act at a time."""

import base64
import random
import secrets
from typing import TYPE_CHECKING, Any, Final

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Api, ApiError, Json, Resource
from lab.soak_world import REGIONS, Row, World, host_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_MOST_NAMES: Final = 8
_FREQUENCIES: Final = ("1s", "10h", "0s", "24h", "7s", "-1h")
_FIGHT: Final = 60.0
_SPOILED: Final = base64.b64encode(b"spoiled").decode()
_API_VERSION: Final = ECR_SECRETS.api_version


class Acts:
    """Acts on one namespace, with a source of randomness of its own."""

    def __init__(self, api: Api, namespace: str, world: World, rng: random.Random) -> None:
        self._api = api
        self._namespace = namespace
        self._world = world
        self._rng = rng
        self._numbers = iter(range(1_000_000))
        self._choices: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (6, self.create),
            (6, self._edit),
            (3, self._rename),
            (2, self._delete),
            (5, self._tamper),
            (1, self._make_foreign),
            (1, self._delete_foreign),
        ]

    async def act(self) -> None:
        """Do something; what is refused was no longer possible, and is noted."""
        weights, acts = zip(*self._choices, strict=True)
        act = self._rng.choices(acts, weights)[0]
        try:
            await act()
        except ApiError as error:
            self._world.note(f"refused: {error}")

    async def create_steady(self) -> None:
        """Create a resource of each kind in each region, which nobody touches."""
        for region in REGIONS:
            for kind in (ECR_SECRETS, ARGO_SECRETS):
                await self._create(kind, f"steady-{region}", region, f"{kind.plural}-{region}", steady=True)

    async def create(self) -> None:
        """Create a custom resource, at times for a Secret that somebody else has or wants."""
        kind = self._rng.choice((ECR_SECRETS, ECR_SECRETS, ARGO_SECRETS))
        name = f"r{self._rng.randrange(_MOST_NAMES)}"
        if (kind.plural, name) not in self._world.rows:
            await self._create(kind, name, self._rng.choice(REGIONS), self._secret_name())

    async def _create(
        self, kind: Resource, name: str, region: str, secret: str, *, steady: bool = False
    ) -> None:
        frequency = self._rng.choice(_FREQUENCIES)
        spec = {"generated_secret_name": secret, "region": region, "frequency": frequency}
        spec["url" if kind == ARGO_SECRETS else "ecr_registry"] = host_of(region)
        manifest = {
            "apiVersion": _API_VERSION,
            "kind": "ArgoHelmRepoSecret" if kind == ARGO_SECRETS else "Secret",
            "metadata": {"name": name},
            "spec": spec,
        }
        uid = (await self._api.create(manifest, self._namespace))["metadata"]["uid"]
        row = Row(kind=kind, name=name, uid=uid, secret=secret, region=region, steady=steady)
        self._world.rows[kind.plural, name] = row
        self._world.touched(*self._world.claimants(secret))
        self._world.note(f"created {kind.plural}/{name} for {secret} in {region}")

    def _secret_name(self) -> str:
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
        self._world.note(f"changed {row.kind.plural}/{row.name}: {spec}")

    async def _edit(self) -> None:
        if (row := self._some_row()) is None:
            return
        if self._rng.random() < 0.5:
            await self._change(row, {"frequency": self._rng.choice(_FREQUENCIES)})
        else:
            region = self._rng.choice(REGIONS)
            target = "url" if row.is_argo else "ecr_registry"
            await self._change(row, {"region": region, target: host_of(region)})
            row.region = region
        self._world.touched(row)

    async def _rename(self) -> None:
        row, secret = self._some_row(), self._secret_name()
        if row is None:
            return
        rivals = self._world.claimants(row.secret)
        await self._change(row, {"generated_secret_name": secret})
        row.secret = secret
        self._world.touched(*rivals, *self._world.claimants(secret))

    async def _delete(self) -> None:
        if (row := self._some_row()) is None:
            return
        await self._api.delete(row.kind, row.name, self._namespace)
        del self._world.rows[row.kind.plural, row.name]
        self._world.touched(*self._world.claimants(row.secret))
        self._world.note(f"deleted {row.kind.plural}/{row.name}, which had {row.secret}")

    async def _tamper(self) -> None:
        row = self._some_row()
        if row is None or row.secret in self._world.foreign:
            return
        if len(row.tampered) == row.tampered.maxlen and row.changed_at - row.tampered[0] < _FIGHT:
            return
        harm = self._rng.choice((self._delete_secret, self._spoil_data, self._spoil_metadata))
        what = await harm(row.secret)
        self._world.touched(*self._world.claimants(row.secret))
        row.tampered.append(row.changed_at)
        self._world.note(f"harmed {row.secret}: {what}")

    async def _delete_secret(self, name: str) -> str:
        await self._api.delete(SECRETS, name, self._namespace)
        return "deleted"

    async def _spoil_data(self, name: str) -> str:
        secret = await self._api.get(SECRETS, name, self._namespace)
        key = min(secret["data"])
        value = base64.b64encode(b"{}").decode() if key.startswith(".docker") else _SPOILED
        await self._patch_secret(name, {"data": {key: value}})
        return f"spoiled {key}"

    async def _spoil_metadata(self, name: str) -> str:
        patches: tuple[dict[str, Any], ...] = (
            {"labels": {"app.kubernetes.io/managed-by": "somebody"}},
            {"annotations": None},
            {"ownerReferences": None},
        )
        patch = self._rng.choice(patches)
        await self._patch_secret(name, {"metadata": patch})
        return f"spoiled {', '.join(patch)}"

    async def _patch_secret(self, name: str, patch: Json) -> None:
        await self._api.merge_patch(SECRETS, name, patch, self._namespace)

    async def _make_foreign(self) -> None:
        await self.make_foreign(f"f{next(self._numbers)}")

    async def make_foreign(self, name: str) -> None:
        """Create a Secret of somebody else; some look like ours."""
        metadata: Json = {"name": name}
        if self._rng.random() < 0.5:
            metadata["labels"] = {"app.kubernetes.io/managed-by": "ecr-secret-operator"}
        value = base64.b64encode(secrets.token_bytes(40)).decode()
        manifest: Json = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "data": {"theirs": value},
        }
        if self._rng.random() < 0.3:
            manifest["immutable"] = True
        self._world.foreign[name] = await self._api.create(manifest, self._namespace)
        self._world.note(f"somebody made {name}")

    async def _delete_foreign(self) -> None:
        if len(self._world.foreign) < 3:
            return
        name = self._rng.choice(sorted(self._world.foreign))
        del self._world.foreign[name]
        await self._api.delete(SECRETS, name, self._namespace)
        self._world.touched(*self._world.claimants(name))
        self._world.note(f"somebody deleted {name}")
