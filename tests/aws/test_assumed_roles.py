"""Identities per resource, over real HTTP: who may assume what, how often AWS is asked, and what is said."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.identity import Identity, IdentityPolicy
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import RegistryToken, TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.core.ports import SystemClock
from lab.aws import LocalAws, Trust, decode_token
from lab.waiting import wait_for
from tests.aws.conftest import ACCESS_KEY, OTHER_KEY, OTHER_SECRET
from tests.aws.tenants import Tenants

ROLE = "arn:aws:iam::210987654321:role/puller"
OTHER_ROLE = "arn:aws:iam::210987654321:role/admin"
ANNOTATION = "ecr.mobb.redhat.com/permitted-roles"
CHAINED = Identity(namespace="team", role_arn=ROLE)
ACCOUNT = Identity(source="service_account", namespace="team", name="ci")
KEYS = Identity(source="iam_secret", namespace="team", name="keys")
ANY_ROLE = IdentityPolicy(permitted_roles=("arn:aws:iam::*:role/*",))
WEB, STS, ECR = "AssumeRoleWithWebIdentity", "AssumeRole", "GetAuthorizationToken"

pytestmark = pytest.mark.usefixtures("user")


@dataclass
class JumpingClock(SystemClock):
    """A clock that can be put forward."""

    ahead: float = 0.0

    def monotonic(self) -> float:
        """The machine's time, put forward."""
        return super().monotonic() + self.ahead


def asking(identity: Identity, region: str = "eu-west-1") -> TokenSource:
    """Name what a resource asks for."""
    return TokenSource(identity=identity, region=region)


@asynccontextmanager
async def operator(
    tenants: Tenants | None = None, policy: IdentityPolicy = ANY_ROLE, clock: SystemClock | None = None
) -> AsyncIterator[EcrTokenIssuer]:
    """Make an issuer."""
    async with EcrTokenIssuer(clock, tenants or Tenants(), policy) as issuer:
        yield issuer


async def refusal(issuer: EcrTokenIssuer, source: TokenSource) -> OperatorError:
    """Ask for a token and return the error that comes in its place."""
    with pytest.raises(OperatorError) as caught:
        await issuer.issue(source)
    return caught.value


def role_of(aws: LocalAws, token: RegistryToken) -> str:
    """Tell as which role a token was got."""
    return aws.role_of(decode_token(token.password))


# role_arn from the operator's own identity.


async def test_a_permitted_role_is_assumed_with_the_operators_keys_in_the_region_asked_for(
    aws: LocalAws,
) -> None:
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


PERMITTED = {
    "the flag, to the letter": ((ROLE,), None),
    "a glob of the flag": (("arn:aws:iam::2*:role/pull*",), None),
    "the second of the flag": (("arn:aws:iam::1:role/x", ROLE), None),
    "the annotation": ((), ROLE),
    "a glob of the annotation among others": ((), f"{OTHER_ROLE},arn:aws:iam::210987654321:role/p?ller"),
    "an annotation on lines": ((), f"{OTHER_ROLE}\n  {ROLE}\n"),
    "the annotation where the flag does not": ((OTHER_ROLE,), ROLE),
}


@pytest.mark.parametrize(("flag", "annotation"), PERMITTED.values(), ids=PERMITTED)
async def test_a_role_is_permitted_by_the_flag_or_by_the_namespace(
    aws: LocalAws, flag: tuple[str, ...], annotation: str | None
) -> None:
    tenants = Tenants(annotations={"team": {ANNOTATION: annotation}} if annotation else {})
    async with operator(tenants, IdentityPolicy(permitted_roles=flag)) as issuer:
        assert role_of(aws, await issuer.issue(asking(CHAINED))) == ROLE


REFUSED = {
    "nothing is set": ((), {}),
    "another role": ((OTHER_ROLE,), {"team": {ANNOTATION: OTHER_ROLE}}),
    "another case": ((ROLE.upper(), ROLE.replace("puller", "Puller")), {}),
    "only the beginning": ((ROLE[:-1],), {}),
    "only a part": (("puller", "role/puller"), {}),
    "brackets are no set": (("arn:aws:iam::210987654321:role/[p]uller",), {}),
    "another partition": (("arn:aws-cn:iam::210987654321:role/*",), {}),
    "another account": (("arn:aws:iam::123456789012:role/*",), {}),
    "another namespace's annotation": ((), {"other": {ANNOTATION: ROLE}}),
    "another annotation": ((), {"team": {ANNOTATION.upper(): ROLE}}),
    "an empty annotation": ((), {"team": {ANNOTATION: " ,, "}}),
}


@pytest.mark.parametrize(("flag", "annotations"), REFUSED.values(), ids=REFUSED)
async def test_a_role_that_is_not_permitted_is_refused_and_aws_not_asked(
    aws: LocalAws, flag: tuple[str, ...], annotations: dict[str, dict[str, str]]
) -> None:
    async with operator(Tenants(annotations=annotations), IdentityPolicy(permitted_roles=flag)) as issuer:
        error = await refusal(issuer, asking(CHAINED))
    assert isinstance(error, PermanentError)
    assert error.reason is Reason.ROLE_NOT_PERMITTED
    for words in (ROLE, "namespace team", "--permitted-roles", ANNOTATION, "cluster admin"):
        assert words in error.message
    assert not aws.calls


async def test_a_permission_that_is_taken_away_counts_from_the_next_call_on(aws: LocalAws) -> None:
    tenants = Tenants(annotations={"team": {ANNOTATION: ROLE}})
    async with operator(tenants, IdentityPolicy()) as issuer:
        await issuer.issue(asking(CHAINED))
        tenants.annotations.clear()
        error = await refusal(issuer, asking(CHAINED))
    assert error.reason is Reason.ROLE_NOT_PERMITTED
    assert aws.count(ECR) == 1


async def test_a_role_that_does_not_trust_the_operator_is_told_with_both_policies(aws: LocalAws) -> None:
    aws.services.trust = {}
    async with operator() as issuer:
        error = await refusal(issuer, asking(CHAINED))
    assert error.reason is Reason.ACCESS_DENIED
    for words in ("the operator", ROLE, "trust policy", "permission policy", "external id"):
        assert words in error.message


async def test_a_role_without_rights_in_ecr_is_told_as_the_roles_permission_policy(aws: LocalAws) -> None:
    aws.fail("AccessDeniedException", operation=ECR)
    async with operator() as issuer:
        message = (await refusal(issuer, asking(CHAINED))).message
    assert ROLE in message
    assert "Allow ecr:GetAuthorizationToken on * for the role's permission policy" in message


# service_account.


async def test_a_service_accounts_token_is_exchanged_for_the_role_of_its_annotation(aws: LocalAws) -> None:
    aws.services.trust = {ROLE: Trust(subjects=frozenset({"system:serviceaccount:team:ci"}))}
    async with operator(Tenants(roles={"team/ci": ROLE}), IdentityPolicy()) as issuer:
        token = await issuer.issue(asking(ACCOUNT))
    assert role_of(aws, token) == ROLE
    assert (aws.calls[0].operation, aws.calls[0].access_key) == (WEB, "")
    assert aws.calls[0].session == "ecr-secret-operator@team"


async def test_role_arn_beats_the_annotation(aws: LocalAws) -> None:
    async with operator(Tenants(roles={"team/ci": OTHER_ROLE}), IdentityPolicy()) as issuer:
        token = await issuer.issue(asking(replace(ACCOUNT, role_arn=ROLE)))
    assert role_of(aws, token) == ROLE


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        pytest.param({}, "does not exist", id="no such ServiceAccount"),
        pytest.param({"team/ci": None}, "spec.role_arn", id="no annotation"),
        pytest.param({"team/ci": None}, "EKS Pod Identity", id="an association of EKS Pod Identity alone"),
        pytest.param({"team/ci": "  "}, "spec.role_arn", id="an empty annotation"),
        pytest.param({"team/ci": f"{ROLE} "}, "not a valid IAM role ARN", id="an annotation with a space"),
        pytest.param({"team/ci": "arn:aws:iam::*:role/x"}, "not a valid IAM role ARN", id="a wildcard"),
    ],
)
async def test_a_service_account_without_a_role_is_told_so(
    aws: LocalAws, roles: dict[str, str | None], words: str
) -> None:
    async with operator(Tenants(roles=roles)) as issuer:
        error = await refusal(issuer, asking(ACCOUNT))
    assert (type(error), error.reason) == (PermanentError, Reason.CREDENTIALS_MISSING)
    assert "ServiceAccount team/ci" in error.message
    assert words in error.message
    assert not aws.calls


async def test_a_role_that_does_not_trust_the_service_account_is_told_with_its_subject(aws: LocalAws) -> None:
    aws.services.trust = {ROLE: Trust(subjects=frozenset({"system:serviceaccount:other:ci"}))}
    async with operator(Tenants(roles={"team/ci": ROLE})) as issuer:
        error = await refusal(issuer, asking(ACCOUNT))
    assert error.reason is Reason.ACCESS_DENIED
    assert "trust policy for system:serviceaccount:team:ci" in error.message
    assert ROLE in error.message


async def test_a_service_account_needs_nothing_of_the_operators(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    async with operator(Tenants(roles={"team/ci": ROLE})) as issuer:
        assert role_of(aws, await issuer.issue(asking(ACCOUNT))) == ROLE


# aws_iam_secret.


async def test_the_keys_of_a_secret_sign_the_call(aws: LocalAws) -> None:
    async with operator() as issuer:
        token = await issuer.issue(asking(KEYS))
    assert decode_token(token.password).access_key == OTHER_KEY
    assert aws.count() == 1


async def test_with_a_role_the_secrets_keys_assume_it_and_never_bring_the_operators_external_id(
    aws: LocalAws,
) -> None:
    policy = IdentityPolicy(external_id="the-cluster", session_tags=True)
    async with operator(policy=policy) as issuer:
        token = await issuer.issue(asking(replace(KEYS, role_arn=ROLE)))
    assert role_of(aws, token) == ROLE
    assert (aws.calls[0].access_key, aws.calls[0].external_id) == (OTHER_KEY, "")


async def test_other_keys_in_the_secret_count_from_the_next_call_on(aws: LocalAws) -> None:
    aws.keys.known = None
    tenants = Tenants()
    async with operator(tenants) as issuer:
        for key in ("AKIAONE", "AKIATWO"):
            tenants.secrets["team/keys"]["aws_access_key_id"] = key
            for identity in (KEYS, replace(KEYS, role_arn=ROLE)):
                await issuer.issue(asking(identity))
    assert [call.access_key for call in aws.select(STS)] == ["AKIAONE", "AKIATWO"]


async def test_keys_that_aws_does_not_know_are_told_with_the_secret(aws: LocalAws) -> None:
    aws.keys.known = {}
    async with operator() as issuer:
        error = await refusal(issuer, asking(KEYS))
    assert error.reason is Reason.ACCESS_DENIED
    assert "Secret team/keys" in error.message
    assert OTHER_KEY not in error.message


# How often AWS is asked, and for whom.


async def test_a_role_is_assumed_once_for_each_region_whatever_is_asked_how_often(aws: LocalAws) -> None:
    sources = [asking(CHAINED, region) for region in ("us-east-1", "eu-west-1", "eu-west-2", "us-east-2")]
    public = replace(sources[0], service="ecr-public")
    async with operator() as issuer:
        for _ in range(2):
            await asyncio.gather(*(issuer.issue(source) for source in [*sources, public]))
    assert (aws.count(STS), aws.count(ECR)) == (4, 10)


async def test_keys_with_less_than_a_quarter_of_an_hour_left_are_made_anew(aws: LocalAws) -> None:
    clock = JumpingClock()
    async with operator(clock=clock) as issuer:
        for ahead, calls in ((0, 1), (44 * 60, 1), (46 * 60, 2)):
            clock.ahead = ahead
            await issuer.issue(asking(CHAINED))
            assert aws.count(STS) == calls


async def test_keys_that_aws_finds_expired_are_made_anew_by_the_next_call(aws: LocalAws) -> None:
    async with operator(Tenants(roles={"team/ci": ROLE})) as issuer:
        for identity in (CHAINED, ACCOUNT):
            await issuer.issue(asking(identity))
            aws.keys.revoke_temporary()
            error = await refusal(issuer, asking(identity))
            assert isinstance(error, TransientError)
            assert error.reason is Reason.CREDENTIALS_EXPIRED
            assert f"the session of {ROLE}" in error.message
            assert await issuer.issue(asking(identity))


async def test_one_identitys_expired_session_leaves_the_operators_and_the_others_alone(aws: LocalAws) -> None:
    other = replace(CHAINED, namespace="other")
    async with operator() as issuer:
        for identity in (CHAINED, other):
            await issuer.issue(asking(identity))
        changes = issuer.changes()
        aws.fail("ExpiredTokenException", times=1, operation=ECR)
        await refusal(issuer, asking(CHAINED))
        for identity in (CHAINED, other):
            await issuer.issue(asking(identity))
        assert issuer.changes() == changes
    assert [call.session for call in aws.select(STS)] == [
        "ecr-secret-operator@team",
        "ecr-secret-operator@other",
        "ecr-secret-operator@team",
    ]


async def test_the_same_role_in_two_namespaces_is_assumed_for_each(aws: LocalAws) -> None:
    async with operator() as issuer:
        tokens = await asyncio.gather(
            *(issuer.issue(asking(replace(CHAINED, namespace=name))) for name in ("team", "other"))
        )
    assert len({decode_token(token.password).access_key for token in tokens}) == 2
    assert {call.session for call in aws.select(STS)} == {
        "ecr-secret-operator@team",
        "ecr-secret-operator@other",
    }


async def test_fifty_identities_at_once_never_get_each_others_token(aws: LocalAws) -> None:
    roles = [f"{ROLE}-{number}" for number in range(50)]
    async with operator() as issuer:
        tokens = await asyncio.gather(
            *(issuer.issue(asking(replace(CHAINED, role_arn=role))) for role in roles)
        )
    assert [role_of(aws, token) for token in tokens] == roles


async def test_an_sts_that_is_silent_for_one_region_holds_no_other_up(aws: LocalAws) -> None:
    aws.hang(operation=STS, region="eu-west-1")
    async with operator() as issuer:
        stuck = asyncio.create_task(issuer.issue(asking(CHAINED)))
        await wait_for(lambda: aws.count(STS) == 1)
        assert await issuer.issue(asking(CHAINED, "us-east-2"))
        aws.release()
        assert await stuck


@pytest.mark.parametrize("body", ["text", "html", "empty", "empty-object", "binary"])
async def test_garbage_from_sts_is_named_as_such_and_asked_for_again(aws: LocalAws, body: str) -> None:
    aws.garble(body, operation=STS, times=1)
    async with operator() as issuer:
        error = await refusal(issuer, asking(CHAINED))
        assert isinstance(error, TransientError)
        assert await issuer.issue(asking(CHAINED))


async def test_other_keys_of_the_operators_mean_another_session(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    file = f"{tmp_path}/credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", file)
    aws.keys.known = None
    async with operator() as issuer:
        for key in ("AKIAONE", "AKIATWO"):
            with open(file, "w") as config:  # noqa: PTH123, ASYNC230 -- a small file
                config.write(f"[default]\naws_access_key_id={key}\naws_secret_access_key={OTHER_SECRET}\n")
            await issuer.issue(asking(CHAINED))
    assert [call.access_key for call in aws.select(STS)] == ["AKIAONE", "AKIATWO"]
