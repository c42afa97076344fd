"""A container image of one small file, as a folder in OCI's layout."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

_OCI = "application/vnd.oci.image"


def write_image(folder: Path, content: str) -> str:
    """Write an image whose only file says `content`, and return its digest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    tar = _tar("said", content.encode())
    layer = _put(blobs, f"{_OCI}.layer.v1.tar+gzip", gzip.compress(tar, mtime=0))
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _put(blobs, f"{_OCI}.config.v1+json", _json(config)),
        "layers": [layer],
    }
    entry = _put(blobs, f"{_OCI}.manifest.v1+json", _json(manifest))
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [entry]}))
    return str(entry["digest"])


def digest_of(folder: Path) -> str:
    """Return the digest of the one image in a folder."""
    (entry,) = json.loads((folder / "index.json").read_text())["manifests"]
    return str(entry["digest"])


def _put(blobs: Path, media_type: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _tar(name: str, content: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
