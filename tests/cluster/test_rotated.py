"""Long-lived keys that are rotated are tried at once: wrong ones show, and no login in use ends by them."""

import asyncio
from pathlib import Path

from lab.api import ARGO_SECRETS, ECR_SECRETS, SECRETS, Json
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
WITHIN = LIFE / 60 + 10
NO_KEYS = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))


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


async def test_wrong_keys_in_the_mounted_file_show_and_leave_the_tokens_and_right_ones_renew_them(
    scene: Scene, tmp_path: Path
) -> None:
    scene.aws.token_life = LIFE
    scene.aws.keys.known = {OLD: None, NEW: None}
    mount(tmp_path, "one", keys_file(OLD))
    names = ("a", "b", "c")
    await permit(scene, ROLE)
    await scene.create(*map(ecr_secret, names), ecr_secret("role", role_arn=ROLE))
    async with scene.operator(env={**NO_KEYS, "AWS_CONFIG_FILE": str(tmp_path / "credentials")}):
        await scene.ready(*names, "role")
        before = [await scene.secret(f"{name}-login") for name in (*names, "role")]
        scene.aws.calls.clear()
        mount(tmp_path, "two", keys_file(WRONG))
        for name in (*names, "role"):
            resource = await scene.told(name, "False", "AccessDenied", within=WITHIN)
            assert reading.verdict(resource, "Ready") == ("True", "Refreshed")
            assert "expires at" in message(resource)
        assert [await scene.secret(f"{name}-login") for name in (*names, "role")] == before
        # One that the plain identity shares, and one for the role.
        assert scene.aws.count() == 2
        mount(tmp_path, "three", keys_file(NEW))
        await signed_by(scene, NEW, *names)
        await signed_by(scene, ROLE, "role")
        await scene.ready(*names, "role")
        after = await scene.secret("role-login")
    assert after["metadata"]["annotations"][HASH] != before[-1]["metadata"]["annotations"][HASH]
    assert scene.aws.count() <= 2 + 3


async def test_a_mounted_file_that_makes_no_sense_any_more_shows(scene: Scene, tmp_path: Path) -> None:
    scene.aws.token_life = LIFE
    mount(tmp_path, "one", keys_file(OLD))
    await scene.create(ecr_secret("pull"))
    async with scene.operator(env={**NO_KEYS, "AWS_CONFIG_FILE": str(tmp_path / "credentials")}):
        await scene.ready("pull")
        mount(tmp_path, "two", keys_file("'AKIAQUOTED'"))
        resource = await scene.told("pull", "False", "CredentialsMissing", within=WITHIN)
    assert reading.verdict(resource, "Ready") == ("True", "Refreshed")


async def test_session_keys_in_the_mounted_file_renew_nothing(scene: Scene, tmp_path: Path) -> None:
    scene.aws.token_life = LIFE
    one, two = (scene.aws.keys.issue(ROLE, f"session-{number}", 3600) for number in (1, 2))
    mount(tmp_path, "one", keys_file(one.access_key, one.secret_key, one.session_token))
    await scene.create(ecr_secret("pull"))
    async with scene.operator(env={**NO_KEYS, "AWS_CONFIG_FILE": str(tmp_path / "credentials")}) as operator:
        await scene.ready("pull")
        secret = await scene.secret("pull-login")
        mount(tmp_path, "two", keys_file(two.access_key, two.secret_key, two.session_token))
        await wait_for(lambda: "credential files have changed" in operator.tail(50), 10, "the change seen")
        await asyncio.sleep(LIFE / 60 + QUIET)
        assert await scene.secret("pull-login") == secret
    assert scene.aws.count() == 1
    assert HASH not in secret["metadata"]["annotations"]


async def test_wrong_keys_in_a_named_secret_show_and_right_ones_renew(scene: Scene) -> None:
    scene.aws.token_life = LIFE
    scene.aws.keys.known = {OLD: None, NEW: None}
    await scene.create(iam_secret(key=OLD))
    await scene.create(ecr_secret("a", aws_iam_secret={"name": "keys"}))
    async with scene.operator():
        await scene.ready("a")
        # Its Secret is named when the watch has been on for a while.
        await scene.create(argo_secret("b", aws_iam_secret={"name": "keys"}))
        await scene.ready("b", kind=ARGO_SECRETS)
        before = [await scene.token("a-login"), await scene.token("b-login")]
        await scene.api.apply(iam_secret(key=WRONG), scene.namespace)
        for name, kind in (("a", ECR_SECRETS), ("b", ARGO_SECRETS)):
            await scene.told(name, "False", "AccessDenied", kind=kind, within=WITHIN)
        assert [await scene.token("a-login"), await scene.token("b-login")] == before
        await scene.api.apply(iam_secret(key=NEW), scene.namespace)
        await signed_by(scene, NEW, "a", "b")
        await scene.ready("a")


async def test_another_secret_key_of_the_same_id_is_tried_too(scene: Scene) -> None:
    scene.aws.token_life = LIFE
    scene.aws.keys.known = {OLD: "right"}
    await scene.create(iam_secret(key=OLD, secret="right"))  # noqa: S106 - made up
    await scene.create(ecr_secret("pull", aws_iam_secret={"name": "keys"}))
    async with scene.operator():
        await scene.ready("pull")
        await scene.api.apply(iam_secret(key=OLD, secret="wrong"), scene.namespace)  # noqa: S106 - the same
        await scene.told("pull", "False", "AccessDenied", within=WITHIN)


async def test_a_label_on_the_named_secret_and_renewed_session_keys_in_it_renew_nothing(scene: Scene) -> None:
    scene.aws.token_life = LIFE
    sessions = [scene.aws.keys.issue(ROLE, f"session-{number}", 3600) for number in (1, 2)]
    await scene.create(iam_secret(key=OLD))
    await scene.create(session_secret(sessions[0]))
    await scene.create(ecr_secret("a", aws_iam_secret={"name": "keys"}))
    await scene.create(ecr_secret("b", aws_iam_secret={"name": "session"}))
    async with scene.operator():
        await scene.ready("a", "b")
        secrets = [await scene.secret("a-login"), await scene.secret("b-login")]
        await scene.api.merge_patch(
            SECRETS, "keys", {"metadata": {"labels": {"team": "blue"}}}, scene.namespace
        )
        await scene.api.apply(session_secret(sessions[1]), scene.namespace)
        await asyncio.sleep(LIFE / 60 + 2 * QUIET)
        assert [await scene.secret("a-login"), await scene.secret("b-login")] == secrets
    assert scene.aws.count() == 2


async def test_a_restart_with_other_keys_renews_once_and_one_with_the_same_costs_nothing(
    scene: Scene,
) -> None:
    scene.aws.token_life = LIFE
    names = ("a", "b", "c")
    await scene.create(*map(ecr_secret, names))
    await _serve(scene, OLD, *names)
    await _serve(scene, OLD, *names, calls=0)
    await _serve(scene, NEW, *names, calls=1)
    await _serve(scene, NEW, *names, calls=0)


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


async def test_a_named_secret_that_changed_while_nobody_looked_is_tried_after_a_restart(scene: Scene) -> None:
    scene.aws.token_life = LIFE
    scene.aws.keys.known = {OLD: None, "AKIAIOSFODNN7EXAMPLE": None}
    await scene.create(iam_secret(key=OLD))
    await scene.create(ecr_secret("pull", aws_iam_secret={"name": "keys"}), ecr_secret("own"))
    async with scene.operator():
        await scene.ready("pull", "own")
    scene.aws.calls.clear()
    token = await scene.token("pull-login")
    await scene.api.apply(iam_secret(key=WRONG), scene.namespace)
    async with scene.operator():
        await scene.told("pull", "False", "AccessDenied", within=WITHIN)
        await scene.ready("own")
    assert await scene.token("pull-login") == token
    assert scene.aws.count() == 1


def session_secret(keys: TemporaryKeys) -> Json:
    """Make a Secret with session keys."""
    made = iam_secret("session", key=keys.access_key, secret=keys.secret_key)
    made["stringData"]["aws_session_token"] = keys.session_token
    return made
