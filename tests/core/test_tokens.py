"""TokenCache: one call per source, one series of retries, and a token only on its own basis."""

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
from ecr_operator.core.state import ResourceState
from ecr_operator.core.token_state import RateLimited, TokenFailure
from ecr_operator.core.tokens import TokenCache
from tests.builders import HOUR, IRELAND, NOW, OHIO, permanent, resource, transient
from tests.fakes import FakeClock, FakeIssuer, settle


def key(number: int = 0) -> ResourceKey:
    return ResourceKey(kind="Secret", namespace="team", name=f"r{number}")


class Bench:
    """A cache, its AWS, and the keys that were enqueued at the end of each call."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.aws = FakeIssuer(self.clock)
        self.enqueued: list[list[ResourceKey]] = []
        self.cache = TokenCache(
            self.aws,
            self.clock,
            self.aws.basis,
            lambda keys: self.enqueued.append(list(keys)),
            random.Random(7),
        )
        self._users: dict[int, ResourceState] = {}

    def user(self, number: int = 0) -> ResourceState:
        """The state of a resource."""
        return self._users.setdefault(number, ResourceState(resource(name=f"r{number}")))

    def ask(
        self,
        source: TokenSource = OHIO,
        number: int = 0,
        *,
        left: timedelta | None = None,
        accepted: bool = True,
        basis: str = "",
    ) -> RegistryToken | TokenFailure | RateLimited | None:
        """Get a token for a resource whose present one expires in `left`."""
        expires_at = None if left is None else NOW + left
        return self.cache.get(source, self.user(number), basis, expires_at, lambda _: accepted)

    async def fail(self, source: TokenSource = OHIO, *, left: timedelta | None = None) -> TokenFailure:
        """Get a token in vain, and return the failure."""
        assert self.ask(source, left=left) is None
        await settle()
        failure = self.ask(source)
        assert isinstance(failure, TokenFailure)
        return failure


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """An empty cache."""
    made = Bench()
    yield made
    await made.cache.close()


async def test_a_hundred_resources_share_one_call_and_are_enqueued_after_it(bench: Bench) -> None:
    assert [bench.ask(number=number) for number in range(100)] == [None] * 100
    await settle()
    assert bench.aws.asked == [OHIO]
    assert bench.enqueued == [[key(number) for number in range(100)]]
    answers = {bench.ask(number=number).password for number in range(100)}  # type: ignore[union-attr]
    assert answers == {"token-1"}
    await settle()
    assert bench.aws.asked == [OHIO], "a cached token costs no call"


async def test_a_resource_that_asks_twice_is_enqueued_once(bench: Bench) -> None:
    bench.ask()
    bench.ask()
    await settle()
    assert bench.enqueued == [[key()]]


async def test_a_refused_token_is_renewed_and_serves_others_meanwhile(bench: Bench) -> None:
    bench.ask()
    await bench.clock.advance(300)
    assert bench.ask(number=1, accepted=False) is None
    assert isinstance(bench.ask(number=2), RegistryToken)
    await settle()
    assert len(bench.aws.asked) == 2
    assert bench.enqueued[1] == [key(1)]


@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "fails"])
async def test_a_source_that_hangs_or_fails_delays_no_other(bench: Bench, *, hangs: bool) -> None:
    bench.aws.failing["us-east-2"] = transient()
    if hangs:
        bench.aws.hold()
    bench.ask(OHIO)
    await bench.clock.advance(0.5)
    assert bench.ask(IRELAND) is None
    bench.aws.answer()
    await settle()
    assert isinstance(bench.ask(IRELAND), RegistryToken)
    assert bench.aws.asked == [OHIO, IRELAND]


async def test_a_failure_is_returned_until_its_retry(bench: Bench) -> None:
    bench.aws.failing["us-east-2"] = permanent()
    failure = await bench.fail()
    assert failure.error.reason is Reason.ACCESS_DENIED
    await bench.clock.advance(failure.retry_at - bench.clock.monotonic() - 0.01)
    assert bench.ask(number=5) == failure
    await bench.clock.advance(0.02)
    assert bench.ask() is None
    await settle()
    assert len(bench.aws.asked) == 2


async def test_a_cached_token_serves_repairs_while_its_source_fails(bench: Bench) -> None:
    bench.ask()
    await bench.clock.advance(300)
    bench.aws.failing["us-east-2"] = transient()
    assert bench.ask(accepted=False) is None
    await settle()
    assert isinstance(bench.ask(accepted=False), TokenFailure)
    assert isinstance(bench.ask(), RegistryToken)


async def test_calls_of_a_failing_source_are_a_second_apart_at_least(bench: Bench) -> None:
    bench.aws.failing["us-east-2"] = transient()
    for _ in range(300):
        bench.ask(left=timedelta(seconds=1) + (bench.clock.now() - NOW))
        await bench.clock.advance(0.1)
    assert 20 <= len(bench.aws.asked) <= 30


async def test_calls_of_a_source_are_five_minutes_apart_after_a_success(bench: Bench) -> None:
    for _ in range(60):
        bench.ask(accepted=False)
        await bench.clock.advance(10)
    assert len(bench.aws.asked) == 2
    found = bench.ask(accepted=False)
    assert isinstance(found, RateLimited | type(None))


async def test_a_rate_limited_answer_says_when_to_ask_again(bench: Bench) -> None:
    bench.ask()
    await bench.clock.advance(100)
    assert bench.ask(accepted=False) == RateLimited(retry_at=bench.clock.monotonic() + 200)


async def test_a_wall_clock_step_does_not_lift_the_rate_limit(bench: Bench) -> None:
    bench.ask()
    await settle()
    bench.clock.step_wall(6 * HOUR)
    assert isinstance(bench.ask(accepted=False), RateLimited)


async def test_an_expired_token_is_replaced_at_once(bench: Bench) -> None:
    bench.aws.life = timedelta(seconds=1)
    bench.ask()
    await bench.clock.advance(1)
    assert bench.ask(accepted=False) is None


async def test_drop_operator_drops_tokens_and_failures_and_enqueues_the_failed(
    bench: Bench,
) -> None:
    bench.aws.failing["us-east-2"] = permanent()
    await bench.fail()
    bench.ask(IRELAND)
    await settle()
    bench.enqueued.clear()
    bench.aws.failing.clear()
    bench.cache.drop_operator()
    assert sorted(bench.enqueued) == [[], [key()]]
    await bench.clock.advance(1.25)
    assert (bench.ask(OHIO), bench.ask(IRELAND)) == (None, None)


async def test_retries_get_more_frequent_as_the_token_of_any_resource_nears_expiry(bench: Bench) -> None:
    bench.aws.failing["us-east-2"] = permanent()
    bench.ask(number=1, left=12 * HOUR)
    bench.ask(number=2, left=timedelta(seconds=24))
    bench.ask(number=3, left=-HOUR)
    failure = await bench.fail()
    assert failure.retry_at - bench.clock.monotonic() == 3


@pytest.mark.parametrize(
    ("left", "least", "most"),
    [
        pytest.param(12 * HOUR, 300, 1800, id="minutes beside a live token"),
        pytest.param(None, 5, 300, id="seconds at first without a token"),
        pytest.param(-HOUR, 5, 300, id="an expired one counts as none"),
    ],
)
async def test_a_permanent_failure_is_retried_slowly(
    bench: Bench, left: timedelta | None, least: float, most: float
) -> None:
    bench.aws.failing["us-east-2"] = permanent()
    failure = await bench.fail(left=left)
    assert least <= failure.retry_at - bench.clock.monotonic() <= most


async def test_a_success_resets_the_backoff(bench: Bench) -> None:
    bench.aws.failing["us-east-2"] = transient()
    for _ in range(10):
        failure = await bench.fail()
        await bench.clock.advance(failure.retry_at - bench.clock.monotonic())
    del bench.aws.failing["us-east-2"]
    bench.ask()
    await bench.clock.advance(300)
    bench.aws.failing["us-east-2"] = transient()
    assert bench.ask(accepted=False) is None
    await settle()
    after = bench.ask(accepted=False)
    assert isinstance(after, TokenFailure)
    assert after.retry_at - bench.clock.monotonic() <= 2


async def test_an_unexpected_error_is_a_failure_and_shows_its_type_only(bench: Bench) -> None:
    bench.aws.failing["us-east-2"] = RuntimeError("AWS:hunter2")
    failure = await bench.fail()
    assert failure.error.reason is Reason.AWS_UNAVAILABLE
    assert "RuntimeError" in failure.error.message
    assert "hunter2" not in failure.error.message
    assert failure.retry_at > bench.clock.monotonic()


async def test_close_cancels_calls_and_enqueues_none(bench: Bench) -> None:
    bench.aws.hold()
    bench.ask(OHIO)
    bench.ask(IRELAND)
    await settle()
    await bench.cache.close()
    assert bench.enqueued == []


async def test_reset_backoff_shortens_a_pause_to_the_rate_bound(bench: Bench) -> None:
    bench.aws.failing[OHIO.region] = permanent()
    failure = await bench.fail()
    bench.cache.reset_backoff(OHIO)
    again = bench.ask()
    assert isinstance(again, TokenFailure)
    assert again.retry_at == failure.failed_at + 1.0
    bench.cache.reset_backoff(IRELAND)
    await bench.clock.advance(1)
    assert bench.ask() is None


async def test_reset_backoff_does_not_shorten_retry_after(bench: Bench) -> None:
    bench.aws.failing[OHIO.region] = transient(retry_after=40.0)
    failure = await bench.fail()
    bench.cache.reset_backoff(OHIO)
    assert bench.ask() == failure


async def test_a_released_resource_is_not_enqueued_when_its_source_recovers(bench: Bench) -> None:
    bench.aws.failing[OHIO.region] = transient()
    failure = await bench.fail()
    bench.ask(number=7)
    bench.ask(number=8)
    bench.cache.release(bench.user(7))
    del bench.aws.failing[OHIO.region]
    await bench.clock.advance(failure.retry_at - bench.clock.monotonic())
    bench.ask()
    await settle()
    assert (key(7) in bench.enqueued[-1], key(8) in bench.enqueued[-1]) == (False, True)


# --- basis and drops ---------------------------------------------------------------------------------------

ROLE = Identity(namespace="team", role_arn="arn:aws:iam::123456789012:role/puller")
OF_ROLE = TokenSource(region="us-east-2", identity=ROLE)


async def fetch(bench: Bench, *, basis: str = "before", number: int = 0) -> None:
    """Fetch a token on a basis."""
    bench.aws.bases[ROLE] = basis
    assert bench.ask(OF_ROLE, number, basis=basis) is None
    await settle()


async def test_a_cached_token_is_handed_out_on_its_own_basis_only(bench: Bench) -> None:
    await fetch(bench)
    assert isinstance(bench.ask(OF_ROLE, 1, basis="before"), RegistryToken)
    assert isinstance(bench.ask(OF_ROLE, 1, basis="after"), RateLimited)
    await bench.clock.advance(1.25)
    await fetch(bench, basis="after", number=1)
    assert len(bench.aws.asked) == 2
    assert isinstance(bench.ask(OF_ROLE, basis="after"), RegistryToken)


async def test_a_token_fetched_on_another_basis_is_not_handed_out(bench: Bench) -> None:
    bench.aws.bases[ROLE] = "changed meanwhile"
    bench.ask(OF_ROLE, basis="before")
    await settle()
    assert isinstance(bench.ask(OF_ROLE, basis="before"), RateLimited)


async def test_an_identity_that_is_no_longer_permitted_loses_its_tokens(bench: Bench) -> None:
    await fetch(bench)
    bench.aws.bases[ROLE] = permanent(Reason.ROLE_NOT_PERMITTED)
    with pytest.raises(PermanentError):
        await bench.cache.basis(ROLE)
    assert isinstance(bench.ask(OF_ROLE, 1, basis="before"), RateLimited)


async def test_the_basis_of_the_operators_identity_is_not_read(bench: Bench) -> None:
    assert await bench.cache.basis(OPERATOR) == ""
    assert bench.aws.read == []


async def test_a_token_of_a_namespace_is_dropped_with_its_last_resource(bench: Bench) -> None:
    await fetch(bench)
    bench.ask(OF_ROLE, 1, basis="before")
    bench.cache.release(bench.user(0))
    assert isinstance(bench.ask(OF_ROLE, 1, basis="before"), RegistryToken)
    bench.cache.release(bench.user(1))
    assert bench.aws.released == [ROLE]
    await bench.clock.advance(1.25)
    assert bench.ask(OF_ROLE, 2, basis="before") is None


async def test_a_token_of_the_operators_identity_stays_without_resources(bench: Bench) -> None:
    bench.ask()
    await settle()
    bench.cache.release(bench.user())
    assert isinstance(bench.ask(number=1), RegistryToken)


async def test_a_call_in_flight_is_dropped_with_its_last_resource(bench: Bench) -> None:
    bench.aws.hold()
    bench.ask(OF_ROLE, basis="before")
    await settle()
    bench.cache.release(bench.user())
    bench.aws.answer()
    await bench.clock.advance(1.25)
    assert bench.enqueued == []
    assert bench.ask(OF_ROLE, 1, basis="before") is None
    await settle()
    assert bench.enqueued == [[key(1)]]
    assert len(bench.aws.asked) == 2


async def test_a_call_that_is_withdrawn_before_it_began_can_be_requested_again(bench: Bench) -> None:
    bench.ask(OF_ROLE, basis="")
    bench.cache.release(bench.user())
    bench.ask(OF_ROLE, 1, basis="")
    await bench.clock.advance(2)
    bench.ask(OF_ROLE, 1, basis="")
    await bench.clock.advance(2)
    assert isinstance(bench.ask(OF_ROLE, 1, basis=""), RegistryToken)


@pytest.mark.parametrize("failing", [False, True])
async def test_repeated_drops_lead_to_one_call_a_second_and_ten_in_five_minutes(
    bench: Bench, *, failing: bool
) -> None:
    if failing:
        bench.aws.failing[OF_ROLE.region] = permanent()
    for number in range(3000):
        bench.ask(OF_ROLE, number, basis="")
        await bench.clock.advance(0.1)
        bench.cache.release(bench.user(number))
        if number == 80:
            assert len(bench.aws.asked) <= 9
    assert len(bench.aws.asked) <= 11


async def test_a_cancelled_call_that_has_not_ended_is_not_made_twice(bench: Bench) -> None:
    bench.aws.hold()
    for number in range(50):
        bench.ask(OF_ROLE, number, basis="")
        await settle()
        bench.cache.release(bench.user(number))
        # The call was cancelled, and ends with the next turn of the loop.
        assert not isinstance(bench.ask(OF_ROLE, number + 1, basis=""), RegistryToken)
        await bench.clock.advance(0.1)
    assert 2 <= len(bench.aws.asked) <= 5
    assert [key(1)] in bench.enqueued, "enqueued to ask again"


async def test_fifty_resources_share_one_read_of_a_basis(bench: Bench) -> None:
    bench.aws.bases[ROLE] = "b"
    assert await asyncio.gather(*(bench.cache.basis(ROLE) for _ in range(50))) == ["b"] * 50
    assert bench.aws.read == [ROLE]


async def test_a_refused_region_fails_without_a_call(bench: Bench) -> None:
    bench.aws.refused_regions.add("made-up-1")
    found = bench.ask(TokenSource(region="made-up-1"))
    assert isinstance(found, TokenFailure)
    assert found.error.reason is Reason.INVALID_SPEC
    assert bench.aws.asked == []


async def test_a_call_without_an_answer_is_a_failure_after_two_seconds_and_still_counts(bench: Bench) -> None:
    bench.aws.hold()
    assert bench.ask() is None
    await bench.clock.advance(2)
    found = bench.ask()
    assert isinstance(found, TokenFailure)
    assert found.unanswered
    bench.aws.answer()
    await settle()
    assert bench.enqueued == [[key()]]


async def test_end_term_starts_no_waiting_call(bench: Bench) -> None:
    bench.aws.hold()
    sources = [TokenSource(region=f"made-up-{number}") for number in range(60)]
    bench.aws.unlisted = {source.region for source in sources}
    for source in sources:
        bench.ask(source)
    await settle()
    started = len(bench.aws.asked)
    assert started < len(sources)
    bench.cache.end_term()
    bench.aws.answer()
    await bench.clock.advance(10)
    assert len(bench.aws.asked) == started
