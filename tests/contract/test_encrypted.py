"""A directory that is encrypted (fscrypt) in a live tree: a commit would hold its files in plain
text, and is refused."""

import ctypes
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from dvol.cli.main import main
from dvol.errors import EncryptedDirectory
from tests.contract.trees import described
from tests.contract.unchanged import Volume, made
from tests.lab.filesystems import mounted

pytestmark = pytest.mark.root
ADD_KEY, SET_POLICY = 0xC0506617, 0x800C6613  # linux/fscrypt.h
BY_IDENTIFIER, SECRET = 2, 64  # FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER; bytes of a key


class Disk:
    """ext4 with a key, whose directories can be encrypted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # struct fscrypt_add_key_arg: key_spec (type, reserved, 32 bytes), raw_size, key_id, 8
        # reserved words, the key
        asked = struct.pack("=II32sII32x", BY_IDENTIFIER, 0, b"", SECRET, 0) + os.urandom(SECRET)
        answer = ctypes.create_string_buffer(asked, len(asked))
        with opened(root) as fd:
            fcntl.ioctl(fd, ADD_KEY, answer)
        self.identifier = answer.raw[8:24]

    def encrypt(self, directory: Path) -> None:
        """Encrypt what will be made in an empty directory: AES-256-XTS, and CTS for names."""
        policy = struct.pack("=BBBB4x16s", 2, 1, 4, 0, self.identifier)  # fscrypt_policy_v2
        with opened(directory) as fd:
            fcntl.ioctl(fd, SET_POLICY, policy)


class opened:
    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY)

    def __enter__(self) -> int:
        return self.fd

    def __exit__(self, *error: object) -> None:
        os.close(self.fd)


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    with mounted("ext4", 64 << 20, features=["encrypt"]) as root:
        yield Disk(root)


@pytest.fixture
def place(disk: Disk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = disk.root / tmp_path_factory.mktemp("p").name
    place.mkdir()
    return place


@pytest.fixture
def volume(place: Path) -> Volume:
    volume = made(place)
    (volume.tree / "file").write_text("1")
    return volume


@pytest.mark.parametrize("path", ["secret", "d/secret"])
def test_a_commit_of_an_encrypted_directory_is_refused_by_name(
    volume: Volume, disk: Disk, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = volume.commit()
    secret = volume.tree / path
    secret.mkdir(parents=True)
    disk.encrypt(secret)
    (secret / "plain").write_text("plain text")
    before = described(volume.tree)
    with pytest.raises(EncryptedDirectory) as refusal:
        volume.commit()
    assert refusal.value.subject == (str(secret),)
    words = ["--pool", str(volume.pool.root), "commit", "-m", "2", "v"]
    assert main([*words, "--disable-docker-integration"]) == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(secret) in said
    assert described(volume.tree) == before
    volume.pool.reset("v")  # the directory is set aside, and stays encrypted
    assert described(volume.tree) == described(first)
    with pytest.raises(EncryptedDirectory, match=r"/undo/master/\d+/files/1"):
        volume.undo()
    assert described(volume.tree) == described(first)
    assert volume.pool.fsck() == []


def test_a_pool_in_an_encrypted_directory_works(place: Path, disk: Disk) -> None:
    """Its commits are encrypted as its live trees are."""
    disk.encrypt(place)
    volume = made(place)
    (volume.tree / "d").mkdir()
    (volume.tree / "d" / "file").write_text("1")
    one = described(volume.tree)
    assert described(volume.commit()) == one
    (volume.tree / "d" / "file").write_text("2")
    volume.reset()
    assert described(volume.tree) == one
    assert volume.pool.fsck() == []
