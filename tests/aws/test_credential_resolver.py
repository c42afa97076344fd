"""Identities per resource: what permits them, which role is assumed how often, what the basis covers."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.identity import OPERATOR, PERMITTED_ROLES, Identity, IdentityPolicy
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import RegistryToken, TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.core.ports import Clock
from lab.aws import LocalAws, Trust, decode_token
from lab.waiting import wait_for
from tests.aws.asking import ACCOUNT, KEYS, ROLE, refusal
from tests.aws.conftest import ACCESS_KEY, OTHER_KEY, OTHER_SECRET, SECRET_KEY, Environ
from tests.aws.tenants import Tenants
from tests.builders import cases
from tests.fakes import FakeClock

OTHER_ROLE = "arn:aws:iam::123456789012:role/admin"
CHAINED = Identity(namespace="team", role_arn=ROLE)
ACCOUNT_WITH_ROLE, KEYS_WITH_ROLE = replace(ACCOUNT, role_arn=ROLE), replace(KEYS, role_arn=ROLE)
OTHERS = replace(CHAINED, namespace="other")
SUBJECT = "system:serviceaccount:team:ci"
WEB, STS, ECR = "AssumeRoleWithWebIdentity", "AssumeRole", "GetAuthorizationToken"
NOTHING, ANY_ROLE = IdentityPolicy(), IdentityPolicy(permitted_roles=("arn:aws:iam::*:role/*",))
# An empty variable is an absent one.
NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}

pytestmark = pytest.mark.usefixtures("user")


def asking(identity: Identity, region: str = "eu-west-1") -> TokenSource:
    return TokenSource(identity=identity, region=region)


def operator(
    tenants: Tenants | None = None, policy: IdentityPolicy = ANY_ROLE, clock: Clock | None = None
) -> EcrTokenIssuer:
    return EcrTokenIssuer(clock, tenants or Tenants(), policy)


def role_of(aws: LocalAws, token: RegistryToken) -> str:
    return aws.role_of(decode_token(token.password))


# role_arn from the operator's own identity.


async def test_a_role_is_assumed_with_the_operators_keys_in_the_region_asked_for(aws: LocalAws) -> None:
    async with operator() as issuer:
        token = await issuer.issue(asking(CHAINED, "us-east-2"))
    assert role_of(aws, token) == ROLE
    assert [(call.operation, call.region) for call in aws.calls] == [(STS, "us-east-2"), (ECR, "us-east-2")]
    assert aws.calls[0].access_key == ACCESS_KEY
    assert aws.calls[0].session == "ecr-secret-operator@team"
    assert (aws.calls[0].external_id, aws.calls[0].tags) == ("", {})


async def test_the_external_id_and_the_tags_come_from_the_settings(aws: LocalAws) -> None:
    policy = replace(ANY_ROLE, external_id="the-cluster", session_tags=True)
    aws.services.trust = {ROLE: Trust(external_id="the-cluster")}
    async with operator(policy=policy) as issuer:
        await issuer.issue(asking(replace(CHAINED, resource="pull")))
    assert aws.calls[0].tags == {"kubernetes-namespace": "team", "kubernetes-resource": "pull"}


# Of the flag and of each namespace.
PERMITTED = {
    "the flag, by a glob among others": (("arn:aws:iam::2:role/x", "arn:aws:iam::1*:role/pull*"), {}, True),
    "the annotation where the flag does not": ((OTHER_ROLE,), {"team": {PERMITTED_ROLES: ROLE}}, True),
    "nothing": ((), {}, False),
    "another namespace's annotation": ((OTHER_ROLE,), {"other": {PERMITTED_ROLES: ROLE}}, False),
}


@cases("flag, annotations, permitted", PERMITTED)
async def test_a_role_is_permitted_by_flag_or_namespace_or_else_aws_is_not_asked(
    aws: LocalAws, flag: tuple[str, ...], annotations: dict[str, dict[str, str]], *, permitted: bool
) -> None:
    async with operator(Tenants(annotations=annotations), IdentityPolicy(permitted_roles=flag)) as issuer:
        if permitted:
            assert await issuer.issue(asking(CHAINED))
            return
        error = await refusal(issuer, asking(CHAINED))
    assert (type(error), error.reason) == (PermanentError, Reason.ROLE_NOT_PERMITTED)
    for words in (ROLE, "namespace team", "--permitted-roles", PERMITTED_ROLES, "cluster admin"):
        assert words in error.message
    assert not aws.calls


async def test_only_the_flag_permits_a_role_of_a_cluster_secret(aws: LocalAws) -> None:
    everywhere = Tenants(annotations={name: {PERMITTED_ROLES: ROLE} for name in ("", "team")})
    cluster = replace(CHAINED, namespace="")
    async with operator(everywhere, NOTHING) as issuer:
        error = await refusal(issuer, asking(cluster))
    assert (type(error), error.reason) == (PermanentError, Reason.ROLE_NOT_PERMITTED)
    assert "--permitted-roles does not cover it" in error.message
    assert not aws.calls
    async with operator(everywhere) as issuer:
        assert await issuer.issue(asking(cluster))


# The identity, whom the role trusts, the known keys, and words of the message.
Denial = tuple[Identity, dict[str, Trust], dict[str, str | None], tuple[str, ...]]
DENIED: dict[str, Denial] = {
    "a role": (
        CHAINED,
        {},
        {ACCESS_KEY: SECRET_KEY},
        ("the operator", ROLE, "trust policy", "permission policy", "external id"),
    ),
    "a ServiceAccount": (
        ACCOUNT,
        {ROLE: Trust(subjects=frozenset({"system:serviceaccount:other:ci"}))},
        {},
        (f"trust policy for {SUBJECT}", ROLE),
    ),
    "keys": (KEYS, {}, {}, ("Secret team/keys",)),
}


@cases("identity, trust, known, words", DENIED)
async def test_a_denial_names_whom_to_ask_and_what_to_allow(
    aws: LocalAws,
    identity: Identity,
    trust: dict[str, Trust],
    known: dict[str, str | None],
    words: tuple[str, ...],
) -> None:
    aws.services.trust, aws.keys.known = trust, known
    async with operator(Tenants(roles={"team/ci": ROLE})) as issuer:
        error = await refusal(issuer, asking(identity))
    assert error.reason is Reason.ACCESS_DENIED
    assert [each for each in words if each not in error.message] == []
    assert OTHER_KEY not in error.message


# service_account.


async def test_a_service_accounts_token_is_exchanged_for_its_annotations_role_or_role_arn(
    aws: LocalAws, environ: Environ
) -> None:
    environ(**NO_KEYS)
    aws.services.trust = {ROLE: Trust(subjects=frozenset({SUBJECT}))}
    for annotation, identity in ((ROLE, ACCOUNT), (OTHER_ROLE, ACCOUNT_WITH_ROLE)):
        async with operator(Tenants(roles={"team/ci": annotation}), NOTHING) as issuer:
            token = await issuer.issue(asking(identity))
        assert role_of(aws, token) == ROLE
    assert (aws.calls[0].operation, aws.calls[0].access_key) == (WEB, "")
    assert aws.calls[0].session == "ecr-secret-operator@team"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        pytest.param(None, "spec.role_arn", id="no annotation"),
        pytest.param("  ", "EKS Pod Identity", id="an empty annotation"),
        pytest.param("arn:aws:iam::*:role/x", "not a valid IAM role ARN", id="a wildcard"),
    ],
)
async def test_an_account_without_a_role_is_refused(
    aws: LocalAws, annotation: str | None, words: str
) -> None:
    async with operator(Tenants(roles={"team/ci": annotation})) as issuer:
        error = await refusal(issuer, asking(ACCOUNT))
    assert (type(error), error.reason) == (PermanentError, Reason.CREDENTIALS_MISSING)
    assert "ServiceAccount team/ci" in error.message
    assert words in error.message
    assert not aws.calls


async def test_an_account_is_refused_in_words_where_the_sdk_has_no_configuration(
    aws: LocalAws, environ: Environ
) -> None:
    environ(**NO_KEYS, AWS_PROFILE="absent")
    async with operator(Tenants(roles={"team/ci": ROLE})) as issuer:
        error = await refusal(issuer, asking(ACCOUNT))
    assert (type(error), error.reason) == (PermanentError, Reason.CREDENTIALS_MISSING)
    assert "configuration file or profile can't be read" in error.message
    assert not aws.calls


# aws_iam_secret.


async def test_a_secrets_keys_sign_or_assume_its_role_without_our_external_id(aws: LocalAws) -> None:
    policy = IdentityPolicy(external_id="the-cluster", session_tags=True)
    async with operator(policy=policy) as issuer:
        plain = await issuer.issue(asking(KEYS))
        token = await issuer.issue(asking(KEYS_WITH_ROLE))
    assert decode_token(plain.password).access_key == OTHER_KEY
    assert role_of(aws, token) == ROLE
    (assumed,) = aws.select(STS)
    assert (assumed.access_key, assumed.external_id, assumed.tags) == (OTHER_KEY, "", {})


# How often STS is asked, and for whom.


async def test_a_role_is_assumed_once_for_each_region_whatever_is_asked_how_often(aws: LocalAws) -> None:
    sources = [asking(CHAINED, region) for region in ("us-east-1", "eu-west-1", "us-east-2")]
    public = replace(sources[0], service="ecr-public")
    async with operator() as issuer:
        for _ in range(2):
            await asyncio.gather(*(issuer.issue(source) for source in [*sources, public]))
    assert (aws.count(STS), aws.count(ECR)) == (3, 8)


async def test_a_session_with_less_than_a_quarter_of_an_hour_left_is_renewed(aws: LocalAws) -> None:
    clock = FakeClock(datetime.now(UTC))
    async with operator(clock=clock) as issuer:
        for minutes, calls in ((0, 1), (44, 1), (2, 2)):
            clock.skip(60 * minutes)
            await issuer.issue(asking(CHAINED))
            assert aws.count(STS) == calls


@pytest.mark.parametrize("identity", [CHAINED, ACCOUNT])
async def test_an_expired_session_is_renewed_by_the_next_call_and_no_other(
    aws: LocalAws, identity: Identity
) -> None:
    async with operator(Tenants(roles={"team/ci": ROLE})) as issuer:
        for each in (identity, OTHERS):
            await issuer.issue(asking(each))
        changes = issuer.changes()
        aws.fail("ExpiredTokenException", times=1, operation=ECR)
        error = await refusal(issuer, asking(identity))
        assert (type(error), error.reason) == (TransientError, Reason.CREDENTIALS_EXPIRED)
        assert f"the session of {ROLE}" in error.message
        for each in (identity, OTHERS):
            await issuer.issue(asking(each))
        assert issuer.changes() == changes
    assert [call.session.split("@")[1] for call in aws.calls if call.session] == ["team", "other", "team"]


async def test_a_silent_sts_of_one_region_delays_no_other(aws: LocalAws) -> None:
    aws.hang(operation=STS, region="eu-west-1")
    async with operator() as issuer:
        stuck = asyncio.create_task(issuer.issue(asking(CHAINED)))
        await wait_for(lambda: aws.count(STS) == 1)
        assert await issuer.issue(asking(CHAINED, "us-east-2"))
        aws.release()
        assert await stuck


async def test_garbage_from_sts_is_reported_and_asked_for_again(aws: LocalAws) -> None:
    async with operator() as issuer:
        for body in ("html", "empty-object", "binary"):
            aws.garble(body, operation=STS, times=1)
            assert isinstance(await refusal(issuer, asking(CHAINED)), TransientError)
        assert await issuer.issue(asking(CHAINED))


async def test_other_keys_of_the_operators_mean_another_session(
    aws: LocalAws, config: Path, environ: Environ
) -> None:
    environ(**NO_KEYS)
    aws.keys.known = None
    async with operator() as issuer:
        for key in ("AKIAONE", "AKIATWO"):
            config.write_text(f"[default]\naws_access_key_id={key}\naws_secret_access_key={OTHER_SECRET}\n")
            await issuer.issue(asking(CHAINED))
    assert [call.access_key for call in aws.select(STS)] == ["AKIAONE", "AKIATWO"]


# The basis: a digest of what permits an identity, read afresh.


@pytest.fixture
def world() -> Tenants:
    """Namespaces with a permission, a ServiceAccount with a role, and keys."""
    annotations = {name: {PERMITTED_ROLES: ROLE} for name in ("team", "other")}
    return Tenants(annotations=annotations, roles={"team/ci": ROLE})


Change = Callable[[Tenants], object]


def make_again(what: str) -> Change:
    """Make an object anew, so that it has another uid."""
    return lambda world: world.remade.update([what])


def annotate(role: str) -> Change:
    return lambda world: world.roles.update({"team/ci": role})


def put_key(**keys: str) -> Change:
    return lambda world: world.secrets["team/keys"].update(keys)


CHANGES: dict[str, tuple[Identity, Change]] = {
    "the namespace is made again": (CHAINED, make_again("namespace team")),
    "the ServiceAccount is made again": (ACCOUNT, make_again("ServiceAccount team/ci")),
    "the ServiceAccount has another role": (ACCOUNT, annotate(OTHER_ROLE)),
    "it is made again under a role of the spec": (ACCOUNT_WITH_ROLE, make_again("ServiceAccount team/ci")),
    "the Secret is made again": (KEYS, make_again("Secret team/keys")),
    "the Secret has another key": (KEYS, put_key(aws_access_key_id=ACCESS_KEY)),
    "the Secret has another secret key": (KEYS, put_key(aws_secret_access_key=SECRET_KEY)),
    "the Secret has a session token": (KEYS_WITH_ROLE, put_key(aws_session_token="t")),  # noqa: S106 -- made up
}


@cases("identity, change", CHANGES)
async def test_the_basis_changes_with_what_permits_the_identity(
    aws: LocalAws, world: Tenants, identity: Identity, change: Change
) -> None:
    async with operator(world, NOTHING) as issuer:
        before = await issuer.basis(identity)
        assert before == await issuer.basis(identity)
        assert re.fullmatch("[0-9a-f]{32}", before)
        change(world)
        assert await issuer.basis(identity) != before
    assert not aws.calls


@pytest.mark.parametrize("identity", [CHAINED, ACCOUNT, ACCOUNT_WITH_ROLE, KEYS, OPERATOR])
async def test_a_token_bears_its_basis_which_is_read_once(
    aws: LocalAws, world: Tenants, identity: Identity
) -> None:
    async with operator(world, NOTHING) as issuer:
        token = await issuer.issue(asking(identity))
        read = [each for each in world.read if not each.startswith("token")]
        assert token.basis == await issuer.basis(identity)
    assert len(read) == (0 if identity == OPERATOR else 1)
    assert aws.count(ECR) == 1
    assert token.basis not in repr(token) or identity == OPERATOR


async def test_the_basis_of_the_operator_is_empty_that_of_the_flag_constant_and_all_differ_by_process(
    world: Tenants,
) -> None:
    async with operator(world) as issuer, operator() as another:
        assert await issuer.basis(OPERATOR) == ""
        assert await issuer.basis(CHAINED) == await issuer.basis(OTHERS) != ""
        assert not world.read
        assert await issuer.basis(KEYS) != await another.basis(KEYS)


MISSING = Reason.CREDENTIALS_MISSING
TAKEN_AWAY: dict[str, tuple[Identity, Change, Reason]] = {
    "the annotation": (CHAINED, lambda world: world.annotations.clear(), Reason.ROLE_NOT_PERMITTED),
    "the ServiceAccount under a role": (ACCOUNT_WITH_ROLE, lambda world: world.roles.clear(), MISSING),
    "the ServiceAccount's role": (ACCOUNT, annotate(""), MISSING),
    "the Secret": (KEYS, lambda world: world.secrets.clear(), MISSING),
    "a key in it": (KEYS, lambda world: world.secrets["team/keys"].pop("aws_access_key_id"), MISSING),
}


@cases("identity, take, reason", TAKEN_AWAY)
async def test_a_permission_taken_away_is_refused_by_basis_and_call_without_aws(
    aws: LocalAws, world: Tenants, identity: Identity, take: Change, reason: Reason
) -> None:
    async with operator(world, NOTHING) as issuer:
        await issuer.issue(asking(identity))
        asked = aws.count()
        take(world)
        for ask in (issuer.basis(identity), issuer.issue(asking(identity))):
            with pytest.raises(OperatorError) as caught:
                await ask
            assert caught.value.reason is reason
    assert aws.count() == asked


SESSIONS: dict[str, tuple[Identity, str, str]] = {
    "a role of the operator's": (CHAINED, "namespace team", STS),
    "a ServiceAccount": (ACCOUNT, "ServiceAccount team/ci", WEB),
    "a ServiceAccount with a role": (ACCOUNT_WITH_ROLE, "ServiceAccount team/ci", WEB),
    "a Secret with a role": (KEYS_WITH_ROLE, "Secret team/keys", STS),
}


@cases("identity, remade, operation", SESSIONS)
async def test_a_role_session_is_kept_until_its_basis_changes_or_it_is_released_and_no_others_with_it(
    aws: LocalAws, world: Tenants, identity: Identity, remade: str, operation: str
) -> None:
    async with operator(world, NOTHING) as issuer:

        async def sessions_after_two_rounds() -> int:
            for source in [asking(identity), asking(identity, "us-east-2"), asking(OTHERS)] * 2:
                await issuer.issue(source)
            return len([call for call in aws.calls if call.session.endswith("@team")])

        assert await sessions_after_two_rounds() == 2, "one for each region"
        world.remade.update([remade])
        assert await sessions_after_two_rounds() == 4
        issuer.release(identity)
        issuer.release(replace(identity, namespace="unknown"))
        assert await sessions_after_two_rounds() == 6
    assert len([call for call in aws.calls if call.session.endswith("@other")]) == 1
    assert {call.operation for call in aws.calls if call.session.endswith("@team")} == {operation}
