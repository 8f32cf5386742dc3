"""Every refusal: its text, its exit code, and that both doors tell the same."""

import json
import re

import pytest

from dvol import errors
from dvol.errors import DvolError, from_document, kinds, printable

KINDS = list(kinds())
FAMILIES = {
    "DvolError": (1, 500),
    "InvalidRequest": (2, 400),
    "NotFound": (3, 404),
    "Conflict": (4, 409),
    "Busy": (5, 423),
    "Unsupported": (6, 501),
    "BackendFailed": (7, 500),
    "Corrupt": (8, 500),
    "Unreachable": (9, 503),
    "Bug": (70, 500),
    "Interrupted": (130, 500),
}


def sample(kind: type[DvolError]) -> DvolError:
    """One raised with as many subjects as its message names."""
    places = {int(place) for place in re.findall(r"{(\d)}", kind.__doc__ or "")}
    return kind(*(f"subject-{place}" for place in range(max(places, default=-1) + 1)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_refusal_belongs_to_a_family_and_has_its_exit_code(kind: type[DvolError]) -> None:
    family = next(parent.__name__ for parent in kind.__mro__ if parent.__name__ in FAMILIES)
    assert FAMILIES[family] == (kind.exit_code, kind.status)


def test_names_of_refusals_are_unique_because_they_travel() -> None:
    names = [kind.__name__ for kind in KINDS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_is_one_line_that_names_its_subjects(kind: type[DvolError]) -> None:
    text = str(sample(kind))
    assert len(text.splitlines()) == 1
    assert all(subject in text for subject in sample(kind).subject)
    assert "{" not in text


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_refusal_is_the_same_on_the_other_side_of_a_socket(kind: type[DvolError]) -> None:
    before = sample(kind)
    after = from_document(json.loads(json.dumps(before.as_document())))
    assert (kind, before.subject, str(before)) == (type(after), after.subject, str(after))
    assert (before.exit_code, before.status) == (after.exit_code, after.status)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_docker_reads_the_text_in_err(kind: type[DvolError]) -> None:
    assert str(sample(kind)) == sample(kind).as_document()["Err"]


def test_a_refusal_that_only_a_newer_server_knows_keeps_its_text() -> None:
    error = from_document({"Err": "the moon is full", "Error": "FullMoon", "Subject": ["moon"]})
    assert (DvolError, 1, "the moon is full") == (type(error), error.exit_code, str(error))


@pytest.mark.parametrize(
    "document",
    [
        {"Err": "the text", "Error": "InvalidName", "Subject": []},
        {"Err": "the text", "Error": "InvalidName", "Subject": None},
        {"Err": "the text", "Error": "InvalidName"},
        {"Err": "the text", "Error": None, "Subject": []},
        {"Err": "the text"},
    ],
)
def test_a_document_of_another_shape_keeps_its_text(document: dict) -> None:
    """As a newer server may send it, where a refusal has got other subjects."""
    assert str(from_document(document)) == "the text"


def test_a_subject_with_braces_stays_as_it_is() -> None:
    assert "Branch '{0}{x}' does not exist" in str(errors.BranchNotFound("{0}{x}"))


@pytest.mark.parametrize(
    "subject", ["a\nb", "a\r\nb", "\x1b[31mred", "a\0b", "a\u2028b", "a\udcffb", "a\x85b"]
)
def test_a_hostile_subject_cannot_break_the_line_or_the_terminal(subject: str) -> None:
    text = str(errors.VolumeNotFound(subject))
    assert text.isprintable()
    text.encode()


def test_printable_text_is_left_alone() -> None:
    assert printable("Bücher 'x' - ok") == "Bücher 'x' - ok"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.VolumeExists("foo"), "volume foo already exists; choose another name"),
        (errors.InvalidName("foo/bar", "volume", ""), "foo/bar is not a valid name"),
        (errors.NoMessage(), "You must provide a commit message"),
        (
            errors.BranchExists("alpha"),
            "Cannot create existing branch alpha; 'dvol checkout alpha' switches to it",
        ),
        (
            errors.NothingCommitted(),
            "You must commit ('dvol commit') before you can branch ('dvol checkout -b')",
        ),
        (
            errors.RevisionNotFound("HEAD^^"),
            "Referenced commit does not exist; check dvol log",
        ),
        (errors.CannotRemoveMissing("nope"), "Volume 'nope' does not exist, cannot remove it"),
        (
            errors.BranchActive("master"),
            "Cannot delete active branch, use 'dvol checkout' to switch branches first",
        ),
        (errors.BranchNotFound("nope"), "Branch 'nope' does not exist"),
        (errors.NoActiveVolume(), "No active volume: use dvol switch to choose one"),
        (
            errors.ActiveVolumeGone("foo"),
            "Active volume foo does not exist: use dvol switch to choose another",
        ),
        (
            errors.VolumeInUse("foo", "/a,/b"),
            "Cannot remove 'foo' while it is in use by '/a,/b'",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, DvolError) else "",
)
def test_the_originals_texts_are_kept(error: DvolError, text: str) -> None:
    assert str(error).startswith(text)


@pytest.mark.parametrize("path", [None, b"/pool/\xff", "/pool/x"])
def test_what_the_disk_says_is_a_refusal_that_names_the_path(path: object) -> None:
    error = errors.disk_failed(OSError(28, "No space left on device", "/pool/file"), path)
    assert error.exit_code == 7
    assert "No space left on device" in str(error)
    assert "/pool/" in str(error)
