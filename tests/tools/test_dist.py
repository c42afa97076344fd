"""The package's files: what they contain, on which Pythons they are tried; a broken command is an error."""

import platform
import subprocess
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from ecr_operator import __version__
from tools.dist import build, project, pythons, run_command


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("dist")
    (folder / "ecr_secret_operator-0.0.1.tar.gz").touch()
    return build(folder)


def test_a_build_replaces_the_files_of_earlier_versions(files: list[Path]) -> None:
    name = f"ecr_secret_operator-{__version__}"
    assert [file.name for file in files] == [f"{name}-py3-none-any.whl", f"{name}.tar.gz"]


def test_the_wheel_has_the_package_its_commands_and_nothing_else(files: list[Path]) -> None:
    with zipfile.ZipFile(files[0]) as wheel:
        names = wheel.namelist()
        entry_points = wheel.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {
        "ecr_operator",
        "ecr_secret_operator",
    }
    scripts = [f"{name} = {target}" for name, target in project()["scripts"].items()]
    assert sorted(entry_points.split("\n")[1:-1]) == sorted(scripts)


def test_the_sdist_has_the_package_and_what_builds_it(files: list[Path]) -> None:
    with tarfile.open(files[1]) as sdist:
        top = {name.split("/")[1] for name in sdist.getnames()}
    assert top == {"ecr_operator", "CHANGELOG.md", "LICENSE", "PKG-INFO", "pyproject.toml", ".gitignore"}


def test_the_description_has_only_links_that_work_outside_of_the_repository(files: list[Path]) -> None:
    with zipfile.ZipFile(files[0]) as wheel:
        metadata = message_from_bytes(
            wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA")))
        )
    description = metadata.get_payload()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert isinstance(description, str)
    assert description.count("](https://") == description.count("](") == 1


def test_this_python_is_among_those_on_which_the_package_is_tried() -> None:
    version = ".".join(platform.python_version_tuple()[:2])
    output = subprocess.check_output([pythons()[version], "--version"], text=True)
    assert output.startswith(f"Python {version}.")


def test_a_command_that_fails_is_an_error_and_one_that_works_reports_its_version(tmp_path: Path) -> None:
    command = tmp_path / "command"
    command.write_text('#!/bin/sh\n[ "$1" = --version ] && echo command 1.0.0\n')
    command.chmod(0o755)
    assert run_command(command) == "command 1.0.0"
    command.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(subprocess.CalledProcessError):
        run_command(command)
