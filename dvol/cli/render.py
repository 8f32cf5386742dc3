"""Results as text for a terminal: tables as the original dvol printed them, logs as git does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from dvol.errors import printable
from dvol.model import (
    VERSION,
    Branch,
    Commit,
    Discarded,
    Finding,
    Freed,
    Pruned,
    ReflogEntry,
    Restored,
    Tag,
    Version,
    Volume,
    Writer,
    first_line,
)
from dvol.sizes import readable


def volumes(listed: Sequence[Volume]) -> str:
    """A table; the active volume is marked with a star."""
    rows = [("  VOLUME", "BRANCH", "CONTAINERS")]
    for volume in listed:
        star = "* " if volume.active else "  "
        branch = "(corrupt)" if volume.problem else volume.branch
        rows.append((star + volume.name, branch, volume.containers))
    return _table(rows)


def created(volume: Volume) -> str:
    """The new volume, and its first branch."""
    return f"Created volume {volume.name}\nCreated branch {volume.name}/{volume.branch}\n"


def commit_id(commit: Commit) -> str:
    """The id of a new commit."""
    return f"{commit.id}\n"


def commit_ids(commits: Mapping[str, Commit]) -> str:
    """A line for each volume: the id of its new commit, and its name."""
    return "".join(f"{commit.id} {volume}\n" for volume, commit in commits.items())


def settings(values: Mapping[str, str]) -> str:
    """A line for each setting, as `git config --list` prints it."""
    return "".join(f"{key}={value}\n" for key, value in values.items())


def version(server: Version) -> str:
    """The command's version, and the engine's with its pool."""
    engine = f"pool {server.pool}, kept by dvol {server.dvol} (protocol {server.protocol})"
    return f"dvol {VERSION}\n{engine}\n"


def branches(listed: Sequence[Branch]) -> str:
    """A line for each branch; the current one is marked with a star."""
    return "".join(f"{'*' if one.current else ' '} {one.name}\n" for one in listed)


def log(commits: Sequence[Commit]) -> str:
    """Commits as `git log` shows them."""
    return "\n".join(map(_commit, commits))


def tags(listed: Sequence[Tag]) -> str:
    """A line for each tag: its name, its commit and the first line of that one's message."""
    return _table([(one.name, one.commit[:7], _first_line(one.message)) for one in listed])


def pruned(judged: Sequence[Pruned]) -> str:
    """A line for each commit, and how many have left their branch."""
    return f"{_judged(judged)}Dropped {_leaving(judged)}\n"


def would_prune(judged: Sequence[Pruned]) -> str:
    """The same, of a dry run."""
    return f"{_judged(judged)}Would drop {_leaving(judged)}\n"


def title(commit: Commit) -> str:
    """A commit in a few words."""
    return f"{commit.id[:7]} {_first_line(commit.message)}"


def head(commit: Commit) -> str:
    """The new head of a branch, in git's words."""
    if not commit.id:
        return "HEAD is now before the first commit"
    return f"HEAD is now at {title(commit)}"


def heads(commits: Mapping[str, Commit]) -> str:
    """The new head of each volume, by its name."""
    return "\n".join(f"{volume}: {head(commit)}" for volume, commit in commits.items())


def reflog(entries: Sequence[ReflogEntry]) -> str:
    """A line for each entry, as `git reflog` prints it; git's null id where there was no commit."""
    return "".join(f"{one.id[:7] or '0' * 7} {': '.join(_change(one))}\n" for one in entries)


def discarded(listed: Sequence[Discarded]) -> str:
    """A table of entries; the first column is the id that `restore` takes."""
    rows = [("ENTRY", "DISCARDED", "SIZE", "COMMITS", "WHAT")]
    for one in sorted(listed, key=lambda one: one.volume):  # stable: newest first in each
        last = f": {_first_line(one.message)}" if one.message else ""
        size = readable(one.size)
        what = f"{_what(one)}{last}"
        rows.append((one.entry, _when(one.date), size, str(one.commits), what))
    return _table(rows)


def restored(done: Restored) -> str:
    """The volume or branch that was restored."""
    if done.branch:
        return f"Restored branch {done.volume}/{done.branch}\n"
    return f"Restored volume {done.volume}\n"


def freed(entries: Sequence[Freed]) -> str:
    """A line for each deleted entry, and the sum of their sizes."""
    return f"{_sizes(entries)}Freed {_sum(entries)}\n"


def counted(entries: Sequence[Freed]) -> str:
    """How many there are of each kind, in words."""
    kinds = {"drop": "commits", "rm": "volumes", "branch -d": "branches"}
    counts = Counter(kinds.get(one.verb, "states before resets") for one in entries)
    return ", ".join(f"{kind}: {count}" for kind, count in sorted(counts.items()))


def would_free(entries: Sequence[Freed]) -> str:
    """The same, of a dry run."""
    return f"{_sizes(entries)}Would free {_sum(entries)}\n"


def findings(found: Sequence[Finding]) -> str:
    """A line for each finding."""
    return "".join(
        f"{one.volume or 'the pool'}: {printable(one.problem)}"
        f"{' (repaired)' if one.state == 'repaired' else ''}\n"
        for one in found
    )


def summary(found: Sequence[Finding]) -> str:
    """The number of findings of each state, in one line."""
    states = [one.state for one in found]
    counts = [
        f"{states.count(state)} {state}" for state in ("broken", "repaired", "leftover", "busy")
    ]
    nonzero = ", ".join(count for count in counts if not count.startswith("0 "))
    return f"found {nonzero}" if nonzero else "nothing wrong was found"


def _change(one: ReflogEntry) -> list[str]:
    return [printable(text) for text in (one.selector, one.verb, one.message) if text]


def _sizes(entries: Sequence[Freed]) -> str:
    return _table([(one.entry[:12], readable(one.size), _what(one)) for one in entries])


def _sum(entries: Sequence[Freed]) -> str:
    shared = sum(one.shared for one in entries)
    size = readable(sum(one.size for one in entries))
    return f"{size}, and at most {readable(shared)} that files share" if shared else size


def _judged(judged: Sequence[Pruned]) -> str:
    return _table([_judgement(one) for one in judged]) if judged else ""


def _judgement(one: Pruned) -> tuple[str, ...]:
    verdict = f"keep ({one.kept})" if one.kept else "drop"
    return verdict, one.branch, one.commit[:7], _when(one.date), _first_line(one.message)


def _leaving(judged: Sequence[Pruned]) -> str:
    count = len([one for one in judged if not one.kept])
    return f"{count} commit{'' if count == 1 else 's'}"


def _first_line(message: str) -> str:
    return printable(first_line(message))


def _what(one: Discarded | Freed) -> str:
    branch = f"{one.volume}/{one.branch}"
    if one.verb in ("reset", "undo"):
        return f"state of {branch} before {one.verb}"
    if one.verb == "drop":
        return f"commit of {branch}"
    if one.branch:
        return f"branch {branch}"
    if one.verb == "rm":
        return f"volume {one.volume}"
    if not one.verb:
        return "unknown: its entry.json can't be read"
    return f"commit of {one.volume} that was in no list"


def _when(date: str) -> str:
    """A date in the local time zone."""
    try:
        return f"{datetime.fromisoformat(date).astimezone():%Y-%m-%d %H:%M:%S %z}"
    except (ValueError, OverflowError):
        return date


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns with three spaces between; the last one is not padded."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    return "".join(
        "   ".join(
            [*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]
        ).rstrip(" ")
        + "\n"
        for row in rows
    )


def _commit(commit: Commit) -> str:
    """A commit as `git log` shows it. Commits of the original dvol have no author and no date; the
    words for these are the original's."""
    message = "".join(f"    {line}\n" for line in commit.message.split("\n"))
    author = commit.author or "Who knows <mystery@person>"
    when = _date(commit.date) if commit.date else "Whenever"
    more = f"State:  {_STATES[commit.state]}\n" if commit.state in _STATES else ""
    more += f"Data:   {printable(commit.data)}\n" if commit.data else ""
    more += "".join(f"Image:  {image}\n" for image in _images(commit.writers))
    more += f"Group:  {commit.group[:7]}\n" if commit.group else ""
    return f"commit {commit.id}\nAuthor: {author}\nDate:   {when}\n{more}\n{message}"


def _images(writers: Sequence[Writer]) -> list[str]:
    """A text for each image that wrote to the volume, with the containers that it had there."""
    names: dict[tuple[str, ...], list[str]] = {}
    for one in writers:
        if one.image or one.digest:
            names.setdefault((one.image, one.digest, one.path), []).append(printable(one.name))
    return [
        f"{_image(image, digest)} in {', '.join(containers)}{f' at {printable(path)}' * bool(path)}"
        for (image, digest, path), containers in names.items()
    ]


def _image(image: str, digest: str) -> str:
    """The reference, and enough of the digest to compare it by eye."""
    repository, _, hexadecimal = digest.rpartition("sha256:")
    kind = "digest" if repository.endswith("@") else "id"
    short = f"{kind} {printable(hexadecimal[:12])}" if hexadecimal else ""
    return f"{printable(image)} ({short})" if image and short else printable(image) or short


_STATES = {  # "stopped" needs no line: then all data is complete
    "paused": "taken while paused, as after a crash",
    "live": "taken while written to, as after a crash",
    "killed": "taken after a kill, as after a crash",
}


def _date(date: str) -> str:
    """git's default format, in the author's own time zone."""
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return date
    return f"{moment:%a %b} {moment.day} {moment:%H:%M:%S %Y %z}"
