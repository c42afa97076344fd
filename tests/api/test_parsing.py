"""Any object from the API server parses; each field is judged by itself."""

# ruff: noqa: S106 - names of Secrets and made-up tokens

import json
import operator
from collections import UserDict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecr_operator.api.desired import ArgoOptions, Problem, Resource
from ecr_operator.api.kinds import KINDS, SPECS, ArgoHelmRepoSecretSpec, SecretSpec
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.parsing import REFRESH_REQUESTED, parse_resource, requested_refresh
from ecr_operator.api.text import LARGEST_STATUS
from ecr_operator.core import outcomes
from ecr_operator.core.secret import generated_secret
from ecr_operator.core.status import next_status
from tests.api.json_values import json_values, lists_of, objects, texts
from tests.builders import HOST, NOW, OHIO, desired, raw_resource, resource, tokens

ARGO: Final = "ArgoHelmRepoSecret"
# A busy machine is no failure.
UNHURRIED: Final = settings(deadline=None)
LONGEST_NAME: Final = 253
HUGE: Final = 1_300_000

fields = st.sampled_from([*SecretSpec.model_fields, *ArgoHelmRepoSecretSpec.model_fields, "other"])
# Otherwise valid, so that the other fields are reached.
links = lists_of(objects(name=texts | st.just("builder"), **{"for": lists_of(st.just("pull"))}))
good = st.fixed_dictionaries({"generated_secret_name": st.just("a"), "ecr_registry": st.just(HOST)})


def problem(kind: str = "Secret", **said: Any) -> Problem:
    found = resource(kind, **said).problem
    assert found is not None
    return found


def test_a_resource_carries_its_identity() -> None:
    of = resource(name="web", namespace="team", uid="u1", generation=3, age=timedelta(hours=1))
    assert of.key == ResourceKey(kind="Secret", namespace="team", name="web")
    assert (of.uid, of.generation, of.created_at) == ("u1", 3, NOW - timedelta(hours=1))
    assert str(of.key) == "Secret team/web"


def test_a_valid_spec_is_kept_verbatim() -> None:
    of = resource(generated_secret_name="a.b-c", region="us-east-2", frequency="90m")
    assert of.problem is None
    spec = desired(of)
    assert (spec.secret_name, spec.target, spec.sources[0]) == ("a.b-c", HOST, OHIO)
    assert spec.frequency == timedelta(minutes=90)
    assert desired(resource(ARGO, url=f"oci://{HOST}/charts")).target == f"oci://{HOST}/charts"


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        pytest.param(None, timedelta(hours=10), id="absent, the default"),
        pytest.param("0s", timedelta(0), id="zero"),
        pytest.param("-1h", -timedelta(hours=1), id="negative"),
        pytest.param("24h", timedelta(hours=24), id="longer than a token's life"),
    ],
)
def test_a_frequency_that_go_parses_is_valid(frequency: str | None, expected: timedelta) -> None:
    of = resource(frequency=frequency)
    assert (of.problem, desired(of).frequency) == (None, expected)


@pytest.mark.parametrize("frequency", ["abc", "10", "1 h", "10H", "1d", "1h" * 33])
def test_a_frequency_that_go_refuses_is_reported(frequency: str) -> None:
    assert desired(resource(frequency=frequency)).frequency is None
    found = problem(frequency=frequency)
    assert found.reason is Reason.INVALID_SPEC
    assert found.message.startswith("spec.frequency: ")
    assert found.message.endswith("expected a duration such as 10h or 90m.")


NAME: Final = "is not a valid Secret name; expected at most 253"
# Each is a spec without a known login.
INVALID: Final[dict[str, tuple[dict[str, Any], Reason, str]]] = {
    "an empty registry": ({"ecr_registry": ""}, Reason.INVALID_REGISTRY, "is empty"),
    "a registry with a space": ({"ecr_registry": "a b"}, Reason.INVALID_REGISTRY, "space"),
    "a registry too long": ({"ecr_registry": "x" * 2049}, Reason.INVALID_REGISTRY, "longer than 2048"),
    "a sample's registry": (
        {"ecr_registry": "ACCOUNT_ID.dkr.ecr.us-east-2.amazonaws.com"},
        Reason.INVALID_REGISTRY,
        "12 digits",
    ),
    "a host in another region": ({"region": "eu-west-1"}, Reason.REGION_MISMATCH, "us-east-2"),
    "a proxy without a region": (
        {"ecr_registry": "proxy.example.com"},
        Reason.INVALID_SPEC,
        "Set spec.region",
    ),
    "not a region": ({"region": "Ohio"}, Reason.INVALID_SPEC, '"Ohio" is not a valid AWS region'),
    "a region too long": ({"region": "x" * 64}, Reason.INVALID_SPEC, "is not a valid AWS region"),
    **{
        f"the name {ascii(name)[:20]}": ({"generated_secret_name": name}, Reason.INVALID_SPEC, NAME)
        for name in ("Web", "", "a..b", "../x", "-a", "a\n", "a" * 254)
    },
    "no name": ({"generated_secret_name": None}, Reason.INVALID_SPEC, "generated_secret_name is missing"),
    "no registry": ({"ecr_registry": None}, Reason.INVALID_SPEC, "spec.ecr_registry is missing"),
    "a number for a name": (
        {"generated_secret_name": 7},
        Reason.INVALID_SPEC,
        "spec.generated_secret_name must be a string; put quotes",
    ),
    "a list of registries": ({"ecr_registry": [HOST]}, Reason.INVALID_SPEC, "ecr_registry must be a string"),
    "a boolean for a region": ({"region": True}, Reason.INVALID_SPEC, "spec.region must be a string"),
    "not a role": ({"role_arn": "x"}, Reason.INVALID_SPEC, "is not a valid IAM role ARN"),
    "a role too long": ({"role_arn": "x" * 2049}, Reason.INVALID_SPEC, "is longer than 2048 characters."),
    "an empty reference": ({"aws_iam_secret": {}}, Reason.INVALID_SPEC, "is not a valid Secret name"),
    "text for a reference": ({"aws_iam_secret": ""}, Reason.INVALID_SPEC, "must be an object with fields"),
    "text for the other": ({"service_account": ""}, Reason.INVALID_SPEC, "must be an object with fields"),
    "a reference with a path": (
        {"service_account": {"name": "a/b"}},
        Reason.INVALID_SPEC,
        "is not a valid ServiceAccount name",
    ),
    "a reference too long": (
        {"service_account": {"name": "x" * 254}},
        Reason.INVALID_SPEC,
        "spec.service_account.name is longer than 253 characters.",
    ),
    "a list for a spec": ({"spec": []}, Reason.INVALID_SPEC, "spec must be an object"),
    "text for a spec": ({"spec": "x"}, Reason.INVALID_SPEC, "spec must be an object"),
    "a number for a spec": ({"spec": 7}, Reason.INVALID_SPEC, "spec must be an object"),
    "an empty spec": ({"spec": {}}, Reason.INVALID_SPEC, "is missing; spec.ecr_registry is missing"),
    "half a character": ({"other": "\ud800"}, Reason.INVALID_SPEC, "not valid Unicode"),
}


@pytest.mark.parametrize(("said", "reason", "words"), INVALID.values(), ids=INVALID)
def test_a_spec_without_a_known_login_is_reported(said: dict[str, Any], reason: Reason, words: str) -> None:
    found = problem(**said)
    assert (resource(**said).desired, found.reason) == (None, reason)
    assert words in found.message
    assert found.message.endswith("."), "another sentence may follow"


@pytest.mark.parametrize("field", ["region", "frequency"])
def test_null_for_an_optional_field_means_absent(field: str) -> None:
    raw = raw_resource()
    raw["spec"][field] = None
    assert parse_resource("Secret", raw).problem is None


@pytest.mark.parametrize("field", ["spec", "status"])
def test_a_part_may_be_absent_or_null(field: str) -> None:
    raw = raw_resource()
    for changed in (raw | {field: None}, {key: raw[key] for key in raw if key != field}):
        of = parse_resource("Secret", changed)
        assert (of.problem is not None) is (field == "spec")
        assert of.status == {}


@pytest.mark.parametrize("field", ["generated_secret_name", "frequency", "region", "ecr_registry"])
def test_a_value_can_not_break_a_message_into_lines(field: str) -> None:
    assert problem(**{field: "a\nlevel=error fake line"}).message.isprintable()


def test_a_message_never_contains_the_value_of_a_field_of_the_wrong_type() -> None:
    assert "hunter2" not in problem(ecr_registry=["hunter2"], region={"hunter2": "hunter2"}).message


def test_the_longest_name_is_accepted() -> None:
    assert resource(generated_secret_name="a" * LONGEST_NAME).problem is None


def test_an_unknown_field_is_ignored() -> None:
    assert resource(other=True).problem is None


def test_metadata_without_generation_or_time_is_old() -> None:
    raw = raw_resource()
    del raw["metadata"]["generation"], raw["metadata"]["creationTimestamp"]
    of = parse_resource("Secret", raw)
    assert (of.generation, of.created_at) == (0, datetime.fromtimestamp(0, UTC))


@UNHURRIED
@given(
    kind=st.sampled_from(KINDS),
    spec=json_values
    | st.builds(operator.or_, good, st.dictionaries(fields, texts | json_values | links, max_size=3)),
    status=json_values,
    annotations=json_values | st.dictionaries(st.just(REFRESH_REQUESTED), json_values),
)
def test_any_object_parses_to_a_usable_spec_or_a_printable_problem(
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
        manifest = generated_secret(of, of.desired, tokens(of))
        json.dumps(manifest, ensure_ascii=False).encode()
    status_ = next_status(of, outcomes.invalid(of, None), NOW, None)
    assert len(json.dumps(status_, ensure_ascii=False).encode()) < LARGEST_STATUS


@pytest.mark.parametrize(
    "said",
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
def test_a_spec_beyond_64_kib_is_reported_and_not_kept(said: dict[str, Any]) -> None:
    of = resource(**said)
    assert (of.desired, problem(**said).reason) == (None, Reason.INVALID_SPEC)
    assert "makes the spec larger than 64 KiB" in problem(**said).message
    assert problem(**said).message.isprintable()
    assert len(repr(of)) < 1000


def test_a_spec_beyond_64_kib_is_not_read_to_its_end() -> None:
    class Counted(UserDict[str, Any]):
        taken = 0

        def __getitem__(self, key: str) -> Any:
            Counted.taken += 1
            return super().__getitem__(key)

    many = Counted({f"f{number}": {} for number in range(HUGE)})
    assert resource(spec=many).desired is None
    assert Counted.taken < 64 * 1024 // 4


# Each field by itself: (kind, fields, which of them keep what the Secret has, what the message says).
SLIPS: Final[dict[str, tuple[str, dict[str, Any], set[str], str]]] = {
    "a reserved annotation": (
        "Secret",
        {"secret_annotations": {"kubernetes.io/x": "y"}},
        {"secret_annotations"},
        "is reserved",
    ),
    "an annotation too long": (
        "Secret",
        {"secret_annotations": {"a b\n" + "c" * 90: "x" * 2049}},
        {"secret_annotations"},
        f'spec.secret_annotations."a b?{"c" * 36}…" is longer than 2048 characters.',
    ),
    "a label value with a space": (
        "Secret",
        {"secret_labels": {"a": "b c"}},
        {"secret_labels"},
        "is not a valid label value",
    ),
    "labels that are numbers": (
        "Secret",
        {"secret_labels": {f"a{number}": 7 for number in range(20)}},
        {"secret_labels"},
        "spec.secret_labels.a4 must be a string; put quotes around it; and 15 more.",
    ),
    "101 labels": (
        "Secret",
        {"secret_labels": {f"a{n}": "" for n in range(101)}},
        {"secret_labels"},
        "spec.secret_labels has more than 100 entries.",
    ),
    "text for labels": ("Secret", {"secret_labels": ""}, {"secret_labels"}, "must be a map of strings"),
    "text for annotations": ("Secret", {"secret_annotations": ""}, {"secret_annotations"}, "must be a map"),
    "a policy with a typo": (
        "Secret",
        {"deletion_policy": "orphan"},
        {"deletion_policy"},
        '"orphan" is not valid; expected Delete or Orphan.',
    ),
    "a frequency with a typo": ("Secret", {"frequency": "10 hours"}, {"frequency"}, "unknown unit"),
    "a frequency that is a number": ("Secret", {"frequency": 10}, {"frequency"}, "put quotes around it"),
    "a frequency that is an object": ("Secret", {"frequency": {"h": 1}}, {"frequency"}, "must be a string"),
    "text for links": ("Secret", {"link_service_accounts": ""}, {"link_service_accounts"}, "must be a list"),
    "a link without a use": (
        "Secret",
        {"link_service_accounts": [{"name": "a"}]},
        {"link_service_accounts"},
        "for is missing",
    ),
    "an unknown use": (
        "Secret",
        {"link_service_accounts": [{"name": "a", "for": ["push"]}]},
        {"link_service_accounts"},
        "expected pull or mount",
    ),
    "a dead extra registry": (
        "Secret",
        {"additional_registries": ["oci://x.example"]},
        set(),
        "spec.additional_registries[0] is not used: The registry x.example begins with oci://",
    ),
    "an extra registry without a region": (
        "Secret",
        {"additional_registries": ["proxy.example.com"]},
        set(),
        "Set spec.region",
    ),
    "an extra registry with a space": ("Secret", {"additional_registries": ["a b"]}, set(), "a space"),
    "an extra registry that is a number": ("Secret", {"additional_registries": [7]}, set(), "only strings"),
    "101 extra registries": (
        "Secret",
        {"additional_registries": [HOST] * 101},
        set(),
        "spec.additional_registries: only the first 100 entries",
    ),
    "a scope with a typo": (ARGO, {"credential_scope": "repo_creds"}, {"credential_scope"}, "repo-creds"),
    "a type with a typo": (ARGO, {"repo_type": "OCI"}, {"repo_type"}, "expected helm or oci"),
    "a project with a space": (ARGO, {"project": "team a"}, {"project"}, "is not a valid Argo CD project"),
    "a project too long": (ARGO, {"project": "x" * 254}, {"project"}, "spec.project is longer than 253"),
    "a project with repo-creds": (
        ARGO,
        {"project": "a", "credential_scope": "repo-creds"},
        {"project", "credential_scope"},
        "Argo CD ignores it",
    ),
    "two slips": (
        "Secret",
        {"secret_labels": {"a": "b c"}, "frequency": "x"},
        {"secret_labels", "frequency"},
        "spec.frequency",
    ),
    "text for suspend": ("Secret", {"suspend": "no"}, {"suspend"}, "must be true or false"),
}


@pytest.mark.parametrize(("kind", "said", "kept", "words"), SLIPS.values(), ids=SLIPS)
def test_a_field_that_is_not_valid_is_reported_and_leaves_the_login(
    kind: str, said: dict[str, Any], kept: set[str], words: str
) -> None:
    of = resource(kind, **said)
    assert desired(of).logins == desired(resource(kind)).logins
    assert desired(of).kept == kept
    assert len(repr(of)) < 20_000, "nothing of it is kept in memory"
    assert problem(kind, **said).reason in {Reason.INVALID_SPEC, Reason.INVALID_REGISTRY}
    assert words in problem(kind, **said).message


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_string_means_absent(kind: str) -> None:
    optional = {
        name: ""
        for name in SPECS[kind].model_fields
        if name
        in {"region", "frequency", "role_arn", "deletion_policy", "credential_scope", "repo_type", "project"}
    }
    of = resource(kind, **optional)
    assert (of.problem, of.desired) == (None, resource(kind).desired)


def test_a_project_that_is_not_valid_is_never_among_the_options() -> None:
    for said in ({"project": "team a"}, {"project": "a", "credential_scope": "repo-creds"}):
        of = desired(resource(ARGO, repo_type="oci", **said))
        assert of.argo == ArgoOptions(repo_type="oci")
        assert not of.may_create


def test_a_message_about_an_extra_registry_names_its_place_and_no_login() -> None:
    of = problem(
        additional_registries=[HOST, "https://me:hidden@proxy.example/v2", "oci://me:hidden@x.example"]
    )
    assert "hidden" not in of.message
    assert "spec.additional_registries[1] is not used: " in of.message
    assert "spec.additional_registries[2] is not used: " in of.message


@pytest.mark.parametrize(
    ("url", "reason", "words"),
    [
        ("oci://charts.example.com/app", Reason.INVALID_SPEC, "Set spec.region"),
        ("https://charts.example.com/app", Reason.INVALID_REGISTRY, "Argo CD"),
        ("oci://ACCOUNT_ID.dkr.ecr.us-east-2.amazonaws.com", Reason.INVALID_REGISTRY, "12 digits"),
    ],
)
def test_a_url_without_a_region_is_judged_as_argo_cd_does(url: str, reason: Reason, words: str) -> None:
    found = problem(ARGO, url=url)
    assert (found.reason, words in found.message) == (reason, True)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("Secret", {"ecr_registry": f"oci://{HOST}"}),
        ("Secret", {"ecr_registry": f"{HOST}/my-app:latest"}),
        ("Secret", {"ecr_registry": f"{HOST},{HOST}", "region": "us-east-2"}),
        ("Secret", {"ecr_registry": "ACCOUNT_ID.dkr.ecr.us-east-2.amazonaws.com", "region": "us-east-2"}),
        ("Secret", {"ecr_registry": "12345678901.dkr.ecr.us-east-2.amazonaws.com", "region": "us-east-2"}),
        (ARGO, {"url": f"https://{HOST}"}),
    ],
    ids=str,
)
def test_a_key_that_no_client_can_use_is_reported_and_still_written(kind: str, said: dict[str, Any]) -> None:
    of = resource(kind, **said)
    assert desired(of).unusable
    assert problem(kind, **said).reason is Reason.INVALID_REGISTRY


@pytest.mark.parametrize(
    "said",
    [
        {"url": HOST, "repo_type": "oci"},
        {"url": f"oci://{HOST}"},
        {"url": f"{HOST}/"},
        {"url": f"oci://{HOST}/charts/app"},
    ],
    ids=str,
)
def test_a_url_that_argo_cd_finds_from_other_sources_only_has_a_hint(said: dict[str, Any]) -> None:
    of = resource(ARGO, **said)
    assert (of.problem, desired(of).unusable) == (None, None)
    assert "Argo CD" in desired(of).hint


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


def test_the_status_is_in_no_repr() -> None:
    assert "hunter2" not in repr(resource(status={"phase": "hunter2"}))


def test_the_long_parts_of_a_large_spec_are_kept_as_a_digest() -> None:
    def large(value: str) -> Resource:
        return resource(secret_annotations={f"note-{number}": value * 100 for number in range(50)})

    kept = large("x").abridged()
    assert len(repr(kept)) < 2000
    assert kept == large("x").abridged() == kept.abridged()
    assert kept != large("y").abridged()
    small = resource(secret_annotations={"note": "x"})
    assert small.abridged() is small
