"""A stand-in for the command `aws`: `aws SERVICE OPERATION --option VALUE … [--query Q --output text]`.

It asks what AWS_ENDPOINT_URL names, by botocore, which refuses operations and options that AWS does not
have. Every call is appended to the file that CALLS names, as a line of JSON.
"""

import functools
import json
import os
import sys
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError

_OF_THE_COMMAND = ("query", "output")


def main(arguments: list[str]) -> int:
    """Make the call, print what is asked for, and return the exit code."""
    service, operation, *rest = arguments
    with Path(os.environ["CALLS"]).open("a", encoding="utf-8") as calls:
        print(json.dumps(arguments), file=calls)
    session = botocore.session.get_session()
    client = session.create_client(service)
    options = _options(rest)
    shape = client.meta.service_model.operation_model(_camel(operation)).input_shape
    own = {_camel(name, lower=service == "ecr"): value for name, value in options.items()}
    members = shape.members if shape else {}
    own = {name: _typed(members[name], value) for name, value in own.items()}
    try:
        answer = getattr(client, operation.replace("-", "_"))(**own)
    except (ClientError, BotoCoreError) as error:
        print(error, file=sys.stderr)
        return 254
    print(functools.reduce(lambda part, key: part[key], _value(rest, "query").split("."), answer))
    return 0


def _options(rest: list[str]) -> dict[str, str]:
    """Take the options apart; one without a value is a flag."""
    found, name = {}, ""
    for word in rest:
        if word.startswith("--"):
            name = word[2:]
            found[name] = "true"
        else:
            found[name] = word
    return {name: value for name, value in found.items() if name not in _OF_THE_COMMAND}


def _value(rest: list[str], name: str) -> str:
    return rest[rest.index(f"--{name}") + 1] if f"--{name}" in rest else "ResponseMetadata"


def _camel(name: str, *, lower: bool = False) -> str:
    joined = "".join(word.capitalize() for word in name.split("-"))
    return joined[0].lower() + joined[1:] if lower else joined


def _typed(shape: Any, value: str) -> Any:
    if shape.type_name == "boolean":
        return value == "true"
    return [value] if shape.type_name == "list" else value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
