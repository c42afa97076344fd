"""`python -m tools.bundle [--check]`: write bundle and catalog, or fail if they are stale."""

import argparse
import subprocess
import sys

from tools import settle
from tools.bundle.files import FOLDERS, render
from tools.bundle.sources import read


def main() -> int:
    """Write or check all files; 1 if one is stale, 2 if there is nothing to make them from."""
    parser = argparse.ArgumentParser(prog="python -m tools.bundle", description="Make the OLM bundle.")
    parser.add_argument("--check", action="store_true", help="change nothing, and fail if a file is stale")
    parser.add_argument(
        "--image", metavar="IMAGE", help="the operator's image; that of config/manager without it"
    )
    parser.add_argument("--bundle-image", metavar="IMAGE", help="the bundle's image, for the catalog")
    arguments = parser.parse_args()
    try:
        files = render(read(arguments.image, arguments.bundle_image))
    except (subprocess.CalledProcessError, ValueError) as error:
        print(f"The bundle can't be made: {error}", file=sys.stderr)
        return 2
    return settle(files, "bundle", FOLDERS)


if __name__ == "__main__":
    sys.exit(main())
