"""What is counted as it happens, and that no label has values without end."""

from ecr_operator.api.outcome import Reason
from ecr_operator.telemetry.metrics import SUCCESS, Metrics
from tests.telemetry.reading import exposed, scrape


def test_refreshes_stand_at_zero_before_the_first_so_that_a_rate_sees_it() -> None:
    metrics = Metrics()
    before = scrape(metrics.registry)
    assert before.values("refreshes_total", kind="Secret", reason="AccessDenied") == [0]
    metrics.refreshed("Secret", Reason.ACCESS_DENIED)
    after = scrape(metrics.registry)
    assert after.values("refreshes_total", kind="Secret", reason="AccessDenied") == [1]
    assert after.value("refreshes_total") == 1


def test_what_a_refresh_cant_come_to_has_no_series() -> None:
    assert scrape(Metrics().registry).values("refreshes_total", reason="Pending") == []


def test_a_call_to_aws_is_counted_by_outcome_and_timed_by_region() -> None:
    metrics = Metrics()
    metrics.aws_call("ecr:GetAuthorizationToken", "eu-west-1", SUCCESS, 0.2)
    metrics.aws_call("ecr:GetAuthorizationToken", "eu-west-1", Reason.THROTTLED, 0.4)
    seen = scrape(metrics.registry)
    assert seen.values("aws_calls_total", region="eu-west-1", outcome="Success") == [1]
    assert seen.values("aws_calls_total", region="eu-west-1", outcome="Throttled") == [1]
    assert seen.value("aws_call_duration_seconds_sum", region="eu-west-1") == 0.2 + 0.4
    assert seen.values("aws_call_duration_seconds_bucket", le="0.25") == [1]


def test_a_request_without_an_answer_has_no_code() -> None:
    metrics = Metrics()
    metrics.kube_request("patch", "secrets", 0, 20)
    assert scrape(metrics.registry).values("kubernetes_requests_total", code="none", verb="patch") == [1]


def test_two_operators_in_one_process_do_not_share_their_figures() -> None:
    one, other = Metrics(), Metrics()
    one.watch_restarted("secrets")
    assert scrape(other.registry).value("watch_restarts_total") == 0


def test_there_is_nothing_but_our_own() -> None:
    names = [name for _, _, _, samples in exposed() for name in samples]
    assert len(names) > 20
    assert [name for name in names if not name.startswith("ecr_secret_operator_")] == []
    assert [name for name in names if name.endswith("_created")] == []
