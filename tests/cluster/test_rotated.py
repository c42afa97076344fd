"""Keys in a mounted file: missing ones are reported, new ones are used, and wrong ones end no login."""

from pathlib import Path

from lab.key_endpoints import mount
from lab.waiting import wait_for
from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.identities.tenancy import message, permit, signer
from tests.cluster.scene import Scene

OLD, NEW, WRONG = "AKIAOLDOLDOLDOLDOLD0", "AKIANEWNEWNEWNEWNEW0", "AKIAWRONGWRONGWRONG0"
ROLE = "arn:aws:iam::210987654321:role/puller"
HASH = "ecr.mobb.redhat.com/access-key-hash"
# Renewals are spread over a sixtieth of what tokens have left.
LIFE = 300.0
WITHIN = LIFE / 60 + 60
NO_KEYS: dict[str, str | None] = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))


def keys_file(key: str) -> str:
    """The `credentials` file of the guides."""
    return f"[default]\naws_access_key_id = {key}\naws_secret_access_key = of-the-file\n"


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
