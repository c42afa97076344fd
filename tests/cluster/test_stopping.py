"""SIGTERM and SIGINT end the operator in order and in good time, whatever hangs."""

import os
import signal
import time

import psutil
import pytest

from lab.operator import OperatorProcess
from lab.waiting import wait_for
from tests.cluster.builders import ecr_secret
from tests.cluster.scene import Scene

# v0.6.0's Deployment gives 10 s, of which 2 are for the kubelet.
GRACE = 8.0
PROMPT = 2.0

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)


async def _ends_within(operator: OperatorProcess, number: int, seconds: float) -> None:
    """Send a signal; check that the exit code is 0 in that time, with no child and no traceback left."""
    children = psutil.Process(operator.process.pid).children(recursive=True)
    asked_at = time.monotonic()
    operator.signal(number)
    assert await operator.wait(seconds) == 0
    assert time.monotonic() - asked_at < seconds
    assert [child for child in children if child.is_running()] == []
    with pytest.raises(ProcessLookupError):
        os.killpg(operator.process.pid, 0)
    log = operator.log.read_text()
    assert "Traceback" not in log
    assert "never retrieved" not in log
    assert "Unclosed" not in log


@SIGNALS
async def test_an_idle_operator_ends_promptly_with_0(scene: Scene, number: signal.Signals) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator() as operator:
        await scene.ready("pull")
        await _ends_within(operator, number, PROMPT)


async def test_it_ends_promptly_in_the_middle_of_its_work(scene: Scene) -> None:
    await scene.create(*(ecr_secret(f"r{number}") for number in range(60)))
    async with scene.operator() as operator:
        await wait_for(lambda: scene.find_secret("r20-login"), 10, "some of the Secrets")
        await _ends_within(operator, signal.SIGTERM, PROMPT)


async def test_it_ends_in_time_while_a_call_to_aws_hangs(scene: Scene) -> None:
    scene.aws.hang()
    await scene.create(ecr_secret("pull"), ecr_secret("other", region="eu-west-1"))
    async with scene.operator() as operator:
        await wait_for(lambda: scene.aws.count() == 2, 10, "the calls that hang")
        await _ends_within(operator, signal.SIGTERM, PROMPT)
    assert {call.outcome for call in scene.aws.calls} == {"gone"}


async def test_it_ends_in_time_while_the_api_server_hangs(rough: Scene) -> None:
    rough.aws.token_life = 4
    await rough.create(ecr_secret("pull"))
    async with rough.operator() as operator:
        await rough.ready("pull")
        rough.plane.pause_api_server()
        try:
            await wait_for(lambda: rough.aws.count() == 2, 6, "a token that can't be written")
            await _ends_within(operator, signal.SIGTERM, GRACE)
        finally:
            rough.plane.resume_api_server()


async def test_it_ends_in_time_while_it_waits_for_its_first_answer(rough: Scene) -> None:
    rough.plane.pause_api_server()
    try:
        async with rough.operator() as operator:
            await wait_for(lambda: _has_connection(operator), 10, "its connection")
            await _ends_within(operator, signal.SIGTERM, GRACE)
    finally:
        rough.plane.resume_api_server()


def _has_connection(operator: OperatorProcess) -> bool:
    return bool(psutil.Process(operator.process.pid).net_connections("tcp"))


async def test_a_second_signal_does_no_harm(scene: Scene) -> None:
    await scene.create(ecr_secret("pull"))
    async with scene.operator() as operator:
        await scene.ready("pull")
        operator.signal(signal.SIGINT)
        await _ends_within(operator, signal.SIGTERM, PROMPT)
