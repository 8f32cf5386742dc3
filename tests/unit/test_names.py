"""What a volume and a branch may be called."""

import pytest

from dvol.errors import DvolError, InvalidName, InvalidRequest, ReservedName
from dvol.names import check_branch, check_volume, is_component

GOOD = ["a", "frob_mysql", "db-1", "v1.2", "A", "0", "x" * 200, "a" * 64]
BAD = {
    "empty": "",
    "dot": ".",
    "dots": "..",
    "hidden": ".dvol",
    "slash": "a/b",
    "absolute": "/abs",
    "climbing": "../../evil",
    "leading dash": "-f",
    "newline": "a\nb",
    "newline at the end": "foo\n",
    "carriage return": "a\r",
    "NUL": "a\0b",
    "space": "a b",
    "umlaut": "bücher",
    "digit of another script": "a٣",
    "not UTF-8": "a\udcff",
    "tilde": "a~1",
    "caret": "a^",
    "at": "a@b",
    "colon": "a:b",
    "201 bytes": "x" * 201,
    "300 bytes": "x" * 300,
    "escape sequence": "\x1b[31m",
}


@pytest.mark.parametrize("name", GOOD)
def test_letters_digits_and_a_few_signs_make_a_name(name: str) -> None:
    check_volume(name)
    check_branch(name)


@pytest.mark.parametrize("name", BAD.values(), ids=BAD)
@pytest.mark.parametrize("check", [check_volume, check_branch])
def test_a_bad_name_is_refused_by_name(check, name: str) -> None:
    with pytest.raises(InvalidName) as refusal:
        check(name)
    assert refusal.value.exit_code == 2
    assert "is not a valid name" in str(refusal.value)


@pytest.mark.parametrize("name", BAD.values(), ids=BAD)
def test_the_refusal_of_a_bad_name_is_one_line_of_printable_text(name: str) -> None:
    with pytest.raises(InvalidName) as refusal:
        check_volume(name)
    text = str(refusal.value)
    assert text.isprintable()
    assert len(text.encode().splitlines()) == 1
    assert len(text) < 300


@pytest.mark.parametrize("name", ["current_volume.json", "config.yml"])
def test_a_volume_cannot_take_the_name_of_a_file_of_the_pool(name: str) -> None:
    with pytest.raises(ReservedName):
        check_volume(name)


@pytest.mark.parametrize("name", ["lost+found", ".dvol"])
def test_a_volume_cannot_take_the_name_of_a_directory_of_the_pool(name: str) -> None:
    with pytest.raises(InvalidRequest):
        check_volume(name)


@pytest.mark.parametrize("name", ["HEAD", "x.json", "master.json", ".json"])
def test_a_branch_cannot_take_a_name_that_means_something_else(name: str) -> None:
    with pytest.raises(InvalidRequest):
        check_branch(name)


def test_a_volume_may_be_called_as_only_branches_may_not() -> None:
    check_volume("HEAD")
    check_volume("x.json")


def test_the_original_texts_name_is_kept() -> None:
    with pytest.raises(DvolError, match=r"^foo/bar is not a valid name"):
        check_volume("foo/bar")


@pytest.mark.parametrize("name", ["a b", "bücher", "a\udcff", "x" * 255, "master^", "~", "-f"])
def test_an_odd_name_of_an_old_pool_is_still_one_component(name: str) -> None:
    assert is_component(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".dvol", "a/b", "/", "a\0", "a\n", "x" * 256])
def test_what_could_lead_elsewhere_is_no_component(name: str) -> None:
    assert not is_component(name)


def test_the_length_of_a_component_counts_bytes() -> None:
    assert is_component("ü" * 127)
    assert not is_component("ü" * 128)
