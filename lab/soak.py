"""A randomised soak: users, tools, crashes and outages at random, and an observer of every promise.

    python -m lab.soak --minutes 5 --seed 7
    python -m lab.soak --attacks

All along: no foreign Secret changes; a Secret holds a live token of the right region for the right host
once all that it needs has been available for GRACE seconds and it was not touched; and no token expires
unless, in the last third of its life, it was touched or what it needs was away for more than a tenth of it.
When all is quiet: everything is as it was asked for, within QUIET seconds.

Beside it run the tests of `tests/cluster/soak`, which take minutes.

With --attacks: the tests of `tests/cluster/attacks` at full size, with the absolute bounds of the contract,
which only a quiet machine of 2 cores can be held to.
"""

import argparse
import asyncio
import os
import random
import secrets
import subprocess
import sys
import time
from typing import Final

from lab.api import Api
from lab.aws import LocalAws
from lab.aws_faults import Fault
from lab.control_plane import ControlPlane
from lab.operator import OperatorProcess
from lab.processes import Process
from lab.soak_acts import REGIONS, Acts, World
from lab.soak_judge import Judge, SoakError
from lab.waiting import wait_for

_TOKEN_LIFE: Final = 30.0
# A conflict is checked again every 30 s.
QUIET: Final = 30.0 + 5.0
_LONGEST_OUTAGE: Final = 3.5
# Has the attack tests run at full size.
FULL_ATTACKS: Final = "ECR_LAB_FULL_ATTACKS"
_ATTACKS: Final = "tests/cluster/attacks"
_LONG_TESTS: Final = "tests/cluster/soak"
_LONGEST_TEST: Final = 900.0
_AWS_FAULTS: Final = (
    {"kind": "error", "code": "AccessDeniedException", "status": 400},
    {"kind": "error", "code": "ThrottlingException", "status": 400},
    {"kind": "error", "code": "InternalFailure", "status": 500},
    {"kind": "garbage", "body": "html"},
    {"kind": "garbage", "body": "past-expiry"},
    {"kind": "hang"},
    {"kind": "reset"},
)


class Soak:
    """One run."""

    def __init__(self, plane: ControlPlane, api: Api, aws: LocalAws, namespace: str, seed: int) -> None:
        self._plane = plane
        self._aws = aws
        self._rng = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._world = World()
        self._acts = Acts(api, namespace, self._world, self._rng)
        self._judge = Judge(api, namespace, self._world)
        # Held by an act, and by a restart of the API server.
        self._serving = asyncio.Lock()
        self._kubeconfig = plane.write_kubeconfig("soaked", groups=("system:masters",))
        self._log = plane.folder / "soaked-operator.log"

    async def run(self, seconds: float) -> str:
        """Cause trouble for that long, then wait for quiet; return what was seen.

        Raises SoakError, with history and log.
        """
        await self._start_operator()
        try:
            await self._acts.create_steady()
            for _ in range(3):
                await self._acts.make_foreign()
            await self._make_trouble_for(seconds)
            self._world.note("all is quiet")
            await self._judge.everything_is_right(QUIET)
        except SoakError as error:
            tail = self._operator.tail(40)
            raise SoakError(f"{error}\n\n{self._world.history}\n\nThe operator's log:\n{tail}") from error
        finally:
            await self._operator.__aexit__()
        return (
            f"{len(self._world.troubles)} outages, {len(self._world.rows)} resources at the end, "
            f"{self._judge.samples} samples of {self._judge.checks} steady Secrets, "
            f"{self._judge.forced} checks of calm ones"
        )

    async def _make_trouble_for(self, seconds: float) -> None:
        endless = [asyncio.create_task(each) for each in (self._judge.watch(), self._act())]
        trouble = asyncio.create_task(self._make_trouble(seconds))
        try:
            done, _ = await asyncio.wait((*endless, trouble), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*endless, trouble):
                task.cancel()
            await asyncio.gather(*endless, trouble, return_exceptions=True)

    async def _act(self) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(0.1, 1.0))
            async with self._serving:
                await self._acts.act()

    async def _make_trouble(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(self._rng.uniform(2.0, 12.0))
            trouble = self._rng.choices(
                (self._aws_trouble, self._kill_operator, self._restart_api_server), (5, 3, 2)
            )[0]
            await trouble()

    async def _aws_trouble(self) -> None:
        region = self._rng.choice((*REGIONS, ""))
        fault = Fault(**self._rng.choice(_AWS_FAULTS), region=region or None)
        with self._world.trouble(f"AWS {fault.kind} {fault.code if fault.kind == 'error' else ''}", region):
            self._aws.add(fault)
            await asyncio.sleep(self._rng.uniform(0.5, _LONGEST_OUTAGE))
            self._aws.clear()

    async def _kill_operator(self) -> None:
        with self._world.trouble("SIGKILL for the operator"):
            await self._operator.kill()
            await self._operator.__aexit__()
            await asyncio.sleep(self._rng.uniform(0.0, 2.0))
            await self._start_operator()
            await wait_for(self._has_started, 20, "the operator's start")

    async def _start_operator(self) -> None:
        process = OperatorProcess(kubeconfig=self._kubeconfig, aws_endpoint=self._aws.url, log=self._log)
        self._read = self._log.stat().st_size if self._log.exists() else 0
        self._operator = await process.__aenter__()

    def _has_started(self) -> bool:
        with self._log.open("rb") as log:
            log.seek(self._read)
            return b'"started"' in log.read()

    async def _restart_api_server(self) -> None:
        stop = self._rng.choice((self._plane.kill_api_server, self._plane.stop_api_server))
        # An act that is under way ends first.
        async with self._serving:
            with self._world.without_api_server(stop.__name__):
                await asyncio.to_thread(stop)
                await asyncio.to_thread(self._plane.start_api_server)


async def soak(plane: ControlPlane, seconds: float, seed: int) -> str:
    """Install the CRDs and run one soak; return what it saw. Raises SoakError."""
    async with plane.api() as api, LocalAws(token_life=_TOKEN_LIFE) as aws:
        await api.install_crds()
        await asyncio.to_thread(plane.start_controller_manager)
        return await Soak(plane, api, aws, await api.create_namespace("soak"), seed).run(seconds)


def main() -> int:
    """Run a soak from the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab.soak", description="A randomised soak.")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long (default: 5)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="default: a random one")
    parser.add_argument(
        "--attacks", action="store_true", help="attack one namespace from another at full size instead"
    )
    options = parser.parse_args()
    if options.attacks:
        return _attack()
    print(f"Soaking for {options.minutes:g} min with seed {options.seed}…", flush=True)
    with Process("the long tests", _pytest(_LONG_TESTS), log=None) as tests:
        code = _soak(60 * options.minutes, options.seed)
        return tests.wait(_LONGEST_TEST) or code


def _soak(seconds: float, seed: int) -> int:
    """Run one soak and print what it saw; return the exit code."""
    with ControlPlane() as plane:
        try:
            report = asyncio.run(soak(plane, seconds, seed))
        except SoakError as error:
            print(f"Seed {seed}: {error}", file=sys.stderr)
            return 1
    print(f"No promise was broken with seed {seed}: {report}.")
    return 0


def _attack() -> int:
    """Run the attack tests at full size; return the exit code."""
    return subprocess.run(_pytest(_ATTACKS), env={**os.environ, FULL_ATTACKS: "1"}, check=False).returncode


def _pytest(folder: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", folder]


if __name__ == "__main__":
    sys.exit(main())
