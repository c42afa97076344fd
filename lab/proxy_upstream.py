"""How the fault proxy gets to the API server: address, trust and credentials of a kubeconfig."""

import base64
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A server and who to be there."""

    url: str
    context: ssl.SSLContext
    headers: dict[str, str] = field(repr=False)


def upstream_of(kubeconfig: Path, folder: Path) -> Upstream:
    """Read a kubeconfig of the lab, which holds all that it needs; `folder` takes the client certificate."""
    content = yaml.safe_load(kubeconfig.read_text())
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    context = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
    if "client-key-data" in user:
        chain = folder / "client.pem"
        chain.touch(mode=0o600)
        chain.write_text(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
        context.load_cert_chain(chain)
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    return Upstream(url=cluster["server"], context=context, headers=headers)


def _decoded(data: str) -> str:
    return base64.b64decode(data).decode()
