"""What is mounted where, by the kernel's own spelling of paths."""

from pathlib import Path

import pytest

from dvol.fs import mountinfo
from dvol.fs.mountinfo import Mount, mounted_in, mounts

LINES = rb"""21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 /dir\040with\011odd\134names /mnt/a\040b rw - tmpfs tmpfs rw
31 21 0:41 / /mnt/a rw - tmpfs tmpfs rw
"""


@pytest.fixture(autouse=True)
def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_bytes(LINES)
    monkeypatch.setattr(mountinfo, "_PROC", tmp_path)


def test_escaped_paths_are_read_as_they_are() -> None:
    odd = Mount("0:40", Path("/dir with\todd\\names"), Path("/mnt/a b"))
    assert mounts() == [
        Mount("8:1", Path("/"), Path("/")),
        odd,
        Mount("0:41", Path("/"), Path("/mnt/a")),
    ]


@pytest.mark.parametrize(
    ("path", "point"),
    [("/mnt/a b", "/mnt/a b"), ("/mnt/a", "/mnt/a"), ("/mnt", "/mnt/a b"), ("/mn", None)],
)
def test_a_mount_point_at_or_below_a_path_is_found(path: str, point: str | None) -> None:
    assert mounted_in(path) == point
