"""The way to AWS: a proxy, exceptions from it, and a certificate authority of one's own; AWS's real names."""

import base64
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ecr_operator.api.errors import OperatorError, TransientError
from ecr_operator.api.identity import Identity, IdentityPolicy
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from lab.aws import LocalAws
from lab.certificates import Authority
from lab.connect_proxy import ConnectProxy
from tests.aws.tenants import Tenants

ROLE = "arn:aws:iam::123456789012:role/puller"
# Of the SDK's own tables; each must be in the certificate of the local AWS.
ECR = "api.ecr.eu-west-1.amazonaws.com"
CHINA = "api.ecr.cn-north-1.amazonaws.com.cn"
PUBLIC = "api.ecr-public.us-east-1.amazonaws.com"
FIPS = "api.ecr-fips.us-east-2.amazonaws.com"
DUAL = "ecr.eu-west-1.api.aws"
STS = "sts.eu-west-1.amazonaws.com"
PASSWORD = "pa55word"  # noqa: S105 -- made up
IRELAND = TokenSource(region="eu-west-1")

pytestmark = pytest.mark.usefixtures("user")


@pytest.fixture
def authority() -> Authority:
    """A certificate authority that nobody else knows."""
    return Authority()


@pytest.fixture
async def secure(authority: Authority, tmp_path: Path) -> AsyncIterator[LocalAws]:
    """A local AWS that bears AWS's names; only a proxy leads to it."""
    certificate, key = authority.serving(ECR, CHINA, PUBLIC, FIPS, DUAL, STS)
    (tmp_path / "server.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    async with LocalAws(tls=context) as local:
        yield local


@pytest.fixture
def bundle(authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The authority's certificate, as AWS_CA_BUNDLE."""
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.certificate)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(path))
    return path


@pytest.fixture
async def proxy(secure: LocalAws, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ConnectProxy]:
    """The proxy, as HTTPS_PROXY."""
    async with ConnectProxy(int(secure.url.rsplit(":", 1)[1])) as running:
        monkeypatch.setenv("HTTPS_PROXY", running.url())
        yield running


async def refusal(issuer: EcrTokenIssuer, source: TokenSource = IRELAND) -> OperatorError:
    """Ask for a token and return the error that comes in its place."""
    with pytest.raises(OperatorError) as caught:
        await issuer.issue(source)
    return caught.value


NAMES = {
    "ecr": (IRELAND, {}, ECR),
    "ecr in China": (TokenSource(region="cn-north-1"), {}, CHINA),
    "ecr public": (TokenSource(region="us-east-1", service="ecr-public"), {}, PUBLIC),
    "fips": (TokenSource(region="us-east-2"), {"AWS_USE_FIPS_ENDPOINT": "true"}, FIPS),
    "dual stack": (IRELAND, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, DUAL),
}


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize(("source", "variables", "name"), NAMES.values(), ids=NAMES)
async def test_aws_is_asked_by_its_name_through_the_proxy(
    proxy: ConnectProxy,
    monkeypatch: pytest.MonkeyPatch,
    source: TokenSource,
    variables: dict[str, str],
    name: str,
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    async with EcrTokenIssuer() as issuer:
        assert await issuer.issue(source)
    assert proxy.targets == [f"{name}:443"]


@pytest.mark.usefixtures("bundle")
async def test_sts_goes_through_it_too_in_the_region_that_is_asked(proxy: ConnectProxy) -> None:
    identity = Identity(namespace="team", role_arn=ROLE)
    async with EcrTokenIssuer(tenants=Tenants(), policy=IdentityPolicy(permitted_roles=(ROLE,))) as issuer:
        await issuer.issue(TokenSource(region="eu-west-1", identity=identity))
    assert proxy.targets == [f"{STS}:443", f"{ECR}:443"]


@pytest.mark.usefixtures("bundle")
async def test_a_web_identity_is_exchanged_through_it(
    proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("header.payload.signature")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    async with EcrTokenIssuer(regions=lambda: ["eu-west-1"]) as issuer:
        await issuer.issue(IRELAND)
    assert proxy.targets == [f"{STS}:443", f"{ECR}:443"]


@pytest.mark.usefixtures("bundle")
async def test_a_proxy_s_login_is_sent(proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url(f"user:{PASSWORD}"))
    async with EcrTokenIssuer() as issuer:
        await issuer.issue(IRELAND)
    assert proxy.logins == [f"Basic {base64.b64encode(f'user:{PASSWORD}'.encode()).decode()}"]


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize("status", [403, 407, 502, 503])
async def test_a_proxy_that_refuses_is_named_without_its_login(
    proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url(f"user:{PASSWORD}"))
    proxy.refuse = status
    async with EcrTokenIssuer() as issuer:
        error = await refusal(issuer)
        assert isinstance(error, TransientError)
        assert error.reason is Reason.AWS_UNAVAILABLE
        assert "proxy" in error.message
        assert f"HTTP {status}" in error.message
        assert PASSWORD not in f"{error.message}{error!r}{error.__cause__!r}"
        proxy.refuse = None
        assert await issuer.issue(IRELAND)


@pytest.mark.usefixtures("bundle", "proxy")
@pytest.mark.parametrize("url", ["socks5://{}", "socks5h://{}", "http://", "http://proxy:port", "ftp://{}"])
async def test_a_proxy_that_can_not_be_used_is_named_and_nothing_is_looked_up(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url.format(f"user:{PASSWORD}@127.0.0.1:1080"))
    async with EcrTokenIssuer() as issuer:
        error = await refusal(issuer)
    assert (type(error), error.reason) == (TransientError, Reason.AWS_UNAVAILABLE)
    assert "HTTPS_PROXY" in error.message
    assert "SOCKS is not supported" in error.message
    assert PASSWORD not in f"{error.message}{error!r}{error.__cause__!r}"


@pytest.mark.usefixtures("bundle")
async def test_a_proxy_that_is_away_is_named_without_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@127.0.0.1:{port}")
        async with EcrTokenIssuer() as issuer:
            error = await refusal(issuer)
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "proxy" in error.message
    assert PASSWORD not in f"{error.message}{error!r}{error.__cause__!r}"


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize("exceptions", ["127.0.0.1", "*", "localhost,127.0.0.1", "127.0.0.1:{port}"])
async def test_no_proxy_leads_around_it(
    secure: LocalAws, proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch, exceptions: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", secure.url)
    monkeypatch.setenv("NO_PROXY", exceptions.format(port=secure.url.rsplit(":", 1)[1]))
    async with EcrTokenIssuer() as issuer:
        assert await issuer.issue(IRELAND)
    assert (proxy.targets, secure.count()) == ([], 1)


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize("exceptions", ["example.com", "amazonaws.com.cn", "127.0.0.2"])
async def test_no_proxy_for_others_changes_nothing(
    proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch, exceptions: str
) -> None:
    monkeypatch.setenv("NO_PROXY", exceptions)
    async with EcrTokenIssuer() as issuer:
        assert await issuer.issue(IRELAND)
    assert proxy.targets == [f"{ECR}:443"]


async def test_an_authority_that_is_not_known_is_told(secure: LocalAws, proxy: ConnectProxy) -> None:
    async with EcrTokenIssuer() as issuer:
        error = await refusal(issuer)
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "AWS_CA_BUNDLE" in error.message
    assert proxy.targets
    assert not secure.calls


async def test_a_certificate_for_another_name_is_told(
    bundle: Path, secure: LocalAws, proxy: ConnectProxy
) -> None:
    assert bundle.exists()
    async with EcrTokenIssuer() as issuer:
        error = await refusal(issuer, TokenSource(region="eu-west-3"))
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "TLS" in error.message
    assert proxy.targets == ["api.ecr.eu-west-3.amazonaws.com:443"]
    assert not secure.calls


async def test_a_bundle_that_changed_is_read_again(
    bundle: Path, secure: LocalAws, proxy: ConnectProxy
) -> None:
    right = bundle.read_bytes()
    bundle.write_bytes(Authority().certificate)
    async with EcrTokenIssuer() as issuer:
        assert "TLS" in (await refusal(issuer)).message
        changes = issuer.changes()
        bundle.write_bytes(right)
        assert await issuer.issue(IRELAND)
        bundle.write_bytes(Authority().certificate)
        assert "TLS" in (await refusal(issuer)).message
        # The operator is who it was, so that nothing else is renewed for it.
        assert issuer.changes() == changes
    assert proxy.targets
    assert secure.count() == 1
