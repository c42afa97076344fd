"""Kubeconfig files that hold all they need: address, authority and credentials."""

import base64
from pathlib import Path

import yaml


def token_user(token: str) -> dict[str, str]:
    """Return the credentials of a bearer token."""
    return {"token": token}


def certificate_user(certificate: bytes, key: bytes) -> dict[str, str]:
    """Return the credentials of a client certificate and its key, both in PEM."""
    return {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)}


def cluster(url: str, authority: bytes) -> dict[str, str]:
    """Return a server's address, with the certificate (PEM) that its own is signed with."""
    return {"server": url, "certificate-authority-data": _encoded(authority)}


def write(path: Path, server: dict[str, str], user: dict[str, str], namespace: str = "default") -> None:
    """Write a kubeconfig with one context, which is the current one, readable by its owner alone."""
    context = {"cluster": "lab", "user": "lab", "namespace": namespace}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": server}],
        "contexts": [{"name": "lab", "context": context}],
        "users": [{"name": "lab", "user": user}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content))


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
