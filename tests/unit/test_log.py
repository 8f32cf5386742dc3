"""Files of lines that are written only at their end."""

import os
import stat
from pathlib import Path

import pytest

from dvol.errors import BadDocument
from dvol.fs.log import append_line, read_end


def test_lines_are_appended_to_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert append_line(log, b"one") == 4
    assert append_line(log, b"two") == 8
    assert log.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.parametrize("torn", [b"one\ntw", b"one\n\0\0\0", b"x"])
def test_a_line_after_a_torn_one_is_a_line_of_its_own(tmp_path: Path, torn: bytes) -> None:
    log = tmp_path / "log"
    log.write_bytes(torn)
    assert append_line(log, b"three") == len(torn) + 7
    assert log.read_bytes() == torn + b"\nthree\n"


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert read_end(tmp_path / "log", 100) == b""


@pytest.mark.parametrize(
    ("most", "expected"),
    [(100, b"one\ntwo\n"), (8, b"one\ntwo\n"), (7, b"two\n"), (5, b"two\n"), (4, b""), (0, b"")],
)
def test_only_whole_lines_of_the_end_are_read(tmp_path: Path, most: int, expected: bytes) -> None:
    """Where the end begins at the beginning of a line, that line may be missing."""
    (tmp_path / "log").write_bytes(b"one\ntwo\n")
    assert expected == read_end(tmp_path / "log", most)


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    log, other = tmp_path / "log", tmp_path / "other"
    other.write_bytes(b"secret\n")
    log.symlink_to(other)
    with pytest.raises(BadDocument, match="log is corrupt: it is a symbolic link"):
        append_line(log, b"x")
    with pytest.raises(BadDocument, match="log is corrupt: it is a symbolic link"):
        read_end(log, 100)
    assert other.read_bytes() == b"secret\n"


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    for name in ("pipe", "directory"):
        with pytest.raises(BadDocument, match=f"{name} is corrupt: it is no file"):
            read_end(tmp_path / name, 100)
    with pytest.raises(OSError, match="no file of this directory alone"):
        append_line(tmp_path / "pipe", b"lost")
    with pytest.raises(IsADirectoryError):
        append_line(tmp_path / "directory", b"x")
    (tmp_path / "other").write_bytes(b"of another directory")
    os.link(tmp_path / "other", tmp_path / "log")
    with pytest.raises(OSError, match="no file of this directory alone"):
        append_line(tmp_path / "log", b"x")
    assert (tmp_path / "other").read_bytes() == b"of another directory"
