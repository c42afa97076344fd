"""A private Kubernetes control plane: etcd, kube-apiserver and, on demand, two controllers.

Plain blocking code, so that fixtures, the demo and the benchmark use it alike; in a coroutine call its
methods through `asyncio.to_thread`. Any number can run at once: etcd listens on a socket in the plane's
own folder, and the API server's port stays reserved for the plane's whole life.

Left out: nodes, scheduler, DNS. Pods can be created but never run.
"""

import base64
import contextlib
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Self

import urllib3
import yaml

from lab import assets, kubectl
from lab.api import Api
from lab.certificates import Authority, key_pair
from lab.processes import Process, temporary_folder

_START_LIMIT = 60.0
_STOP_LIMIT = 10.0

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


class ControlPlane:
    """Real etcd and kube-apiserver in a temporary folder; use it as a context manager.

    `controller_manager=True` also starts kube-controller-manager with its garbage collector and namespace
    controller; `start_controller_manager` does so later. After CRDs are installed is best: the garbage
    collector looks for new kinds only every 30 s.
    """

    def __init__(self, *, controller_manager: bool = False) -> None:
        self.with_controller_manager = controller_manager
        self.token = secrets.token_urlsafe(24)
        self._authority = Authority()
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start everything and wait until the API server is ready.

        Raises LabError when a binary is missing or a part does not start.
        """
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._cleanup = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def _start(self, stack: contextlib.ExitStack) -> None:
        names = [assets.ETCD, assets.API_SERVER]
        if self.with_controller_manager:
            names.append(assets.CONTROLLER_MANAGER)
        self._binaries = assets.ensure(names)
        self.folder = stack.enter_context(temporary_folder())
        self.port = stack.enter_context(_reserved_port())
        self._write_files()
        self.kubeconfig = self.write_kubeconfig("admin", token=self.token)
        self._etcd = self._process(assets.ETCD, _etcd_flags(self.folder))
        self._api_server = self._process(assets.API_SERVER, _api_server_flags(self.folder, self.port))
        masters = self.write_kubeconfig("kube-controller-manager", groups=("system:masters",))
        self._controllers = self._process(
            assets.CONTROLLER_MANAGER, _controller_manager_flags(self.folder, masters)
        )
        for process in (self._etcd, self._api_server, self._controllers):
            stack.callback(process.kill)
        self._etcd.start()
        self.start_api_server()
        if self.with_controller_manager:
            self.start_controller_manager()

    def _write_files(self) -> None:
        """Write keys, certificates, the admin's token and the audit policy."""
        certificate, key = self._authority.serving()
        accounts_key, accounts_public = key_pair()
        files = {
            "ca.crt": self._authority.certificate,
            "serving.crt": certificate,
            "serving.key": key,
            "accounts.key": accounts_key,
            "accounts.pub": accounts_public,
            "tokens.csv": f'{self.token},admin,admin,"system:masters"\n'.encode(),
            "audit-policy.yaml": yaml.safe_dump(_AUDIT_POLICY).encode(),
        }
        for name, content in files.items():
            (self.folder / name).write_bytes(content)

    def _process(self, name: str, flags: list[str]) -> Process:
        command = [str(self._binaries / name), *flags]
        return Process(name, command, log=self.folder / f"{name}.log", env={}, cwd=self.folder)

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def authority(self) -> str:
        """The certificate (PEM) that the API server's own is signed with."""
        return self._authority.certificate.decode()

    @property
    def audit_log(self) -> Path:
        """The API server's audit log; `lab.audit` reads it."""
        return self.folder / "audit.log"

    def api(self) -> Api:
        """Return a client with all rights; use it as an async context manager."""
        return Api(self.url, token=self.token, authority=self.authority)

    def write_kubeconfig(
        self, user: str, *, token: str | None = None, groups: tuple[str, ...] = (), namespace: str = "default"
    ) -> Path:
        """Write a kubeconfig for `user` and return its path.

        With `token` (a service account's, say) it holds that; without, a client certificate that makes the
        API server know the user under this name, as a member of `groups` and with no other rights.
        """
        if token is None:
            certificate, key = (
                base64.b64encode(each).decode() for each in self._authority.client(user, groups)
            )
            credentials = {"client-certificate-data": certificate, "client-key-data": key}
        else:
            credentials = {"token": token}
        path = self.folder / f"{user.replace(':', '-')}-{secrets.token_hex(3)}.kubeconfig"
        server = kubectl.cluster(self.url, self._authority.certificate)
        kubectl.write(path, server, credentials, namespace)
        return path

    def client_certificate(self, user: str, groups: tuple[str, ...] = ()) -> bytes:
        """Return a client certificate and its key in PEM, by which the API server knows a user."""
        return b"".join(self._authority.client(user, groups))

    def start_api_server(self) -> None:
        """Start the API server, on the same port and data each time, and wait until it is ready."""
        self._api_server.start()
        self._wait_until_ready()

    def stop_api_server(self) -> None:
        """End the API server as an upgrade would: in order, but not waiting long for open watches."""
        self._api_server.stop(_STOP_LIMIT)

    def kill_api_server(self) -> None:
        """End the API server as a crash would."""
        self._api_server.kill()

    def snapshot(self) -> Path:
        """Save what etcd holds, for `restore`, and return where; the API server restarts for it."""
        saved = self.folder / f"etcd-{secrets.token_hex(3)}"
        with self._etcd_stopped() as data:
            shutil.copytree(data, saved)
        return saved

    def restore(self, saved: Path) -> None:
        """Put back what `snapshot` saved: all later changes are undone, and versions go backwards."""
        with self._etcd_stopped() as data:
            shutil.rmtree(data)
            shutil.copytree(saved, data)

    @contextlib.contextmanager
    def _etcd_stopped(self) -> Iterator[Path]:
        self.kill_api_server()
        self._etcd.stop(_STOP_LIMIT)
        yield self.folder / "etcd"
        self._etcd.start()
        self.start_api_server()

    def start_controller_manager(self) -> None:
        """Start kube-controller-manager unless it runs; it is at work within a few seconds."""
        if not self._controllers.running:
            assets.ensure([assets.CONTROLLER_MANAGER])
            self._controllers.start()

    def restart_controller_manager(self) -> None:
        """Restart kube-controller-manager, so that its garbage collector knows the CRDs of this moment."""
        self._controllers.kill()
        self.start_controller_manager()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_LIMIT
        while not self._is_ready():
            for process in (self._etcd, self._api_server):
                if not process.running:
                    raise process.error(f"ended with exit code {process.returncode}")
            if time.monotonic() > deadline:
                raise self._api_server.error(f"was not ready within {_START_LIMIT:g} s")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        headers = {"Authorization": f"Bearer {self.token}"}
        # Unlike urllib's, it takes no notice of proxies in the environment.
        with (
            _uninterrupted(),
            urllib3.PoolManager(ca_certs=str(self.folder / "ca.crt"), retries=False, timeout=5.0) as pool,
        ):
            try:
                return pool.request("GET", f"{self.url}/readyz", headers=headers).status == HTTPStatus.OK
            except urllib3.exceptions.HTTPError:
                return False


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put off Ctrl-C: in a finalizer of a library Python would ignore it, and go on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _reserved_port() -> Iterator[int]:
    """Reserve a loopback port: bound but not listening, to be shared with a server that allows sharing."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def _etcd_flags(folder: Path) -> list[str]:
    """A single member on Unix sockets, so that no port can be taken; it does not wait for the disk."""
    # Must look like host:port, but is never used: a single member has no peers.
    peers = "http://localhost:2380"
    return [
        f"--data-dir={folder}/etcd",
        "--unsafe-no-fsync",
        "--name=lab",
        f"--listen-client-urls=unix://{folder}/etcd.sock",
        "--advertise-client-urls=http://localhost:2379",
        f"--listen-peer-urls=unix://{folder}/peer.sock",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=lab={peers}",
    ]


def _api_server_flags(folder: Path, port: int) -> list[str]:
    """Loopback only, RBAC, tokens and client certificates."""
    return [
        f"--etcd-servers=unix://{folder}/etcd.sock",
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
        f"--audit-log-path={folder}/audit.log",
        # Never rotated: readers remember positions in it.
        "--audit-log-maxsize=100000",
    ]


def _controller_manager_flags(folder: Path, kubeconfig: Path) -> list[str]:
    """The garbage collector and the namespace controller only."""
    return [
        f"--kubeconfig={kubeconfig}",
        "--controllers=garbage-collector-controller,namespace-controller",
        "--leader-elect=false",
        "--secure-port=0",
        f"--cert-dir={folder}",
    ]
