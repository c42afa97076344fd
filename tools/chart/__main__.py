"""`python -m tools.chart [--check]`: write the chart's generated files, or fail if they are stale."""

import subprocess
import sys
from typing import Final

from tools import settle, to_yaml
from tools.bundle.sources import PACKAGE
from tools.chart.objects import templates
from tools.chart.sources import Sources, read
from tools.chart.values import defaults, schema_file, values_file

_FOLDER: Final = f"charts/{PACKAGE}"
# Everything in these is made.
FOLDERS: Final = tuple(
    f"{_FOLDER}/templates/{name}" for name in ("crd", "rbac", "policies", "operator", "tests")
)
_MADE: Final = "# Made from config, the flags and tools/chart by `make chart`.\n"


def render(sources: Sources) -> dict[str, str]:
    """Return the files' paths and contents."""
    made = {f"templates/{path}": text for path, text in templates(sources)}
    made["Chart.yaml"] = _MADE + to_yaml(_chart(sources))
    made["values.yaml"] = _MADE + values_file(defaults(sources))
    made["values.schema.json"] = schema_file()
    return {f"{_FOLDER}/{path}": text for path, text in made.items()}


def _chart(sources: Sources) -> dict[str, object]:
    metadata, spec = sources.description["metadata"], sources.description["spec"]
    home = metadata["annotations"]["repository"]
    return {
        "apiVersion": "v2",
        "name": PACKAGE,
        "description": metadata["annotations"]["description"],
        "type": "application",
        "version": sources.version,
        "appVersion": sources.version,
        "kubeVersion": f">={spec['minKubeVersion']}-0",
        "home": home,
        "icon": f"{home}/raw/main/config/manifests/icon.svg",
        "sources": [home],
        "keywords": spec["keywords"],
        "maintainers": [spec["provider"]],
    }


def main() -> int:
    """Write or check all files; 1 if one is stale, 2 if kustomize refuses a source."""
    try:
        files = render(read())
    except subprocess.CalledProcessError as error:
        print(f"The chart can't be made: {error}", file=sys.stderr)
        return 2
    return settle(files, "chart", FOLDERS)


if __name__ == "__main__":
    sys.exit(main())
