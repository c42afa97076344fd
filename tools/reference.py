"""`python -m tools.reference [--check]`: write docs/reference.md, or fail if it differs."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ecr_operator.api.kinds import ABSENT, API_VERSION, CONDITIONS, KINDS, SPECS
from ecr_operator.api.outcome import MEANINGS
from ecr_operator.api.text import (
    LARGEST_SPEC,
    LONGEST_DURATION,
    LONGEST_NAME,
    LONGEST_TEXT,
    MOST_ENTRIES,
)
from tools.crd_schema import custom_resource_definition
from tools.reference_flags import flag_rows, variable_rows
from tools.reference_words import MARKS, SDK_VARIABLES

_PATH: Final = Path(__file__).parents[1] / "docs" / "reference.md"
_HEADER: Final = f"""\
<!-- Made from the code by `make reference`: change it there. -->
# Reference

All that can be written, set and seen. Both kinds are of `{API_VERSION}` and live in a namespace.
What the operator does with them is told in [behaviour.md](behaviour.md); `kubectl explain` tells the fields.
A string may have {LONGEST_TEXT:,} characters, a name {LONGEST_NAME}, a duration {LONGEST_DURATION};
a list or map {MOST_ENTRIES} entries; and a spec {LARGEST_SPEC // 1024} KiB in all.
Anything larger is `InvalidSpec`, or refused by the API server.
"""

Schema = Mapping[str, Any]


def main() -> int:
    """Write or check the page; 1 if it is stale."""
    text = render()
    if "--check" not in sys.argv[1:]:
        _PATH.write_text(text, encoding="utf-8")
        return 0
    if _PATH.is_file() and _PATH.read_text(encoding="utf-8") == text:
        return 0
    print(f"{_PATH.name} differs from the code: run `make reference`.", file=sys.stderr)
    return 1


def render() -> str:
    """Return the page."""
    chapters = [_HEADER, *(_kind(kind) for kind in KINDS), _status(), _conditions(), _marks(), _process()]
    return "\n".join(chapters)


def field_rows(schema: Schema, path: str, absent: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """A row for each field below a schema, at any depth: path, type, whether it is required, description.

    Args:
        schema: of an object, in Kubernetes' structural form.
        path: what stands before the names of its fields.
        absent: by name, what leaving a field out amounts to.
    """
    needed = schema.get("required", ())
    for name, inner in sorted(schema.get("properties", {}).items(), key=lambda field: field[0] not in needed):
        required = "yes" if name in needed else _optional(absent.get(name))
        yield f"`{path}{name}`", type_in_words(inner), required, inner.get("description", "")
        yield from field_rows(inner, f"{path}{name}.", {})
        yield from field_rows(inner.get("items", {}), f"{path}{name}[].", {})


def type_in_words(schema: Schema) -> str:
    """Say what a value of this schema is."""
    if "enum" in schema:
        return " or ".join(f"`{choice}`" for choice in schema["enum"])
    match schema["type"]:
        case "array":
            return f"list of {type_in_words(schema['items'])}s"
        case "object" if "additionalProperties" in schema:
            return f"map of {type_in_words(schema['additionalProperties'])}s"
        case "string" if schema.get("format") == "date-time":
            return "time"
        case name:
            return str(name)


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """Return a table."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


def _optional(absent: str | None) -> str:
    return "no" if absent is None else f"no: `{absent}`"


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
    rows = field_rows(_schema(kind, "spec"), "", absent)
    head = ("Field", "Type", "Required, or what absent means", "Meaning")
    return (
        f"## {kind}: spec\n\n{crd['versions'][0]['schema']['openAPIV3Schema']['description']} "
        f"For kubectl it is\n{' or '.join(f'`{name}`' for name in names)}; the columns are "
        f"{', '.join(columns)}.\n\n{table(head, rows)}"
    )


def _status() -> str:
    (schema,) = {str(_schema(kind, "status")): _schema(kind, "status") for kind in KINDS}.values()
    rows = (row[:2] + row[3:] for row in field_rows(schema, "", {}))
    return f"## Status of both kinds\n\n{table(('Field', 'Type', 'Meaning'), rows)}"


def _conditions() -> str:
    conditions = ((f"`{name}`", f"{meaning[0].upper()}{meaning[1:]}") for name, meaning in CONDITIONS.items())
    reasons = ((f"`{reason}`", f"{meaning}.") for reason, meaning in MEANINGS.items())
    return (
        f"## Conditions and reasons\n\n{table(('Condition', 'True while'), conditions)}\n"
        "`Stalled` is there only while it is True. The reasons are the same in conditions, Events and "
        "the log; what to do\nabout each is in [troubleshooting.md](troubleshooting.md).\n\n"
        f"{table(('Reason', 'What happened'), reasons)}"
    )


def _marks() -> str:
    rows = ((mark.on, f"`{mark.key}`", mark.value, mark.meaning) for mark in MARKS)
    return f"## Annotations and labels\n\n{table(('On', 'Key', 'Value', 'Meaning'), rows)}"


def _process() -> str:
    sdk = ((", ".join(f"`{name}`" for name in names), meaning) for names, meaning in SDK_VARIABLES.items())
    return (
        "## Command line\n\n`ecr-secret-operator [flags]`, or `python -m ecr_operator [flags]`. Go's "
        "spelling, `-flag`, is taken too. A mistake is\none line and exit code 2.\n\n"
        f"{table(('Flag', 'Meaning'), flag_rows())}\n"
        f"## Environment\n\n{table(('Variable', 'Meaning'), variable_rows())}\n"
        f"Of the AWS SDK's own, these matter most:\n\n{table(('Variable', 'Meaning'), sdk)}"
    )


if __name__ == "__main__":
    sys.exit(main())
