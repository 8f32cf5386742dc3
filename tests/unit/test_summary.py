"""The files about a frozen tree: what is written is read again, and whatever is torn is refused."""

import os
from pathlib import Path

import pytest

from dvol.errors import BadDocument
from dvol.tree import digests, listing, summary
from dvol.tree.damage import Difference, StatusChecks
from dvol.tree.digests import ContentChecks
from dvol.tree.listing import Block, block_of
from dvol.tree.summary import differences, group_in, in_group, record, summarized, xattrs_in

ODD = os.fsdecode(b"new\nline \xff")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "directory" / "empty").mkdir(parents=True)
    (tree / "directory" / ODD).write_text("odd")
    (tree / "file").write_text("content")
    os.link(tree / "file", tree / "directory" / "name")
    (tree / "link").symlink_to("file")
    os.mkfifo(tree / "fifo")
    return tree


def test_a_listing_is_read_as_it_was_written(tmp_path: Path) -> None:
    blocks = {"": block_of(b"own", {"a": b"one", ODD: b"two"}), f"d/{ODD}": block_of(b"OWN", {})}
    listing.save(tmp_path / "file", "title 1", {"fact": 1}, blocks.items())
    assert listing.load(tmp_path / "file", "title 1", 3) == ({"fact": 1}, blocks)
    assert blocks[""].files() == {"a": b"one", ODD: b"two"}
    assert blocks[f"d/{ODD}"].files() == {}


def test_a_torn_listing_is_refused(tmp_path: Path, tree: Path) -> None:
    """At whichever byte it ends, and whichever byte is another one."""
    path = tmp_path / "summary"
    summarized(tree).save(path)
    whole = path.read_bytes()
    summary.load(path)
    for at in range(len(whole)):
        for torn in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            path.write_bytes(torn)
            with pytest.raises(BadDocument):
                summary.load(path)


@pytest.mark.parametrize("title", ["dvol summary 2", "dvol digests 1"])
def test_another_kind_or_format_is_refused(tmp_path: Path, title: str) -> None:
    listing.save(tmp_path / "file", title, {"whole": True}, [])
    with pytest.raises(BadDocument):
        summary.load(tmp_path / "file")


@pytest.mark.parametrize("facts", [[1], {"snapshot": [1]}, {"snapshot": 3}])
def test_facts_that_make_no_sense_are_refused(tmp_path: Path, facts: object) -> None:
    listing.save(tmp_path / "file", "dvol summary 1", facts, [])
    with pytest.raises(BadDocument):
        summary.load(tmp_path / "file")


def test_a_block_whose_records_do_not_fit_is_refused(tmp_path: Path) -> None:
    listing.save(tmp_path / "file", "dvol summary 1", {}, [("", Block(bytes(36), b"a", b"short"))])
    with pytest.raises(BadDocument):
        summary.load(tmp_path / "file")


def test_no_document_is_a_directory(tmp_path: Path) -> None:
    for load in (summary.load, digests.load):
        with pytest.raises(BadDocument):
            load(tmp_path)
        with pytest.raises(FileNotFoundError):
            load(tmp_path / "none")


def test_a_record_says_what_differs(tree: Path) -> None:
    before = record((tree / "file").stat())
    (tree / "file").chmod(0o600)
    os.truncate(tree / "file", 3)
    after = record((tree / "file").stat())
    assert differences(before, after) == ["mode", "size", "mtime"]
    assert differences(before, record((tree / "link").lstat())) == ["kind"]
    assert differences(before, in_group(before, 7)) == []


def test_a_record_keeps_what_its_group_does_not_concern(tree: Path) -> None:
    grouped = in_group(record((tree / "file").stat(), xattrs=5), 7)
    assert (group_in(grouped), xattrs_in(grouped)) == (7, 5)


@pytest.mark.parametrize("mtime", [-1, 0, 2**62])
def test_odd_times_are_no_damage(tree: Path, mtime: int) -> None:
    os.utime(tree / "file", ns=(mtime, mtime))
    assert StatusChecks().run(tree, summarized(tree)) == []


def test_a_tree_equals_its_own_summary_and_digests(tmp_path: Path, tree: Path) -> None:
    summarized(tree).save(tmp_path / "summary")
    assert StatusChecks().run(tree, summary.load(tmp_path / "summary")) == []
    ContentChecks(lambda count: None).make(tree).save(tmp_path / "digests")
    known = digests.load(tmp_path / "digests")
    assert ContentChecks(lambda count: None).run(tree, known) == []


def test_no_difference_is_named_in_a_directory_that_is_missing(tree: Path) -> None:
    known = summarized(tree)
    (tree / "directory" / "empty").rmdir()
    for path in (tree / "directory").iterdir():
        path.unlink()
    (tree / "directory").rmdir()
    assert StatusChecks().run(tree, known) == [Difference("directory", "is missing")]


def test_a_directory_that_became_a_link_is_not_followed(tree: Path, tmp_path: Path) -> None:
    known = summarized(tree)
    read = ContentChecks(lambda count: None)
    made = read.make(tree)
    (tree / "directory").rename(tmp_path / "elsewhere")
    (tree / "directory").symlink_to(tmp_path / "elsewhere")
    (found,) = StatusChecks().run(tree, known)
    assert str(found) == "directory is no directory any more"
    assert [one.path for one in read.run(tree, made)] == ["directory"]
