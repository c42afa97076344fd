"""`check`: could the operator work here? A list of ticks and crosses, with what to do next."""

import logging
from collections.abc import AsyncIterator

from ecr_operator.cli import check_aws, check_cluster
from ecr_operator.cli.findings import Finding, conclusion
from ecr_operator.cli.terminal import Terminal
from ecr_operator.core.ports import Clock
from ecr_operator.settings.commands import Check
from ecr_operator.settings.values import LogOptions
from ecr_operator.telemetry import logs


async def run(command: Check, terminal: Terminal, clock: Clock) -> int:
    """Look at all that was asked for, and tell each thing when it is known.

    Returns:
        0 if nothing that everybody needs is missing, else 1.
    """
    # What the parts of the operator log is told by the findings.
    logs.configure(LogOptions(level=logging.CRITICAL))
    place, found = command.place, list[Finding]()
    if "aws" in command.parts:
        found += await _tell("AWS", check_aws.look(command.region, clock), terminal)
    if "cluster" in command.parts:
        found += await _tell("Cluster", check_cluster.look(place.settings, place.context), terminal)
    terminal.say()
    terminal.say(conclusion(found))
    return 1 if any(finding.verdict == "bad" for finding in found) else 0


async def _tell(title: str, findings: AsyncIterator[Finding], terminal: Terminal) -> list[Finding]:
    terminal.show([(title, "bold")])
    told = []
    async for finding in findings:
        told.append(finding)
        for line in finding.lines(terminal.marks):
            terminal.show(line)
    return told
