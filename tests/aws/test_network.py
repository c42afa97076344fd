"""The way to AWS: proxies and exceptions from them, certificate authorities, name lookups."""

import asyncio
import base64
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp.abc import ResolveResult

from ecr_operator.api.errors import OperatorError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.aws.network import NameResolver, SharedTlsSession
from lab.aws import LocalAws
from lab.certificates import Authority
from lab.connect_proxy import ConnectProxy
from lab.waiting import wait_for
from tests.aws.asking import IRELAND, OHIO, PUBLIC, key_id, refusal
from tests.aws.conftest import Environ

T = TypeVar("T")

# Of the SDK's own tables; each must be in the certificate of the local AWS.
ECR = "api.ecr.eu-west-1.amazonaws.com"
CHINA = "api.ecr.cn-north-1.amazonaws.com.cn"
PUBLIC_ECR = "api.ecr-public.us-east-1.amazonaws.com"
FIPS = "api.ecr-fips.us-east-2.amazonaws.com"
DUAL = "ecr.eu-west-1.api.aws"
PASSWORD = "pa55word"  # noqa: S105 -- made up
LOGIN = f"user:{PASSWORD}"

pytestmark = pytest.mark.usefixtures("user")


@pytest.fixture(scope="module")
def authority() -> Authority:
    """A certificate authority that nobody else knows."""
    return Authority()


@pytest.fixture(scope="module")
def served(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server with AWS's names."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(b"".join(authority.serving(ECR, CHINA, PUBLIC_ECR, FIPS, DUAL)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.fixture
async def secure(served: ssl.SSLContext) -> AsyncIterator[LocalAws]:
    """A local AWS with AWS's names, reachable only through a proxy."""
    async with LocalAws(tls=served) as local:
        yield local


@pytest.fixture
def bundle(authority: Authority, environ: Environ, tmp_path: Path) -> Path:
    """The authority's certificate, as AWS_CA_BUNDLE."""
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.certificate)
    environ(AWS_CA_BUNDLE=str(path))
    return path


@pytest.fixture
async def proxy(secure: LocalAws, environ: Environ) -> AsyncIterator[ConnectProxy]:
    """The proxy, as HTTPS_PROXY."""
    async with ConnectProxy(port(secure)) as running:
        environ(HTTPS_PROXY=running.url())
        yield running


def port(aws: LocalAws) -> int:
    return int(aws.url.rsplit(":", 1)[1])


NAMES = {
    "ecr": (IRELAND, {}, ECR),
    "ecr in China": (TokenSource(region="cn-north-1"), {}, CHINA),
    "ecr public": (PUBLIC, {}, PUBLIC_ECR),
    "fips": (OHIO, {"AWS_USE_FIPS_ENDPOINT": "true"}, FIPS),
    "dual stack": (IRELAND, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, DUAL),
}


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize(("source", "variables", "name"), NAMES.values(), ids=NAMES)
async def test_aws_is_asked_by_its_name_through_the_proxy_with_its_login(
    proxy: ConnectProxy, environ: Environ, source: TokenSource, variables: dict[str, str], name: str
) -> None:
    environ(HTTPS_PROXY=proxy.url(LOGIN), NO_PROXY="example.com,amazonaws.com.cn.example,127.0.0.2")
    environ(**variables)
    assert await key_id(source=source)
    assert proxy.targets == [f"{name}:443"]
    assert proxy.logins == [f"Basic {base64.b64encode(LOGIN.encode()).decode()}"]


def assert_blames_proxy(error: OperatorError, *words: str) -> None:
    """Hold an error to naming the proxy, and not its login."""
    assert (type(error), error.reason) == (TransientError, Reason.AWS_UNAVAILABLE)
    assert [each for each in ("proxy", *words) if each not in error.message] == []
    assert PASSWORD not in f"{error.message}{error!r}{error.__cause__!r}"


@pytest.mark.usefixtures("bundle")
async def test_a_proxy_that_refuses_is_named_without_its_login(proxy: ConnectProxy, environ: Environ) -> None:
    environ(HTTPS_PROXY=proxy.url(LOGIN))
    said = {
        403: "refuses to connect",
        407: "requires a login",
        429: "refuses to connect",
        502: "can't connect",
    }
    async with EcrTokenIssuer() as issuer:
        for proxy.refuse, words in said.items():
            assert_blames_proxy(await refusal(issuer), words, f"HTTP {proxy.refuse}")
        proxy.refuse = None
        assert await issuer.issue(IRELAND)


USELESS = {
    "SOCKS": (f"socks5://{LOGIN}@127.0.0.1:1080", "SOCKS is not supported"),
    "no host": ("http://", "SOCKS is not supported"),
    "no port": ("http://proxy:port", "SOCKS is not supported"),
    "unreachable": (f"http://{LOGIN}@127.0.0.1:{{closed}}", "proxy"),
}


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize(("url", "words"), USELESS.values(), ids=USELESS)
async def test_a_useless_proxy_is_named_without_its_login(environ: Environ, url: str, words: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        environ(HTTPS_PROXY=url.format(closed=unused.getsockname()[1]))
        assert_blames_proxy(await refusal(), "HTTPS_PROXY", words)


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize("exceptions", ["*", "localhost,127.0.0.1", "127.0.0.1:{port}"])
async def test_no_proxy_bypasses_the_proxy(
    secure: LocalAws, proxy: ConnectProxy, environ: Environ, exceptions: str
) -> None:
    environ(AWS_ENDPOINT_URL=secure.url, NO_PROXY=exceptions.format(port=port(secure)))
    assert await key_id()
    assert (proxy.targets, secure.count()) == ([], 1)


async def test_an_unknown_authority_and_a_certificate_for_another_name_are_reported(
    secure: LocalAws, proxy: ConnectProxy, authority: Authority, environ: Environ, tmp_path: Path
) -> None:
    unknown = await refusal()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    environ(AWS_CA_BUNDLE=str(tmp_path / "ca.pem"))
    misnamed = await refusal(source=TokenSource(region="eu-west-3"))
    for error in (unknown, misnamed):
        assert error.reason is Reason.AWS_UNAVAILABLE
        assert error.message.startswith("TLS with AWS")
        assert "AWS_CA_BUNDLE" in error.message
    assert proxy.targets == [f"api.ecr.{region}.amazonaws.com:443" for region in ("eu-west-1", "eu-west-3")]
    assert not secure.calls


async def test_a_changed_bundle_is_read_again(bundle: Path, secure: LocalAws, proxy: ConnectProxy) -> None:
    right = bundle.read_bytes()
    bundle.write_bytes(Authority().certificate)
    async with EcrTokenIssuer() as issuer:
        assert "TLS" in (await refusal(issuer)).message
        changes = issuer.changes()
        bundle.write_bytes(right)
        assert await issuer.issue(IRELAND)
        bundle.write_bytes(Authority().certificate)
        assert "TLS" in (await refusal(issuer)).message
        # The identity is the same, so nothing else is renewed.
        assert issuer.changes() == changes
    assert proxy.targets
    assert secure.count() == 1


# Name lookups.


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
    (found,) = await NameResolver(1).resolve("localhost", 443, socket.AF_INET)
    assert (found["hostname"], found["host"], found["port"]) == ("localhost", "127.0.0.1", 443)


async def test_a_name_is_looked_up_once_for_all_who_wait(names: Names) -> None:
    resolver = NameResolver(4, names)
    waiting = [asyncio.create_task(resolver.resolve("slow", 443)) for _ in range(20)]
    await wait_for(lambda: bool(names.asked))
    names.answering.set()
    assert len({tuple(found[0].items()) for found in await asyncio.gather(*waiting)}) == 1
    assert names.asked == ["slow"]


async def test_lookups_are_bounded_and_a_cancelled_wait_leaves_none_queued(names: Names) -> None:
    resolver = NameResolver(2, names)
    waiting = [asyncio.create_task(resolver.resolve(f"slow-{number}", 443)) for number in range(50)]
    await wait_for(lambda: len(names.asked) == 2)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    names.answering.set()
    assert await resolver.resolve("quick", 443)
    assert names.asked == ["slow-0", "slow-1", "quick"]


async def test_an_unknown_name_is_an_error_and_looked_up_again(names: Names) -> None:
    resolver = NameResolver(1, names)
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await resolver.resolve("unknown", 443)
    assert len(names.asked) == 2


class Guarded(ThreadPoolExecutor):
    """The loop's own threads, which refuse to look up names."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run a function."""
        assert fn is not socket.getaddrinfo
        return super().submit(fn, *args, **kwargs)


@pytest.mark.parametrize("region", ["eu-west-1", "eu-lab-1"])
async def test_the_loops_threads_look_up_no_name_of_aws(aws: LocalAws, environ: Environ, region: str) -> None:
    environ(AWS_ENDPOINT_URL=aws.url.replace("127.0.0.1", "localhost"))
    asyncio.get_running_loop().set_default_executor(Guarded(2))
    assert await key_id(source=TokenSource(region=region))


@pytest.mark.usefixtures("aws")
async def test_a_call_waits_for_no_thread_once_the_authorities_are_read() -> None:
    SharedTlsSession().preload()
    threads = ThreadPoolExecutor(1)
    threads.shutdown()  # refuses all work
    asyncio.get_running_loop().set_default_executor(threads)
    assert await key_id(source=TokenSource(region="eu-west-1"))


async def test_an_endpoint_without_an_address_is_reported_as_unreachable(environ: Environ) -> None:
    environ(AWS_ENDPOINT_URL="http://aws.invalid")
    error = await refusal()
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "can't be reached" in error.message
