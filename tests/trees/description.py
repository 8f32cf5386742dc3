"""What a tree is, entry for entry, as one can see it; and how two such descriptions differ."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.contract.trees import Entry, described
from tests.trees import flags

_PLAIN_ACL = 4 + 3 * 8  # bytes of an ACL that says no more than the mode, which XFS may list or not


@dataclass(frozen=True)
class Described:
    """The entries of a tree by their paths, and the flags of those that have any."""

    entries: dict[bytes, Entry]
    flags: dict[bytes, str]


def described_with_flags(tree: Path) -> Described:
    entries = {path: _without_plain_acl(entry) for path, entry in described(tree).items()}
    return Described(entries, flags.of_tree(tree) if flags.FLAGS else {})


def described_without_flags(tree: Path) -> Described:
    """As frozen trees are: their files are shared, so they have no flags of their own."""
    return without_flags(Described(described(tree), {}))


def without_flags(tree: Described) -> Described:
    return Described({path: _without_plain_acl(one) for path, one in tree.entries.items()}, {})


def _without_plain_acl(entry: Entry) -> Entry:
    own = tuple(
        (name, value)
        for name, value in entry.attributes
        if name != "system.posix_acl_access" or len(value) > _PLAIN_ACL
    )
    return replace(entry, attributes=own)


def differences(found: Described, wanted: Described) -> list[str]:
    """A line for each entry that differs, and none if the trees are equal."""
    paths = sorted(found.entries.keys() | wanted.entries.keys())
    told = ((path, _difference(path, found, wanted)) for path in paths)
    return [f"{_short(path)}: {text}" for path, text in told if text]


def _difference(path: bytes, found: Described, wanted: Described) -> str:
    if path not in found.entries:
        return f"missing: {_short(wanted.entries[path])}"
    if path not in wanted.entries:
        return f"not wanted: {_short(found.entries[path])}"
    one, other = asdict(found.entries[path]), asdict(wanted.entries[path])
    one["flags"], other["flags"] = found.flags.get(path, ""), wanted.flags.get(path, "")
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
