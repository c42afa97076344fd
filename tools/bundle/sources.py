"""What the bundle is made from, read once: what kustomize builds, the samples, the version and its date."""

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

import ecr_operator
from ecr_operator.api.kinds import API_VERSION
from lab.kubectl import find_kubectl
from tools import ROOT

Json = dict[str, Any]

PACKAGE: Final = "ecr-secret-operator"
IMAGE: Final = "quay.io/rh-mobb/ecr-secret-operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the bundle is made from.

    Attributes:
        version: of the product, such as 1.0.0.
        released: its date in CHANGELOG.md; None before that.
        objects: what config/manifests builds.
        scorecard: config/scorecard, as text.
        image: the operator's image where it is not the one of config/manager.
        bundle_image: the image that the bundle will be in, for the catalog.
    """

    version: str
    released: str | None
    objects: tuple[Json, ...]
    scorecard: str
    samples: tuple[Json, ...]
    icon: bytes
    image: str | None
    bundle_image: str


def read(image: str | None = None, bundle_image: str | None = None) -> Sources:
    """Read all sources. Raises CalledProcessError where kustomize refuses them."""
    version = product_version(ecr_operator.__version__)
    return Sources(
        version=version,
        released=release_date((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version),
        objects=tuple(kustomize(ROOT / "config" / "manifests")),
        scorecard=(ROOT / "config" / "scorecard" / "config.yaml").read_text(encoding="utf-8"),
        samples=tuple(_samples()),
        icon=(ROOT / "config" / "manifests" / "icon.svg").read_bytes(),
        image=image,
        bundle_image=bundle_image or f"{IMAGE}-bundle:v{version}",
    )


def product_version(package_version: str) -> str:
    """Return the release that a version of the package is, or leads to."""
    found = re.match(r"\d+\.\d+\.\d+", package_version)
    if not found:
        raise ValueError(f"{package_version} is not a version of the form 1.2.3")
    return found[0]


def release_date(changelog: str, version: str) -> str | None:
    """Return the date in the heading of a version, such as 2026-01-31; None without such a heading."""
    found = re.search(rf"^## \[{re.escape(version)}] - (\d{{4}}-\d\d-\d\d)$", changelog, re.MULTILINE)
    return found[1] if found else None


def kustomize(folder: Path) -> list[Json]:
    """Return the objects that kustomize builds. Raises CalledProcessError, with its message printed."""
    done = subprocess.run(
        [find_kubectl(), "kustomize", folder], stdout=subprocess.PIPE, text=True, check=True
    )
    return list(yaml.safe_load_all(done.stdout))


def pick(objects: Iterable[Json], kind: str, name: str = "") -> Json:
    """Return the one object of a kind, and of a name where there are several. Raises ValueError."""
    found = [each for each in objects if each["kind"] == kind and name in ("", each["metadata"]["name"])]
    if len(found) != 1:
        raise ValueError(f"config builds {len(found)} of {kind} {name}, not one")
    return found[0]


def _samples() -> list[Json]:
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "samples").glob("ecr_*.yaml"))]
    found = [each for text in texts for each in yaml.safe_load_all(text) if each["apiVersion"] == API_VERSION]
    # The console's form begins with the first of a kind; a pull secret is what most people come for.
    return sorted(found, key=lambda sample: str(sample["kind"]), reverse=True)
