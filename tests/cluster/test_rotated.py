"""Keys that are missing or rotated: the new ones are used at once, and wrong ones show and end no login."""

import asyncio
from pathlib import Path

from lab.api import ARGO_SECRETS, ECR_SECRETS, Json
from lab.aws_keys import TemporaryKeys
from lab.key_endpoints import mount
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret
from tests.cluster.identities.tenancy import iam_secret, message, permit, signer
from tests.cluster.scene import QUIET, SECRET_WRITE, STATUS_WRITE, Scene

OLD, NEW, WRONG = "AKIAOLDOLDOLDOLDOLD0", "AKIANEWNEWNEWNEWNEW0", "AKIAWRONGWRONGWRONG0"
ROLE = "arn:aws:iam::210987654321:role/puller"
HASH = "ecr.mobb.redhat.com/access-key-hash"
# Renewals are spread over a sixtieth of what tokens have left.
LIFE = 300.0
WITHIN = LIFE / 60 + 60
NO_KEYS: dict[str, str | None] = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))


def keys_file(key: str, secret: str = "of-the-file", token: str = "") -> str:  # noqa: S107 - made up
    """The `credentials` file of the guides."""
    session = f"aws_session_token = {token}\n" if token else ""
    return f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n{session}"


def in_variables(key: str) -> dict[str, str | None]:
    """The environment of v0.6.0's Deployment."""
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": "in-variables"}


async def signed_by(scene: Scene, key: str, *names: str) -> None:
    """Wait until tokens were fetched with a key."""

    async def all_are() -> bool:
        return {await signer(scene, f"{name}-login") for name in names} == {key}

    await wait_for(all_are, WITHIN, f"tokens by {key}")


async def test_missing_keys_are_reported_and_found_once_a_file_is_there(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator(env=NO_KEYS) as operator:
        resource = await scene.told("pull", "False", "CredentialsMissing")
        assert await scene.find_secret("pull-login") is None
        (operator.home / ".aws").mkdir()
        (operator.home / ".aws" / "credentials").write_text(keys_file(NEW))
        await scene.ready("pull")
    assert "Give the operator keys" in message(resource)
    assert reading.verdict(resource, "Stalled") == ("True", "CredentialsMissing")
    assert await signer(scene) == NEW


async def test_wrong_keys_in_the_mounted_file_show_and_leave_the_tokens_and_right_ones_renew_them(
    scene: Scene, tmp_path: Path
) -> None:
    scene.aws.token_life = LIFE
    scene.aws.keys.known = {OLD: None, NEW: None}
    mount(tmp_path, "one", keys_file(OLD))
    names = ("a", "b", "c", "role")
    logins = [f"{name}-login" for name in names]
    await permit(scene, ROLE)
    await scene.create(*map(ecr_secret, names[:-1]), ecr_secret("role", role_arn=ROLE))
    async with scene.operator(env={**NO_KEYS, "AWS_CONFIG_FILE": str(tmp_path / "credentials")}):
        await scene.ready(*names)
        before = await scene.secrets(*logins)
        scene.aws.calls.clear()
        mount(tmp_path, "two", keys_file(WRONG))
        for name in names:
            resource = await scene.told(name, "False", "AccessDenied", within=WITHIN)
            assert reading.verdict(resource, "Ready") == ("True", "Refreshed")
            assert resource["status"]["expirationTime"] in message(resource)
        # One that the plain identity shares, and one for the role.
        assert scene.aws.count() == 2
        mount(tmp_path, "three", keys_file(NEW).replace("[default]\n", ""))
        resource = await scene.told("a", "False", "CredentialsMissing", within=WITHIN)
        assert f"{tmp_path}/credentials, line 1 comes before any section" in message(resource)
        assert await scene.secrets(*logins) == before
        mount(tmp_path, "four", keys_file(NEW))
        await signed_by(scene, NEW, *names[:-1])
        await signed_by(scene, ROLE, "role")
        await scene.ready(*names)
        after = await scene.secret("role-login")
    assert after["metadata"]["annotations"][HASH] != before[-1]["metadata"]["annotations"][HASH]
    assert scene.aws.count() <= 2 + 3


async def test_wrong_keys_in_a_named_secret_show_and_right_ones_renew(scene: Scene) -> None:
    scene.aws.token_life = LIFE
    scene.aws.keys.known = {OLD: "right", NEW: None}
    await scene.create(iam_secret(key=OLD, secret="right"))  # noqa: S106 - made up
    await scene.create(ecr_secret("a", aws_iam_secret={"name": "keys"}))
    async with scene.operator():
        await scene.ready("a")
        # Its Secret is named when the watch has been on for a while.
        await scene.create(argo_secret("b", aws_iam_secret={"name": "keys"}))
        await scene.ready("b", kind=ARGO_SECRETS)
        before = await scene.secrets("a-login", "b-login")
        # Another secret key of the same id counts, too.
        await scene.api.apply(iam_secret(key=OLD, secret="wrong"), scene.namespace)  # noqa: S106 - the same
        for name, kind in (("a", ECR_SECRETS), ("b", ARGO_SECRETS)):
            await scene.told(name, "False", "AccessDenied", kind=kind, within=WITHIN)
        assert await scene.secrets("a-login", "b-login") == before
        await scene.api.apply(iam_secret(key=NEW), scene.namespace)
        await signed_by(scene, NEW, "a", "b")
        await scene.ready("a")


async def test_renewed_session_keys_and_a_label_renew_nothing(scene: Scene, tmp_path: Path) -> None:
    scene.aws.token_life = LIFE
    first, second = (scene.aws.keys.issue(ROLE, f"session-{number}", 3600) for number in (1, 2))
    names = ("file", "keys", "session")
    logins = [f"{name}-login" for name in names]

    def mount_session(version: str, keys: TemporaryKeys) -> None:
        mount(tmp_path, version, keys_file(keys.access_key, keys.secret_key, keys.session_token))

    mount_session("one", first)
    await scene.create(iam_secret(key=OLD), session_secret(first), ecr_secret("file"))
    await scene.create(*(ecr_secret(name, aws_iam_secret={"name": name}) for name in names[1:]))
    async with scene.operator(env={**NO_KEYS, "AWS_CONFIG_FILE": str(tmp_path / "credentials")}) as operator:
        await scene.ready(*names)
        secrets = await scene.secrets(*logins)
        mount_session("two", second)
        await scene.patch_secret("keys", {"metadata": {"labels": {"team": "blue"}}})
        await scene.api.apply(session_secret(second), scene.namespace)
        await wait_for(lambda: "credential files have changed" in operator.tail(50), what="the change seen")
        await asyncio.sleep(LIFE / 60 + 2 * QUIET)
        assert await scene.secrets(*logins) == secrets
    assert scene.aws.count() == len(names)
    assert HASH not in secrets[0]["metadata"]["annotations"]


async def test_a_restart_with_other_keys_renews_once_and_one_with_the_same_costs_nothing(
    scene: Scene,
) -> None:
    scene.aws.token_life = LIFE
    names = ("a", "b", "c")
    await scene.create(*map(ecr_secret, names))
    await _serve(scene, OLD, *names)
    await _serve(scene, OLD, *names, calls=0)
    await _serve(scene, NEW, *names, calls=1)


async def _serve(scene: Scene, key: str, *names: str, calls: int = 1) -> None:
    scene.mark()
    scene.aws.calls.clear()
    async with scene.operator(env=in_variables(key)) as operator:
        await scene.watching()
        await scene.ready(*names)
        await signed_by(scene, key, *names)
        await scene.writes_are({SECRET_WRITE: len(names), STATUS_WRITE: len(names)} if calls else {})
        assert await operator.stop() == 0
        assert key not in operator.log.read_text()
    assert scene.aws.count() == calls


def session_secret(keys: TemporaryKeys) -> Json:
    """Make a Secret with session keys."""
    made = iam_secret("session", key=keys.access_key, secret=keys.secret_key)
    made["stringData"]["aws_session_token"] = keys.session_token
    return made
