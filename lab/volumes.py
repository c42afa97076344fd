"""A volume as the kubelet mounts one."""

from pathlib import Path


def mount(volume: Path, version: str, content: str) -> None:
    """Put the file `credentials` there as the kubelet does: another folder, and one swap of a link."""
    (volume / version).mkdir()
    (volume / version / "credentials").write_text(content)
    (volume / "..new").symlink_to(version)
    (volume / "..new").rename(volume / "..data")
    if not (volume / "credentials").is_symlink():
        (volume / "credentials").symlink_to("..data/credentials")
