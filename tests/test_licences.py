"""What the image holds of others may be passed on."""

import re
from importlib.metadata import metadata
from pathlib import Path

import pytest

LOCK = Path(__file__).parents[1] / "requirements.lock"
# Each may go into an image of an Apache-2.0 project as it is.
KNOWN = ("MIT", "Apache", "BSD", "PSF", "Python Software Foundation", "MPL-2.0")


def locked() -> list[str]:
    return re.findall(r"^([A-Za-z0-9_.-]+)==[^;\n]*(?= *(?:;|\\))", LOCK.read_text(), flags=re.MULTILINE)


def test_the_lock_is_read() -> None:
    assert {"aiobotocore", "kubernetes-asyncio", "pydantic", "structlog"} <= set(locked())


@pytest.mark.parametrize("package", locked())
def test_a_package_of_the_image_has_a_licence_that_permits_it(package: str) -> None:
    found = metadata(package)
    classifiers = [each for each in found.get_all("Classifier", []) if each.startswith("License ::")]
    said = " ".join([found["License-Expression"] or found["License"] or "", *classifiers])
    assert any(name in said for name in KNOWN), said
