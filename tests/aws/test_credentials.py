"""The operator's own credentials: where they come from, changes of files, and one fetch for all."""

import asyncio
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from ecr_operator.api.errors import PermanentError, TransientError
from ecr_operator.api.identity import OPERATOR, Identity, IdentityPolicy, KeyDigest
from ecr_operator.api.outcome import Reason
from ecr_operator.aws.credentials import OperatorCredentials
from ecr_operator.aws.ecr import EcrTokenIssuer
from lab.aws import LocalAws
from lab.key_endpoints import KeyEndpoints
from lab.waiting import wait_for
from tests.aws.asking import ACCOUNT, IRELAND, LAB, ROLE, key_id, refusal
from tests.aws.asking import KEYS as SECRET
from tests.aws.conftest import ACCESS_KEY, KEYS, OTHER_KEY, OTHER_SECRET, SECRET_KEY, Environ
from tests.aws.tenants import Tenants
from tests.fakes import FakeClock

STS = "AssumeRoleWithWebIdentity"


def keys_file(access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> str:
    """The `credentials` file of v0.6.0's guide for an IAM user."""
    return f"[default]\naws_access_key_id={access_key}\naws_secret_access_key={secret_key}\n"


# The `credentials` file of v0.6.0's guide for STS.
WEB_IDENTITY = f"[default]\nrole_arn={ROLE}\nweb_identity_token_file={{token}}"


# Each way of giving the operator an identity.


@pytest.fixture
def web_file(config: Path, web_token: Path) -> Path:
    """The token of the `credentials` file of v0.6.0's guide for STS."""
    config.write_text(WEB_IDENTITY.format(token=web_token))
    return web_token


@pytest.mark.usefixtures("web_file")
async def test_the_sts_file_of_v060s_guide_works_unchanged(aws: LocalAws) -> None:
    assert (await key_id()).startswith("ASIA")
    assert [(call.operation, call.role) for call in aws.calls] == [(STS, ROLE), ("GetAuthorizationToken", "")]


async def test_a_refused_role_leaves_no_key_in_the_log(
    aws: LocalAws, config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = keys_file().replace("default", "profile base")
    config.write_text(f"[default]\nrole_arn={ROLE}\nsource_profile=base\n{base}aws_session_token=SESSION\n")
    aws.keys.known = {ACCESS_KEY: OTHER_SECRET}  # so AWS echoes the signed request
    await refusal()
    assert aws.calls[0].outcome == "SignatureDoesNotMatch"
    assert "SESSION" not in caplog.text
    assert ACCESS_KEY not in caplog.text


# What changes on disk counts from the next call on.


@pytest.mark.usefixtures("aws")
async def test_other_keys_of_the_same_size_and_time_are_seen(config: Path, issuer: EcrTokenIssuer) -> None:
    config.write_text(keys_file())
    before = config.stat()
    assert await key_id(issuer) == ACCESS_KEY
    config.write_text(keys_file(OTHER_KEY, OTHER_SECRET))
    os.utime(config, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await key_id(issuer) == OTHER_KEY


async def test_a_renewed_web_token_counts_when_its_session_ends(
    aws: LocalAws, web_file: Path, issuer: EcrTokenIssuer
) -> None:
    await issuer.issue(IRELAND)
    changes = issuer.changes()
    web_file.write_text("header.payload.another")
    await issuer.issue(IRELAND)
    assert (issuer.changes(), aws.count(STS)) == (changes, 1)
    aws.keys.revoke_temporary()
    error = await refusal(issuer)
    assert (type(error), error.reason) == (TransientError, Reason.CREDENTIALS_EXPIRED)
    assert str(web_file) in error.message
    # Until the next keys are there, a new token may be what was missing.
    web_file.write_text("header.payload.third")
    assert issuer.changes() == changes + 1
    await issuer.issue(IRELAND)
    assert [call.token for call in aws.select(STS)] == ["header.payload.signature", "header.payload.third"]


async def test_a_new_web_token_counts_where_the_last_was_refused(
    aws: LocalAws, web_file: Path, issuer: EcrTokenIssuer
) -> None:
    aws.fail("InvalidIdentityToken", 400, times=1)
    error = await refusal(issuer)
    assert error.reason is Reason.ACCESS_DENIED
    assert "OIDC provider" in error.message
    changes = issuer.changes()
    web_file.write_text("header.payload.another")
    assert issuer.changes() == changes + 1
    assert await issuer.issue(IRELAND)


SSO = "sso_account_id = 1\nsso_role_name = x\nsso_start_url = https://x.invalid\nsso_region = eu-west-1\n"

# No usable credentials: the message names the file and what it lacks, never a value.

# The file, and words of the message; {file}, {token} and {folder} are paths.
MISSING = {
    "nothing": (None, "none in the environment, {file} (absent) and"),
    "not INI": (f"aws_secret_access_key={SECRET_KEY}\n", "{file} can't be parsed"),
    "binary": ("[default]\naws_access_key_id=\udcff\udcfe\n", "{file} can't be parsed"),
    "without a profile": ("[other]\na=b\n", "none in the environment, {file}"),
    "empty": ("", "{file} and {folder}/home/.aws/credentials (absent) or the instance's metadata service"),
    "half a pair": (f"[default]\naws_access_key_id={ACCESS_KEY}\n", "{file} lacks aws_secret_access_key"),
    "single quotes": (keys_file("'A'"), "{file} is empty or quoted"),
    "null from a process": (
        """[default]\ncredential_process=echo '{{"Version":1,"AccessKeyId":null,"SecretAccessKey":"x"}}'\n""",
        "a key from the credential_process in {file} is empty",
    ),
    "half a quote": (
        keys_file(secret_key=f'{SECRET_KEY}"'),
        "{file}, line 3: aws_secret_access_key has a quote",
    ),
    "a role without a source": (f"[default]\nrole_arn={ROLE}\n", "{file} lacks source_profile"),
    "a token without a role": (
        "[default]\nweb_identity_token_file={token}\n",
        "{file} and {folder}/home/.aws/credentials (absent) is incomplete; a role needs role_arn",
    ),
    "an invalid role": (WEB_IDENTITY.replace(ROLE, "puller"), "the role ARN or the token from the web"),
    "a token that is absent": (f"{WEB_IDENTITY}-gone\n", "{token}-gone is absent"),
    "a token that is a folder": (WEB_IDENTITY.replace("{token}", "{folder}"), "{folder} is not readable"),
    "no SSO login": (f"[default]\n{SSO}", "(SSOTokenLoadError) from the SSO login of the profile in {file}"),
    "an unknown source": (
        f"[default]\nrole_arn={ROLE}\nsource_profile=gone\n",
        "(absent) is incomplete; a role needs",
    ),
}
# Its flaw shows only when the role is assumed or the login used.
ASSUMED = {
    name
    for name in MISSING
    if name.startswith(("a role", "a token that", "an unknown", "an invalid", "no SSO", "null from"))
}


@pytest.mark.parametrize("name", MISSING)
async def test_missing_credentials_name_the_file_and_what_it_lacks_until_it_is_corrected(
    aws: LocalAws, metadata: KeyEndpoints, config: Path, web_token: Path, name: str
) -> None:
    content, words = MISSING[name]
    places = {"file": config, "token": web_token, "folder": web_token.parent}
    if content is not None:
        config.write_text(content.format(**places), errors="surrogateescape")
    async with EcrTokenIssuer() as issuer:
        if name not in ASSUMED:
            with pytest.raises(PermanentError) as found:
                await issuer.origin()
            assert found.value.reason is Reason.CREDENTIALS_MISSING
        assert await issuer.long_lived(OPERATOR) == KeyDigest()
        assert (metadata.asked, aws.calls) == ([], [])
        error = await refusal(issuer)
        config.write_text(keys_file())
        assert await issuer.issue(IRELAND)
    assert (type(error), error.reason) == (PermanentError, Reason.CREDENTIALS_MISSING)
    assert words.format(**places) in error.message
    assert SECRET_KEY not in error.message
    assert ACCESS_KEY not in error.message
    assert aws.count() == 1


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AWS_PROFILE", "puller", "profile puller is not in"),
        ("AWS_METADATA_SERVICE_TIMEOUT", "soon", "a value in the environment or {file}"),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY, "needs a restart of the operator) lacks AWS_SECRET_ACCESS_KEY"),
    ],
)
async def test_missing_credentials_name_the_variable(
    config: Path, environ: Environ, variable: str, value: str, words: str
) -> None:
    config.write_text(keys_file())
    environ(**{variable: value})
    assert words.format(file=config) in (await refusal()).message


async def test_keys_that_had_expired_when_they_were_fetched_are_named(agent: KeyEndpoints) -> None:
    agent.key_life = -60
    error = await refusal()
    assert (type(error), error.reason) == (TransientError, Reason.CREDENTIALS_EXPIRED)
    assert "from the container's credentials endpoint have expired" in error.message


async def test_invalidations_count_once_in_half_a_minute() -> None:
    clock = FakeClock()
    identity = OperatorCredentials(clock, seconds=1.0)
    first = identity.generation
    for _ in range(3):
        identity.invalidate(identity.generation)
        clock.skip(9.9)
    assert identity.generation == first + 1
    clock.skip(0.4)
    identity.invalidate(first)
    assert identity.generation == first + 1, "the keys of before are invalidated"
    identity.invalidate(identity.generation)
    assert identity.generation == first + 2


# One fetch for all regions.


async def test_an_agent_is_asked_once_for_all_regions_and_when_keys_are_due(agent: KeyEndpoints) -> None:
    async with EcrTokenIssuer() as issuer:
        await asyncio.gather(*(issuer.issue(source) for source in LAB))
        await issuer.issue(LAB[0])
        assert len(agent.asked) == 1
    agent.key_life = 60
    async with EcrTokenIssuer() as issuer:
        await issuer.issue(LAB[0])
        agent.key_life, fetched = 6 * 3600, len(agent.asked)
        await asyncio.gather(*(issuer.issue(source) for source in LAB))
        assert len(agent.asked) == fetched + 1


async def test_a_cancelled_caller_leaves_the_fetch_to_the_others(
    config: Path, issuer: EcrTokenIssuer
) -> None:
    script, run, go_on = (config.with_name(name) for name in ("script", "run", "go-on"))
    keys = json.dumps({"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY})
    script.write_text(f"echo >> {run}; until [ -e {go_on} ]; do sleep 0.02; done; echo '{keys}'")
    config.write_text(f"[default]\ncredential_process = /bin/sh {script}\n")
    impatient, patient = (asyncio.create_task(issuer.issue(source)) for source in LAB[:2])
    await wait_for(run.exists)
    impatient.cancel()
    await asyncio.wait((impatient,))
    go_on.touch()
    assert await patient
    assert impatient.cancelled()
    assert run.read_text() == "\n"


# What is configured, found without asking anybody; and the digest of long-lived keys.


def id_hash(access_key: str) -> str:
    return hashlib.sha256(access_key.encode()).hexdigest()[:12]


USER = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
OTHER_USER = {"AWS_ACCESS_KEY_ID": OTHER_KEY, "AWS_SECRET_ACCESS_KEY": OTHER_SECRET}
SESSION = {"AWS_SESSION_TOKEN": "t", "AWS_CREDENTIAL_EXPIRATION": "2099-01-01T00:00:00Z"}
WEB = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "{folder}/absent"}
AGENT = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{agent}"}
WEB_FILE = f"role_arn={ROLE}\nweb_identity_token_file=/token\n"
ROLE_OF = f"role_arn={ROLE}\n{{source}}\n"
ROLE_OF_BASE = ROLE_OF.format(source=f"source_profile=base\n[profile base]\n{KEYS}")
ROLE_OF_INSTANCE = ROLE_OF.format(source="credential_source=Ec2InstanceMetadata")
ROLE_OF_AGENT = ROLE_OF.format(source="credential_source=EcsContainer")
PROCESS = "credential_process = touch {folder}/ran\n"
LOGIN = "login_session = arn:aws:iam::123456789012:user/x\n"
# Variables, the file after `[default]`, words of the origin, and whose long-lived keys they are.
ORIGINS: dict[str, tuple[dict[str, str], str, str, str]] = {
    "variables": (USER, "", "the environment variables", ACCESS_KEY),
    "variables win over the file": (OTHER_USER, KEYS, "the environment variables", OTHER_KEY),
    "session keys in variables": (USER | SESSION, "", "the environment variables", ""),
    "a file": ({}, KEYS, "{folder}/config", ACCESS_KEY),
    "session keys in a file": ({}, f"{KEYS}aws_session_token=t\n", "{folder}/config", ""),
    "a web identity": (WEB, "", "the web identity token {folder}/absent", ""),
    "a web identity in a file": ({}, WEB_FILE, "the web identity token /token", ""),
    "a role of a profile": ({}, ROLE_OF_BASE, "the role in {folder}/config", ""),
    "a role of the instance": ({}, ROLE_OF_INSTANCE, "the role in {folder}/config", ""),
    "a role of the agent": (AGENT, ROLE_OF_AGENT, "the role in {folder}/config", ""),
    "a process": ({}, PROCESS, "the credential_process in {folder}/config", ""),
    "an agent": (AGENT, "", "the container's credentials endpoint", ""),
    "SSO": ({}, SSO, "the SSO login", ""),
    "a login": ({}, LOGIN, "login in {folder}/config", ""),
}


@pytest.mark.parametrize("name", ORIGINS)
async def test_each_origin_is_named_and_digested_without_asking_anybody(
    aws: LocalAws, metadata: KeyEndpoints, config: Path, environ: Environ, name: str
) -> None:
    variables, file, words, key = ORIGINS[name]
    metadata.role = "node"
    places = {"folder": config.parent, "agent": metadata.agent}
    if file:
        config.write_text(f"[default]\n{file.format(**places)}")
    environ(**{variable: value.format(**places) for variable, value in variables.items()})
    async with EcrTokenIssuer() as issuer:
        assert words.format(**places) in await issuer.origin()
        found = await issuer.long_lived(OPERATOR)
        assert await issuer.long_lived(OPERATOR) == found
    assert found.id_hash == (id_hash(key) if key else "")
    assert bool(found.contents) is bool(key)
    assert (metadata.asked, aws.calls) == ([], [])
    assert not (config.parent / "ran").exists()


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
    held = tenants.secrets["team/keys"]
    async with EcrTokenIssuer(tenants=tenants) as issuer:
        found = await issuer.long_lived(SECRET)
        assert found.id_hash == id_hash(OTHER_KEY)
        tenants.remade.update(["Secret team/keys"])
        for same in (SECRET, replace(SECRET, role_arn=ROLE)):
            assert await issuer.long_lived(same) == found
        held["aws_secret_access_key"] = SECRET_KEY
        assert (await issuer.long_lived(SECRET)).contents not in (found.contents, "")
        held["aws_session_token"] = "t"  # noqa: S105 -- made up
        assert await issuer.long_lived(SECRET) == KeyDigest()
        held.clear()
        for identity in (SECRET, ACCOUNT):
            assert await issuer.long_lived(identity) == KeyDigest()
        tenants.away = TransientError(Reason.KUBERNETES_UNAVAILABLE, "The API server is away.")
        with pytest.raises(TransientError):
            await issuer.long_lived(SECRET)
    assert not aws.calls


@pytest.mark.usefixtures("aws", "user")
async def test_a_token_bears_the_hash_of_the_long_lived_key_that_it_began_with() -> None:
    policy = IdentityPolicy(permitted_roles=("*",))
    role = Identity(namespace="team", role_arn=ROLE)
    expected = {OPERATOR: ACCESS_KEY, role: ACCESS_KEY, SECRET: OTHER_KEY}
    expected |= {replace(SECRET, role_arn=ROLE): OTHER_KEY, ACCOUNT: ""}
    async with EcrTokenIssuer(tenants=Tenants(roles={"team/ci": ROLE}), policy=policy) as issuer:
        for identity, key in expected.items():
            token = await issuer.issue(replace(IRELAND, identity=identity))
            assert token.key_hash == (id_hash(key) if key else "")
            assert ACCESS_KEY not in repr(token)
