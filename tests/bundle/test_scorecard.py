"""What the scorecard's suites basic and olm want, and a form that a person can fill in."""

import json
from typing import Any, Final

import pytest
import yaml

from ecr_operator.api.kinds import CLUSTER, KINDS, NAMESPACED_KINDS
from ecr_operator.api.parsing import parse_resource
from lab.api import Json
from tests.builders import raw_resource
from tests.bundle import olm
from tools.bundle.csv import OPTIONS

BUNDLE: Final = olm.load()
EXAMPLES: Final = json.loads(BUNDLE.csv["metadata"]["annotations"]["alm-examples"])
OWNED: Final = {each["kind"]: each for each in BUNDLE.csv["spec"]["customresourcedefinitions"]["owned"]}
UI: Final = "urn:alm:descriptor:com.tectonic.ui:"
OBJECT: Final = "urn:alm:descriptor:io.kubernetes:"
WIDGETS: Final = {"string": "text", "boolean": "booleanSwitch"}

of_each_kind = pytest.mark.parametrize("kind", KINDS)


def _schema(kind: str) -> Json:
    crds = (each for each in BUNDLE.others if each["kind"] == "CustomResourceDefinition")
    (crd,) = (each for each in crds if each["spec"]["names"]["kind"] == kind)
    (version,) = crd["spec"]["versions"]
    found: Json = version["schema"]["openAPIV3Schema"]["properties"]
    return found


def _widgets(kind: str) -> dict[str, list[str]]:
    """Return the widgets of the form by the fields' paths, in its order."""
    return {each["path"]: each.get("x-descriptors", []) for each in OWNED[kind]["specDescriptors"]}


def test_the_suites_are_the_scorecards_own() -> None:
    folder = olm.ROOT / "bundle/tests/scorecard"
    (stage,) = yaml.safe_load((folder / "config.yaml").read_text())["stages"]
    assert {each["entrypoint"][1] for each in stage["tests"]} == {
        "basic-check-spec",
        "olm-bundle-validation",
        "olm-crds-have-validation",
        "olm-crds-have-resources",
        "olm-spec-descriptors",
        "olm-status-descriptors",
    }
    for each in stage["tests"]:
        assert each["labels"]["test"] == f"{each['entrypoint'][1]}-test"
        assert each["entrypoint"][1].startswith(each["labels"]["suite"])


def test_there_is_an_example_of_each_kind_and_it_has_a_spec() -> None:
    assert {each["kind"] for each in EXAMPLES} == set(OWNED) == set(KINDS)
    assert all(each["spec"] for each in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=[each["metadata"]["name"] for each in EXAMPLES])
def test_the_crd_knows_every_field_of_the_example_and_the_form_has_it(example: Json) -> None:
    assert set(example["spec"]) <= set(_schema(example["kind"])["spec"]["properties"])
    assert set(example["spec"]) <= set(_widgets(example["kind"]))
    assert "status" not in example


@of_each_kind
def test_its_resources_are_told(kind: str) -> None:
    assert {"kind": "Secret", "name": "", "version": "v1"} in OWNED[kind]["resources"]
    assert OWNED[kind]["displayName"] != kind
    assert OWNED[kind]["description"]


@of_each_kind
def test_every_field_of_the_spec_is_in_the_form_with_a_name_and_the_models_text(kind: str) -> None:
    properties = _schema(kind)["spec"]["properties"]
    described = {each["path"]: each for each in OWNED[kind]["specDescriptors"]}
    assert set(properties) == {path for path in described if "." not in path}
    for path, each in described.items():
        assert each["description"] == _field(properties, path)["description"]
        assert each["displayName"][0].isupper()
        assert "_" not in each["displayName"]
    names = [each["displayName"] for path, each in described.items() if "." not in path]
    assert len(set(names)) == len(names)


def _field(properties: Json, path: str) -> Json:
    """Return the schema of a field; `[0]` in its path is any item of a list."""
    first, _, rest = path.partition(".")
    found: Json = properties[first.removesuffix("[0]")]
    found = found["items"] if first.endswith("[0]") else found
    return _field(found["properties"], rest) if rest else found


@of_each_kind
def test_every_field_has_the_widget_of_its_type(kind: str) -> None:
    properties = _schema(kind)["spec"]["properties"]
    for path, widgets in _widgets(kind).items():
        own = [each for each in widgets if each != f"{UI}advanced"]
        expected = WIDGETS.get(_field(properties, path)["type"])
        if own and not own[0].startswith((f"{UI}select:", OBJECT)):
            assert own == [UI + str(expected)]
        else:
            assert bool(own) == bool(expected)


@of_each_kind
def test_what_is_required_comes_first_and_what_is_rare_is_folded_away(kind: str) -> None:
    required = _schema(kind)["spec"]["required"]
    widgets = _widgets(kind)
    fields = [path for path in widgets if "." not in path]
    plain = [path for path in fields if f"{UI}advanced" not in widgets[path]]
    assert plain == [*required, "region", "frequency"]
    assert fields[: len(plain)] == plain


@of_each_kind
def test_the_new_secrets_name_is_typed_and_not_chosen_from_those_that_exist(kind: str) -> None:
    assert _widgets(kind)["generated_secret_name"] == [f"{UI}text"]


@pytest.mark.parametrize("kind", NAMESPACED_KINDS)
def test_an_identity_is_chosen_from_those_that_exist(kind: str) -> None:
    assert _widgets(kind)["aws_iam_secret.name"] == [f"{OBJECT}Secret"]
    assert _widgets(kind)["service_account.name"] == [f"{OBJECT}ServiceAccount"]


def test_of_a_clustersecret_nothing_is_chosen_or_linked_in_a_namespace_as_it_has_none() -> None:
    described = [*OWNED[CLUSTER]["specDescriptors"], *OWNED[CLUSTER]["statusDescriptors"]]
    widgets = {widget for each in described for widget in each.get("x-descriptors", ())}
    assert f"{UI}text" in widgets
    assert not {widget for widget in widgets if widget.startswith(OBJECT)}


def _choices() -> list[Any]:
    return [
        pytest.param(kind, path, option, id=f"{path}: {option} in {kind}")
        for kind in KINDS
        for path, options in OPTIONS.items()
        for option in options
        if path in _widgets(kind)
    ]


@pytest.mark.parametrize(("kind", "path", "option"), _choices())
def test_every_option_that_the_form_offers_is_a_valid_one(kind: str, path: str, option: str) -> None:
    assert f"{UI}select:{option}" in _widgets(kind)[path]
    fields: dict[str, Any] = {path: option}
    resource = raw_resource(kind, **fields)
    assert parse_resource(kind, resource).problem is None
    resource["spec"][path] = f"{option}s"
    assert parse_resource(kind, resource).problem is not None


@of_each_kind
def test_every_field_of_the_status_is_shown(kind: str) -> None:
    described = {each["path"]: each for each in OWNED[kind]["statusDescriptors"]}
    assert set(described) == set(_schema(kind)["status"]["properties"])
    assert described["phase"]["x-descriptors"] == ["urn:alm:descriptor:io.kubernetes.phase"]
    assert described["conditions"]["x-descriptors"] == ["urn:alm:descriptor:io.kubernetes.conditions"]
    if kind in NAMESPACED_KINDS:
        assert described["secretName"]["x-descriptors"] == [f"{OBJECT}Secret"]
