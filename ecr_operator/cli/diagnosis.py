"""Why an image is not pulled, from what the cluster holds and the registry answers. Pure.

Invariant: each result is one printable line that says what would happen, with what to change; no login is in
one. Leaves out: which login is tried for which image (keyring, argo_sources).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from ecr_operator.api.desired import Desired
from ecr_operator.api.kinds import SHORT_NAMES
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.parsing import parse_resource
from ecr_operator.api.registry import host_in, parse_registry
from ecr_operator.api.text import format_time
from ecr_operator.api.token import USERNAME
from ecr_operator.api.usable_registry_keys import kubelet_serves
from ecr_operator.cli.keyring import Image, Login, PullSecret
from ecr_operator.cli.output import Result, Verdict, format_span
from ecr_operator.cli.rows import row_of
from ecr_operator.core.drift import times_by_login
from ecr_operator.core.secret_view import view_secret

_ACTIONS: Final = "ecr:BatchGetImage and ecr:GetDownloadUrlForLayer"
_MOST_KEYS: Final = 5
# What ECR answers, with 403, to a dead token.
_DEAD: Final = re.compile("token (has expired|is invalid)", re.IGNORECASE)
_NODES: Final = (
    "unless the nodes have a login of their own, such as EKS nodes for ECR, which can't be seen from here"
)


AnswerKind = Literal["found", "unauthorized", "denied", "missing", "unreachable", "withheld", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a registry answers.

    Attributes:
        kind: `withheld`: it wants the login sent to another host, which the message names.
        status: of HTTP; 0 without an answer.
        code: the registry's, such as `MANIFEST_UNKNOWN`; empty for none.
        message: the registry's, or why there is no answer; one short line.
    """

    kind: AnswerKind
    status: int = 0
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A resource of ours in the namespace.

    Attributes:
        desired: what it asks for; None where that can't be known.
        trouble: why it is not ready; empty where it is.
    """

    key: ResourceKey
    desired: Desired | None
    trouble: str

    @property
    def shown(self) -> str:
        """As kubectl and the other commands name it."""
        return shown_key(self.key)


def owner_of(kind: str, raw: Mapping[str, Any], now: datetime) -> Owner:
    """Make the owner of a resource as the API server holds it."""
    row, resource = row_of(kind, raw, now), parse_resource(kind, raw)
    trouble = "" if row.state == "Ready" else f"{row.reason}: {row.message}"
    return Owner(key=resource.key, desired=resource.desired, trouble=trouble)


def shown_key(key: ResourceKey) -> str:
    """A resource as kubectl and the other commands name it."""
    return f"{SHORT_NAMES[key.kind]}/{key.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose login one in a generated Secret is.

    Attributes:
        key: of the resource.
        owner: the resource; None where it could not be read.
        expires_at: of the token; None where that is not known.
        included: copied by `include_logins_from`.
    """

    key: ResourceKey
    owner: Owner | None = None
    expires_at: datetime | None = None
    included: bool = False


def origin_of(login: Login, secret: Mapping[str, Any], owners: Mapping[ResourceKey, Owner]) -> Origin | None:
    """Find out by the Secret's metadata whose login it is; None for one that the operator did not write."""
    view = view_secret(secret["metadata"])
    if view.owner is None or not view.owner.of_ours:
        return None
    key = view.owner.key(view.namespace)
    owner = owners.get(key)
    expires_at = view.times.expires_at if view.times else None
    if owner is None or owner.desired is None:
        return Origin(key=key, owner=owner, expires_at=expires_at)
    if login.key not in {each.key for each in owner.desired.logins}:
        return Origin(key=key, owner=owner, included=True)
    times = times_by_login(view, owner.desired).get(login.key)
    return Origin(key=key, owner=owner, expires_at=times.expires_at if times else expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to pull; `login` is None for one without a login."""

    login: Login | None
    origin: Origin | None
    answer: Answer

    @property
    def found(self) -> bool:
        """Whether the image would be pulled."""
        return self.answer.kind == "found"

    def is_expired(self, now: datetime) -> bool:
        """Whether its token is known to be past its time."""
        expires_at = self.origin.expires_at if self.origin else None
        return expires_at is not None and expires_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is known of one image.

    Attributes:
        subject: the image, or the source of an Application.
        attempts: in the order in which they are made; the last may be the one that succeeds.
        checked: False for a source that is in no registry.
    """

    subject: str
    attempts: Sequence[Attempt] = ()
    results: Sequence[Result] = field(default=())
    checked: bool = True

    @property
    def pulls(self) -> bool:
        """Whether it would be pulled."""
        stopped = any(result.verdict == "bad" for result in self.results)
        return not stopped and any(attempt.found for attempt in self.attempts)

    @property
    def conclusion(self) -> str:
        """The last line."""
        if not self.checked:
            return "Not checked."
        if self.pulls:
            return "It can be pulled."
        if any(attempt.answer.kind == "withheld" for attempt in self.attempts):
            return "Whether it can be pulled is not known."
        return "It can't be pulled."


def attempt_results(attempts: Sequence[Attempt], image: Image, now: datetime) -> list[Result]:
    """What happens with each login; a failure is harmless where a later one succeeds."""
    results = list[Result]()
    is_found = any(attempt.found for attempt in attempts)
    for attempt in attempts:
        pair = [_login_result(attempt, now)] if attempt.login else []
        pair.append(_answer_result(attempt, image, now))
        if is_found:
            pair = [replace(each, verdict=_harmless(each.verdict)) for each in pair]
        results += pair
    return results


def _harmless(verdict: Verdict) -> Verdict:
    return "optional" if verdict == "bad" else verdict


def _login_result(attempt: Attempt, now: datetime) -> Result:
    login, origin = attempt.login, attempt.origin
    assert login is not None  # noqa: S101 - for the type checker
    where = f"{login.shown_key} in Secret {login.secret}"
    if origin is None:
        return Result("good", "login", f"{where}, not generated by the operator")
    if origin.included:
        return Result("good", "login", f"{where}, copied by {shown_key(origin.key)}")
    whose = f"{where}, a token of {shown_key(origin.key)}"
    if origin.expires_at is None:
        return Result("good", "login", f"{whose}; when it expires is not known")
    at = format_time(origin.expires_at)
    if attempt.is_expired(now):
        return Result("bad", "login", f"{whose}, expired at {at}", _renewal(attempt))
    left = format_span(origin.expires_at - now)
    return Result("good", "login", f"{whose}, expires at {at} (in {left})")


def _renewal(attempt: Attempt) -> str:
    """What to do about a token that is not accepted."""
    login, origin = attempt.login, attempt.origin
    if login is None:
        return ""
    if origin is not None and not origin.included:
        if origin.owner and origin.owner.trouble:
            return origin.owner.trouble
        return f"request a new token: kubectl ecr refresh -n {origin.key.namespace} {shown_key(origin.key)}"
    if login.username == USERNAME:
        return "if it is an ECR token, it expires after 12 hours: have the operator generate this login"
    return f"correct the login in Secret {login.secret}"


def _answer_result(attempt: Attempt, image: Image, now: datetime) -> Result:
    answer = attempt.answer
    said = f": {answer.message}" if answer.message else ""
    match answer.kind:
        case "found":
            what = (
                "has this image"
                if image.reference
                else "lists the tags; which one is selected is not checked"
            )
            return Result("good", "registry", f"{image.host} {what}")
        case "missing":
            return _missing(image, answer)
        case "unreachable":
            advice = "check DNS, HTTPS_PROXY and SSL_CERT_FILE here; the nodes may reach it by another way"
            return Result("bad", "registry", f"{image.host} can't be reached from here{said}", advice)
        case "withheld":
            text = f"{image.host} wants the login sent to {answer.message}, another host: it was not sent"
            return Result("bad", "registry", text, "try the login with a client that you trust with it")
        case "failed":
            return Result("bad", "registry", f"{image.host} answers HTTP {answer.status}{said}", "try again")
    if attempt.login is None:
        return Result("bad", "registry", f"{image.host} requires a login, {_NODES}")
    is_dead = answer.kind == "unauthorized" or _DEAD.search(answer.message) or attempt.is_expired(now)
    if is_dead:
        advice = "" if attempt.is_expired(now) else _renewal(attempt)
        return Result("bad", "registry", f"{image.host} does not accept this login{said}", advice)
    return _denied(attempt, image, said)


def _missing(image: Image, answer: Answer) -> Result:
    if answer.code == "NAME_UNKNOWN":
        advice = "create it, or correct its name, or the account and region in the host"
        return Result("bad", "registry", f"{image.host} has no repository {image.path}", advice)
    kind = "digest" if ":" in image.reference else "tag"
    what = f"no {kind} {image.reference}" if image.reference else "no tags"
    text = f"{image.host} has {what} in repository {image.path}"
    return Result("bad", "registry", text, f"push it, or correct the {kind}")


def _denied(attempt: Attempt, image: Image, said: str) -> Result:
    text = f"{image.host} accepts the login, but denies the pull{said}"
    if not is_ecr(image):
        return Result("bad", "registry", text, f"permit this login to pull {image.path}")
    owner = attempt.origin.owner if attempt.origin and not attempt.origin.included else None
    source = next(iter(owner.desired.sources), None) if owner and owner.desired else None
    who = f"the identity of {owner.shown} ({source.identity})" if owner and source else "its identity"
    advice = f"allow {who} {_ACTIONS} on {image.path}; from another account also in the repository's policy"
    return Result("bad", "registry", text, advice)


def is_ecr(image: Image) -> bool:
    """Whether the registry is Amazon ECR by its name."""
    return parse_registry(image.host).kind != "other"


def no_login_result(
    secrets: Sequence[PullSecret], image: Image, account: str, owners: Collection[Owner]
) -> Result:
    """Why no login is tried for an image, and where one is to be had."""
    advice = _link(image, account, owners)
    if not secrets:
        return Result("bad", "pull secrets", f"none: service account {account} names none", advice)
    keys = [login.shown_key for secret in secrets for login in secret.logins]
    more = f" and {len(keys) - _MOST_KEYS} more" if len(keys) > _MOST_KEYS else ""
    has = f"; the keys are {', '.join(keys[:_MOST_KEYS])}{more}" if keys else ""
    return Result("bad", "login", f"no key serves this image{has}", advice)


def _link(image: Image, account: str, owners: Collection[Owner]) -> str:
    for owner in owners:
        desired = owner.desired
        if desired and any(kubelet_serves(login.key, image.repository) for login in desired.logins):
            return (
                f"link Secret {desired.secret_name}: add {{name: {account}, for: [pull]}} to "
                f"link_service_accounts of {owner.shown}"
            )
    if is_ecr(image):
        return (
            f"create a Secret of ecr.mobb.redhat.com with ecr_registry: {host_in(image.host)} and "
            f"link_service_accounts: [{{name: {account}, for: [pull]}}]"
        )
    return f"create a pull secret for {image.host}, and link it to service account {account}"


def secret_results(
    secrets: Sequence[PullSecret], source: str, owners: Collection[Owner], *, found: bool
) -> list[Result]:
    """What the pull secrets are, and what is wrong with any.

    Args:
        secrets: in their order.
        source: what names them.
        owners: the resources of the namespace, one of which may generate a Secret that is absent.
        found: some login is enough to pull the image.
    """
    if not secrets:
        return []
    names = ", ".join(secret.name for secret in secrets)
    results = [Result("good", "pull secrets", f"{names}, named by {source}")]
    for secret in secrets:
        if secret.stops:
            text = f"Secret {secret.name} {secret.flaw}, so that the kubelet pulls nothing for the pod"
            results.append(Result("bad", "pull secrets", text, "correct or unlink it"))
        elif secret.flaw:
            text = f"Secret {secret.name} {secret.flaw}"
            advice = _generation(secret.name, owners)
            results.append(Result("optional" if found else "bad", "pull secrets", text, advice))
    return results


def _generation(name: str, owners: Collection[Owner]) -> str:
    """What is wrong with the resource that generates a Secret."""
    for owner in owners:
        if owner.desired and owner.desired.secret_name == name and owner.trouble:
            return f"{owner.shown}: {owner.trouble}"
    return ""


def late_link_result(account: str, late: Sequence[str], *, has_own: bool, helps: bool) -> Result:
    """Pull secrets that the service account names and the pod does not.

    Args:
        account: name of the service account.
        late: their names.
        has_own: the pod names others.
        helps: with them it would try a login that it does not try now.
    """
    text = f"service account {account} names {', '.join(late)}, and the pod does not"
    if not has_own:
        advice = "recreate the pod: it was created before the link"
    else:
        advice = "recreate the pod if it was created before the link, or add them to its imagePullSecrets"
    return Result("bad" if helps else "optional", "pull secrets", text, advice)
