"""Tokens: one call per source, one series of retries, and a token only on its own basis."""

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
from ecr_operator.core.token_state import GatheredTokens, RateLimited, TokenFailure
from ecr_operator.core.tokens import TokenCache
from tests.builders import HOUR, IRELAND, NOW, OHIO, cases, permanent, resource, transient
from tests.fakes import FakeClock, FakeIssuer, settle

ROLE = Identity(namespace="team", role_arn="arn:aws:iam::123456789012:role/puller")
OF_ROLE = TokenSource(region="us-east-2", identity=ROLE)


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
        if number not in self._users:
            self._users[number] = ResourceState(resource(name=f"r{number}"))
        return self._users[number]

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

    async def fetch(self, source: TokenSource = OHIO, number: int = 0, *, basis: str = "") -> None:
        """Fetch a token on a basis."""
        self.aws.bases[source.identity] = basis
        assert self.ask(source, number, basis=basis) is None
        await settle()

    async def fail(self, *, left: timedelta | None = None, accepted: bool = True) -> TokenFailure:
        """Get a token in vain, and return the failure."""
        assert self.ask(left=left, accepted=accepted) is None
        await settle()
        failure = self.ask(accepted=accepted)
        assert isinstance(failure, TokenFailure)
        return failure

    def wait(self, failure: TokenFailure) -> float:
        """Seconds until the retry."""
        return failure.retry_at - self.clock.monotonic()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """An empty cache."""
    made = Bench()
    yield made
    await made.cache.close()


@pytest.fixture
async def denied(bench: Bench) -> Bench:
    """An empty cache, and an AWS that denies."""
    bench.aws.failing[OHIO.region] = permanent()
    return bench


async def test_a_hundred_resources_share_one_call_and_each_is_enqueued_once_after_it(bench: Bench) -> None:
    for _ in range(2):
        assert [bench.ask(number=number) for number in range(100)] == [None] * 100
    await settle()
    assert bench.aws.asked == [OHIO]
    assert bench.enqueued == [[key(number) for number in range(100)]]
    answers = {bench.ask(number=number).password for number in range(100)}  # type: ignore[union-attr]
    assert answers == {"token-1"}
    await settle()
    assert bench.aws.asked == [OHIO], "a cached token costs no call"


async def test_a_refused_token_is_renewed_and_serves_others_meanwhile(bench: Bench) -> None:
    bench.ask()
    await bench.clock.advance(300)
    assert bench.ask(number=1, accepted=False) is None
    assert isinstance(bench.ask(number=2), RegistryToken)
    await settle()
    assert (len(bench.aws.asked), bench.enqueued[1]) == (2, [key(1)])


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


async def test_a_failure_is_returned_until_its_retry(denied: Bench) -> None:
    failure = await denied.fail()
    assert failure.error.reason is Reason.ACCESS_DENIED
    await denied.clock.advance(denied.wait(failure) - 0.01)
    assert denied.ask(number=5) == failure
    await denied.clock.advance(0.02)
    assert denied.ask() is None
    await settle()
    assert len(denied.aws.asked) == 2


async def test_a_cached_token_serves_repairs_while_its_source_fails(bench: Bench) -> None:
    bench.ask()
    await bench.clock.advance(300)
    bench.aws.failing["us-east-2"] = transient()
    await bench.fail(accepted=False)
    assert isinstance(bench.ask(), RegistryToken)


async def test_calls_of_a_failing_source_are_a_second_apart_at_least(bench: Bench) -> None:
    bench.aws.failing["us-east-2"] = transient()
    for _ in range(300):
        bench.ask(left=timedelta(seconds=1) + (bench.clock.now() - NOW))
        await bench.clock.advance(0.1)
    assert 20 <= len(bench.aws.asked) <= 30


async def test_calls_of_a_source_are_five_minutes_apart_after_a_success(bench: Bench) -> None:
    await bench.fetch()
    await bench.clock.advance(100)
    bench.clock.step_wall(6 * HOUR)
    assert bench.ask(accepted=False) == RateLimited(retry_at=bench.clock.monotonic() + 200)
    for _ in range(50):
        bench.ask(accepted=False)
        await bench.clock.advance(10)
    assert len(bench.aws.asked) == 2


async def test_an_expired_token_is_replaced_at_once(bench: Bench) -> None:
    bench.aws.life = timedelta(seconds=1)
    bench.ask()
    await bench.clock.advance(1)
    assert bench.ask(accepted=False) is None


async def test_drop_operator_drops_tokens_and_failures_and_enqueues_the_failed(denied: Bench) -> None:
    await denied.fail()
    await denied.fetch(IRELAND)
    denied.enqueued.clear()
    denied.aws.failing.clear()
    denied.cache.drop_operator()
    assert sorted(denied.enqueued) == [[], [key()]]
    await denied.clock.advance(1.25)
    assert (denied.ask(OHIO), denied.ask(IRELAND)) == (None, None)


async def test_the_answer_to_a_call_with_dropped_credentials_is_ignored(bench: Bench) -> None:
    bench.aws.hold()
    await bench.fetch()
    bench.cache.drop_operator()
    bench.aws.answer()
    await settle()
    assert bench.enqueued == [[], [key()]]
    assert isinstance(bench.ask(), RateLimited)


async def test_retries_get_more_frequent_as_the_token_of_any_resource_nears_expiry(denied: Bench) -> None:
    denied.ask(number=1, left=12 * HOUR)
    denied.ask(number=2, left=timedelta(seconds=24))
    denied.ask(number=3, left=-HOUR)
    assert denied.wait(await denied.fail()) == 3


@cases(
    "left, least, most",
    {
        "minutes beside a live token": (12 * HOUR, 300, 1800),
        "seconds at first without a token": (None, 5, 300),
        "an expired one counts as none": (-HOUR, 5, 300),
    },
)
async def test_a_permanent_failure_is_retried_after(
    denied: Bench, left: timedelta | None, least: float, most: float
) -> None:
    assert least <= denied.wait(await denied.fail(left=left)) <= most


async def test_a_success_resets_the_backoff(bench: Bench) -> None:
    first = []
    for _ in range(5):
        bench.aws.failing[OHIO.region] = transient()
        waits = []
        for _ in range(6):
            waits.append(bench.wait(await bench.fail(accepted=False)))
            await bench.clock.advance(waits[-1])
        first.append(waits[0])
        bench.aws.failing.clear()
        assert bench.ask(accepted=False) is None
        await bench.clock.advance(300)
    assert max(first) <= 2


async def test_an_unexpected_error_is_a_failure_and_shows_its_type_only(bench: Bench) -> None:
    bench.aws.failing["us-east-2"] = RuntimeError("AWS:hunter2")
    failure = await bench.fail()
    assert failure.error.reason is Reason.AWS_UNAVAILABLE
    assert "RuntimeError" in failure.error.message
    assert "hunter2" not in failure.error.message
    assert bench.wait(failure) > 0


async def test_close_cancels_calls_and_enqueues_none(bench: Bench) -> None:
    bench.aws.hold()
    bench.ask(OHIO)
    bench.ask(IRELAND)
    await settle()
    await bench.cache.close()
    assert bench.enqueued == []


async def test_reset_backoff_shortens_a_pause_to_the_rate_bound(denied: Bench) -> None:
    failure = await denied.fail()
    denied.cache.reset_backoff(OHIO)
    again = denied.ask()
    assert isinstance(again, TokenFailure)
    assert again.retry_at == failure.failed_at + 1.0
    denied.cache.reset_backoff(IRELAND)
    await denied.clock.advance(1)
    assert denied.ask() is None


async def test_reset_backoff_does_not_shorten_retry_after(bench: Bench) -> None:
    bench.aws.failing[OHIO.region] = transient(retry_after=40.0)
    failure = await bench.fail()
    bench.cache.reset_backoff(OHIO)
    assert bench.ask() == failure


async def test_a_released_resource_is_not_enqueued_when_its_source_recovers(denied: Bench) -> None:
    failure = await denied.fail()
    denied.ask(number=7)
    denied.ask(number=8)
    denied.cache.release(denied.user(7))
    del denied.aws.failing[OHIO.region]
    await denied.clock.advance(denied.wait(failure))
    denied.ask()
    await settle()
    assert (key(7) in denied.enqueued[-1], key(8) in denied.enqueued[-1]) == (False, True)


async def test_a_cached_token_is_handed_out_on_its_own_basis_only(bench: Bench) -> None:
    await bench.fetch(OF_ROLE, basis="before")
    assert isinstance(bench.ask(OF_ROLE, 1, basis="before"), RegistryToken)
    assert isinstance(bench.ask(OF_ROLE, 1, basis="after"), RateLimited)
    await bench.clock.advance(1.25)
    await bench.fetch(OF_ROLE, 1, basis="after")
    assert len(bench.aws.asked) == 2
    assert isinstance(bench.ask(OF_ROLE, basis="after"), RegistryToken)


async def test_a_token_fetched_on_another_basis_is_not_handed_out(bench: Bench) -> None:
    bench.aws.bases[ROLE] = "changed meanwhile"
    bench.ask(OF_ROLE, basis="before")
    await settle()
    assert isinstance(bench.ask(OF_ROLE, basis="before"), RateLimited)


async def test_a_failure_is_kept_for_the_basis_of_its_call(bench: Bench) -> None:
    bench.aws.failing[OF_ROLE.region] = permanent()
    await bench.fetch(OF_ROLE, basis="before")
    await bench.clock.advance(1.25)
    await bench.fetch(OF_ROLE, basis="after")
    assert isinstance(bench.ask(OF_ROLE, basis="after"), TokenFailure)


async def test_an_identity_that_is_no_longer_permitted_loses_its_tokens(bench: Bench) -> None:
    await bench.fetch(OF_ROLE, basis="before")
    bench.aws.bases[ROLE] = permanent(Reason.ROLE_NOT_PERMITTED)
    with pytest.raises(PermanentError):
        await bench.cache.basis(ROLE)
    assert isinstance(bench.ask(OF_ROLE, 1, basis="before"), RateLimited)


async def test_the_basis_of_the_operators_identity_is_not_read(bench: Bench) -> None:
    assert (await bench.cache.basis(OPERATOR), bench.aws.read) == ("", [])


async def test_a_token_goes_with_its_last_resource_but_for_the_operators(bench: Bench) -> None:
    for source in (OF_ROLE, OHIO):
        await bench.fetch(source)
        bench.ask(source, 1)
        bench.cache.release(bench.user(0))
        assert isinstance(bench.ask(source, 1), RegistryToken)
        bench.cache.release(bench.user(1))
        await bench.clock.advance(1.25)
    assert bench.aws.released == [ROLE]
    assert bench.ask(OF_ROLE, 2) is None
    assert isinstance(bench.ask(OHIO, 2), RegistryToken)


async def test_a_call_in_flight_is_dropped_with_its_last_resource(bench: Bench) -> None:
    bench.aws.hold()
    await bench.fetch(OF_ROLE)
    bench.cache.release(bench.user())
    bench.aws.answer()
    await bench.clock.advance(1.25)
    assert bench.enqueued == []
    await bench.fetch(OF_ROLE, 1)
    assert (bench.enqueued, len(bench.aws.asked)) == ([[key(1)]], 2)


async def test_a_call_that_is_withdrawn_before_it_began_can_be_requested_again(bench: Bench) -> None:
    bench.ask(OF_ROLE)
    bench.cache.release(bench.user())
    for _ in range(2):
        bench.ask(OF_ROLE, 1)
        await bench.clock.advance(2)
    assert isinstance(bench.ask(OF_ROLE, 1), RegistryToken)


@pytest.mark.parametrize("failing", [False, True])
async def test_repeated_drops_lead_to_ten_calls_in_five_minutes(bench: Bench, *, failing: bool) -> None:
    if failing:
        bench.aws.failing[OF_ROLE.region] = permanent()
    for number in range(1200):
        bench.ask(OF_ROLE, number % 20)
        await bench.clock.advance(0.25)
        bench.cache.release(bench.user(number % 20))
        if number == 32:
            assert 5 <= len(bench.aws.asked) <= 9
    assert 10 <= len(bench.aws.asked) <= 11


async def test_a_cancelled_call_that_has_not_ended_is_not_made_twice(bench: Bench) -> None:
    bench.aws.hold()
    for number in range(50):
        bench.ask(OF_ROLE, number)
        await settle()
        bench.cache.release(bench.user(number))
        # The call was cancelled, and ends with the next turn of the loop.
        assert not isinstance(bench.ask(OF_ROLE, number + 1), RegistryToken)
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
    assert (found.error.reason, bench.aws.asked) == (Reason.INVALID_SPEC, [])


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


@cases("limited, retry_at", {"a failure": (None, 30), "a limit before it": (20, 20), "after it": (40, 30)})
def test_logins_are_tried_again_at_the_earliest_of(limited: float | None, retry_at: float) -> None:
    failure = TokenFailure(error=transient(), retry_at=30, failed_at=0)
    assert GatheredTokens(tokens={}, failures={"a": failure}, rate_limited=limited).retry_at == retry_at
