"""Object from the API server → Resource, spec → Desired.

Invariant: any object parses. Each field is judged by itself: what is wrong with one is a Problem on that
resource, and the others are used; only where the login itself can't be known is there no Desired.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ecr_operator.api.desired import (
    Desired,
    Login,
    Problem,
    Resource,
    all_in_one,
)
from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.api.identity import OPERATOR, Identity, is_role_arn
from ecr_operator.api.kinds import (
    GROUP,
    SPECS,
    ArgoHelmRepoSecretSpec,
    NamespaceIdentity,
    Spec,
)
from ecr_operator.api.names import check_name
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.registry import token_source
from ecr_operator.api.spec_fields import Findings, parse_fields
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
from ecr_operator.api.usable_registry_keys import argo_hint, argo_problem, docker_problem

# Without a valid value of one of these, or of the registry or URL, the login can't be known.
_LOGIN_FIELDS: Final = (
    "generated_secret_name",
    "region",
    "role_arn",
    "service_account",
    "aws_iam_secret",
    "namespaces",
)
# An empty string means absent. Not so for the required ones, nor for other types.
_OPTIONAL_STRINGS: Final = frozenset(
    {
        "region",
        "frequency",
        "role_arn",
        "deletion_policy",
        "secret_format",
        "credential_scope",
        "repo_type",
        "project",
    }
)
REFRESH_REQUESTED: Final = f"{GROUP}/refresh-requested-at"
_LONGEST_REQUEST: Final = 64
_MOST_MISTAKES: Final = 5


def parse_resource(kind: str, raw: Mapping[str, Any]) -> Resource:
    """Make a Resource of an object from the API server.

    Args:
        kind: which of `KINDS` the object was listed as.
        raw: the object; `metadata` is the server's and trusted, the rest is not.
    """
    metadata = raw["metadata"]
    key = ResourceKey(kind=kind, namespace=metadata.get("namespace", ""), name=metadata["name"])
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


def _parse_spec(key: ResourceKey, uid: str, raw: object) -> tuple[Desired | None, Sequence[Problem]]:
    """Judge each field by itself; None where the login itself can't be known."""
    findings = Findings()
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
    desired = parse_fields(key, uid, spec, Login(key=spec.target, source=source), findings)
    if problem := _target_problem(spec):
        unusable = Problem(reason=Reason.INVALID_REGISTRY, message=problem)
        return replace(desired, unusable=unusable), (unusable, *findings.problems)
    argo = desired.argo
    hint = argo_hint(spec.target, scope=argo.scope, repo_type=argo.repo_type) if argo else ""
    return replace(desired, hint=hint), findings.problems


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


def _validate(model: type[Spec], raw: object, findings: Findings) -> Spec:
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


def _filtered(raw: Mapping[str, Any], findings: Findings) -> Iterator[tuple[str, Any]]:
    """The fields of a spec without empty strings, which mean absent, and without excess registries."""
    for name, value in raw.items():
        if name == "additional_registries" and isinstance(value, list):
            yield name, _bounded_registries(value, findings)
        elif value != "" or name not in _OPTIONAL_STRINGS:
            yield name, value


def _bounded_registries(registries: list[Any], findings: Findings) -> list[str]:
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
    role = spec.role_arn or ""
    if role and not is_role_arn(role):
        raise ValueError(
            f"spec.role_arn {excerpt(role)} is not a valid IAM role ARN; expected "
            "arn:aws:iam::123456789012:role/NAME."
        )
    own = spec if isinstance(spec, NamespaceIdentity) else NamespaceIdentity()
    if own.service_account and own.aws_iam_secret:
        raise ValueError(
            "spec.service_account and spec.aws_iam_secret are mutually exclusive; remove one of them."
        )
    if own.service_account:
        name = check_name("service_account.name", own.service_account.name, "ServiceAccount")
        return Identity(source="service_account", namespace=namespace, name=name, role_arn=role)
    if own.aws_iam_secret:
        name = check_name("aws_iam_secret.name", own.aws_iam_secret.name, "Secret")
        return Identity(source="iam_secret", namespace=namespace, name=name, role_arn=role)
    return Identity(namespace=namespace, role_arn=role) if role else OPERATOR


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
