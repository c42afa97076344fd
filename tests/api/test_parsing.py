"""Any object from the API server parses; each field is judged by itself."""

# ruff: noqa: S106 - names of Secrets and made-up tokens

import json
import operator
import re
from collections import UserDict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_operator.api.desired import ArgoOptions, Problem, Resource
from ecr_operator.api.kinds import KINDS, SPECS, ArgoHelmRepoSecretSpec, SecretSpec
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.parsing import REFRESH_REQUESTED, parse_resource, requested_refresh
from ecr_operator.api.text import LARGEST_STATUS, excerpt
from ecr_operator.core import outcomes
from ecr_operator.core.manifest import generated_secret
from ecr_operator.core.status import next_status
from tests.api.json_values import json_values, lists_of, objects, texts
from tests.builders import HOST, NOW, OHIO, desired, raw_resource, resource, tokens

ARGO: Final = "ArgoHelmRepoSecret"
HUGE: Final = 1_300_000

fields = st.sampled_from([*SecretSpec.model_fields, *ArgoHelmRepoSecretSpec.model_fields, "other"])
# Otherwise valid, so that the other fields are reached.
links = lists_of(objects(name=texts | st.just("builder"), **{"for": lists_of(st.just("pull"))}))
good = st.fixed_dictionaries({"generated_secret_name": st.just("a"), "ecr_registry": st.just(HOST)})


def problem(kind: str = "Secret", **spec: Any) -> Problem:
    found = resource(kind, **spec).problem
    assert found is not None
    return found


def test_a_resource_carries_its_identity() -> None:
    of = resource(name="web", namespace="team", uid="u1", generation=3, age=timedelta(hours=1))
    assert of.key == ResourceKey(kind="Secret", namespace="team", name="web")
    assert (of.uid, of.generation, of.created_at) == ("u1", 3, NOW - timedelta(hours=1))
    assert str(of.key) == "Secret team/web"


def test_a_valid_spec_is_kept_verbatim_and_a_chart_of_other_sources_has_a_hint() -> None:
    of = resource(generated_secret_name="a.b-c", region="us-east-2", frequency="90m", other=True)
    spec, url = desired(of), f"oci://{HOST}/charts"
    assert (spec.secret_name, spec.target, spec.sources[0]) == ("a.b-c", HOST, OHIO)
    assert (of.problem, spec.frequency) == (None, timedelta(minutes=90))
    chart = resource(ARGO, url=url)
    assert (desired(chart).target, chart.problem, desired(chart).unusable) == (url, None, None)
    assert "Argo CD" in desired(chart).hint


@pytest.mark.parametrize(
    ("frequency", "hours", "invalid"),
    [
        pytest.param(None, 10, set(), id="absent, the default"),
        pytest.param("0s", 0, set(), id="zero"),
        pytest.param("-1h", -1, set(), id="negative"),
        pytest.param("24h", 24, set(), id="longer than a token's life"),
        pytest.param(10, 10, {"frequency"}, id="a number, so the default"),
        pytest.param([], 10, {"frequency"}, id="a list, so the default"),
    ],
)
def test_a_frequency_that_go_parses_is_valid_and_one_of_another_type_absent(
    frequency: object, hours: int, invalid: set[str]
) -> None:
    of = resource(frequency=frequency)
    assert desired(of).frequency == timedelta(hours=hours)
    assert desired(of).invalid_fields == invalid
    assert (of.problem is None) is (not invalid)


NAME: Final = "is not a valid Secret name; expected at most 253"
TOO_LARGE: Final = "makes the spec larger than 64 KiB"
ACCOUNT_ID: Final = "ACCOUNT_ID.dkr.ecr.us-east-2.amazonaws.com"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("ecr_registry", "", "InvalidRegistry: The registry or URL is empty"),
        ("ecr_registry", "a b", "InvalidRegistry: The registry or URL contains a space"),
        ("ecr_registry", "x" * 2049, "InvalidRegistry: The registry or URL is longer than 2048"),
        ("ecr_registry", ACCOUNT_ID, "InvalidRegistry: The registry host account_id."),
        ("ecr_registry", "proxy.example.com", "InvalidSpec: The registry host"),
        ("ecr_registry", None, "InvalidSpec: spec.ecr_registry is missing."),
        ("ecr_registry", [HOST], "InvalidSpec: spec.ecr_registry must be a string; put quotes around it."),
        ("region", "eu-west-1", "RegionMismatch: The registry"),
        ("region", "Ohio", 'InvalidSpec: spec.region "Ohio" is not a valid AWS region'),
        ("region", "x" * 64, "InvalidSpec: spec.region"),
        ("region", True, "InvalidSpec: spec.region must be a string"),
        *(
            ("generated_secret_name", name, f"InvalidSpec: spec.generated_secret_name {excerpt(name)} {NAME}")
            for name in ("Web", "", "a..b", "../x", "-a", "a\n", "a" * 254)
        ),
        ("generated_secret_name", None, "InvalidSpec: spec.generated_secret_name is missing."),
        ("generated_secret_name", 7, "InvalidSpec: spec.generated_secret_name must be a string"),
        ("role_arn", "x" * 2049, "InvalidSpec: spec.role_arn is longer than 2048 characters."),
        ("aws_iam_secret", "", "InvalidSpec: spec.aws_iam_secret must be an object with fields."),
        ("service_account", "", "InvalidSpec: spec.service_account must be an object with fields."),
        ("service_account", {"name": "x" * 254}, "InvalidSpec: spec.service_account.name is longer than 253"),
        ("spec", [], "InvalidSpec: spec must be an object with fields."),
        ("spec", "x", "InvalidSpec: spec must be an object"),
        ("spec", {}, "InvalidSpec: spec.generated_secret_name is missing; spec.ecr_registry is missing."),
        ("other", "\ud800", f"InvalidSpec: spec.other {TOO_LARGE}, or is not valid Unicode"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_spec_without_a_known_login_is_reported(field: str, value: Any, words: str) -> None:
    found = problem(**{field: value})
    assert f"{found.reason}: {found.message}".startswith(words)
    assert found.message.endswith("."), "another sentence may follow"
    assert resource(**{field: value}).desired is None


def test_null_is_absent_and_a_name_may_have_253_characters() -> None:
    for spec in ({"region": None}, {"frequency": None}, {"generated_secret_name": "a" * 253}):
        raw = raw_resource()
        raw["spec"] |= spec
        assert parse_resource("Secret", raw).problem is None


@pytest.mark.parametrize("field", ["spec", "status"])
def test_a_part_may_be_absent_or_null(field: str) -> None:
    raw = raw_resource()
    for changed in (raw | {field: None}, {key: raw[key] for key in raw if key != field}):
        of = parse_resource("Secret", changed)
        assert (of.problem is not None) is (field == "spec")
        assert of.status == {}


def test_a_message_never_contains_the_value_of_a_field_of_the_wrong_type() -> None:
    assert "hunter2" not in problem(ecr_registry=["hunter2"], region={"hunter2": "hunter2"}).message


def test_metadata_without_generation_or_time_is_old() -> None:
    raw = raw_resource()
    del raw["metadata"]["generation"], raw["metadata"]["creationTimestamp"]
    of = parse_resource("Secret", raw)
    assert (of.generation, of.created_at) == (0, datetime.fromtimestamp(0, UTC))


@given(
    kind=st.sampled_from(KINDS),
    spec=json_values
    | st.builds(operator.or_, good, st.dictionaries(fields, texts | json_values | links, max_size=3)),
    status=json_values,
    annotations=json_values | st.dictionaries(st.just(REFRESH_REQUESTED), json_values),
)
def test_any_object_parses_to_a_spec_or_a_printable_problem(
    kind: str, spec: object, status: object, annotations: object
) -> None:
    raw = raw_resource(kind) | {"spec": spec, "status": status}
    raw["metadata"]["annotations"] = annotations
    of = parse_resource(kind, raw)
    assert of.desired is not None or of.problem is not None
    if of.problem:
        assert of.problem.message
        assert of.problem.message.isprintable()
    if of.desired:
        manifest = generated_secret(of.desired, tokens(of))
        json.dumps(manifest, ensure_ascii=False).encode()
    status_ = next_status(of, outcomes.invalid(of, None), NOW, None)
    assert len(json.dumps(status_, ensure_ascii=False).encode()) < LARGEST_STATUS


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"frequency": "1h" * HUGE}, id="a frequency"),
        pytest.param({"project": "x" * HUGE}, id="a project"),
        pytest.param({"secret_labels": {"a": "x" * HUGE}}, id="a label"),
        pytest.param({"secret_labels": {"x" * HUGE: "a"}}, id="a label's key"),
        pytest.param({"additional_registries": [HOST] * HUGE}, id="a list"),
        pytest.param({"ecr_registry": "x" * HUGE}, id="a registry"),
        pytest.param({"region": "x" * HUGE}, id="a region"),
        pytest.param({"other": [[[["x" * HUGE]]]]}, id="a field that we do not know"),
        pytest.param({"x\n" * HUGE: 1}, id="a field's name"),
        pytest.param({f"f{number}": 1 for number in range(HUGE // 100)}, id="fields"),
    ],
)
def test_a_spec_beyond_64_kib_is_reported_and_not_kept(spec: dict[str, Any]) -> None:
    of = resource(**spec)
    assert of.problem
    assert (of.desired, of.problem.reason) == (None, Reason.INVALID_SPEC)
    assert TOO_LARGE in of.problem.message
    assert of.problem.message.isprintable()
    assert len(repr(of)) < 1000


def test_a_spec_beyond_64_kib_is_not_read_to_its_end() -> None:
    class Counted(UserDict[str, Any]):
        taken = 0

        def __getitem__(self, key: str) -> Any:
            Counted.taken += 1
            return super().__getitem__(key)

    many = Counted({f"f{number}": {} for number in range(HUGE // 20)})
    assert resource(spec=many).desired is None
    assert Counted.taken < 64 * 1024 // 4


ENTRY: Final = "spec.additional_registries[0] is not used: The registry"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("secret_annotations", {"kubernetes.io/x": "y"}, "is reserved"),
        ("secret_annotations", {"a b\n" + "c" * 90: "x" * 2049}, f'"a b?{"c" * 36}…" is longer than 2048'),
        ("secret_annotations", "", "must be a map of strings"),
        ("secret_labels", {"a": "b c"}, "is not a valid label value"),
        (
            "secret_labels",
            dict.fromkeys("abcdefgh", 7),
            "e must be a string; put quotes around it; and 3 more.",
        ),
        ("secret_labels", {f"a{n}": "" for n in range(101)}, "spec.secret_labels has more than 100 entries."),
        ("deletion_policy", "orphan", '"orphan" is not valid; expected Delete or Orphan.'),
        *(
            ("frequency", text, "expected a duration such as 10h or 90m.")
            for text in ("abc", "10", "1 h", "10H", "1d", "1h" * 33)
        ),
        ("frequency", 10, "spec.frequency must be a string; put quotes around it."),
        ("frequency", {"h": 1}, "spec.frequency must be a string"),
        ("link_service_accounts", "", "must be a list"),
        ("suspend", "no", "spec.suspend must be true or false."),
        ("additional_registries", ["oci://x.example"], f"{ENTRY} x.example begins with oci://"),
        ("additional_registries", ["proxy.example.com"], "Set spec.region"),
        ("additional_registries", ["a b"], f"{ENTRY} or URL contains a space"),
        ("additional_registries", [7], "only strings of at most 2048 characters"),
        ("additional_registries", [HOST] * 101, "only the first 100 entries are used"),
        ("credential_scope", "repo_creds", '"repo_creds" is not valid; expected repository or repo-creds.'),
        ("repo_type", "OCI", "expected helm or oci"),
        ("project", "team a", "is not a valid Argo CD project name"),
        ("project", "x" * 254, "spec.project is longer than 253 characters."),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_an_invalid_field_is_reported_and_leaves_the_login(field: str, value: Any, words: str) -> None:
    kind = "Secret" if field in SecretSpec.model_fields else ARGO
    of, found = resource(kind, **{field: value}), problem(kind, **{field: value})
    assert desired(of).logins == desired(resource(kind)).logins
    assert desired(of).invalid_fields == (set() if field == "additional_registries" else {field})
    assert found.reason in {Reason.INVALID_SPEC, Reason.INVALID_REGISTRY}
    assert words in found.message
    assert len(repr(of)) < 20_000, "nothing of it is kept in memory"


def test_kept_fields_are_all_reported() -> None:
    of = resource(secret_labels={"a": "b c"}, frequency="x")
    assert desired(of).invalid_fields == {"secret_labels", "frequency"}
    assert (desired(of).labels, desired(of).frequency) == ({}, None)
    assert "spec.secret_labels: " in str(of.problem)
    assert "spec.frequency: " in str(of.problem)


OPTIONAL: Final = {
    "region",
    "frequency",
    "role_arn",
    "deletion_policy",
    "credential_scope",
    "repo_type",
    "project",
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_string_means_absent(kind: str) -> None:
    of = resource(kind, **dict.fromkeys(OPTIONAL & SPECS[kind].model_fields.keys(), ""))
    assert (of.problem, of.desired) == (None, resource(kind).desired)


def test_a_project_that_is_not_valid_is_never_among_the_options() -> None:
    for spec in ({"project": "team a"}, {"project": "a", "credential_scope": "repo-creds"}):
        of = desired(resource(ARGO, repo_type="oci", **spec))
        assert of.argo == ArgoOptions(repo_type="oci")
        assert of.invalid_fields == spec.keys()
        assert not of.may_use_defaults
    assert "Argo CD ignores it" in problem(ARGO, project="a", credential_scope="repo-creds").message


def test_a_message_about_an_extra_registry_names_its_place_and_no_login() -> None:
    extra = [HOST, "https://me:hidden@proxy.example/v2", "oci://me:hidden@x.example"]
    message = problem(additional_registries=extra).message
    assert "hidden" not in message
    assert re.findall(r"spec.additional_registries\[(.)\] is not used: ", message) == ["1", "2"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("oci://charts.example.com/app", "InvalidSpec: .* Set spec.region"),
        ("https://charts.example.com/app", "InvalidRegistry: .*Argo CD"),
        (f"oci://{ACCOUNT_ID}", "InvalidRegistry: .*12 digits"),
    ],
)
def test_a_url_without_a_region_is_judged_as_argo_cd_does(url: str, words: str) -> None:
    found = problem(ARGO, url=url)
    assert re.match(words, f"{found.reason}: {found.message}")


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Secret", {"ecr_registry": f"{HOST}/my-app:latest"}),
        ("Secret", {"ecr_registry": f"{HOST},{HOST}", "region": "us-east-2"}),
        ("Secret", {"ecr_registry": ACCOUNT_ID, "region": "us-east-2"}),
        (ARGO, {"url": f"https://{HOST}"}),
    ],
    ids=str,
)
def test_a_key_that_no_client_can_use_is_reported_and_still_written(kind: str, spec: dict[str, Any]) -> None:
    of = resource(kind, **spec)
    assert desired(of).unusable
    assert problem(kind, **spec).reason is Reason.INVALID_REGISTRY


@pytest.mark.parametrize(
    "status",
    [
        pytest.param([], id="a list"),
        pytest.param("Updated", id="a string"),
        pytest.param(7, id="a number"),
        pytest.param(True, id="a boolean"),
        pytest.param({"conditions": [{"type": "Ready", "message": "x" * HUGE}]}, id="text"),
        pytest.param({f"f{number}": {} for number in range(HUGE // 10)}, id="fields"),
        pytest.param({"phase": "\ud800"}, id="half a character"),
    ],
)
def test_a_status_of_another_type_or_larger_than_any_of_ours_counts_as_empty(status: object) -> None:
    assert resource(status=status).status == {}
    assert "hunter2" not in repr(resource(status={"phase": "hunter2"}))


@pytest.mark.parametrize(
    ("annotations", "request_"),
    [
        ({REFRESH_REQUESTED: "x" * HUGE}, "x" * 64),
        ({REFRESH_REQUESTED: ""}, None),
        ({REFRESH_REQUESTED: 7}, None),
        ([], None),
        (None, None),
    ],
    ids=["long", "empty", "a number", "a list for annotations", "none"],
)
def test_a_request_for_a_fresh_token_is_cut_or_none(annotations: object, request_: str | None) -> None:
    assert requested_refresh({"annotations": annotations}) == request_


def test_the_long_parts_of_a_large_spec_are_kept_as_a_digest() -> None:
    def large(value: str) -> Resource:
        return resource(secret_annotations={f"note-{number}": value * 100 for number in range(50)})

    abridged = large("x").abridged()
    assert len(repr(abridged)) < 2000
    assert abridged == large("x").abridged() == abridged.abridged() != large("y").abridged()
    small = resource(secret_annotations={"note": "x"})
    assert small.abridged() is small


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"secret_format": "docker"},
            "expected dockerconfigjson or config.json or basic-auth.",
        ),
        (
            {"secret_format": "basic-auth", "additional_registries": [HOST]},
            "basic-auth holds one registry's login.",
        ),
        (
            {"secret_format": "config.json", "link_service_accounts": [{"name": "a", "for": ["pull"]}]},
            "the kubelet reads Secrets of type kubernetes.io/dockerconfigjson only.",
        ),
    ],
)
def test_a_format_is_reported_that_is_not_valid_or_serves_not_all_of_the_spec(
    spec: dict[str, Any], message: str
) -> None:
    found = problem(**spec)
    assert found.reason is Reason.INVALID_SPEC
    assert message in found.message
