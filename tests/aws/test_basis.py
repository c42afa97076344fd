"""The basis of a token: a digest of what permits its identity, read afresh, and what is made on another."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_operator.api.errors import OperatorError
from ecr_operator.api.identity import OPERATOR, Identity, IdentityPolicy
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.core.ports import SystemClock
from lab.aws import LocalAws
from tests.aws.conftest import ACCESS_KEY, OTHER_SECRET, SECRET_KEY
from tests.aws.tenants import Tenants

ROLE = "arn:aws:iam::210987654321:role/puller"
OTHER_ROLE = "arn:aws:iam::210987654321:role/admin"
ANNOTATION = "ecr.mobb.redhat.com/permitted-roles"
CHAINED = Identity(namespace="team", role_arn=ROLE)
ACCOUNT = Identity(source="service_account", namespace="team", name="ci")
KEYS = Identity(source="iam_secret", namespace="team", name="keys")
STS, WEB = "AssumeRole", "AssumeRoleWithWebIdentity"

pytestmark = pytest.mark.usefixtures("user")


def tenants() -> Tenants:
    """A namespace with a permission, a ServiceAccount with a role, and keys."""
    return Tenants(annotations={"team": {ANNOTATION: ROLE}}, roles={"team/ci": ROLE})


def operator(tenants: Tenants, *permitted: str) -> EcrTokenIssuer:
    """Make an issuer."""
    return EcrTokenIssuer(SystemClock(), tenants, IdentityPolicy(permitted_roles=permitted))


def asking(identity: Identity, region: str = "eu-west-1") -> TokenSource:
    """Name what a resource asks for."""
    return TokenSource(identity=identity, region=region)


def set_role(world: Tenants, role: str) -> None:
    """Annotate the ServiceAccount with another role."""
    world.roles["team/ci"] = role


CHANGES: dict[str, tuple[Identity, Callable[[Tenants], object]]] = {
    "the namespace is made anew": (CHAINED, lambda world: world.remade.update(["namespace team"])),
    "the ServiceAccount is made anew": (
        ACCOUNT,
        lambda world: world.remade.update(["ServiceAccount team/ci"]),
    ),
    "the ServiceAccount has another role": (ACCOUNT, lambda world: set_role(world, OTHER_ROLE)),
    "it is made anew under a role of the spec": (
        replace(ACCOUNT, role_arn=ROLE),
        lambda world: world.remade.update(["ServiceAccount team/ci"]),
    ),
    "the Secret is made anew": (KEYS, lambda world: world.remade.update(["Secret team/keys"])),
    "the Secret has another key": (
        KEYS,
        lambda world: world.secrets["team/keys"].update(aws_access_key_id=ACCESS_KEY),
    ),
    "the Secret has another secret key": (
        KEYS,
        lambda world: world.secrets["team/keys"].update(aws_secret_access_key=SECRET_KEY),
    ),
    "the Secret has a session token": (
        replace(KEYS, role_arn=ROLE),
        lambda world: world.secrets["team/keys"].update(aws_session_token="t"),  # noqa: S106 -- made up
    ),
}


@pytest.mark.parametrize(("identity", "change"), CHANGES.values(), ids=CHANGES)
async def test_the_basis_is_another_after_a_change_and_the_same_without_one(
    aws: LocalAws, identity: Identity, change: Callable[[Tenants], object]
) -> None:
    world = tenants()
    async with operator(world) as issuer:
        before = await issuer.basis(identity)
        assert before == await issuer.basis(identity)
        assert re.fullmatch("[0-9a-f]{32}", before)
        change(world)
        assert await issuer.basis(identity) != before
    assert not aws.calls


@pytest.mark.parametrize("identity", [CHAINED, ACCOUNT, replace(ACCOUNT, role_arn=ROLE), KEYS, OPERATOR])
async def test_a_token_bears_the_basis_of_the_call_that_got_it_and_it_is_read_once(
    aws: LocalAws, identity: Identity
) -> None:
    world = tenants()
    async with operator(world) as issuer:
        token = await issuer.issue(asking(identity))
        read = [each for each in world.read if not each.startswith("token")]
        assert token.basis == await issuer.basis(identity)
    assert len(read) == (0 if identity == OPERATOR else 1)
    assert aws.count("GetAuthorizationToken") == 1
    assert token.basis not in repr(token) or identity == OPERATOR


async def test_the_operators_own_identity_has_an_empty_basis_and_a_role_of_the_flag_a_constant_one() -> None:
    world = tenants()
    async with operator(world, ROLE) as issuer:
        assert await issuer.basis(OPERATOR) == ""
        assert await issuer.basis(CHAINED) == await issuer.basis(replace(CHAINED, namespace="other")) != ""
    assert not world.read


async def test_another_process_has_other_digests() -> None:
    async with operator(tenants()) as one, operator(tenants()) as two:
        assert await one.basis(KEYS) != await two.basis(KEYS)


TAKEN_AWAY: dict[str, tuple[Identity, Callable[[Tenants], object], Reason]] = {
    "the annotation": (CHAINED, lambda world: world.annotations.clear(), Reason.ROLE_NOT_PERMITTED),
    "the ServiceAccount": (ACCOUNT, lambda world: world.roles.clear(), Reason.CREDENTIALS_MISSING),
    "the ServiceAccount under a role of the spec": (
        replace(ACCOUNT, role_arn=ROLE),
        lambda world: world.roles.clear(),
        Reason.CREDENTIALS_MISSING,
    ),
    "its role": (ACCOUNT, lambda world: set_role(world, ""), Reason.CREDENTIALS_MISSING),
    "the Secret": (KEYS, lambda world: world.secrets.clear(), Reason.CREDENTIALS_MISSING),
    "a key in it": (
        KEYS,
        lambda world: world.secrets["team/keys"].pop("aws_access_key_id"),
        Reason.CREDENTIALS_MISSING,
    ),
}


@pytest.mark.parametrize(("identity", "take", "reason"), TAKEN_AWAY.values(), ids=TAKEN_AWAY)
async def test_what_is_taken_away_is_refused_by_basis_and_call_alike_without_aws(
    aws: LocalAws, identity: Identity, take: Callable[[Tenants], object], reason: Reason
) -> None:
    world = tenants()
    async with operator(world) as issuer:
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
    "a ServiceAccount with a role": (replace(ACCOUNT, role_arn=ROLE), "ServiceAccount team/ci", WEB),
    "a Secret with a role": (replace(KEYS, role_arn=ROLE), "Secret team/keys", STS),
}


@pytest.mark.parametrize(("identity", "remade", "operation"), SESSIONS.values(), ids=SESSIONS)
async def test_a_role_session_is_used_on_its_own_basis_only(
    aws: LocalAws, identity: Identity, remade: str, operation: str
) -> None:
    world = tenants()
    async with operator(world) as issuer:
        for calls in (1, 1):
            await issuer.issue(asking(identity))
            assert aws.count(operation) == calls
        world.remade.update([remade])
        for _ in range(2):
            await issuer.issue(asking(identity))
            assert aws.count(operation) == 2


@pytest.mark.parametrize(("identity", "_remade", "operation"), SESSIONS.values(), ids=SESSIONS)
async def test_released_sessions_are_made_anew_in_all_regions_and_no_other_identitys(
    aws: LocalAws, identity: Identity, _remade: str, operation: str
) -> None:
    other = replace(CHAINED, namespace="other")
    world = tenants()
    world.annotations["other"] = {ANNOTATION: ROLE}
    sources = [asking(identity), asking(identity, "us-east-2")]
    async with operator(world) as issuer:
        for source in (*sources, asking(other)):
            await issuer.issue(source)
        issuer.release(identity)
        issuer.release(replace(identity, namespace="unknown"))
        asked = aws.count()
        await issuer.issue(asking(other))
        assert aws.count() == asked + 1
        for source in sources:
            await issuer.issue(source)
    sessions = [call for call in aws.select(operation) if call.session.endswith("@team")]
    assert len(sessions) == 2 * len(sources)


async def refused(issuer: EcrTokenIssuer, identity: Identity) -> OperatorError | None:
    """Ask for a basis and return the error that comes in its place, if one does."""
    try:
        assert len(await issuer.basis(identity)) == 32
    except OperatorError as error:
        failure = error
    else:
        return None
    assert failure.message.isprintable()
    assert len(failure.message) < 500
    return failure


@given(st.dictionaries(st.sampled_from(["aws_access_key_id", "aws_secret_access_key"]), st.text()))
async def test_no_contents_of_a_secret_are_an_unexpected_error(data: dict[str, str]) -> None:
    world = Tenants(secrets={"team/keys": {"aws_secret_access_key": OTHER_SECRET, **data}})
    async with operator(world) as issuer:
        error = await refused(issuer, KEYS)
        assert error is None or error.reason is Reason.CREDENTIALS_MISSING


@given(st.text(max_size=600), st.text(max_size=600))
async def test_no_annotation_is_an_unexpected_error(role: str, permitted: str) -> None:
    world = Tenants(annotations={"team": {ANNOTATION: permitted}}, roles={"team/ci": role})
    async with operator(world) as issuer:
        for identity in (ACCOUNT, CHAINED):
            await refused(issuer, identity)


async def test_a_permission_that_is_too_long_covers_no_role_by_where_it_is_cut() -> None:
    cut = f"{'x' * (8192 - len(ROLE) - 1)} {ROLE}-and-more"
    world = Tenants(annotations={"team": {ANNOTATION: cut}})
    async with operator(world) as issuer:
        with pytest.raises(OperatorError) as caught:
            await issuer.basis(CHAINED)
        world.annotations["team"] = {ANNOTATION: f"{ROLE} {'x' * 9000}"}
        assert await issuer.basis(CHAINED)
    assert caught.value.reason is Reason.ROLE_NOT_PERMITTED
