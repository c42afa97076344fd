"""A resolver for one child process: AWS's own names resolve to a local AWS, and some of them slowly.

    async with aws_by_name(folder, "sts.us-east-1.amazonaws.com") as (aws, env):
        ...  # start an operator with env, and without AWS_ENDPOINT_URL

The child's `getaddrinfo` is replaced before its first import, by a `sitecustomize` module on its PYTHONPATH:
the same for any library, and with no rights on this machine's own resolver. What the child does with the
answer, threads included, is its own.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from lab.aws import LocalAws
from lab.certificates import Authority

_SUFFIXES: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".c2s.ic.gov", ".amazonaws.eu")
_MODULE: Final = """
import fnmatch, os, socket, time

_resolve = socket.getaddrinfo
_suffixes = {suffixes!r}

def getaddrinfo(host, port, *arguments, **named):
    name = (host.decode() if isinstance(host, bytes) else host or "").rstrip(".")
    if not name.endswith(_suffixes):
        return _resolve(host, port, *arguments, **named)
    with open({asked!r}, "a") as asked:
        asked.write(name + "\\n")
    if any(fnmatch.fnmatchcase(name, glob) for glob in {slow!r}):
        time.sleep({seconds!r})
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return _resolve("127.0.0.1", {port!r}, *arguments, **named)

socket.getaddrinfo = getaddrinfo
"""
ASKED: Final = "names-asked"


@asynccontextmanager
async def aws_by_name(
    folder: Path, *hosts: str, slow: Iterable[str] = (), seconds: float = 10.0
) -> AsyncIterator[tuple[LocalAws, dict[str, str | None]]]:
    """Run a local AWS with TLS, and give the environment in which a child finds it under AWS's names.

    Args:
        folder: an empty one; `ASKED` in it gets every name that was asked for, one a line.
        hosts: that the AWS has a certificate for.
        slow: globs of names that resolve slowly, and to nothing.
        seconds: until these fail.
    """
    authority = Authority()
    (folder / "ca.pem").write_bytes(authority.certificate)
    (folder / ASKED).touch()
    async with LocalAws(tls=authority.server_context(*hosts)) as aws:
        module = _MODULE.format(
            suffixes=_SUFFIXES,
            slow=tuple(slow),
            seconds=seconds,
            asked=str(folder / ASKED),
            port=int(aws.url.rpartition(":")[2]),
        )
        (folder / "sitecustomize.py").write_text(module)
        authority_file = str(folder / "ca.pem")
        yield aws, {"PYTHONPATH": str(folder), "AWS_CA_BUNDLE": authority_file, "AWS_ENDPOINT_URL": None}
