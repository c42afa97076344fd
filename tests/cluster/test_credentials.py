"""Credentials that are missing or refused: told in words that help, and mended without a restart."""

from pathlib import Path

from lab.key_endpoints import mount
from tests.cluster import reading
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import Scene

KEYS = "[default]\naws_access_key_id = AKIAFROMAFILE0000000\naws_secret_access_key = of-the-file\n"


async def test_missing_credentials_are_told_and_found_once_a_file_is_there(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    env = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    async with scene.operator(env=env) as operator:
        resource = await scene.told("pull", "False", "CredentialsMissing")
        assert await scene.find_secret("pull-login") is None
        (operator.home / ".aws").mkdir()
        (operator.home / ".aws" / "credentials").write_text(KEYS)
        await scene.ready("pull", within=15)
    assert "Give the operator keys" in reading.condition(resource, "Ready")["message"]
    assert reading.verdict(resource, "Stalled") == ("True", "CredentialsMissing")
    assert (await scene.token("pull-login")).access_key == "AKIAFROMAFILE0000000"


async def test_keys_that_aws_does_not_know_are_told_with_the_place_they_come_from(scene: Scene) -> None:
    scene.aws.keys.known = {"AKIASOMEBODYELSE0000": None}
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        resource = await scene.told("pull", "False", "AccessDenied")
    message = reading.condition(resource, "Ready")["message"]
    assert "environment" in message
    assert "AKIA" not in message


async def test_a_clock_that_aws_refuses_is_named_as_such(scene: Scene) -> None:
    scene.aws.keys.clock_offset = 3600
    await scene.create(ecr_secret("pull"))
    async with scene.operator():
        resource = await scene.told("pull", "False", "AccessDenied")
    assert "clock" in reading.condition(resource, "Ready")["message"]


async def test_a_wrong_edit_of_the_mounted_file_keeps_the_token_and_is_told_until_it_is_mended(
    scene: Scene, tmp_path: Path
) -> None:
    scene.aws.token_life = 20
    mount(tmp_path, "one", KEYS)
    await scene.create(ecr_secret("pull"))
    env = {
        **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
        "AWS_CONFIG_FILE": str(tmp_path / "credentials"),
    }
    async with scene.operator(env=env):
        await scene.ready("pull")
        before = await scene.token("pull-login")
        mount(tmp_path, "two", KEYS.replace("[default]\n", ""))
        resource = await scene.told("pull", "False", "CredentialsMissing", within=30)
        assert reading.verdict(resource, "Ready") == ("True", "Refreshed")
        assert await scene.token("pull-login") == before
        message = reading.condition(resource, "Refreshed")["message"]
        assert f"{tmp_path}/credentials, line 1 comes before any section; put [default] above it" in message
        assert "expires at" in message
        assert "AKIA" not in message
        mount(tmp_path, "three", KEYS.replace("AKIAFROMAFILE", "AKIAMENDEDNOW"))
        await scene.ready("pull", within=10)
    assert (await scene.token("pull-login")).access_key == "AKIAMENDEDNOW0000000"
