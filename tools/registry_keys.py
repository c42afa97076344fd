"""`python -m tools.registry_keys`: ask the real clients which images they use a registry key for.

`kubelet_keyring` asks the kubelet's own code. For containers/image skopeo is asked for images, behind a proxy
that notes which login it sends. The answers are committed in tests/api/registry_keys.json; to have another
key or image asked for, add it there with any answer.
"""

import base64
import itertools
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Self

from lab import assets, programs

RECORDED: Final = Path(__file__).parents[1] / "tests" / "api" / "registry_keys.json"
_LIMIT: Final = 60.0

Answers = dict[str, list[str]]


def recorded() -> dict[str, Any]:
    """What the file holds: `images`, and `keys` with the images that each client uses them for."""
    held: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return held


def ask_kubelet(program: Path, keys: Iterable[str], images: Iterable[str]) -> Answers:
    """For each key the images that the kubelet uses it for."""
    asked = list(itertools.product(keys, images))
    found: Answers = {key: [] for key, _ in asked}
    names = kubelet_names(program, [([docker_config({key: "AWS"})], image) for key, image in asked])
    for (key, image), answer in zip(asked, names, strict=True):
        if answer:
            found[key].append(image)
    return found


def docker_config(names: Mapping[str, str]) -> tuple[str, str]:
    """A pull secret's type and content, with a login for each key."""
    auths = {key: {"auth": _encoded(f"{name}:x")} for key, name in names.items()}
    return "kubernetes.io/dockerconfigjson", json.dumps({"auths": auths})


def kubelet_names(
    program: Path, questions: Iterable[tuple[Sequence[tuple[str, str]], str]]
) -> list[list[str] | None]:
    """The user names that the kubelet tries for pull secrets (type and content) and an image, in its order.

    None where it would not pull at all.
    """
    lines = "".join(
        json.dumps({"secrets": [{"type": kind, "config": text} for kind, text in secrets], "image": image})
        + "\n"
        for secrets, image in questions
    )
    done = subprocess.run([program], input=lines, capture_output=True, text=True, timeout=_LIMIT, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def ask_skopeo(program: Path, keys: Iterable[str], images: Iterable[str]) -> Answers:
    """For each key the images that skopeo uses it for.

    Of all keys in one file it uses the best; without that one the next, until none is left.
    """
    found: Answers = {key: [] for key in keys}
    with tempfile.TemporaryDirectory() as home, _Recorder() as recorder:
        for image in images:
            left = dict(enumerate(found))
            while (number := recorder.login_sent(program, Path(home), image, left)) is not None:
                found[left.pop(number)].append(image)
    return found


class _Recorder(ThreadingHTTPServer):
    """A proxy that is every registry: it asks for Basic, notes the login, and has no image."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sent: list[str] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def login_sent(self, program: Path, home: Path, image: str, keys: Mapping[int, str]) -> int | None:
        """Ask for an image with a login for each key; the number of the key whose login was sent."""
        self.sent.clear()
        auths = {key: {"auth": _encoded(f"AWS:{number}")} for number, key in keys.items()}
        (home / "auth.json").write_text(json.dumps({"auths": auths}))
        options = (
            "--insecure-policy",
            "inspect",
            "--raw",
            "--tls-verify=false",
            "--authfile",
            home / "auth.json",
        )
        proxy = f"http://127.0.0.1:{self.server_port}"
        done = subprocess.run(
            [program, *options, f"docker://{image}"],
            env={"HOME": str(home), "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy},
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
        # Whatever else goes wrong must not count as "no login".
        expected = (
            "unauthorized",
            "manifest unknown",
            "invalid reference format",
            "must be lowercase",
            "no Host in",
        )
        if not any(words in done.stderr for words in expected):
            raise RuntimeError(f"{image}: {done.stderr}")
        return int(self.sent[0]) if self.sent else None


class _Handler(BaseHTTPRequestHandler):
    server: _Recorder
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        """Refuse TLS: without it skopeo goes on with plain HTTP, as the options let it."""
        self._answer(502, {})

    def do_GET(self) -> None:
        """Require a login, and answer 404 to one that sends it."""
        if basic := self.headers.get("Authorization"):
            user, _, password = base64.b64decode(basic.removeprefix("Basic ")).decode().partition(":")
            # Without a login it sends one with an empty name.
            if user:
                self.server.sent.append(password)
            self._answer(404, {})
        else:
            self._answer(401, {"WWW-Authenticate": 'Basic realm="registry"'})

    def _answer(self, status: int, headers: Mapping[str, str]) -> None:
        body = (
            b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
            if status == 404
            else b""
        )
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name in the base class
        """Print nothing."""


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def main() -> int:
    """Write the answers anew."""
    found = programs.ensure([programs.KUBELET_KEYRING, programs.SKOPEO])
    keys, images = itemgetter("keys", "images")(recorded())
    kubelet = ask_kubelet(found[programs.KUBELET_KEYRING], keys, images)
    containers = ask_skopeo(skopeo := found[programs.SKOPEO], keys, images)
    version = subprocess.run([skopeo, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    answers = {
        "recorded with": [f"Kubernetes {assets.DEFAULT_VERSION}", version],
        "images": images,
        "keys": {key: {"kubelet": kubelet[key], "containers": containers[key]} for key in keys},
    }
    RECORDED.write_text(_text(answers), encoding="utf-8")
    return 0


def _text(answers: dict[str, Any]) -> str:
    """JSON with one line a key."""
    line = partial(json.dumps, ensure_ascii=False)
    keys = ",\n".join(f"  {line(key)}: {line(answer)}" for key, answer in answers["keys"].items())
    return f"{json.dumps(answers | {'keys': None}, indent=1, ensure_ascii=False)}\n".replace(
        '"keys": null', f'"keys": {{\n{keys}\n }}'
    )


if __name__ == "__main__":
    sys.exit(main())
