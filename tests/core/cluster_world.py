"""A cluster in memory with three namespaces, its workers, and one ClusterSecret."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from ecr_operator.api.kinds import CLUSTER
from ecr_operator.api.outcome import ResourceKey
from tests.builders import foreign_metadata
from tests.core.world import World
from tests.fakes import settle

KEY: Final = ResourceKey(kind=CLUSTER, namespace="", name="all")
THREE: Final = {"a": {"team": "blue"}, "b": {"team": "blue"}, "c": {"team": "red"}}
BLUE: Final = {"selector": {"matchLabels": {"team": "blue"}}}
READY: Final = {"Ready": ("True", "Refreshed"), "Refreshed": ("True", "Refreshed")}


class Clusters:
    """A world with three namespaces, and the ClusterSecret `all` once it is shown."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.generation = 0
        self.fields: dict[str, Any] = {}
        self._workers = AsyncExitStack()
        world.clusters.set_namespaces(THREE)

    async def start(self) -> None:
        """Start the workers."""
        await self._workers.enter_async_context(self.world.working(8))

    async def stop(self) -> None:
        """Stop the workers."""
        await self._workers.aclose()

    async def lead_again(self) -> None:
        """Begin another term."""
        await self.stop()
        await self.start()
        await self.work()

    async def restart(self, namespaces_there: Mapping[str, Mapping[str, str]] = THREE, **fields: Any) -> None:
        """Start anew with what the API server has, and perhaps another spec."""
        await self.stop()
        status = self.status
        self.world.restart()
        for metadata in self.world.secrets.metadata.values():
            self.world.watched_secrets.changed({"metadata": metadata})
        self._show(status, fields or self.fields)
        self.world.clusters.set_namespaces(namespaces_there)
        await self.start()
        await self.work()

    async def show(self, **fields: Any) -> None:
        """Create it or change its spec, and let the workers act."""
        known = self.world.cache.resource(KEY)
        self.world.resources.uids[KEY] = "uid-of-all"
        self._show(known.status if known else {}, fields)
        await self.work()

    def _show(self, status: Mapping[str, Any], fields: dict[str, Any]) -> None:
        self.generation += self.generation == 0 or fields != self.fields
        self.fields = fields
        self.world.show(CLUSTER, name="all", generation=self.generation, status=status, **fields)

    async def work(self, seconds: float = 3.0) -> None:
        """Let some time pass, and show what the operator has deleted meanwhile."""
        await settle()
        await self.world.clock.advance(seconds)
        known = {namespace for namespace, name in self.world.cache.secret_names("") if name == "all-pull"}
        for namespace in known - self.secrets:
            self.world.cache.remove_secret((namespace, "all-pull"))
        await self.world.clock.advance(seconds)

    def delete(self, namespace: str) -> None:
        """Delete a Secret as another client, and show it by the watch."""
        del self.world.secrets.metadata[namespace, "all-pull"]
        self.world.cache.remove_secret((namespace, "all-pull"))

    def conflict(self, *namespaces: str) -> None:
        """Have somebody else's Secret in some namespaces."""
        for namespace in namespaces:
            self.world.secrets.put(foreign_metadata("all-pull") | {"namespace": namespace})

    def calls(self, verb: str) -> list[str]:
        """The requests for Secrets with a verb."""
        return [call for call in self.world.secrets.calls if call.startswith(verb)]

    @property
    def secrets(self) -> set[str]:
        """The namespaces that have the Secret."""
        return {namespace for namespace, name in self.world.secrets.metadata if name == "all-pull"}

    @property
    def status(self) -> Mapping[str, Any]:
        """The status, as the watch shows it."""
        found = self.world.cache.resource(KEY)
        assert found is not None
        return found.status

    @property
    def counted(self) -> tuple[int, int]:
        """How many namespaces are served, and how many of them are ready."""
        return self.status["namespaces"]["served"], self.status["namespaces"]["ready"]

    @property
    def conditions(self) -> dict[str, tuple[str, str]]:
        """Status and reason of each condition."""
        return {each["type"]: (each["status"], each["reason"]) for each in self.status["conditions"]}

    def message(self, condition: str) -> str:
        """The message of a condition."""
        return next(str(each["message"]) for each in self.status["conditions"] if each["type"] == condition)


@asynccontextmanager
async def serving(world: World) -> AsyncIterator[Clusters]:
    """Three namespaces, workers, and no ClusterSecret yet."""
    clusters = Clusters(world)
    await clusters.start()
    try:
        yield clusters
    finally:
        await clusters.stop()
