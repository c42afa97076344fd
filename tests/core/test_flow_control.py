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
        self.calls = FlowControl(
            lambda region: not region.startswith("made-up"), lambda: self.now, self._start
        )

    def _start(self, source: TokenSource) -> bool:
        if source in self.unneeded:
            return False
        self.started.append(source)
        return True

    def request(self, namespace: str, *sources: TokenSource) -> None:
        """Request calls for a namespace."""
        for source in sources:
            self.calls.request(source, namespace)

    def end(self, *sources: TokenSource) -> None:
        """End calls."""
        for source in sources:
            self.calls.ended(source)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.calls.start_waiting()


def region(name: str, role: str = "") -> TokenSource:
    return TokenSource(region=name, identity=Identity(namespace="n", role_arn=role))


def made_up(number: int) -> TokenSource:
    return region(f"made-up-{number}")


def test_a_call_starts_at_once_and_once() -> None:
    exchange = Exchange()
    exchange.request("a", region("us-east-1"))
    exchange.request("b", region("us-east-1"))
    exchange.request("a", region("us-east-1"))
    assert exchange.started == [region("us-east-1")]
    exchange.end(region("us-east-1"))
    assert exchange.started == [region("us-east-1")]
    assert not exchange.calls.any_waiting


def test_unlisted_regions_take_no_slot_of_listed_ones() -> None:
    exchange = Exchange()
    exchange.request("loud", *map(made_up, range(1000)))
    before = len(exchange.started)
    assert before < 30
    exchange.request("quiet", region("us-east-1"))
    assert exchange.started[before:] == [region("us-east-1")]


def test_a_namespace_leaves_a_reserve_to_others() -> None:
    exchange = Exchange()
    exchange.request("loud", *map(made_up, range(1000)))
    before = len(exchange.started)
    exchange.request("quiet", made_up(5000))
    assert exchange.started[before:] == [made_up(5000)]


def test_waiting_namespaces_start_calls_in_turn() -> None:
    exchange = Exchange()
    for number, name in enumerate(("loud", "louder", "loudest")):
        exchange.request(name, *map(made_up, range(1000 * number, 1000 * (number + 1))))
    first = list(exchange.started)
    for name in ("a", "b"):
        exchange.request(name, *(region(f"made-up-{name}-{number}") for number in range(10)))
    exchange.started.clear()
    exchange.end(*first)
    turns = [source.region.split("-")[2] for source in exchange.started[:10]]
    assert {turns.count(name) for name in ("a", "b")} == {2}


def test_a_call_without_an_answer_gives_its_slot_back() -> None:
    exchange = Exchange()
    exchange.request("loud", *(region(f"us-east-{number}") for number in range(200)))
    assert len(exchange.started) < 80
    for _ in range(4):
        exchange.wait(SLOW)
    assert len(exchange.started) == 200


def test_a_namespace_has_a_few_calls_to_unlisted_regions_though_they_hang() -> None:
    exchange = Exchange()
    exchange.request("loud", *map(made_up, range(60)))
    for _ in range(4):
        exchange.wait(SLOW)
    assert exchange.started == [made_up(number) for number in range(8)]
    exchange.request("quiet", made_up(5000))
    exchange.end(made_up(0))
    assert exchange.started[8:] == [made_up(5000), made_up(8)]


def test_a_region_that_has_not_answered_holds_one_call_of_a_namespace() -> None:
    exchange = Exchange()
    sources = [region("us-east-1", f"role-{number}") for number in range(5)]
    exchange.request("a", *sources)
    exchange.request("b", region("us-east-1", "of b"))
    assert exchange.started == [sources[0], region("us-east-1", "of b")]
    exchange.end(sources[0])
    assert exchange.started[2:] == sources[1:], "it has answered"


def test_a_region_that_hangs_again_holds_one_call() -> None:
    exchange = Exchange()
    exchange.request("a", region("us-east-1", "1"))
    exchange.end(region("us-east-1", "1"))
    exchange.request("a", region("us-east-1", "2"))
    exchange.wait(SLOW + 1)
    exchange.end(region("us-east-1", "2"))
    exchange.request("a", region("us-east-1", "3"), region("us-east-1", "4"), region("eu-west-1"))
    assert exchange.started[2:] == [region("us-east-1", "3"), region("eu-west-1")]


def test_a_cancelled_call_says_nothing_about_its_region() -> None:
    exchange = Exchange()
    sources = [region("us-east-1", f"role-{number}") for number in range(4)]
    exchange.request("a", *sources)
    exchange.calls.ended(sources[0], cancelled=True)
    assert exchange.started == sources[:2]
    exchange.end(sources[1])
    assert exchange.started == sources
    exchange.calls.ended(sources[2], cancelled=True)
    exchange.request("a", sources[0])
    assert exchange.started[4:] == [sources[0]], "nor that it hangs"


def test_fips_forms_of_a_region_share_its_slot() -> None:
    exchange = Exchange()
    exchange.request("a", region("us-east-1"), region("fips-us-east-1"), region("us-east-1-fips"))
    assert exchange.started == [region("us-east-1")]


def test_a_withdrawn_or_unneeded_call_is_not_started() -> None:
    unneeded = made_up(999)
    exchange = Exchange(unneeded=frozenset({unneeded}))
    exchange.request("loud", *map(made_up, range(30)))
    exchange.request("loud", unneeded)
    exchange.calls.withdraw(made_up(29), "loud")
    exchange.calls.withdraw(made_up(29), "never there")
    for _ in range(4):
        exchange.end(*list(exchange.started))
    assert unneeded not in exchange.started
    assert made_up(29) not in exchange.started
    assert not exchange.calls.any_waiting


def test_the_limit_after_a_drop_ends_while_calls_go_on() -> None:
    bounds = DropLimit()
    bounds.dropped(region("us-east-1", "role"), 1000.0, 999.0, 300.0)
    for number in range(30):
        bounds.called(region("us-east-1", "role"), 1000.0 + 10 * number)
    assert bounds.soonest(region("us-east-1", "role"), 1299.0) == 1590.0
    assert bounds.soonest(region("us-east-1", "role"), 1300.0) == 0.0


def test_the_limit_keeps_no_source_longer_than_it_binds() -> None:
    bounds = DropLimit()
    for number, source in enumerate((region("us-east-2"), region("eu-west-1"))):
        bounds.dropped(source, 1000.0 + number, 999.0, None)
    bounds.called(region("us-east-2"), 1400.0)
    bounds.dropped(region("us-east-1", "role"), 1401.5, 1401.0, None)
    assert len(bounds) == 1
