"""One call per source, one stream of retries."""

# ruff: noqa: S311 - a seed that tests can repeat

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.identity import OPERATOR, Identity
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.token import RegistryToken, TokenSource
from ecr_operator.core.flow_control import DropLimit
from ecr_operator.core.state import ResourceState
from ecr_operator.core.tokens import RateLimited, TokenCache, TokenFailure
from tests.builders import HOUR, IRELAND, NOW, OHIO, permanent, resource, transient
from tests.fakes import FakeClock, FakeIssuer, settle


def key(number: int = 0) -> ResourceKey:
    return ResourceKey(kind="Secret", namespace="team", name=f"r{number}")


class Till:
    """A cache, its AWS, and a note of who was told that a call was over."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.aws = FakeIssuer(self.clock)
        self.landed: list[list[ResourceKey]] = []
        self.cache = TokenCache(
            self.aws,
            self.clock,
            self.aws.basis,
            lambda keys: self.landed.append(list(keys)),
            random.Random(7),
        )
        self._users: dict[int, ResourceState] = {}

    def user(self, number: int = 0) -> ResourceState:
        """Return the record of a resource."""
        return self._users.setdefault(number, ResourceState(resource(name=f"r{number}")))

    def ask(
        self,
        source: TokenSource = OHIO,
        number: int = 0,
        *,
        lives: timedelta | None = None,
        good: bool = True,
        basis: str = "",
    ) -> RegistryToken | TokenFailure | RateLimited | None:
        """Ask for a token, as the owner of one that is alive for so long."""
        expires_at = None if lives is None else NOW + lives
        return self.cache.get(source, self.user(number), basis, expires_at, lambda _: good)

    async def fail(self, source: TokenSource = OHIO, *, lives: timedelta | None = None) -> TokenFailure:
        """Ask in vain and return the failure that is remembered."""
        assert self.ask(source, lives=lives) is None
        await settle()
        failure = self.ask(source)
        assert isinstance(failure, TokenFailure)
        return failure


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    """An empty cache."""
    made = Till()
    yield made
    await made.cache.close()


async def test_a_hundred_askers_share_one_call_and_all_are_told(till: Till) -> None:
    assert [till.ask(number=number) for number in range(100)] == [None] * 100
    await settle()
    assert till.aws.asked == [OHIO]
    assert till.landed == [[key(number) for number in range(100)]]
    answers = {till.ask(number=number).password for number in range(100)}  # type: ignore[union-attr]
    assert answers == {"token-1"}


async def test_who_asks_twice_is_told_once(till: Till) -> None:
    till.ask()
    till.ask()
    await settle()
    assert till.landed == [[key()]]


async def test_a_cached_token_costs_no_call(till: Till) -> None:
    till.ask()
    await settle()
    assert till.ask(IRELAND) is None
    assert isinstance(till.ask(), RegistryToken)
    await settle()
    assert till.aws.asked == [OHIO, IRELAND]


async def test_a_token_that_will_not_do_is_renewed_and_meanwhile_serves_who_takes_it(till: Till) -> None:
    till.ask()
    await till.clock.advance(300)
    assert till.ask(number=1, good=False) is None
    assert isinstance(till.ask(number=2), RegistryToken)
    await settle()
    assert len(till.aws.asked) == 2
    assert till.landed[1] == [key(1)]


async def test_a_source_that_hangs_slows_no_other(till: Till) -> None:
    till.aws.hold()
    till.ask(OHIO)
    await till.clock.advance(30)
    assert till.ask(IRELAND) is None
    till.aws.answer()
    await settle()
    assert isinstance(till.ask(IRELAND), RegistryToken)
    assert till.aws.asked == [OHIO, IRELAND]


async def test_a_failure_is_remembered_until_its_retry(till: Till) -> None:
    till.aws.failing["us-east-2"] = permanent()
    failure = await till.fail()
    assert failure.error.reason is Reason.ACCESS_DENIED
    await till.clock.advance(failure.retry_at - till.clock.monotonic() - 0.01)
    assert till.ask(number=5) == failure
    await till.clock.advance(0.02)
    assert till.ask() is None
    await settle()
    assert len(till.aws.asked) == 2


async def test_a_failing_source_slows_no_other(till: Till) -> None:
    till.aws.failing["us-east-2"] = transient()
    await till.fail()
    till.ask(IRELAND)
    await settle()
    assert isinstance(till.ask(IRELAND), RegistryToken)


async def test_a_repair_is_served_while_the_source_fails(till: Till) -> None:
    till.ask()
    await till.clock.advance(300)
    till.aws.failing["us-east-2"] = transient()
    assert till.ask(good=False) is None
    await settle()
    assert isinstance(till.ask(good=False), TokenFailure)
    assert isinstance(till.ask(), RegistryToken)


async def test_failures_come_a_second_apart_at_least_whatever_asks(till: Till) -> None:
    till.aws.failing["us-east-2"] = transient()
    for _ in range(300):
        till.ask(lives=timedelta(seconds=1) + (till.clock.now() - NOW))
        await till.clock.advance(0.1)
    assert 20 <= len(till.aws.asked) <= 30


async def test_after_a_success_aws_is_left_alone_for_five_minutes_whatever_asks(till: Till) -> None:
    for _ in range(60):
        till.ask(good=False)
        await till.clock.advance(10)
    assert len(till.aws.asked) == 2
    found = till.ask(good=False)
    assert isinstance(found, RateLimited | type(None))


async def test_who_asks_too_soon_is_told_when_to_come_back(till: Till) -> None:
    till.ask()
    await till.clock.advance(100)
    assert till.ask(good=False) == RateLimited(retry_at=till.clock.monotonic() + 200)


async def test_a_step_of_the_wall_clock_can_not_hurry_aws(till: Till) -> None:
    till.ask()
    await settle()
    till.clock.step_wall(6 * HOUR)
    assert isinstance(till.ask(good=False), RateLimited)


async def test_a_dead_token_is_replaced_at_once(till: Till) -> None:
    till.aws.life = timedelta(seconds=1)
    till.ask()
    await till.clock.advance(1)
    assert till.ask(good=False) is None


async def test_with_new_credentials_tokens_and_failures_are_forgotten_and_the_refused_come_again(
    till: Till,
) -> None:
    till.aws.failing["us-east-2"] = permanent()
    await till.fail()
    till.ask(IRELAND)
    await settle()
    till.landed.clear()
    till.aws.failing.clear()
    till.cache.drop_operator()
    assert sorted(till.landed) == [[], [key()]]
    await till.clock.advance(1.25)
    assert (till.ask(OHIO), till.ask(IRELAND)) == (None, None)


async def test_retries_get_denser_when_the_token_of_any_asker_is_about_to_die(till: Till) -> None:
    till.aws.failing["us-east-2"] = permanent()
    till.ask(number=1, lives=12 * HOUR)
    till.ask(number=2, lives=timedelta(seconds=24))
    till.ask(number=3, lives=-HOUR)
    failure = await till.fail()
    assert failure.retry_at - till.clock.monotonic() == 3


@pytest.mark.parametrize(
    ("lives", "least", "most"),
    [
        pytest.param(12 * HOUR, 300, 1800, id="minutes while the token lives"),
        pytest.param(None, 5, 300, id="seconds at first where none lives"),
        pytest.param(-HOUR, 5, 300, id="a dead one counts as none"),
    ],
)
async def test_what_a_person_mends_is_asked_slowly(
    till: Till, lives: timedelta | None, least: float, most: float
) -> None:
    till.aws.failing["us-east-2"] = permanent()
    failure = await till.fail(lives=lives)
    assert least <= failure.retry_at - till.clock.monotonic() <= most


async def test_a_success_ends_the_backoff(till: Till) -> None:
    till.aws.failing["us-east-2"] = transient()
    for _ in range(10):
        failure = await till.fail()
        await till.clock.advance(failure.retry_at - till.clock.monotonic())
    del till.aws.failing["us-east-2"]
    till.ask()
    await till.clock.advance(300)
    till.aws.failing["us-east-2"] = transient()
    assert till.ask(good=False) is None
    await settle()
    after = till.ask(good=False)
    assert isinstance(after, TokenFailure)
    assert after.retry_at - till.clock.monotonic() <= 2


async def test_what_nobody_foresaw_is_a_failure_like_others_and_says_its_type_only(till: Till) -> None:
    till.aws.failing["us-east-2"] = RuntimeError("AWS:hunter2")
    failure = await till.fail()
    assert failure.error.reason is Reason.AWS_UNAVAILABLE
    assert "RuntimeError" in failure.error.message
    assert "hunter2" not in failure.error.message
    assert failure.retry_at > till.clock.monotonic()


async def test_closing_cancels_what_is_under_way_and_tells_nobody(till: Till) -> None:
    till.aws.hold()
    till.ask(OHIO)
    till.ask(IRELAND)
    await settle()
    await till.cache.close()
    assert till.landed == []


async def test_who_insists_shortens_the_pause_after_a_failure_to_the_rate_bound(till: Till) -> None:
    till.aws.failing[OHIO.region] = permanent()
    failure = await till.fail()
    till.cache.reset_backoff(OHIO)
    again = till.ask()
    assert isinstance(again, TokenFailure)
    assert again.retry_at == failure.failed_at + 1.0
    till.cache.reset_backoff(IRELAND)
    await till.clock.advance(1)
    assert till.ask() is None


async def test_insisting_does_not_shorten_what_aws_asked_for(till: Till) -> None:
    till.aws.failing[OHIO.region] = transient(retry_after=40.0)
    failure = await till.fail()
    till.cache.reset_backoff(OHIO)
    assert till.ask() == failure


async def test_who_is_gone_is_not_named_when_a_source_recovers(till: Till) -> None:
    till.aws.failing[OHIO.region] = transient()
    failure = await till.fail()
    till.ask(number=7)
    till.ask(number=8)
    till.cache.release(till.user(7))
    del till.aws.failing[OHIO.region]
    await till.clock.advance(failure.retry_at - till.clock.monotonic())
    till.ask()
    await settle()
    assert (key(7) in till.landed[-1], key(8) in till.landed[-1]) == (False, True)


# --- what a token rests on ---------------------------------------------------------------------------------

ROLE = Identity(namespace="team", role_arn="arn:aws:iam::123456789012:role/puller")
OF_ROLE = TokenSource(region="us-east-2", identity=ROLE)


async def fetch(till: Till, source: TokenSource = OF_ROLE, *, basis: str = "before", number: int = 0) -> None:
    """Have a token fetched on a basis."""
    till.aws.bases[source.identity] = basis
    assert till.ask(source, number, basis=basis) is None
    await settle()


async def test_a_cached_token_is_handed_out_on_its_own_basis_only(till: Till) -> None:
    await fetch(till)
    assert isinstance(till.ask(OF_ROLE, 1, basis="before"), RegistryToken)
    assert isinstance(till.ask(OF_ROLE, 1, basis="after"), RateLimited)
    await till.clock.advance(1.25)
    await fetch(till, basis="after", number=1)
    assert len(till.aws.asked) == 2
    assert isinstance(till.ask(OF_ROLE, basis="after"), RegistryToken)


async def test_a_token_fetched_on_another_basis_than_was_asked_for_is_not_handed_out(till: Till) -> None:
    till.aws.bases[ROLE] = "changed meanwhile"
    till.ask(OF_ROLE, basis="before")
    await settle()
    assert isinstance(till.ask(OF_ROLE, basis="before"), RateLimited)


async def test_an_identity_that_nothing_permits_loses_its_tokens(till: Till) -> None:
    await fetch(till)
    till.aws.bases[ROLE] = permanent(Reason.ROLE_NOT_PERMITTED)
    with pytest.raises(PermanentError):
        await till.cache.basis(ROLE)
    assert isinstance(till.ask(OF_ROLE, 1, basis="before"), RateLimited)


async def test_the_operators_own_identity_needs_no_read(till: Till) -> None:
    assert await till.cache.basis(OPERATOR) == ""
    assert till.aws.read == []


async def test_a_token_of_a_namespace_goes_with_the_last_resource_that_uses_it(till: Till) -> None:
    await fetch(till)
    till.ask(OF_ROLE, 1, basis="before")
    till.cache.release(till.user(0))
    assert isinstance(till.ask(OF_ROLE, 1, basis="before"), RegistryToken)
    till.cache.release(till.user(1))
    assert till.aws.released == [ROLE]
    await till.clock.advance(1.25)
    assert till.ask(OF_ROLE, 2, basis="before") is None


async def test_a_token_of_the_operators_own_identity_outlasts_the_resources(till: Till) -> None:
    till.ask()
    await settle()
    till.cache.release(till.user())
    assert isinstance(till.ask(number=1), RegistryToken)


async def test_a_call_under_way_is_of_no_account_once_its_last_user_has_gone(till: Till) -> None:
    till.aws.hold()
    till.ask(OF_ROLE, basis="before")
    await settle()
    till.cache.release(till.user())
    till.aws.answer()
    await till.clock.advance(1.25)
    assert till.landed == []
    assert till.ask(OF_ROLE, 1, basis="before") is None
    await settle()
    assert till.landed == [[key(1)]]
    assert len(till.aws.asked) == 2


async def test_a_call_that_is_withdrawn_before_it_began_leaves_its_place(till: Till) -> None:
    till.ask(OF_ROLE, basis="")
    till.cache.release(till.user())
    till.ask(OF_ROLE, 1, basis="")
    await till.clock.advance(2)
    till.ask(OF_ROLE, 1, basis="")
    await till.clock.advance(2)
    assert isinstance(till.ask(OF_ROLE, 1, basis=""), RegistryToken)


@pytest.mark.parametrize("failing", [False, True])
async def test_dropping_it_again_and_again_asks_once_a_second_and_ten_times_in_five_minutes(
    till: Till, *, failing: bool
) -> None:
    if failing:
        till.aws.failing[OF_ROLE.region] = permanent()
    for number in range(3000):
        till.ask(OF_ROLE, number, basis="")
        await till.clock.advance(0.1)
        till.cache.release(till.user(number))
        if number == 80:
            assert len(till.aws.asked) <= 9
    assert len(till.aws.asked) <= 11


async def test_asking_while_a_cancelled_call_is_not_over_yet_makes_no_more_calls(till: Till) -> None:
    till.aws.hold()
    for number in range(50):
        till.ask(OF_ROLE, number, basis="")
        await settle()
        till.cache.release(till.user(number))
        # The call was cancelled, and is over with the loop's next turn.
        assert not isinstance(till.ask(OF_ROLE, number + 1, basis=""), RegistryToken)
        await till.clock.advance(0.1)
    assert 2 <= len(till.aws.asked) <= 5
    assert [key(1)] in till.landed, "who asked meanwhile is told to ask again"


def test_the_bound_after_a_drop_ends_though_calls_go_on() -> None:
    bounds = DropLimit()
    bounds.dropped(OF_ROLE, 1000.0, 999.0, 300.0)
    for number in range(30):
        bounds.called(OF_ROLE, 1000.0 + 10 * number)
    assert bounds.soonest(OF_ROLE, 1299.0) == 1590.0
    assert bounds.soonest(OF_ROLE, 1300.0) == 0.0


def test_one_that_is_still_called_does_not_keep_those_dropped_after_it() -> None:
    bounds = DropLimit()
    for number, source in enumerate((OHIO, IRELAND)):
        bounds.dropped(source, 1000.0 + number, 999.0, None)
    bounds.called(OHIO, 1400.0)
    bounds.dropped(OF_ROLE, 1401.5, 1401.0, None)
    assert len(bounds) == 1


async def test_many_askers_share_one_read_of_what_permits_an_identity(till: Till) -> None:
    till.aws.bases[ROLE] = "b"
    assert await asyncio.gather(*(till.cache.basis(ROLE) for _ in range(50))) == ["b"] * 50
    assert till.aws.read == [ROLE]


async def test_a_region_that_may_not_be_asked_fails_without_a_call(till: Till) -> None:
    till.aws.refused_regions.add("made-up-1")
    found = till.ask(TokenSource(region="made-up-1"))
    assert isinstance(found, TokenFailure)
    assert found.error.reason is Reason.INVALID_SPEC
    assert till.aws.asked == []


async def test_a_call_without_an_answer_stands_in_the_way_of_no_other_login(till: Till) -> None:
    till.aws.hold()
    assert till.ask() is None
    await till.clock.advance(2)
    found = till.ask()
    assert isinstance(found, TokenFailure)
    assert found.unanswered
    till.aws.answer()
    await settle()
    assert till.landed == [[key()]]


async def test_at_the_end_of_a_term_calls_that_wait_are_not_started(till: Till) -> None:
    till.aws.hold()
    sources = [TokenSource(region=f"made-up-{number}") for number in range(60)]
    till.aws.unlisted = {source.region for source in sources}
    for source in sources:
        till.ask(source)
    await settle()
    started = len(till.aws.asked)
    assert started < len(sources)
    till.cache.end_term()
    till.aws.answer()
    await till.clock.advance(10)
    assert len(till.aws.asked) == started
