"""From what the API server holds to a Resource.

Invariant: whatever that may be, it parses; what is wrong with it is a Problem on that one resource.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ecr_operator.api.bounds import (
    LARGEST_SPEC,
    LARGEST_STATUS,
    LONGEST_TEXT,
    MOST_ENTRIES,
    is_within,
    left_after,
    mapping_in,
)
from ecr_operator.api.client_rules import argo_reach, docker_reach
from ecr_operator.api.desired import (
    ORPHAN,
    REPO_CREDS,
    ArgoOptions,
    Desired,
    Login,
    Problem,
    Resource,
    all_in_one,
)
from ecr_operator.api.duration import parse_go_duration
from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.api.identity import OPERATOR, Identity, check_role_arn
from ecr_operator.api.interning import share
from ecr_operator.api.kinds import (
    DEFAULT_FREQUENCY,
    GROUP,
    SPECS,
    ArgoHelmRepoSecretSpec,
    SecretSpec,
    Spec,
)
from ecr_operator.api.labels import check_annotations, check_labels
from ecr_operator.api.link_spec import LinkSpec, parse_links
from ecr_operator.api.names import check_name, is_name
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.registry import parse_registry, token_source
from ecr_operator.api.text import excerpt, excerpt_unless_word
from ecr_operator.api.times import parse_time
from ecr_operator.api.token import TokenSource

_LOGIN_FIELDS: Final = ("generated_secret_name", "region", "role_arn", "service_account", "aws_iam_secret")
# An empty string means absent. Not so for the required ones, nor for what is no string.
_OPTIONAL_STRINGS: Final = frozenset(
    {"region", "frequency", "role_arn", "deletion_policy", "credential_scope", "repo_type", "project"}
)
REFRESH_REQUESTED: Final = f"{GROUP}/refresh-requested-at"
_LONGEST_REQUEST: Final = 64
_MOST_MISTAKES: Final = 5


def parse_resource(kind: str, raw: Mapping[str, Any]) -> Resource:
    """Make a Resource of what the API server sent.

    Args:
        kind: which of `KINDS` the object was listed as.
        raw: the object; `metadata` is the server's and trusted, all else is not.
    """
    metadata = raw["metadata"]
    key = ResourceKey(kind=kind, namespace=metadata["namespace"], name=metadata["name"])
    desired, problems = _parse_spec(key, metadata["uid"], raw.get("spec"))
    return Resource(
        key=key,
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        created_at=parse_time(metadata.get("creationTimestamp")) or datetime.fromtimestamp(0, UTC),
        desired=desired,
        problem=all_in_one(problems),
        status=status_of(raw),
        refresh_requested=requested_refresh(metadata),
        deleting=is_deleting(metadata),
    )


def is_deleting(metadata: Mapping[str, Any]) -> bool:
    """Whether the API server is deleting the object: a finalizer is all that keeps it."""
    return metadata.get("deletionTimestamp") is not None


def requested_refresh(metadata: Mapping[str, Any]) -> str | None:
    """The value of the annotation that asks for a fresh token, cut to what an annotation should hold."""
    value = mapping_in(metadata, "annotations").get(REFRESH_REQUESTED)
    return value[:_LONGEST_REQUEST] if isinstance(value, str) and value else None


def status_of(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The status of an object; empty where it makes no sense or is larger than any of ours."""
    status = mapping_in(raw, "status")
    return share(status) if is_within(status, LARGEST_STATUS) else {}


@dataclass(slots=True)
class _Findings:
    """What is wrong with single fields of a spec, and which of them keep what the Secret has."""

    problems: list[Problem] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)

    def add(self, fields: Iterable[str], message: str, reason: Reason = Reason.INVALID_SPEC) -> None:
        self.problems.append(Problem(reason=reason, message=message))
        self.kept.update(fields)


def _parse_spec(key: ResourceKey, uid: str, raw: object) -> tuple[Desired | None, tuple[Problem, ...]]:
    """Judge each field by itself; None where the login itself can't be known."""
    findings = _Findings()
    try:
        _check_size(raw)
        spec = _validate(SPECS[key.kind], raw, findings)
        check_name("generated_secret_name", spec.generated_secret_name, "Secret")
        identity = _parse_identity(spec, key.namespace)
        first = Login(key=spec.target, source=_with_identity(_target_source(spec), identity))
    except ValidationError as error:
        return None, (Problem(reason=Reason.INVALID_SPEC, message=_in_words(error)),)
    except ValueError as error:
        return None, (Problem(reason=Reason.INVALID_SPEC, message=str(error)),)
    except OperatorError as error:
        return None, (Problem(reason=error.reason, message=error.message),)
    desired = Desired(
        key=key,
        uid=uid,
        secret_name=spec.generated_secret_name,
        logins=_logins(first, spec, findings),
        frequency=_parse_frequency(spec.frequency, findings),
        labels=_checked(check_labels, "secret_labels", spec.secret_labels or {}, findings),
        annotations=_checked(
            check_annotations, "secret_annotations", spec.secret_annotations or {}, findings
        ),
        orphan=_choice("deletion_policy", spec.deletion_policy, ("Delete", ORPHAN), findings) == ORPHAN,
        suspended=bool(spec.suspend),
        argo=_argo_options(spec, findings) if isinstance(spec, ArgoHelmRepoSecretSpec) else None,
        links=_parse_links(spec, findings),
    )
    unusable, hint = _judge_target(spec, desired)
    problems = (*([unusable] if unusable else []), *findings.problems)
    return replace(desired, kept=frozenset(findings.kept), unusable=unusable, hint=hint), problems


def _validate(model: type[Spec], raw: object, findings: _Findings) -> Spec:
    """Read a spec without the fields whose values are not valid.

    Raises:
        ValidationError: one of them is needed to know the login.
    """
    given = dict(_filtered(raw, findings)) if isinstance(raw, Mapping) else raw
    try:
        return model.model_validate(given)
    except ValidationError as error:
        bad = {str(detail["loc"][0]) for detail in error.errors(include_url=False) if detail["loc"]}
        if not isinstance(given, Mapping) or not bad or bad & {*_LOGIN_FIELDS, model.target_field}:
            raise
        findings.add(bad, _in_words(error))
        return model.model_validate({name: value for name, value in given.items() if name not in bad})


def _filtered(raw: Mapping[str, Any], findings: _Findings) -> Iterator[tuple[str, Any]]:
    """The fields of a spec without empty strings, which mean absent, and without registries too many."""
    for name, value in raw.items():
        if name == "additional_registries" and isinstance(value, list):
            yield name, _bounded_registries(value, findings)
        elif value != "" or name not in _OPTIONAL_STRINGS:
            yield name, value


def _bounded_registries(registries: list[Any], findings: _Findings) -> list[str]:
    fit = [key for key in registries[:MOST_ENTRIES] if isinstance(key, str) and len(key) <= LONGEST_TEXT]
    if len(fit) < len(registries):
        findings.add(
            (),
            f"spec.additional_registries: only the first {MOST_ENTRIES} entries, of at most {LONGEST_TEXT} "
            "characters each, are used. Remove the others.",
        )
    return fit


def _target_source(spec: Spec) -> TokenSource:
    try:
        return token_source(spec.target, spec.region)
    except OperatorError as error:
        # Where a wrong host hides the region, the host is what has to be corrected.
        hidden = error.reason is Reason.INVALID_SPEC and not spec.region
        if not hidden or (problem := _target_problem(spec)) is None:
            raise
        raise PermanentError(Reason.INVALID_REGISTRY, problem) from None


def _target_problem(spec: Spec) -> str | None:
    """Why no client can use a login for the spec's registry or URL."""
    is_argo = isinstance(spec, ArgoHelmRepoSecretSpec)
    return (argo_reach if is_argo else docker_reach)(spec.target).problem


def _judge_target(spec: Spec, desired: Desired) -> tuple[Problem | None, str]:
    """Why no client can use the login, and which sources of Argo CD find it where that is not obvious."""
    if problem := _target_problem(spec):
        return Problem(reason=Reason.INVALID_REGISTRY, message=problem), ""
    if desired.argo is None:
        return None, ""
    reach = argo_reach(spec.target, scope=desired.argo.scope, repo_type=desired.argo.repo_type)
    return None, reach.hint or ""


def _check_size(raw: object) -> None:
    """Before anything else is done with a spec: what is too large is not looked through.

    Raises:
        ValueError: naming the field with which it became too large.
    """
    left = LARGEST_SPEC
    for name, value in raw.items() if isinstance(raw, Mapping) else ():
        left = left_after(value, left_after(name, left))
        if left < 0:
            raise ValueError(
                f"spec.{excerpt_unless_word(name)} makes the spec larger than {LARGEST_SPEC // 1024} KiB, "
                "or is not valid Unicode text."
            )


def _parse_identity(spec: Spec, namespace: str) -> Identity:
    if spec.service_account and spec.aws_iam_secret:
        raise ValueError(
            "spec.service_account and spec.aws_iam_secret are mutually exclusive; remove one of them."
        )
    role = spec.role_arn
    if role is not None:
        check_role_arn(role)
    if spec.service_account:
        name = check_name("service_account.name", spec.service_account.name, "ServiceAccount")
        return Identity(source="service_account", namespace=namespace, name=name, role_arn=role or "")
    if spec.aws_iam_secret:
        name = check_name("aws_iam_secret.name", spec.aws_iam_secret.name, "Secret")
        return Identity(source="iam_secret", namespace=namespace, name=name, role_arn=role or "")
    return Identity(namespace=namespace, role_arn=role) if role else OPERATOR


def _logins(first: Login, spec: Spec, findings: _Findings) -> tuple[Login, ...]:
    """The spec's registry first, then the additional ones that can be used, each key once."""
    more = (spec.additional_registries or []) if isinstance(spec, SecretSpec) else []
    logins = {first.key: first}
    for place, key in enumerate(more):
        try:
            source = _with_identity(_additional_source(key, spec.region), first.source.identity)
        except OperatorError as error:
            # Without the key itself, which may hold a login.
            where = f"spec.additional_registries[{place}] is not used"
            findings.add((), f"{where}: {error.message}", error.reason)
            continue
        logins.setdefault(key, Login(key=key, source=source))
    return tuple(logins.values())


def _with_identity(source: TokenSource, identity: Identity) -> TokenSource:
    return replace(source, identity=identity)


def _additional_source(key: str, region: str | None) -> TokenSource:
    """An ECR host names its own region; spec.region is for hosts that name none.

    Raises:
        OperatorError: no client or no region can be known for it.
    """
    known = parse_registry(key).region
    if problem := docker_reach(key).problem:
        raise PermanentError(Reason.INVALID_REGISTRY, problem)
    return token_source(key, known or region)


def _choice(name: str, value: str | None, choices: tuple[str, ...], findings: _Findings) -> str:
    """The value of a field, or its default, the first choice."""
    if value is not None and value not in choices:
        findings.add({name}, f"spec.{name} {excerpt(value)} is not valid; expected {' or '.join(choices)}.")
    return value if value in choices else choices[0]


def _checked(
    check: Callable[[Mapping[str, str]], None], name: str, values: Mapping[str, str], findings: _Findings
) -> Mapping[str, str]:
    try:
        check(values)
    except ValueError as error:
        findings.add({name}, str(error))
        return {}
    return values


def _argo_options(spec: ArgoHelmRepoSecretSpec, findings: _Findings) -> ArgoOptions:
    scope = _choice("credential_scope", spec.credential_scope, ("repository", REPO_CREDS), findings)
    repo_type = _choice("repo_type", spec.repo_type, ("helm", "oci"), findings)
    project = spec.project or ""
    if project and scope == REPO_CREDS:
        findings.add(
            {"credential_scope", "project"},
            f"spec.project has no effect with credential_scope: {REPO_CREDS}: Argo CD ignores it there. "
            "Remove it and limit the project's sourceRepos, or set credential_scope: repository.",
        )
        return ArgoOptions(repo_type=repo_type)
    if project and not is_name(project):
        findings.add(
            {"project"},
            f"spec.project {excerpt(project)} is not a valid name of an Argo CD project; use lower case "
            "letters, digits, '-' and '.'.",
        )
        return ArgoOptions(scope=scope, repo_type=repo_type)
    return ArgoOptions(scope=scope, repo_type=repo_type, project=project)


def _parse_frequency(text: str | None, findings: _Findings) -> timedelta | None:
    try:
        return parse_go_duration(DEFAULT_FREQUENCY if text is None else text)
    except ValueError as error:
        findings.add({"frequency"}, f"spec.frequency: {error}.")
        return None


def _parse_links(spec: Spec, findings: _Findings) -> tuple[LinkSpec, ...] | None:
    links = spec.link_service_accounts if isinstance(spec, SecretSpec) else None
    if "link_service_accounts" in findings.kept:
        return None
    try:
        return parse_links(links or ())
    except ValueError as error:
        findings.add({"link_service_accounts"}, str(error))
        return None


def _in_words(error: ValidationError) -> str:
    """What pydantic found, without the values."""
    found = error.errors(include_input=False, include_url=False)
    wrong = [f"{_field(detail['loc'])} {_meaning(detail)}" for detail in found[:_MOST_MISTAKES]]
    if len(found) > _MOST_MISTAKES:
        wrong.append(f"and {len(found) - _MOST_MISTAKES} more")
    return f"{'; '.join(wrong)}."


def _field(location: Sequence[int | str]) -> str:
    return ".".join(["spec", *(excerpt_unless_word(str(part)) for part in location)])


def _meaning(detail: ErrorDetails) -> str:
    meaning = _MEANINGS.get(detail["type"])
    return meaning.format(**detail.get("ctx", {})) if meaning else detail["msg"]


_MEANINGS: Final = {
    "missing": "is missing",
    "string_type": "must be a string; put quotes around it",
    "string_too_long": "is longer than {max_length} characters",
    "too_long": "has more than {max_length} entries",
    "bool_type": "must be true or false",
    "dict_type": "must be a map of strings",
    "list_type": "must be a list",
    "model_type": "must be an object with fields",
    "model_attributes_type": "must be an object with fields",
}
