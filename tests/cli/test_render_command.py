"""`render` as a user runs it: without a cluster, and without AWS unless tokens are asked for."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from lab import commands
from lab.aws import LocalAws

FOLDER = Path(__file__).parents[2] / "samples"
SUSPENDED = FOLDER / "ecr_v1alpha1_secret_suspend.yaml"
SAMPLES = sorted(FOLDER.glob("ecr_*.yaml"))
ACCOUNT = "123456789012"
TENANT = """
apiVersion: ecr.mobb.redhat.com/v1alpha1
kind: Secret
metadata: {name: pull, namespace: team-a}
spec:
  generated_secret_name: login
  ecr_registry: 123456789012.dkr.ecr.us-east-1.amazonaws.com
"""


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    async with LocalAws() as local:
        yield local


def _name(sample: Path) -> str:
    return sample.name


def _filled_in(sample: Path) -> str:
    """A sample with an account's number, as its first line tells the user to do."""
    return sample.read_text().replace("ACCOUNT_ID", ACCOUNT)


@pytest.mark.parametrize("sample", SAMPLES, ids=_name)
async def test_a_sample_becomes_its_secret_without_anybody_being_asked(sample: Path, aws: LocalAws) -> None:
    text = _filled_in(sample)
    ended = await commands.run("render", "-f", "-", "-n", "team-a", aws=aws.url, given=text.encode())
    documents = list(yaml.safe_load_all(text))
    ours = [each for each in documents if each["apiVersion"] == "ecr.mobb.redhat.com/v1alpha1"]
    assert (ended.code, ended.err.count("is passed over")) == (0, len(documents) - len(ours))
    spec, secret = ours[0]["spec"], yaml.safe_load(ended.out)
    assert (secret["apiVersion"], secret["kind"]) == ("v1", "Secret")
    assert secret["metadata"]["namespace"] == "team-a"
    assert secret["metadata"]["name"] == spec["generated_secret_name"]
    assert "TOKEN-NOT-SHOWN" in "".join(base64.b64decode(value).decode() for value in secret["data"].values())
    assert "#   " in ended.out
    assert aws.calls == []


async def test_of_a_suspended_sample_it_is_said_that_nothing_would_be_written(aws: LocalAws) -> None:
    ended = await commands.run("render", "-f", "-", aws=aws.url, given=_filled_in(SUSPENDED).encode())
    assert (ended.code, yaml.safe_load(ended.out)["kind"]) == (0, "Secret")
    assert "spec.suspend is true, so nothing would be written" in ended.err


async def test_of_a_file_without_any_resource_of_ours_that_is_said(aws: LocalAws) -> None:
    build = (FOLDER / "build-config.yaml").read_bytes()
    ended = await commands.run("render", "-f", "-", aws=aws.url, given=build)
    assert (ended.code, ended.out) == (1, "")
    assert "There is no resource of this operator in it" in ended.err


async def test_several_files_become_one_list_in_json(aws: LocalAws, tmp_path: Path) -> None:
    files = []
    for sample in SAMPLES:
        (tmp_path / sample.name).write_text(_filled_in(sample))
        files += ["-f", str(tmp_path / sample.name)]
    ended = await commands.run("render", *files, "-o", "json", aws=aws.url)
    listed = json.loads(ended.out)
    assert (listed["kind"], len(listed["items"])) == ("List", len(SAMPLES))
    documents = (await commands.run("render", *files, aws=aws.url)).out
    assert len(list(yaml.safe_load_all(documents))) == len(SAMPLES)


async def test_a_token_is_fetched_and_shown_only_when_asked_for(aws: LocalAws) -> None:
    ended = await commands.run("render", "-f", "-", "--show-token", aws=aws.url, given=TENANT.encode())
    assert (ended.code, aws.count("GetAuthorizationToken")) == (0, 1)
    assert aws.services.passwords[0] in ended.out
    assert "TOKEN-NOT-SHOWN" not in ended.out


async def test_a_role_is_assumed_with_the_users_own_keys(aws: LocalAws) -> None:
    role = "arn:aws:iam::123456789012:role/reader"
    manifest = f"{TENANT}  role_arn: {role}\n"
    ended = await commands.run("render", "-f", "-", "--show-token", aws=aws.url, given=manifest.encode())
    assert ended.code == 0
    assert aws.count("AssumeRole") == 1


async def test_a_token_that_aws_denies_is_one_line_and_no_secret(aws: LocalAws) -> None:
    aws.fail("AccessDeniedException")
    ended = await commands.run("render", "-f", "-", "--show-token", aws=aws.url, given=TENANT.encode())
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "Secret team-a/pull: AccessDenied: AWS denies" in ended.err


@pytest.mark.parametrize(
    ("text", "words", "rendered"),
    [
        pytest.param(f"{TENANT}  frequenzy: 1h\n", "did you mean frequency?", True, id="an unknown field"),
        pytest.param(
            f"{TENANT}  frequency: soon\n", "InvalidSpec: spec.frequency", True, id="a bad frequency"
        ),
        pytest.param(
            f"{TENANT}  secret_labels: {{team: a b}}\n",
            "A Secret that exists keeps what it has of spec.secret_labels",
            True,
            id="a bad label",
        ),
        pytest.param(
            f"{TENANT}  deletion_policy: orphan\n",
            "No Secret is created until that is corrected",
            False,
            id="a policy with a typo",
        ),
        pytest.param(
            TENANT.replace("123456789012.", "oci://123456789012."),
            "begins with oci://, so that neither the kubelet nor podman finds its login",
            True,
            id="a registry that no client can use",
        ),
        pytest.param(f"{TENANT}  region: eu-west-1\n", "RegionMismatch", False, id="another region"),
        pytest.param(f"{TENANT}  role_arn: x\n", "InvalidSpec: spec.role_arn", False, id="no role"),
        pytest.param(
            "kind: Pod\napiVersion: v1\n", "There is no resource of this operator", False, id="a Pod"
        ),
        pytest.param("", "There is no resource of this operator", False, id="nothing"),
        pytest.param("a: [", "line 1: ", False, id="no YAML"),
    ],
)
async def test_what_is_wrong_is_said_and_is_exit_1(text: str, words: str, *, rendered: bool) -> None:
    ended = await commands.run("render", "-f", "-", given=text.encode())
    assert ended.code == 1
    assert words in ended.err
    assert bool(ended.out) == rendered


async def test_what_is_suspended_is_shown_with_a_remark() -> None:
    ended = await commands.run("render", "-f", "-", given=f"{TENANT}  suspend: true\n".encode())
    assert ended.code == 0
    assert "spec.suspend is true, so nothing would be written" in ended.err
    assert yaml.safe_load(ended.out)["metadata"]["name"] == "login"


async def test_the_samples_as_they_are_say_what_to_write() -> None:
    for sample in (FOLDER / "ecr_v1alpha1_secret.yaml", FOLDER / "ecr_v1alpha1_argohelmreposecret.yaml"):
        ended = await commands.run("render", "-f", str(sample))
        assert (ended.code, bool(ended.out)) == (1, True)
        assert "InvalidRegistry: The registry host account_id.dkr.ecr" in ended.err
        assert "write its 12 digits, for example 123456789012.dkr.ecr" in ended.err


async def test_a_hint_is_no_flaw() -> None:
    chart = """
apiVersion: ecr.mobb.redhat.com/v1alpha1
kind: ArgoHelmRepoSecret
metadata: {name: one, namespace: argocd}
spec: {generated_secret_name: one, url: "oci://123456789012.dkr.ecr.us-east-1.amazonaws.com/charts"}
"""
    both = f"{chart}---{chart.replace('one', 'two')}"
    ended = await commands.run("render", "-f", "-", given=both.encode())
    assert (ended.code, ended.err.count("Argo CD uses the login only for OCI sources")) == (0, 2)
    assert "ArgoHelmRepoSecret argocd/one: " in ended.err
    assert "ArgoHelmRepoSecret two has the same url" in ended.err
    assert "ArgoHelmRepoSecret one has the same url" in ended.err


async def test_a_file_that_is_not_there_is_one_line() -> None:
    ended = await commands.run("render", "-f", "/nonexistent/x.yaml")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "ecr-secret-operator: /nonexistent/x.yaml can't be read: No such file or directory.\n"
