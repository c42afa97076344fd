"""Object from the API server → Resource, spec → Desired.

Invariant: any object parses. Each field is judged by itself: what is wrong with one is a Problem on that
resource, and the others are used; only where the login itself can't be known is there no Desired.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

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
from ecr_operator.api.kinds import (
    DEFAULT_FREQUENCY,
    GROUP,
    SPECS,
    ArgoHelmRepoSecretSpec,
    SecretSpec,
    Spec,
)
from ecr_operator.api.names import check_annotations, check_labels, check_name, parse_links
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.registry import parse_registry, token_source
from ecr_operator.api.text import (
    LARGEST_SPEC,
    LARGEST_STATUS,
    LONGEST_TEXT,
    MOST_ENTRIES,
    excerpt,
    excerpt_unless_word,
    intern_json,
    is_within,
    mapping_in,
    parse_time,
    remaining_bytes,
)
from ecr_operator.api.token import TokenSource
from ecr_operator.api.usable_keys import argo_hint, argo_problem, docker_problem

# Without a valid value of one of these, or of the registry or URL, the login can't be known.
_LOGIN_FIELDS: Final = ("generated_secret_name", "region", "role_arn", "service_account", "aws_iam_secret")
# An empty string means absent. Not so for the required ones, nor for other types.
_OPTIONAL_STRINGS: Final = frozenset(
    {"region", "frequency", "role_arn", "deletion_policy", "credential_scope", "repo_type", "project"}
)
# The first is the default.
_CHOICES: Final = {
    "deletion_policy": ("Delete", ORPHAN),
    "credential_scope": ("repository", REPO_CREDS),
    "repo_type": ("helm", "oci"),
}
REFRESH_REQUESTED: Final = f"{GROUP}/refresh-requested-at"
_LONGEST_REQUEST: Final = 64
_MOST_MISTAKES: Final = 5

T = TypeVar("T")


def parse_resource(kind: str, raw: Mapping[str, Any]) -> Resource:
    """Make a Resource of an object from the API server.

    Args:
        kind: which of `KINDS` the object was listed as.
        raw: the object; `metadata` is the server's and trusted, the rest is not.
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
    """Whether the object is being deleted, and exists only until its finalizers are done."""
    return metadata.get("deletionTimestamp") is not None


def requested_refresh(metadata: Mapping[str, Any]) -> str | None:
    """The annotation that asks for a fresh token, cut to 64 characters."""
    value = mapping_in(metadata, "annotations").get(REFRESH_REQUESTED)
    return value[:_LONGEST_REQUEST] if isinstance(value, str) and value else None


def status_of(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The status of an object; empty where it is not an object or is larger than any of ours."""
    status = mapping_in(raw, "status")
    return intern_json(status) if is_within(status, LARGEST_STATUS) else {}


@dataclass(slots=True)
class _Findings:
    """What is wrong with single fields, and which of them keep what the generated Secret has."""

    problems: list[Problem] = field(default_factory=list)
    invalid_fields: set[str] = field(default_factory=set)

    def add(self, fields: Iterable[str], message: str, reason: Reason = Reason.INVALID_SPEC) -> None:
        """Note a problem, and the fields that keep their last valid value."""
        self.problems.append(Problem(reason=reason, message=message))
        self.invalid_fields.update(fields)

    def judge(self, name: str, parse: Callable[[], T], default: T) -> T:
        """The value of a field, or the default if its parser refuses it; of the wrong type it is absent."""
        try:
            return parse()
        except ValueError as error:
            self.add((name,), str(error))
            return default

    def choose(self, name: str, value: str | None) -> str:
        """The value of a field with a few choices, or the first of them."""
        choices = _CHOICES[name]
        if value is not None and value not in choices:
            self.add((name,), f"spec.{name} {excerpt(value)} is not valid; expected {' or '.join(choices)}.")
        return value if value in choices else choices[0]


def _parse_spec(key: ResourceKey, uid: str, raw: object) -> tuple[Desired | None, Sequence[Problem]]:
    """Judge each field by itself; None where the login itself can't be known."""
    findings = _Findings()
    try:
        _check_size(raw)
        spec = _validate(SPECS[key.kind], raw, findings)
        check_name("generated_secret_name", spec.generated_secret_name, "Secret")
        identity = _parse_identity(spec, key.namespace)
        source = replace(_target_source(spec), identity=identity)
    except ValueError as error:
        return None, (Problem(reason=Reason.INVALID_SPEC, message=str(error)),)
    except OperatorError as error:
        return None, (Problem(reason=error.reason, message=error.message),)
    desired = _parse_fields(key, uid, spec, Login(key=spec.target, source=source), findings)
    if problem := _target_problem(spec):
        unusable = Problem(reason=Reason.INVALID_REGISTRY, message=problem)
        return replace(desired, unusable=unusable), (unusable, *findings.problems)
    argo = desired.argo
    hint = argo_hint(spec.target, scope=argo.scope, repo_type=argo.repo_type) if argo else ""
    return replace(desired, hint=hint), findings.problems


def _parse_fields(key: ResourceKey, uid: str, spec: Spec, login: Login, findings: _Findings) -> Desired:
    """Judge the fields that are not needed to know the login."""
    judge, choose = findings.judge, findings.choose
    links = spec.link_service_accounts if isinstance(spec, SecretSpec) else None
    keeps_links = "link_service_accounts" in findings.invalid_fields
    return Desired(
        key=key,
        uid=uid,
        secret_name=spec.generated_secret_name,
        logins=_parse_logins(spec, login, findings),
        frequency=judge("frequency", lambda: _parse_frequency(spec.frequency), None),
        labels=judge("secret_labels", lambda: check_labels(spec.secret_labels or {}), {}),
        annotations=judge("secret_annotations", lambda: check_annotations(spec.secret_annotations or {}), {}),
        orphan=choose("deletion_policy", spec.deletion_policy) == ORPHAN,
        suspended=bool(spec.suspend),
        argo=_parse_argo(spec, findings) if isinstance(spec, ArgoHelmRepoSecretSpec) else None,
        links=None if keeps_links else judge("link_service_accounts", lambda: parse_links(links or ()), None),
        invalid_fields=frozenset(findings.invalid_fields),  # last, since the others add to it
    )


def _check_size(raw: object) -> None:
    """Before anything else is done with a spec, so that one that is too large is not looked through.

    Raises:
        ValueError: naming the field with which it became too large.
    """
    left = LARGEST_SPEC
    for name, value in raw.items() if isinstance(raw, Mapping) else ():
        left = remaining_bytes(value, remaining_bytes(name, left))
        if left < 0:
            raise ValueError(
                f"spec.{excerpt_unless_word(name)} makes the spec larger than {LARGEST_SPEC // 1024} KiB, "
                "or is not valid Unicode text."
            )


def _validate(model: type[Spec], raw: object, findings: _Findings) -> Spec:
    """Read a spec without the fields whose values are not valid.

    Raises:
        ValueError: the login can't be known without one of them.
    """
    given = dict(_filtered(raw, findings)) if isinstance(raw, Mapping) else raw
    try:
        return model.model_validate(given)
    except ValidationError as error:
        bad = {str(detail["loc"][0]) for detail in error.errors(include_url=False) if detail["loc"]}
        if not isinstance(given, Mapping) or not bad or bad & {*_LOGIN_FIELDS, model.target_field}:
            raise ValueError(_in_words(error)) from None
        findings.add(bad, _in_words(error))
        return model.model_validate({name: value for name, value in given.items() if name not in bad})


def _filtered(raw: Mapping[str, Any], findings: _Findings) -> Iterator[tuple[str, Any]]:
    """The fields of a spec without empty strings, which mean absent, and without excess registries."""
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
            f"spec.additional_registries: only the first {MOST_ENTRIES} entries are used, and of them only "
            f"strings of at most {LONGEST_TEXT} characters. Remove the others.",
        )
    return fit


def _target_source(spec: Spec) -> TokenSource:
    try:
        return token_source(spec.target, spec.region)
    except OperatorError as error:
        # Where a wrong host hides the region, the host is what has to be corrected.
        hides_region = error.reason is Reason.INVALID_SPEC and not spec.region
        if not hides_region or (problem := _target_problem(spec)) is None:
            raise
        raise PermanentError(Reason.INVALID_REGISTRY, problem) from None


def _target_problem(spec: Spec) -> str | None:
    """Why no client can use a login for the spec's registry or URL."""
    return (argo_problem if isinstance(spec, ArgoHelmRepoSecretSpec) else docker_problem)(spec.target)


def _parse_identity(spec: Spec, namespace: str) -> Identity:
    if spec.service_account and spec.aws_iam_secret:
        raise ValueError(
            "spec.service_account and spec.aws_iam_secret are mutually exclusive; remove one of them."
        )
    role = spec.role_arn or ""
    if role:
        check_role_arn(role)
    if spec.service_account:
        name = check_name("service_account.name", spec.service_account.name, "ServiceAccount")
        return Identity(source="service_account", namespace=namespace, name=name, role_arn=role)
    if spec.aws_iam_secret:
        name = check_name("aws_iam_secret.name", spec.aws_iam_secret.name, "Secret")
        return Identity(source="iam_secret", namespace=namespace, name=name, role_arn=role)
    return Identity(namespace=namespace, role_arn=role) if role else OPERATOR


def _parse_logins(spec: Spec, first: Login, findings: _Findings) -> tuple[Login, ...]:
    """The spec's registry first, then the additional ones that can be used, each key once."""
    more = (spec.additional_registries or []) if isinstance(spec, SecretSpec) else []
    logins = {first.key: first}
    for place, key in enumerate(more):
        try:
            source = replace(_additional_source(key, spec.region), identity=first.source.identity)
        except OperatorError as error:
            # Without the key itself, which may hold a login.
            message = f"spec.additional_registries[{place}] is not used: {error.message}"
            findings.add((), message, error.reason)
            continue
        logins.setdefault(key, Login(key=key, source=source))
    return tuple(logins.values())


def _additional_source(key: str, region: str | None) -> TokenSource:
    """An ECR host names its own region; spec.region is for hosts that name none.

    Raises:
        OperatorError: no client can use the key, or its region can't be known.
    """
    known = parse_registry(key).region
    if problem := docker_problem(key):
        raise PermanentError(Reason.INVALID_REGISTRY, problem)
    return token_source(key, known or region)


def _parse_frequency(text: str | None) -> timedelta | None:
    try:
        return parse_go_duration(DEFAULT_FREQUENCY if text is None else text)
    except ValueError as error:
        raise ValueError(f"spec.frequency: {error}.") from None


def _parse_argo(spec: ArgoHelmRepoSecretSpec, findings: _Findings) -> ArgoOptions:
    scope = findings.choose("credential_scope", spec.credential_scope)
    repo_type = findings.choose("repo_type", spec.repo_type)
    project = spec.project or ""
    if project and scope == REPO_CREDS:
        findings.add(
            ("credential_scope", "project"),
            f"spec.project has no effect with credential_scope: {REPO_CREDS}, where Argo CD ignores it. "
            "Remove it and limit the project's sourceRepos, or set credential_scope: repository.",
        )
        return ArgoOptions(repo_type=repo_type)
    if project:
        project = findings.judge("project", lambda: check_name("project", project, "Argo CD project"), "")
    return ArgoOptions(scope=scope, repo_type=repo_type, project=project)


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
