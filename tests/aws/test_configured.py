"""What is configured, found without asking anybody; and the digest of long-lived keys."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ecr_operator.api.errors import PermanentError, TransientError
from ecr_operator.api.identity import OPERATOR, Identity, IdentityPolicy, KeyDigest
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.core.ports import KeySecret
from lab.aws import LocalAws
from lab.key_endpoints import KeyEndpoints
from tests.aws.conftest import ACCESS_KEY, OTHER_KEY, OTHER_SECRET, SECRET_KEY
from tests.aws.tenants import Tenants

ROLE = "arn:aws:iam::123456789012:role/puller"
KEYS = f"aws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n"
IRELAND = TokenSource(region="eu-west-1")
NAMED = Identity(source="iam_secret", namespace="team", name="keys")


@pytest.fixture
async def endpoints(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KeyEndpoints]:
    """A container's agent and a metadata service, which may be asked as far as variables go."""
    async with KeyEndpoints(aws.keys) as running:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", running.url)
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        running.role = "node"
        yield running


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The operator's file, which is absent at first."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path / "config"


def id_hash(access_key: str) -> str:
    """What the annotation is to be."""
    return hashlib.sha256(access_key.encode()).hexdigest()[:12]


# Variables, the file after `[default]`, words of the origin, and whose long-lived keys they are.
WAYS: dict[str, tuple[dict[str, str], str, str, str]] = {
    "variables": (
        {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
        "",
        "the environment variables",
        ACCESS_KEY,
    ),
    "variables win over the file": (
        {"AWS_ACCESS_KEY_ID": OTHER_KEY, "AWS_SECRET_ACCESS_KEY": OTHER_SECRET},
        KEYS,
        "the environment variables",
        OTHER_KEY,
    ),
    "session keys in variables": (
        {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_SESSION_TOKEN": "t",
            "AWS_CREDENTIAL_EXPIRATION": "2099-01-01T00:00:00Z",
        },
        "",
        "the environment variables",
        "",
    ),
    "a file": ({}, KEYS, "{folder}/config", ACCESS_KEY),
    "a file with quotes": ({}, KEYS.replace(ACCESS_KEY, f'"{ACCESS_KEY}"'), "{folder}/config", ACCESS_KEY),
    "session keys in a file": ({}, f"{KEYS}aws_session_token=t\n", "{folder}/config", ""),
    "a web identity": (
        {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "{folder}/absent"},
        "",
        "the web identity token {folder}/absent",
        "",
    ),
    "a web identity in a file": (
        {},
        f"role_arn={ROLE}\nweb_identity_token_file=/token\n",
        "the web identity token /token",
        "",
    ),
    "a role of a profile": (
        {},
        f"role_arn={ROLE}\nsource_profile=base\n[profile base]\n{KEYS}",
        "the role in {folder}/config",
        "",
    ),
    "a role of the instance": (
        {},
        f"role_arn={ROLE}\ncredential_source=Ec2InstanceMetadata\n",
        "the role in {folder}/config",
        "",
    ),
    "a role of the agent": (
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{agent}"},
        f"role_arn={ROLE}\ncredential_source=EcsContainer\n",
        "the role in {folder}/config",
        "",
    ),
    "a process": (
        {},
        "credential_process = touch {folder}/ran\n",
        "the credential_process in {folder}/config",
        "",
    ),
    "an agent": (
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{agent}"},
        "",
        "the container's credentials endpoint",
        "",
    ),
    "SSO": (
        {},
        "sso_account_id = 123456789012\nsso_role_name = x\nsso_start_url = {agent}\nsso_region = eu-west-1\n",
        "the SSO login",
        "",
    ),
    "a login": ({}, "login_session = arn:aws:iam::123456789012:user/x\n", "login in {folder}/config", ""),
}


@pytest.mark.parametrize(("variables", "file", "words", "key"), WAYS.values(), ids=WAYS)
async def test_each_way_is_named_and_digested_without_asking_anybody(  # noqa: PLR0913, PLR0917 -- fixtures too
    aws: LocalAws,
    endpoints: KeyEndpoints,
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    file: str,
    words: str,
    key: str,
) -> None:
    places = {"folder": tmp_path, "agent": endpoints.agent}
    if file:
        config.write_text(f"[default]\n{file.format(**places)}")
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(**places))
    async with EcrTokenIssuer() as issuer:
        assert words.format(**places) in await issuer.origin()
        found = await issuer.long_lived(OPERATOR)
        assert await issuer.long_lived(OPERATOR) == found
    assert found.id_hash == (id_hash(key) if key else "")
    assert bool(found.contents) is bool(key)
    assert (endpoints.asked, aws.calls) == ([], [])
    assert not (tmp_path / "ran").exists()


WRONG: dict[str, tuple[str | None, str]] = {
    "nothing": (None, "none in the environment or"),
    "half a pair": (f"[default]\naws_access_key_id={ACCESS_KEY}\n", "lacks aws_secret_access_key"),
    "no section": (KEYS, "line 1 comes before any section"),
    "single quotes": (f"[default]\n{KEYS}".replace(ACCESS_KEY, "'A'"), "quoted"),
    "another profile": (f"[profile x]\n{KEYS}", "no section is named [default]"),
}


@pytest.mark.parametrize(("content", "words"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_named_without_asking_anybody(
    endpoints: KeyEndpoints, config: Path, content: str | None, words: str
) -> None:
    if content is not None:
        config.write_text(content)
    async with EcrTokenIssuer() as issuer:
        with pytest.raises(PermanentError) as caught:
            await issuer.origin()
        assert await issuer.long_lived(OPERATOR) == KeyDigest()
    assert caught.value.reason is Reason.CREDENTIALS_MISSING
    assert words in caught.value.message
    assert ACCESS_KEY not in caught.value.message
    assert endpoints.asked == []


@pytest.mark.usefixtures("aws")
async def test_the_digest_follows_the_file_by_its_keys_alone(config: Path) -> None:
    config.write_text(f"[default]\n{KEYS}")
    async with EcrTokenIssuer() as issuer:
        digests = [await issuer.long_lived(OPERATOR)]
        for content in (
            f"# rotated\n[default]\nregion=eu-west-1\n{KEYS}",
            f"[default]\n{KEYS}".replace(SECRET_KEY, OTHER_SECRET),
            f"[default]\n{KEYS}".replace(ACCESS_KEY, OTHER_KEY),
        ):
            config.write_text(content)
            issuer.changes()
            digests.append(await issuer.long_lived(OPERATOR))
    first, commented, secret, both = digests
    assert first == commented
    assert first.id_hash == secret.id_hash != both.id_hash
    assert len({digest.contents for digest in digests}) == 3


async def test_the_digest_of_a_secret_is_of_its_long_lived_keys_alone(aws: LocalAws) -> None:
    tenants = Tenants()
    async with EcrTokenIssuer(tenants=tenants) as issuer:
        found = await issuer.long_lived(NAMED)
        assert found.id_hash == id_hash(OTHER_KEY)
        assert await issuer.long_lived(replace(NAMED, role_arn=ROLE)) == found
        tenants.remade.update(["Secret team/keys"])
        assert await issuer.long_lived(NAMED) == found
        tenants.secrets["team/keys"]["aws_secret_access_key"] = SECRET_KEY
        assert await issuer.long_lived(NAMED) != found
        tenants.secrets["team/keys"]["aws_session_token"] = "t"  # noqa: S105 -- made up
        assert await issuer.long_lived(NAMED) == KeyDigest()
        del tenants.secrets["team/keys"]["aws_access_key_id"]
        assert await issuer.long_lived(NAMED) == KeyDigest()
        tenants.secrets.clear()
        assert await issuer.long_lived(NAMED) == KeyDigest()
        account = Identity(source="service_account", namespace="team", name="ci")
        assert await issuer.long_lived(account) == KeyDigest()
    assert not aws.calls


class Away(Tenants):
    """An API server that does not answer."""

    async def iam_keys(self, namespace: str, name: str) -> KeySecret:
        """Fail."""
        raise TransientError(Reason.KUBERNETES_UNAVAILABLE, f"{namespace}/{name} can't be read.")


async def test_a_secret_that_cannot_be_read_has_no_digest() -> None:
    async with EcrTokenIssuer(tenants=Away()) as issuer:
        with pytest.raises(TransientError):
            await issuer.long_lived(NAMED)


@pytest.mark.usefixtures("aws", "user")
async def test_a_token_bears_the_hash_of_the_long_lived_key_that_it_began_with() -> None:
    policy = IdentityPolicy(permitted_roles=("*",))
    role = Identity(namespace="team", role_arn=ROLE)
    account = Identity(source="service_account", namespace="team", name="ci")
    expected = {
        OPERATOR: ACCESS_KEY,
        role: ACCESS_KEY,
        NAMED: OTHER_KEY,
        replace(NAMED, role_arn=ROLE): OTHER_KEY,
        account: "",
    }
    async with EcrTokenIssuer(tenants=Tenants(roles={"team/ci": ROLE}), policy=policy) as issuer:
        for identity, key in expected.items():
            token = await issuer.issue(replace(IRELAND, identity=identity))
            assert token.key_hash == (id_hash(key) if key else "")
            assert ACCESS_KEY not in repr(token)


async def test_a_token_of_session_keys_bears_none(aws: LocalAws, config: Path) -> None:
    session = aws.keys.issue(ROLE, "s", 3600)
    config.write_text(
        f"[default]\naws_access_key_id={session.access_key}\naws_secret_access_key={session.secret_key}\n"
        f"aws_session_token={session.session_token}\n"
    )
    async with EcrTokenIssuer() as issuer:
        assert (await issuer.issue(IRELAND)).key_hash == ""
