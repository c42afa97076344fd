"""`pull`: what is said of a login and of the registry's answer, and what to change."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ecr_operator.api.outcome import ResourceKey
from ecr_operator.cli.diagnosis import (
    Answer,
    AnswerKind,
    Attempt,
    Report,
    attempt_results,
    late_link_result,
    no_login_result,
    secret_results,
)
from ecr_operator.cli.keyring import Login, PullSecret, parse_image
from ecr_operator.cli.origins import Origin
from ecr_operator.cli.output import Result
from tests.cli.builders import HOST, NOW, READY, condition, login, owner

IMAGE = parse_image(f"{HOST}/app:1")
OTHER = parse_image("registry.example.com/app:1")
KEY = ResourceKey(kind="Secret", namespace="team-a", name="pull")


def attempt(
    kind: AnswerKind, origin: Origin | None = None, *, by: Login | None = None, **answer: Any
) -> Attempt:
    return Attempt(login=by or login(), origin=origin, answer=Answer(kind=kind, **answer))


def origin(hours: float = 1, **fields: Any) -> Origin:
    return Origin(**{"key": KEY, "owner": owner(), "expires_at": NOW + timedelta(hours=hours), **fields})


DENIED = condition("Refreshed", "False", "AccessDenied", "AWS denies it.")
EXPIRED = "Your authorization token has expired. Reauthenticate and try again."
ANSWERS: dict[str, tuple[Attempt, str, str]] = {
    "found": (attempt("found"), f"{HOST} has this image", ""),
    "no repository": (
        attempt("missing", code="NAME_UNKNOWN"),
        f"{HOST} has no repository app",
        "create it, or correct its name, or the account and region in the host",
    ),
    "no tag": (attempt("missing"), f"{HOST} has no tag 1 in repository app", "push it, or correct the tag"),
    "no answer": (
        attempt("unreachable", message="no route"),
        f"{HOST} can't be reached from here: no route",
        "check DNS, HTTPS_PROXY and SSL_CERT_FILE here",
    ),
    "throttled": (attempt("failed", status=429), f"{HOST} answers HTTP 429", "try again"),
    "withheld": (
        attempt("withheld", message="https://x"),
        f"{HOST} wants the login sent to https://x, another host: it was not sent",
        "",
    ),
    "ECR's 403 for a dead token": (
        attempt("denied", origin(), message=EXPIRED),
        f"{HOST} does not accept this login: {EXPIRED}",
        "request a new token: kubectl ecr refresh -n team-a ecrsecret/pull",
    ),
    "ECR's 403 for no token of its own": (
        attempt("denied", by=login("jane"), message="Your Authorization Token is invalid."),
        f"{HOST} does not accept this login: Your Authorization Token is invalid.",
        "correct the login in Secret pull-login",
    ),
    "a 403 when the time is past": (attempt("denied", origin(-1)), f"{HOST} does not accept this login", ""),
    "a dead token that is not renewed": (
        attempt("unauthorized", origin(owner=owner(READY, DENIED))),
        f"{HOST} does not accept this login",
        "AccessDenied: AWS denies it.",
    ),
    "a dead token of an unknown resource": (
        attempt("unauthorized", origin(owner=None)),
        f"{HOST} does not accept this login",
        "request a new token",
    ),
    "a token that somebody copied": (attempt("unauthorized"), "", "have the operator generate this login"),
    "an included login": (
        attempt("unauthorized", origin(included=True), by=login("jane")),
        "",
        "correct the login in Secret pull-login",
    ),
    "a repository policy": (
        attempt("denied", origin(owner=owner(role_arn="arn:aws:iam::210987654321:role/pull")), message="no"),
        f"{HOST} accepts the login, but denies the pull: no",
        "allow the identity of ecrsecret/pull (the operator, arn:aws:iam::210987654321:role/pull) ecr:Batch",
    ),
    "a policy for somebody else": (attempt("denied"), "", "allow its identity ecr:BatchGetImage"),
}


@pytest.mark.parametrize(("tried", "text", "advice"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_has_its_cause_and_what_to_change(tried: Attempt, text: str, advice: str) -> None:
    result = attempt_results([tried], IMAGE, NOW)[-1]
    assert result.text.startswith(text)
    assert advice in result.advice
    assert result.verdict == ("good" if tried.found else "bad")
    assert "hidden" not in repr(result)


def test_without_a_login_the_registry_requires_one() -> None:
    tried = Attempt(login=None, origin=None, answer=Answer(kind="unauthorized"))
    [result] = attempt_results([tried], IMAGE, NOW)
    assert (result.verdict, result.text) == ("bad", f"{HOST} requires a login")


def test_elsewhere_than_at_ecr_the_login_itself_needs_the_right() -> None:
    public = parse_image("public.ecr.aws/x/y")
    found = [attempt_results([attempt("denied")], image, NOW)[-1].advice for image in (OTHER, IMAGE, public)]
    assert found[0] == "permit this login to pull app"
    assert ["ecr:BatchGetImage" in each for each in found] == [False, True, True]


LOGINS = {
    "a live token": (origin(), "good", "a token of ecrsecret/pull, expires at 2026-11-24T13:00:00Z (in 1h)"),
    "a token at its end": (origin(0), "bad", "expired at 2026-11-24T12:00:00Z"),
    "an expired token": (origin(-1), "bad", "a token of ecrsecret/pull, expired at 2026-11-24T11:00:00Z"),
    "an unknown time": (origin(expires_at=None), "good", "when it expires is not known"),
    "a copied login": (origin(included=True), "good", "copied by ecrsecret/pull"),
    "somebody else's": (None, "good", "not generated by the operator"),
}


@pytest.mark.parametrize(("whose", "verdict", "text"), LOGINS.values(), ids=LOGINS)
def test_a_login_says_whose_it_is_and_how_long_it_lives(
    whose: Origin | None, verdict: str, text: str
) -> None:
    [result, _] = attempt_results([attempt("unauthorized", whose)], IMAGE, NOW)
    assert (result.verdict, result.topic) == (verdict, "login")
    assert result.text.startswith(f"{HOST} in Secret pull-login, ")
    assert result.text.endswith(text)


def test_a_failure_is_harmless_where_a_later_login_succeeds() -> None:
    tried = [attempt("unauthorized", origin(-1)), attempt("found", origin())]
    results = attempt_results(tried, IMAGE, NOW)
    assert [each.verdict for each in results] == ["optional", "optional", "good", "good"]
    report = Report(subject="x", attempts=tried, results=results)
    assert (report.pulls, report.conclusion) == (True, "It can be pulled.")


@pytest.mark.parametrize(
    ("report", "pulls", "conclusion"),
    [
        (Report(subject="x", attempts=[attempt("missing")]), False, "It can't be pulled."),
        (
            Report(subject="x", attempts=[attempt("withheld")]),
            False,
            "Whether it can be pulled is not known.",
        ),
        (Report(subject="x", checked=False), False, "Not checked."),
        (
            Report(subject="x", attempts=[attempt("found")], results=[Result("bad", "pull secrets", "")]),
            False,
            "It can't be pulled.",
        ),
    ],
    ids=["no answer is enough", "not known", "not checked", "the kubelet stops before"],
)
def test_the_conclusion(report: Report, conclusion: str, *, pulls: bool) -> None:
    assert (report.pulls, report.conclusion) == (pulls, conclusion)


def test_without_a_login_the_advice_is_the_resource_that_has_one() -> None:
    linked = no_login_result([], IMAGE, "builder", [owner()])
    assert linked.text.startswith("none: service account builder names none; EKS nodes have a login")
    assert linked.advice == (
        "link Secret pull-login: add {name: builder, for: [pull]} to link_service_accounts of ecrsecret/pull"
    )
    # Whether a ClusterSecret serves the namespace, its spec alone does not tell.
    cluster = replace(owner(), key=ResourceKey(kind="ClusterSecret", namespace="", name="pull"))
    assert no_login_result([], IMAGE, "default", [cluster]).advice.startswith("create a Secret")
    create = no_login_result([], IMAGE, "default", [])
    assert f"ecr_registry: {HOST} and link_service_accounts: [{{name: default" in create.advice
    other = no_login_result([], OTHER, "default", [owner()])
    assert other.advice.startswith("create a pull secret for registry.example.com")
    logins = tuple(login(key=f"r{number}.example.com") for number in range(7))
    unmatched = no_login_result([PullSecret(name="s", logins=logins)], OTHER, "default", [])
    assert "the keys are r0.example.com, r1.example.com" in unmatched.text
    assert unmatched.text.endswith(" and 2 more")


def test_a_pull_secret_that_is_absent_or_not_readable_is_named_with_the_resource_that_makes_it() -> None:
    secrets = [PullSecret(name="pull-login", flaw="does not exist"), PullSecret(name="other")]
    failing = [owner(condition("Ready", "False", "AccessDenied", "AWS denies it."), DENIED)]
    first, second = secret_results(secrets, "pod x", failing, found=False)
    assert first.text == "pull-login, other, named by pod x"
    assert (second.verdict, second.advice) == ("bad", "ecrsecret/pull: AccessDenied: AWS denies it.")
    assert secret_results(secrets, "pod x", [], found=True)[1].verdict == "optional"
    stopping = PullSecret(name="s", flaw="has a .dockerconfigjson that the kubelet can't parse", stops=True)
    assert secret_results([stopping], "pod x", [], found=True)[1].verdict == "bad"
    assert secret_results([], "pod x", [], found=False) == []


def test_a_late_link_is_the_cause_only_where_it_would_help() -> None:
    cause = late_link_result("default", ["pull-login"], has_own=False, helps=True)
    assert (cause.verdict, cause.advice) == ("bad", "recreate the pod: it was created before the link")
    assert late_link_result("default", ["x"], has_own=True, helps=False).verdict == "optional"
    assert "imagePullSecrets" in late_link_result("default", ["x"], has_own=True, helps=True).advice
