"""A child process finds the local AWS under AWS's own names, and waits for those that are slow."""

import asyncio
import os
import sys
import time
from pathlib import Path

from lab.names import ASKED, aws_by_name

STS = "sts.eu-west-1.amazonaws.com"
ASK = f"""
import http.client, ssl, socket
connection = http.client.HTTPSConnection("{STS}", context=ssl.create_default_context(cafile="{{ca}}"))
form = {{{{"Content-Type": "application/x-www-form-urlencoded"}}}}
connection.request("POST", "/", "Action=GetCallerIdentity", form)
print(connection.getresponse().status)
try:
    socket.getaddrinfo("sts.made-up-1.amazonaws.com", 443)
except socket.gaierror:
    print("unknown")
print(socket.getaddrinfo("127.0.0.1", 99)[0][4])
"""


async def test_awss_own_names_lead_to_the_local_aws_and_slow_ones_nowhere(tmp_path: Path) -> None:
    began = time.monotonic()
    async with aws_by_name(tmp_path, STS, slow=("*.made-up-1.*",), seconds=0.2) as (aws, env):
        given = {"PATH": os.environ["PATH"], **{name: value for name, value in env.items() if value}}
        script = ASK.format(ca=env["AWS_CA_BUNDLE"])
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, env=given, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await child.communicate()
    assert said.decode().splitlines() == ["403", "unknown", "('127.0.0.1', 99)"]
    assert [call.host for call in aws.calls] == [STS]
    assert (tmp_path / ASKED).read_text().split() == [STS, "sts.made-up-1.amazonaws.com"]
    assert time.monotonic() - began >= 0.2
