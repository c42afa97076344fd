"""What a control plane's folder holds, and the flags that point its three programs there."""

from pathlib import Path

import yaml

from lab.certificates import Authority, new_key, private_pem, public_pem

AUDIT_LOG = "audit.log"

# Watches are logged when they begin, everything else when it ends: one line for each request, and none
# that comes only when a watch is closed.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        {"level": "Metadata", "verbs": ["watch"], "omitStages": ["RequestReceived", "ResponseComplete"]},
        {"level": "Metadata", "omitStages": ["RequestReceived", "ResponseStarted"]},
    ],
}


def write_files(folder: Path, *, authority: Authority, token: str) -> None:
    """Write keys, certificates, the admin's token and the audit policy."""
    certificate, key = authority.serving()
    accounts = new_key()
    files = {
        "ca.crt": authority.certificate,
        "serving.crt": certificate,
        "serving.key": key,
        "accounts.key": private_pem(accounts),
        "accounts.pub": public_pem(accounts),
        "tokens.csv": f'{token},admin,admin,"system:masters"\n'.encode(),
        "audit-policy.yaml": yaml.safe_dump(_AUDIT_POLICY).encode(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)


def etcd_url(folder: Path) -> str:
    """Return the address on which etcd serves clients: a socket, so that no port can be taken by others."""
    return f"unix://{folder}/etcd.sock"


def etcd_flags(folder: Path) -> list[str]:
    """Return etcd's flags: a single member that doesn't wait for the disk."""
    # Must look like host:port, but nobody dials it: a single member has no peers.
    peers = "http://localhost:2380"
    return [
        f"--data-dir={folder}/etcd",
        "--unsafe-no-fsync",
        "--name=lab",
        f"--listen-client-urls={etcd_url(folder)}",
        "--advertise-client-urls=http://localhost:2379",
        f"--listen-peer-urls=unix://{folder}/peer.sock",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=lab={peers}",
    ]


def api_server_flags(folder: Path, port: int) -> list[str]:
    """Return kube-apiserver's flags: loopback only, RBAC, tokens and client certificates."""
    return [
        f"--etcd-servers={etcd_url(folder)}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        "--permit-port-sharing",
        f"--cert-dir={folder}",
        f"--tls-cert-file={folder}/serving.crt",
        f"--tls-private-key-file={folder}/serving.key",
        f"--client-ca-file={folder}/ca.crt",
        f"--token-auth-file={folder}/tokens.csv",
        "--authorization-mode=RBAC",
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder}/accounts.pub",
        f"--service-account-signing-key-file={folder}/accounts.key",
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--audit-policy-file={folder}/audit-policy.yaml",
        f"--audit-log-path={folder}/{AUDIT_LOG}",
        # Never rotated: whoever reads it remembers a place in it.
        "--audit-log-maxsize=100000",
    ]


def controller_manager_flags(folder: Path, kubeconfig: Path) -> list[str]:
    """Return kube-controller-manager's flags: the garbage collector and the namespace controller only."""
    return [
        f"--kubeconfig={kubeconfig}",
        "--controllers=garbage-collector-controller,namespace-controller",
        "--leader-elect=false",
        "--secure-port=0",
        f"--cert-dir={folder}",
    ]
