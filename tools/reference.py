"""`python -m tools.reference [--check]`: write docs/reference.md from the models, flags and annotations."""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ecr_operator.api.identity import PERMITTED_ROLES, ROLE_ANNOTATION
from ecr_operator.api.kinds import ABSENT, API_VERSION, CLUSTER, KINDS, NAMESPACED_KINDS, SPECS
from ecr_operator.api.outcome import MEANINGS
from ecr_operator.api.parsing import REFRESH_REQUESTED
from ecr_operator.api.statuses import CONDITIONS
from ecr_operator.api.text import (
    LARGEST_SPEC,
    LONGEST_DURATION,
    LONGEST_NAME,
    LONGEST_TEXT,
    MOST_ENTRIES,
)
from ecr_operator.core.manifest import (
    ARGO_LABEL,
    EXPIRES_AT,
    FINGERPRINT,
    ISSUED_AT,
    KEY_HASH,
    MANAGED_BY,
    MANAGER,
    OWNER,
    OWNER_UID,
    TOKENS,
)
from ecr_operator.core.secret_view import ADOPT, ADOPT_DROPPING, ADOPT_KEEPING
from ecr_operator.links.plan import LABEL, LINKS
from ecr_operator.settings.flags import operator_parser
from tools import settle
from tools.crds import custom_resource_definition

_HEADER: Final = f"""\
<!-- Made from the code by `make reference`: change it there. -->
# Reference

Everything that you can write, set and see. All kinds are of `{API_VERSION}`. `{CLUSTER}`
is cluster-scoped, the others are namespaced. [behaviour.md](behaviour.md) says what the operator does with
them; `kubectl explain` shows the fields too.
A string may have {LONGEST_TEXT:,} characters, a name {LONGEST_NAME}, a duration {LONGEST_DURATION};
a list or map {MOST_ENTRIES} entries; and a spec {LARGEST_SPEC // 1024} KiB in all.
Anything larger is `InvalidSpec`, or refused by the API server.
"""

Schema = Mapping[str, Any]

# A name or several in the epilog, and their meaning behind two spaces or on the line below.
_NAMES: Final = re.compile(r"  ([A-Z][A-Z0-9_*]*(?:, [A-Z][A-Z0-9_*]*)*)(?:  +(.*))?")


@dataclass(frozen=True, slots=True)
class Mark:
    """An annotation or label; `on` says of what, and who sets it."""

    on: str
    key: str
    value: str
    meaning: str


_YOURS: Final = "a resource, by you"
_THEIRS: Final = "an existing Secret, by you"
_NAMESPACES: Final = "a namespace, by the cluster admin"
_ACCOUNTS: Final = "a ServiceAccount, by you"
_LINKED: Final = "a linked ServiceAccount, by the operator"
_OURS: Final = "the generated Secret, by the operator"

MARKS: Final = (
    Mark(_YOURS, REFRESH_REQUESTED, "any new value", "Requests a new token, once for each new value"),
    Mark(
        _THEIRS,
        ADOPT,
        f"`{ADOPT_KEEPING}` or `{ADOPT_DROPPING}`",
        "Lets the resource that names this Secret take it over; `replace` also drops the data of others",
    ),
    Mark(
        _NAMESPACES,
        PERMITTED_ROLES,
        "globs",
        f"Roles that `role_arn` of the resources in this namespace may name; not that of a {CLUSTER}",
    ),
    Mark(_ACCOUNTS, ROLE_ANNOTATION, "a role's ARN", "The role for `service_account`, without `role_arn`"),
    Mark(_LINKED, LABEL, "label: `true`", "It has links for `link_service_accounts`"),
    Mark(_LINKED, LINKS, "JSON", "The links that the operator added, and will remove"),
    Mark(_OURS, MANAGED_BY, f"label: `{MANAGER}`", "The operator manages this Secret"),
    Mark(_OURS, ARGO_LABEL, "label: `repository` or `repo-creds`", "How Argo CD uses it"),
    Mark(_OURS, ISSUED_AT, "time", "When the token was fetched; with several, the oldest"),
    Mark(_OURS, EXPIRES_AT, "time", "When the token expires; with several, the first"),
    Mark(_OURS, TOKENS, "number and time", "With several registries, when each one's token was fetched"),
    Mark(_OURS, REFRESH_REQUESTED, "as on the resource", "The last request that was served"),
    Mark(_OURS, FINGERPRINT, "hash", "Of the spec fields that determine this Secret"),
    Mark(_OURS, KEY_HASH, "hash", "Of the long-lived access key id that fetched the token, if one did"),
    Mark(_OURS, OWNER, "kind and name", "The resource that owns it"),
    Mark(_OURS, OWNER_UID, "uid", "The same"),
)

# Each is held by a test in tests/aws.
SDK_VARIABLES: Final = {
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"): "Keys; read at the start only",
    ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"): "Files with profiles; changes are detected",
    ("AWS_PROFILE",): "The profile to use; `default` when absent",
    ("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"): "A web identity (IRSA)",
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"): "EKS Pod Identity",
    ("AWS_EC2_METADATA_DISABLED",): "`true`: never ask the instance's metadata service",
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT",): "Another address of that service",
    ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_ECR_PUBLIC", "AWS_ENDPOINT_URL_STS"): (
        "Another address of AWS, or of one service"
    ),
    ("AWS_CA_BUNDLE",): "The certificate authorities to trust for AWS",
}


def render() -> str:
    """Return the page."""
    chapters = [_HEADER, *(_kind(kind) for kind in KINDS), _status(), _conditions(), _marks(), _process()]
    return "\n".join(chapters)


def _field_rows(schema: Schema, path: str, absent: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """A row for each field of a structural schema, at any depth: path, type, required, description.

    `path` goes before the fields' names; `absent` has by name what leaving a field out amounts to.
    """
    needed = schema.get("required", ())
    for name, inner in sorted(schema.get("properties", {}).items(), key=lambda field: field[0] not in needed):
        required = "yes" if name in needed else f"no: `{absent[name]}`" if name in absent else "no"
        yield f"`{path}{name}`", _type_in_words(inner), required, inner.get("description", "")
        yield from _field_rows(inner, f"{path}{name}.", {})
        yield from _field_rows(inner.get("items", {}), f"{path}{name}[].", {})


def _type_in_words(schema: Schema) -> str:
    """Say what a value of this schema is."""
    if "enum" in schema:
        return " or ".join(f"`{choice}`" for choice in schema["enum"])
    match schema["type"]:
        case "array":
            return f"list of {_type_in_words(schema['items'])}s"
        case "object" if "additionalProperties" in schema:
            return f"map of {_type_in_words(schema['additionalProperties'])}s"
        case "string" if schema.get("format") == "date-time":
            return "time"
        case name:
            return str(name)


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """Return a table."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


def _schema(kind: str, part: str) -> Schema:
    (version,) = custom_resource_definition(kind)["spec"]["versions"]
    found: Schema = version["schema"]["openAPIV3Schema"]["properties"][part]
    return found


def _kind(kind: str) -> str:
    crd = custom_resource_definition(kind)["spec"]
    names = [f"{crd['names']['plural']}.{crd['group']}", *crd["names"]["shortNames"]]
    columns = [column["name"] for column in crd["versions"][0]["additionalPrinterColumns"]]
    extras = {name: field.json_schema_extra for name, field in SPECS[kind].model_fields.items()}
    absent = {
        name: str(extra[ABSENT])
        for name, extra in extras.items()
        if isinstance(extra, dict) and ABSENT in extra
    }
    rows = _field_rows(_schema(kind, "spec"), "", absent)
    head = ("Field", "Type", "Required, or what absent means", "Meaning")
    return (
        f"## {kind}: spec\n\n{crd['versions'][0]['schema']['openAPIV3Schema']['description']} "
        f"For kubectl it is\n{' or '.join(f'`{name}`' for name in names)}; the columns are "
        f"{', '.join(columns)}.\n\n{_table(head, rows)}"
    )


def _status() -> str:
    head = ("Field", "Type", "Meaning")
    (common,) = {tuple(_status_rows(kind)) for kind in NAMESPACED_KINDS}
    more = (row for row in _status_rows(CLUSTER) if row not in common)
    return (
        f"## Status\n\n{_table(head, iter(common))}\n"
        f"A {CLUSTER} has in addition, or with another meaning:\n\n{_table(head, more)}"
    )


def _status_rows(kind: str) -> Iterator[tuple[str, ...]]:
    return (row[:2] + row[3:] for row in _field_rows(_schema(kind, "status"), "", {}))


def _conditions() -> str:
    conditions = ((f"`{name}`", f"{meaning[0].upper()}{meaning[1:]}") for name, meaning in CONDITIONS.items())
    reasons = ((f"`{reason}`", f"{meaning}.") for reason, meaning in MEANINGS.items())
    return (
        f"## Conditions and reasons\n\n{_table(('Condition', 'True while'), conditions)}\n"
        f"Those of a {CLUSTER} are about all namespaces that it serves: one is enough for `Ready` or\n"
        "`Refreshed` to be False, or for `Stalled`.\n\n"
        "`Stalled` is present only while it is True. The reasons are the same in conditions, Events and "
        "the log; what to do\nabout each is in [troubleshooting.md](troubleshooting.md).\n\n"
        f"{_table(('Reason', 'What happened'), reasons)}"
    )


def _marks() -> str:
    rows = ((mark.on, f"`{mark.key}`", mark.value, mark.meaning) for mark in MARKS)
    return f"## Annotations and labels\n\n{_table(('On', 'Key', 'Value', 'Meaning'), rows)}"


def _process() -> str:
    sdk = ((", ".join(f"`{name}`" for name in names), meaning) for names, meaning in SDK_VARIABLES.items())
    return (
        "## Command line\n\n`ecr-secret-operator [flags]`, or `python -m ecr_operator [flags]`. Go's "
        "spelling, `-flag`, works too. A mistake is\none line and exit code 2. Each flag of the operator "
        "can also be set by a variable: `ECR_PERMITTED_ROLES`\nfor `--permitted-roles`. A flag wins.\n\n"
        f"{_table(('Flag', 'Meaning'), _flag_rows(operator_parser()))}\n"
        f"## Environment\n\n{_table(('Variable', 'Meaning'), _variable_rows())}\n"
        f"Of the AWS SDK's own, these matter most:\n\n{_table(('Variable', 'Meaning'), sdk)}"
    )


def _variable_rows() -> Iterator[tuple[str, str]]:
    """A row for each variable, or each group of them, that `--help` lists at its end."""
    found: list[tuple[str, str]] = []
    for line in (operator_parser().epilog or "").splitlines():
        if names := _NAMES.fullmatch(line):
            found.append((", ".join(f"`{name}`" for name in names[1].split(", ")), names[2] or ""))
        elif found and line.startswith("    "):
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}".strip())
    yield from found


def _flag_rows(parser: argparse.ArgumentParser, command: str = "") -> Iterator[tuple[str, str]]:
    """A row for each flag, those of commands too; `command` goes before their names."""
    for action in parser._actions:  # noqa: SLF001 -- argparse has no public way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 -- the same
            helps = {choice.dest: choice.help for choice in action._choices_actions}  # noqa: SLF001 -- the same
            for name, inner in action.choices.items():
                yield f"`{command}{name}`", helps.get(name) or inner.description or ""
                yield from _flag_rows(inner, f"{command}{name} ")
        elif action.help != argparse.SUPPRESS and not (command and action.dest == "help"):
            yield f"`{command}{_spelling(action)}`", _meaning(parser, action)


def _spelling(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings)
    value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    if action.nargs == "?":
        return f"{names}[={value}]"
    return f"{names} {value}".strip()


def _meaning(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return (action.help or "") % {**vars(action), "prog": parser.prog}


if __name__ == "__main__":
    sys.exit(settle({"docs/reference.md": render()}, "reference"))
