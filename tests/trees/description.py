"""What a tree is, entry for entry, as one can see it; and how two such descriptions differ."""

from dataclasses import asdict, replace
from pathlib import Path

from tests.contract.trees import Entry, described

Described = dict[bytes, Entry]  # by path, the root of the tree under the empty path

_PLAIN_ACL = 4 + 3 * 8  # bytes of an ACL that says no more than the mode, which XFS may list or not


def description(tree: Path) -> Described:
    return {path: _without_plain_acl(entry) for path, entry in described(tree).items()}


def without_flags(tree: Described) -> Described:
    """As frozen trees are: their files are shared, so they have no flags of their own."""
    return {path: replace(entry, flags="") for path, entry in tree.items()}


def differences(found: Described, wanted: Described) -> list[str]:
    """A line for each entry that differs, and none if the trees are equal."""
    paths = sorted(found.keys() | wanted.keys())
    told = ((path, _difference(found.get(path), wanted.get(path))) for path in paths)
    return [f"{_short(path)}: {text}" for path, text in told if text]


def _without_plain_acl(entry: Entry) -> Entry:
    own = tuple(
        (name, value)
        for name, value in entry.attributes
        if name != "system.posix_acl_access" or len(value) > _PLAIN_ACL
    )
    return replace(entry, attributes=own)


def _difference(found: Entry | None, wanted: Entry | None) -> str:
    if found is None or wanted is None:
        return f"missing: {_short(wanted)}" if found is None else f"not wanted: {_short(found)}"
    one, other = asdict(found), asdict(wanted)
    fields = [name for name in one if one[name] != other[name]]
    return "; ".join(f"{name} {_values(one[name], other[name])}" for name in fields)


def _values(found: object, wanted: object) -> str:
    """Of several attributes or names only those that not both have."""
    if isinstance(found, tuple) and isinstance(wanted, tuple):
        extra = tuple(one for one in found if one not in wanted)
        wanted = tuple(one for one in wanted if one not in found)
        found = extra
    return f"{_short(found)}, wanted {_short(wanted)}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:200]}...{text[-80:]}"
