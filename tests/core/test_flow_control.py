"""FlowControl: calls to AWS are shared by namespace, and a region that hangs delays no other."""

from ecr_operator.api.identity import Identity
from ecr_operator.api.token import TokenSource
from ecr_operator.core.flow_control import SLOW, DropLimit, FlowControl


class Exchange:
    """Calls that are in flight until a test ends them."""

    def __init__(self, *, unneeded: frozenset[TokenSource] = frozenset()) -> None:
        self.now = 1000.0
        self.started: list[TokenSource] = []
        self.unneeded = unneeded
        self.calls = FlowControl(lambda name: not name.startswith("made-up"), lambda: self.now, self._start)

    def _start(self, source: TokenSource) -> bool:
        if source not in self.unneeded:
            self.started.append(source)
        return source not in self.unneeded

    def request(self, namespace: str, *sources: TokenSource) -> list[TokenSource]:
        """Request calls for a namespace, and return those that this starts."""
        before = len(self.started)
        for source in sources:
            self.calls.request(source, namespace)
        return self.started[before:]

    def end(self, *sources: TokenSource, cancelled: bool = False) -> list[TokenSource]:
        """End calls, and return those that this starts."""
        before = len(self.started)
        for source in sources:
            self.calls.ended(source, cancelled=cancelled)
        return self.started[before:]

    def wait(self, times: int = 4, seconds: float = SLOW) -> None:
        """Let time pass."""
        for _ in range(times):
            self.now += seconds
            self.calls.start_waiting()


def region(name: str = "us-east-1", role: object = "") -> TokenSource:
    return TokenSource(region=name, identity=Identity(namespace="n", role_arn=str(role)))


def made_up(number: object) -> TokenSource:
    return region(f"made-up-{number}")


def test_a_call_starts_at_once_and_once() -> None:
    exchange = Exchange()
    assert exchange.request("a", region()) == [region()]
    assert exchange.request("b", region()) == exchange.request("a", region()) == exchange.end(region()) == []
    assert not exchange.calls.any_waiting


def test_unlisted_regions_take_no_slot_of_listed_ones_and_a_namespace_leaves_a_reserve() -> None:
    exchange = Exchange()
    assert len(exchange.request("loud", *map(made_up, range(1000)))) == 8
    assert exchange.request("quiet", region()) == [region()]
    assert exchange.request("quiet", made_up(5000)) == [made_up(5000)]


def test_waiting_namespaces_start_calls_in_turn() -> None:
    exchange = Exchange()
    for number, name in enumerate(("loud", "louder", "loudest")):
        exchange.request(name, *map(made_up, range(1000 * number, 1000 * (number + 1))))
    first = list(exchange.started)
    for name in ("a", "b"):
        exchange.request(name, *(made_up(f"{name}-{number}") for number in range(10)))
    turns = [source.region.split("-")[2] for source in exchange.end(*first)[:10]]
    assert {turns.count(name) for name in ("a", "b")} == {2}


def test_a_call_without_an_answer_gives_its_slot_back() -> None:
    exchange = Exchange()
    # All of the 80 slots but the reserve.
    assert len(exchange.request("loud", *(region(f"us-east-{number}") for number in range(200)))) == 60
    exchange.wait()
    assert len(exchange.started) == 200


def test_a_namespace_has_a_few_calls_to_unlisted_regions_though_they_hang() -> None:
    exchange = Exchange()
    exchange.request("loud", *map(made_up, range(60)))
    exchange.wait()
    assert exchange.started == [made_up(number) for number in range(8)]
    assert exchange.request("quiet", made_up(5000)) == [made_up(5000)]
    assert exchange.end(made_up(0)) == [made_up(8)]


def test_a_region_that_has_not_answered_holds_one_call_of_a_namespace() -> None:
    exchange = Exchange()
    sources = [region(role=number) for number in range(5)]
    assert exchange.request("a", *sources) == sources[:1]
    assert exchange.request("b", region(role="of b")) == [region(role="of b")]
    assert exchange.end(sources[0]) == sources[1:], "it has answered"


def test_a_region_that_hangs_again_holds_one_call() -> None:
    exchange = Exchange()
    exchange.request("a", region(role=1))
    exchange.end(region(role=1))
    exchange.request("a", region(role=2))
    exchange.wait(1, SLOW + 1)
    exchange.end(region(role=2))
    started = exchange.request("a", region(role=3), region(role=4), region("eu-west-1"))
    assert started == [region(role=3), region("eu-west-1")]


def test_a_cancelled_call_says_nothing_about_its_region() -> None:
    exchange = Exchange()
    sources = [region(role=number) for number in range(4)]
    exchange.request("a", *sources)
    assert exchange.end(sources[0], cancelled=True) == sources[1:2]
    assert exchange.end(sources[1]) == sources[2:]
    exchange.end(sources[2], cancelled=True)
    assert exchange.request("a", sources[0]) == [sources[0]], "nor that it hangs"


def test_fips_forms_of_a_region_share_its_slot() -> None:
    forms = [region("us-east-1"), region("fips-us-east-1"), region("us-east-1-fips")]
    assert Exchange().request("a", *forms) == forms[:1]


def test_a_withdrawn_or_unneeded_call_is_not_started() -> None:
    unneeded = made_up(999)
    exchange = Exchange(unneeded=frozenset({unneeded}))
    exchange.request("loud", *map(made_up, range(30)), unneeded)
    exchange.calls.withdraw(made_up(29), "loud")
    exchange.calls.withdraw(made_up(29), "never there")
    for source in exchange.started:  # which grows meanwhile
        exchange.end(source)
    assert exchange.started == [made_up(number) for number in range(29)]
    assert not exchange.calls.any_waiting


def test_the_limit_after_a_drop_ends_while_calls_go_on() -> None:
    bounds = DropLimit()
    bounds.dropped(region(), 1000.0, 999.0, 300.0)
    for number in range(30):
        bounds.called(region(), 1000.0 + 10 * number)
    assert bounds.soonest(region(), 1299.0) == 1590.0
    assert bounds.soonest(region(), 1300.0) == 0.0


def test_the_limit_keeps_no_source_longer_than_it_binds() -> None:
    bounds = DropLimit()
    for number, source in enumerate((region("us-east-2"), region("eu-west-1"))):
        bounds.dropped(source, 1000.0 + number, 999.0, None)
    bounds.called(region("us-east-2"), 1400.0)
    bounds.dropped(region(), 1401.5, 1401.0, None)
    assert len(bounds._calls) == 1  # noqa: SLF001 - no other way to measure it
