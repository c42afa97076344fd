"""Names of AWS's endpoints: slow ones hold up neither other lookups nor the loop's own threads."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from aiohttp.abc import ResolveResult

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.aws.network import NameResolver
from lab.aws import LocalAws
from lab.waiting import wait_for

T = TypeVar("T")


class Names:
    """A name server in memory, which is silent for names that begin with `slow`.

    Attributes:
        asked: every name, in order.
        answering: set it, and the slow ones are answered.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answering = threading.Event()

    def __call__(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        """Look one up."""
        self.asked.append(host)
        if host.startswith("slow"):
            self.answering.wait(10)
        if host.endswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        found = ResolveResult(hostname=host, host="192.0.2.1", port=port, family=family, proto=0, flags=0)
        return [found]


@pytest.fixture
def names() -> Iterator[Names]:
    """The name server; it answers all in the end."""
    made = Names()
    yield made
    made.answering.set()


async def test_a_name_is_looked_up_as_the_machine_does() -> None:
    found = await NameResolver(1).resolve("localhost", 443, socket.AF_INET)
    assert [(each["hostname"], each["host"], each["port"]) for each in found] == [
        ("localhost", "127.0.0.1", 443)
    ]


async def test_a_name_that_is_waited_for_by_many_is_looked_up_once(names: Names) -> None:
    resolver = NameResolver(4, names)
    waiting = [asyncio.create_task(resolver.resolve("slow", 443)) for _ in range(20)]
    await wait_for(lambda: bool(names.asked))
    names.answering.set()
    assert len({tuple(found[0].items()) for found in await asyncio.gather(*waiting)}) == 1
    assert names.asked == ["slow"]


async def test_no_more_names_than_the_bound_are_looked_up_and_who_gives_up_leaves_no_lookup(
    names: Names,
) -> None:
    resolver = NameResolver(2, names)
    waiting = [asyncio.create_task(resolver.resolve(f"slow-{number}", 443)) for number in range(50)]
    await wait_for(lambda: len(names.asked) == 2)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    names.answering.set()
    assert await resolver.resolve("quick", 443)
    assert names.asked == ["slow-0", "slow-1", "quick"]


async def test_slow_names_of_one_resolver_leave_another_alone(names: Names) -> None:
    others, listed = NameResolver(1, names), NameResolver(1, names)
    stuck = asyncio.create_task(others.resolve("slow", 443))
    await wait_for(lambda: bool(names.asked))
    assert await listed.resolve("quick", 443)
    assert not stuck.done()
    names.answering.set()
    await stuck


async def test_a_name_that_is_unknown_is_an_error_and_asked_for_again(names: Names) -> None:
    resolver = NameResolver(1, names)
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await resolver.resolve("unknown", 443)
    assert len(names.asked) == 2


class Recording(ThreadPoolExecutor):
    """The loop's own threads, which note what they are given.

    Attributes:
        given: the functions.
    """

    def __init__(self) -> None:
        super().__init__(2)
        self.given: list[object] = []

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Note a function and run it."""
        self.given.append(fn)
        return super().submit(fn, *args, **kwargs)


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize("region", ["eu-west-1", "eu-lab-1"])
async def test_the_loop_s_own_threads_look_up_no_name_of_aws(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url.replace("127.0.0.1", "localhost"))
    threads = Recording()
    asyncio.get_running_loop().set_default_executor(threads)
    async with EcrTokenIssuer() as issuer:
        assert await issuer.issue(TokenSource(region=region))
    assert threads.given
    assert socket.getaddrinfo not in threads.given


@pytest.mark.usefixtures("user")
async def test_an_endpoint_without_an_address_is_reported_as_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://aws.invalid")
    async with EcrTokenIssuer() as issuer:
        with pytest.raises(OperatorError) as caught:
            await issuer.issue(TokenSource(region="eu-west-1"))
    assert caught.value.reason is Reason.AWS_UNAVAILABLE
    assert "can't be reached" in caught.value.message
