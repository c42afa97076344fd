"""`render`: from manifests to the Secrets that would be written, without a cluster."""

import base64
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecr_operator.cli.output import CommandError, Terminal
from ecr_operator.cli.render import manifests, not_ours, read, resource_of, run
from ecr_operator.core.ports import SystemClock
from ecr_operator.settings.commands import Render, parse_command
from lab import commands
from lab.api import Json
from lab.aws import LocalAws

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("ecr_*.yaml"))
TENANT = """
apiVersion: ecr.mobb.redhat.com/v1alpha1
kind: Secret
metadata: {name: pull, namespace: team-a}
spec:
  generated_secret_name: login
  ecr_registry: 123456789012.dkr.ecr.us-east-1.amazonaws.com
"""
CHART = """
apiVersion: ecr.mobb.redhat.com/v1alpha1
kind: ArgoHelmRepoSecret
metadata: {name: one, namespace: argocd}
spec: {generated_secret_name: one, url: 123456789012.dkr.ecr.us-east-1.amazonaws.com/charts}
"""
PREFIX = """
apiVersion: ecr.mobb.redhat.com/v1alpha1
kind: ArgoHelmRepoSecret
metadata: {name: one}
spec: {generated_secret_name: one, url: h, region: us-east-1, credential_scope: repo-creds}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "manifests.yaml"


async def render(file: Path, text: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and notes for a file with this text."""
    file.write_text(text, encoding="utf-8")
    command = parse_command(["render", "-f", str(file), *arguments], {})
    assert isinstance(command, Render)
    out, errors = StringIO(), StringIO()
    code = await run(command, Terminal(out, errors), SystemClock())
    return code, out.getvalue(), errors.getvalue()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
async def test_a_sample_becomes_its_secret_with_placeholders(sample: Path, file: Path) -> None:
    text = sample.read_text().replace("ACCOUNT_ID", "123456789012")
    code, out, notes = await render(file, text, "-n", "team-a")
    documents = list(yaml.safe_load_all(text))
    ours = [each for each in documents if each["apiVersion"] == "ecr.mobb.redhat.com/v1alpha1"]
    assert (code, notes.count("Skipped")) == (0, len(documents) - len(ours))
    spec, secret = ours[0]["spec"], yaml.safe_load(out)
    assert (secret["apiVersion"], secret["kind"]) == ("v1", "Secret")
    assert secret["metadata"]["namespace"] == "team-a"
    assert secret["metadata"]["name"] == spec["generated_secret_name"]
    assert "TOKEN-NOT-SHOWN" in "".join(base64.b64decode(value).decode() for value in secret["data"].values())
    assert "#   " in out
    assert ("spec.suspend is true, so nothing would be written" in notes) == spec.get("suspend", False)


async def test_several_resources_are_a_list_in_json_and_documents_in_yaml(file: Path) -> None:
    two = f"{TENANT}---{TENANT.replace('pull', 'other')}"
    _, out, _ = await render(file, two, "-o", "json")
    assert (json.loads(out)["kind"], len(json.loads(out)["items"])) == ("List", 2)
    _, out, _ = await render(file, two)
    assert len(list(yaml.safe_load_all(out))) == 2


EVERYWHERE = """
apiVersion: ecr.mobb.redhat.com/v1alpha1
kind: ClusterSecret
metadata: {name: shared}
spec:
  generated_secret_name: login
  ecr_registry: 123456789012.dkr.ecr.us-east-1.amazonaws.com
"""


def serving(namespaces: str) -> str:
    return f"{EVERYWHERE}  namespaces: {namespaces}\n"


EXPRESSIONS = (
    "{key: x/y, operator: In, values: [a, b]}, {key: z, operator: NotIn, values: [c]}, "
    "{key: e, operator: Exists}, {key: d, operator: DoesNotExist}"
)
# What is served, where the Secret is shown, and in which words.
SERVED = {
    "all": ("{selector: {}}", "default", "in all namespaces."),
    "all but some": (
        "{selector: {}, exclude: [kube-*, b]}",
        "default",
        "in all namespaces, except kube-*, b.",
    ),
    "names": ("{names: [b, c]}", "b", "in each namespace named b, c."),
    "globs": ("{names: ['ci-*', b], exclude: [b]}", "default", "in each namespace named ci-*, b, except b."),
    "many names": (f"{{names: [{', '.join(f'n{each}' for each in range(12))}]}}", "n0", "n8, n9 and 2 more."),
    "labels": (
        f"{{selector: {{matchLabels: {{team: a}}, matchExpressions: [{EXPRESSIONS}]}}}}",
        "default",
        "in each namespace with the labels team=a,x/y in (a,b),z notin (c),e,!d.",
    ),
    "labels or names": (
        "{selector: {matchLabels: {team: a}}, names: [b]}",
        "b",
        "in each namespace with the labels team=a or named b.",
    ),
}


@pytest.mark.parametrize(("namespaces", "shown", "words"), SERVED.values(), ids=SERVED)
async def test_the_secret_of_a_cluster_secret_is_shown_once_with_the_namespaces_that_would_have_it(
    file: Path, namespaces: str, shown: str, words: str
) -> None:
    code, out, notes = await render(file, serving(namespaces))
    secret = yaml.safe_load(out)
    assert (code, secret["metadata"]["namespace"]) == (0, shown)
    assert f"ClusterSecret shared: The Secret is shown for namespace {shown}. There would be one in " in notes
    assert notes.endswith(f"{words}\n")
    (owner,) = secret["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("ClusterSecret", "shared")
    _, out, _ = await render(file, serving(namespaces), "-n", "here")
    assert yaml.safe_load(out)["metadata"]["namespace"] == "here"


REGION = "  region: us-east-1\n"
MISTAKES = {
    "an unknown field": (f"{TENANT}  frequenzy: 1h\n", "did you mean frequency?", True),
    "no namespaces": (EVERYWHERE, "spec.namespaces is missing", False),
    "namespaces that select nothing": (serving("{exclude: [a]}"), "selects no namespace", False),
    "an invalid glob": (
        serving("{names: [A]}"),
        "No Secret is created until spec.namespaces is corrected",
        False,
    ),
    "an unknown field of namespaces": (serving("{names: [a], excludes: [b]}"), "did you mean exclude?", True),
    "an unknown field of a selector": (
        serving("{selector: {matchLabel: {a: b}}}"),
        "spec.namespaces.selector.matchLabel is not a known field; did you mean matchLabels?",
        True,
    ),
    "a field of other kinds": (
        f"{serving('{names: [a]}')}  service_account: {{name: a}}\n",
        "spec.service_account is not a field of ClusterSecret, but of Secret and ArgoHelmRepoSecret.",
        True,
    ),
    "a number as a field": (f"{TENANT}  5: 1\n", "spec.5 is not a known field.", True),
    "a bad frequency": (f"{TENANT}  frequency: soon\n", "InvalidSpec: spec.frequency", True),
    "a bad label": (
        f"{TENANT}  secret_labels: {{team: a b}}\n",
        "An existing Secret keeps what it has for spec.secret_labels",
        True,
    ),
    "a bad policy": (f"{TENANT}  deletion_policy: orphan\n", "No Secret is created until", False),
    "a prefix of any host": (PREFIX, "a full host name", False),
    "an unusable registry": (TENANT.replace("1234", "oci://1234"), "begins with oci://", True),
    "no account": (TENANT.replace("123456789012", "ACCOUNT_ID") + REGION, "write its 12 digits", True),
    "another region": (f"{TENANT}  region: eu-west-1\n", "RegionMismatch", False),
    "a bad role": (f"{TENANT}  role_arn: x\n", "InvalidSpec: spec.role_arn", False),
    "a Pod": ("kind: Pod\napiVersion: v1\n", "has no resource of this operator", False),
    "nothing": ("", "has no resource of this operator", False),
}


@pytest.mark.parametrize(("text", "message", "rendered"), MISTAKES.values(), ids=MISTAKES)
async def test_a_mistake_is_reported_and_is_exit_1(
    file: Path, text: str, message: str, *, rendered: bool
) -> None:
    code, out, notes = await render(file, text)
    assert (code, bool(out)) == (1, rendered)
    assert message in " ".join(notes.split())


async def test_hints_are_no_failure(file: Path) -> None:
    oci = CHART.replace("url: ", "url: oci://")
    code, _, notes = await render(file, f"{oci}---{oci.replace('one', 'two')}")
    assert (code, notes.count("Argo CD uses the login only for OCI sources")) == (0, 2)
    assert "ArgoHelmRepoSecret two has the same url" in notes
    assert "ArgoHelmRepoSecret one has the same url" in notes


async def test_a_token_is_fetched_on_request_with_the_users_own_keys(aws: LocalAws) -> None:
    role = f"{TENANT}  role_arn: arn:aws:iam::123456789012:role/reader\n"
    ended = await commands.run("render", "-f", "-", "--show-token", aws=aws.url, given=role.encode())
    assert (ended.code, aws.count("AssumeRole"), aws.count("GetAuthorizationToken")) == (0, 1, 1)
    assert aws.services.passwords[0] in ended.out
    assert "TOKEN-NOT-SHOWN" not in ended.out


async def test_a_token_that_aws_denies_is_one_line_and_no_secret(aws: LocalAws) -> None:
    aws.fail("AccessDeniedException")
    ended = await commands.run("render", "-f", "-", "--show-token", aws=aws.url, given=TENANT.encode())
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "Secret team-a/pull: AccessDenied: AWS denies" in ended.err


def test_a_file_that_cant_be_read_is_one_line(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    for path, message in ((file.parent, "Is a directory"), (file.parent / "x", "No such"), (file, "UTF-8")):
        with pytest.raises(CommandError, match=message):
            read(str(path))


TEXTS: dict[str, list[object]] = {
    "---\n---\n": [],
    "a: 1\n---\nb: 2": [{"a": 1}, {"b": 2}],
    '{"a": 1}': [{"a": 1}],
    "kind: List\nitems: [{a: 1}, {b: 2}]": [{"a": 1}, {"b": 2}],
    "kind: SecretList\nitems: []": [],
    "kind: X\nitems: [1]": [{"kind": "X", "items": [1]}],
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.items())
def test_the_manifests_of_a_text(text: str, expected: list[object]) -> None:
    assert list(manifests(text, "file")) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "file, line 1: "),
        ("a:\n\tb: 1", "file, line 2: "),
        ("text", "something other than Kubernetes manifests"),
        ("kind: List\nitems: [1]", "something other than Kubernetes manifests"),
        ("a: !!python/object:os.system x", "file, line 1: "),
        ("a: 2026-13-45", "file is not valid YAML."),
        ("\x00", "file is not valid YAML."),
        ("[" * 600, "file is not valid YAML."),
    ],
    ids=["open", "a tab", "text", "a bad list", "a tag that runs code", "a date", "control", "too deep"],
)
def test_a_text_without_manifests_is_one_line(text: str, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        list(manifests(text, "file"))
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"apiVersion": "v1", "kind": "Secret"}, "expected apiVersion ecr.mobb.redhat.com/v1alpha1"),
        ({"apiVersion": "apps/v1", "kind": "Deployment"}, "not a kind of this operator"),
        ({"apiVersion": ["x"], "kind": {"y": 1}}, "not a kind of this operator"),
        ({"apiVersion": "ecr.mobb.redhat.com/v1alpha1", "kind": "ArgoHelmRepoSecret"}, ""),
    ],
    ids=["the core Secret", "another kind", "other types", "ours"],
)
def test_a_manifest_that_is_not_ours_is_described(document: dict[str, object], message: str) -> None:
    assert message in not_ours(document)
    assert bool(message) == bool(not_ours(document))


def of(metadata: Any) -> Json:
    return {"kind": "Secret", "metadata": metadata, "spec": {"generated_secret_name": "login"}}


def test_the_namespace_is_that_of_the_manifest_or_the_given_one_and_none_of_a_cluster_secret() -> None:
    for metadata, namespace in (({}, "here"), ({"namespace": ""}, "here"), ({"namespace": "there"}, "there")):
        assert resource_of(of({"name": "pull", **metadata}), "here").key.namespace == namespace
    manifest = of({"name": "shared", "namespace": ["x"]}) | {"kind": "ClusterSecret"}
    assert resource_of(manifest, "here").key.namespace == ""


def test_uid_and_request_are_kept_and_values_of_other_types_ignored() -> None:
    request = {"ecr.mobb.redhat.com/refresh-requested-at": "now"}
    found = resource_of(of({"name": "pull", "uid": "u", "annotations": request}), "here")
    assert (found.uid, found.refresh_requested) == ("u", "now")
    others: list[Json] = [{"annotations": ["x"]}, {"annotations": dict.fromkeys(request, 5)}, {"uid": 5}]
    for metadata in others:
        assert resource_of(of({"name": "pull", **metadata}), "here").refresh_requested is None


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("text", "no valid metadata.name"),
        ({}, "no valid metadata.name"),
        ({"name": 5}, "no valid metadata.name"),
        ({"name": "A_b"}, "no valid metadata.name"),
        ({"name": "x", "namespace": "A"}, "not a valid namespace name"),
        ({"name": "x", "namespace": ["a"]}, "not a valid namespace name"),
    ],
    ids=str,
)
def test_an_invalid_name_is_an_error(metadata: Any, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        resource_of(of(metadata), "here")
