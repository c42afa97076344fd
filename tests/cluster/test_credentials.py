"""Credentials that are missing or refused: told in words that help, and mended without a restart."""

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
