"""Steps on disk that happen wholly or not at all."""

import os
from pathlib import Path

import pytest

from dvol.errors import BadDocument
from dvol.fs.documents import read_json, replace_json
from dvol.fs.durable import durably, sync_directory
from dvol.fs.syscalls import exchange


def test_a_replaced_document_is_the_new_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    for document in ([], [{"id": "1"}], {"text": "ü\n"}):
        replace_json(path, document, tmp_path / "staging")
        assert document == read_json(path)
    assert sorted(os.listdir(tmp_path)) == ["list.json", "staging"]
    assert os.listdir(tmp_path / "staging") == []


def test_a_reader_of_the_old_document_keeps_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    replace_json(path, "old", tmp_path / "staging")
    with path.open() as reader:
        replace_json(path, "new", tmp_path / "staging")
        assert reader.read() == '"old"\n'


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1,", b"\xff\xfe", b"\0" * 512, b"[" * 100_000, b"nonsense", b'"a" "b"'],
    ids=["empty", "brace", "torn", "binary", "zeros", "deep", "word", "two"],
)
def test_what_is_not_json_is_corrupt_and_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(BadDocument, match=r"broken\.json") as refusal:
        read_json(path)
    assert refusal.value.exit_code == 8


def test_a_missing_document_is_the_callers_business(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "missing.json")


def test_exchange_swaps_two_directories(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (one / "1").touch()
    exchange(one, other)
    assert (os.listdir(one), os.listdir(other)) == ([], ["1"])


def test_exchange_with_nothing_is_an_error_that_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with pytest.raises(FileNotFoundError, match="one"):
        exchange(tmp_path / "one", tmp_path / "missing")


def synced(directory: Path) -> None:
    with durably(directory):
        pass


@pytest.mark.parametrize("sync", [sync_directory, synced])
def test_syncing_what_is_not_there_fails(tmp_path: Path, sync) -> None:
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "missing")
