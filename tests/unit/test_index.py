"""The index: what was remembered comes back exactly, and anything doubtful proves nothing."""

import json
import os
import time
from pathlib import Path

import pytest

from dvol.fs.clock import now, wait_until_after
from dvol.tree import index
from dvol.tree.change_detection import SIGNATURE, Epoch
from dvol.tree.index import NOTHING, Index, load

HERE = Epoch("11111111-2222-3333-4444-555555555555", 7, 1_700_000_000 * 10**9)
ODD = [
    os.fsdecode(name)
    for name in (b"\xff\xfe", b"new\nline", b" ", b"-rf", "ü".encode(), b"\x01", b'"', b"x" * 255)
]


def signature(number: int) -> bytes:
    return SIGNATURE.pack(number, number + 1, 2**64 - 1 - number, 10**18 + number, number)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The frozen tree that the index is about."""
    (tmp_path / "commits" / "c1").mkdir(parents=True)
    return tmp_path / "commits" / "c1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "index").mkdir()
    return tmp_path / "index" / "master"


@pytest.fixture
def saved(path: Path, base: Path) -> Path:
    """An index of two directories, three files."""
    directories = {"": {"a": signature(1), "b": signature(2)}, "d/e": {"c": signature(3)}}
    Index(HERE, directories).save(path, base)
    assert load(path, HERE).directories == directories
    return path


# -- round trip --------------------------------------------------------------------------------


def test_what_is_saved_comes_back_with_its_base(path: Path, base: Path) -> None:
    directories = {
        "": {name: signature(number) for number, name in enumerate(ODD)},
        "deep/" * 500 + "end": {"file": signature(99)},
        **{f"{name}/{name}": {name: signature(5)} for name in ODD},
    }
    Index(HERE, directories).save(path, base)
    known = load(path, HERE)
    assert known.directories == directories
    assert known.base is not None
    assert os.path.samefile(known.base, base)


def test_directories_without_files_are_left_out(path: Path, base: Path) -> None:
    Index(HERE, {"": {}, "a": {"f": signature(1)}, "b": {}}).save(path, base)
    assert load(path, HERE).directories == {"a": {"f": signature(1)}}


@pytest.mark.parametrize("directories", [{}, {"": {}}, {"a": {}, "b": {}}])
def test_an_index_of_nothing_comes_back(directories: dict, path: Path, base: Path) -> None:
    Index(HERE, directories).save(path, base)
    known = load(path, HERE)
    assert known.directories == {}
    assert known.base is not None


def test_many_files_come_back(path: Path, base: Path) -> None:
    directories = {
        f"d{number}": {str(one): signature(one) for one in range(1000)} for number in range(50)
    }
    Index(HERE, directories).save(path, base)
    assert load(path, HERE).directories == directories


def test_an_index_that_vouches_for_nothing_is_not_written(path: Path, base: Path) -> None:
    Index(None, {"": {"a": signature(1)}}).save(path, base)
    assert not path.exists()


def test_it_is_found_again_when_all_of_the_pool_was_moved(saved: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("index", "commits"):
        (tmp_path / name).rename(moved / name)
    assert load(moved / "index" / "master", HERE).base is not None


# -- where and when ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "now",
    [
        HERE._replace(boot="99999999-2222-3333-4444-555555555555"),
        HERE._replace(boot=""),
        HERE._replace(device=8),
        HERE._replace(offset=HERE.offset - 10**9),
        None,
    ],
    ids=["other boot", "no boot", "other device", "clock set back", "untested file system"],
)
def test_elsewhere_it_proves_nothing(saved: Path, now: Epoch | None) -> None:
    assert load(saved, now) == NOTHING


def test_it_still_proves_when_the_clock_was_set_forward(saved: Path) -> None:
    assert load(saved, HERE._replace(offset=HERE.offset + 10**12)) != NOTHING


def test_without_its_base_it_proves_nothing(saved: Path, base: Path) -> None:
    base.rmdir()
    assert load(saved, HERE) == NOTHING


def test_another_tree_in_the_place_of_its_base_proves_nothing(saved: Path, base: Path) -> None:
    base.rename(base.with_name("away"))
    base.mkdir()
    assert load(saved, HERE) == NOTHING


def test_a_link_to_its_base_proves_nothing(saved: Path, base: Path) -> None:
    base.rename(base.with_name("away"))
    base.symlink_to("away")
    assert load(saved, HERE) == NOTHING


# -- garbage -----------------------------------------------------------------------------------


def test_a_missing_index_proves_nothing(path: Path) -> None:
    assert load(path, HERE) == NOTHING


def test_an_index_torn_anywhere_proves_nothing(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in range(len(whole)):
        saved.write_bytes(whole[:length])
        assert load(saved, HERE) == NOTHING, length


def test_an_index_with_a_changed_byte_in_its_body_proves_nothing(saved: Path) -> None:
    whole = saved.read_bytes()
    for at in range(whole.index(b"\n") + 1, len(whole)):
        saved.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert load(saved, HERE) == NOTHING, at


def test_an_index_with_zeros_from_anywhere_on_proves_nothing(saved: Path) -> None:
    """As a power cut leaves it: as long as it was, and empty."""
    whole = saved.read_bytes()
    for at in range(len(whole.rstrip(b"\0"))):
        saved.write_bytes(whole[:at] + bytes(len(whole) - at))
        assert load(saved, HERE) == NOTHING, at


def test_an_index_followed_by_another_proves_nothing(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() * 2)
    assert load(saved, HERE) == NOTHING


GARBAGE = {
    "empty": b"",
    "newlines": b"\n\n\n",
    "random": b"\x80\x00\xff" * 1000,
    "no object": b"[1, 2]\n",
    "text": b'"index"\n',
    "null": b"null\n",
    "not a number": b"NaN\n",
    "deep arrays": b"[" * 200_000 + b"\n",
    "deep objects": b'{"a":' * 200_000 + b"\n",
    "no facts": b"{}\n",
    "a huge number": b"1" * 10_000 + b"\n",
    "not utf-8": b'{"base": "\xff"}\n',
    "an odd base": b'{"base": "\\u0000", "format": 1}\n',
    "an odder base": b'{"base": "\\ud800", "format": 1}\n',
    "no base": b'{"base": 7, "format": 1}\n',
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_proves_nothing(path: Path, garbage: bytes) -> None:
    path.write_bytes(garbage)
    assert load(path, HERE) == NOTHING


FACTS = ("format", "base", "inode", "boot", "device", "offset", "directories", "paths", "names")


@pytest.mark.parametrize("fact", [*FACTS, "sum"])
def test_an_index_that_lacks_a_fact_proves_nothing(saved: Path, fact: str) -> None:
    first, body = saved.read_bytes().split(b"\n", 1)
    facts = {name: value for name, value in json.loads(first).items() if name != fact}
    saved.write_bytes(json.dumps(facts).encode() + b"\n" + body)
    assert load(saved, HERE) == NOTHING


@pytest.mark.parametrize("value", ["x", None, 10**30, [], {}])
@pytest.mark.parametrize("fact", ["format", "inode", "boot", "device", "offset", "sum"])
def test_an_index_with_an_odd_fact_proves_nothing(saved: Path, fact: str, value: object) -> None:
    first, body = saved.read_bytes().split(b"\n", 1)
    saved.write_bytes(json.dumps({**json.loads(first), fact: value}).encode() + b"\n" + body)
    assert load(saved, HERE) == NOTHING


@pytest.mark.parametrize("kind", ["fifo", "directory", "socket", "link to itself"])
def test_what_is_no_file_proves_nothing_and_holds_nobody(path: Path, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        os.mknod(path, 0o140600)
    else:
        path.symlink_to(path.name)
    assert load(path, HERE) == NOTHING


# -- clocks ------------------------------------------------------------------------------------


def test_waiting_ends_once_a_change_would_be_later(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / "old").write_text(str(number))
        old = (tmp_path / "old").stat().st_ctime_ns
        assert wait_until_after(old)
        assert now() > old


def test_waiting_for_a_far_future_is_given_up() -> None:
    began = time.monotonic()
    assert not wait_until_after(time.time_ns() + 3600 * 10**9)
    assert time.monotonic() - began < 5


def test_the_moment_is_the_same_a_moment_later(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        first = index.epoch(fd)
        time.sleep(0.02)
        second = index.epoch(fd)
    finally:
        os.close(fd)
    if first is None or second is None:
        pytest.skip("not on a file system whose times prove anything")
    assert (first.boot, first.device) == (second.boot, second.device)
    assert abs(first.offset - second.offset) < 10**6
