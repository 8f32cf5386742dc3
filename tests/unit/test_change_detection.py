"""When a status proves a content: the rule itself, then a file system with a coarse clock on which
it must never vouch for a content that is not there any more, and on which less of it would."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from dvol.tree.change_detection import (
    FLIGHT,
    SIGNATURE,
    TICK,
    Epoch,
    Status,
    is_not_racy,
    live_signature,
    signature,
    still_proves,
)

MS = 1_000_000
SECOND = 1000 * MS
NOON = 1_700_000_000 * SECOND


@dataclass(frozen=True)
class Made:
    """A made-up status."""

    st_ino: int = 11
    st_size: int = 4
    st_mtime_ns: int = NOON
    st_ctime_ns: int = NOON + 1


def clean(age: int, writers_stopped: bool, changed: int = NOON + 1) -> bool:
    """Whether a status is clean whose ctime is `age` ns older than the write-back."""
    status = Made(st_ctime_ns=changed)
    return is_not_racy(status, status, changed + age, writers_stopped)


# -- is_not_racy ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("writers_stopped", "least"), [(True, TICK), (False, FLIGHT)], ids=["ended", "paused"]
)
def test_a_change_must_be_clearly_older_than_the_write_back(
    writers_stopped: bool, least: int
) -> None:
    assert clean(least, writers_stopped)
    assert not clean(least - 1, writers_stopped)
    assert not clean(0, writers_stopped)
    assert not clean(-SECOND, writers_stopped)


@pytest.mark.parametrize("step", [4 * MS, 10 * MS])
def test_the_tick_of_a_coarse_clock_is_too_young(step: int) -> None:
    assert not clean(step, writers_stopped=True, changed=NOON + step)
    assert not clean(step, writers_stopped=False, changed=NOON + step)


def test_a_ctime_of_whole_seconds_needs_longer() -> None:
    assert not clean(TICK, writers_stopped=True, changed=NOON)
    assert not clean(FLIGHT - 1, writers_stopped=True, changed=NOON)
    assert clean(FLIGHT, writers_stopped=True, changed=NOON)


def test_a_write_back_that_proves_nothing_vouches_for_nothing() -> None:
    assert not is_not_racy(Made(), Made(), 0, writers_stopped=True)


def test_a_change_of_the_future_vouches_for_nothing() -> None:
    """The clock was set back since: other changes may get that time once more."""
    assert not clean(-86_400 * SECOND, writers_stopped=True)


@pytest.mark.parametrize("field", ["st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"])
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_file_that_changed_while_it_was_read_is_not_vouched_for(
    field: str, difference: int
) -> None:
    before = Made()
    after = replace(before, **{field: getattr(before, field) + difference})
    assert not is_not_racy(before, after, NOON + 3600 * SECOND, writers_stopped=True)
    assert is_not_racy(before, replace(before), NOON + 3600 * SECOND, writers_stopped=True)


# -- signature ---------------------------------------------------------------------------------


def test_a_signature_begins_with_the_live_file_and_ends_with_the_frozen_one() -> None:
    packed = signature(Made(1, 2, 3, 4), 5)
    assert SIGNATURE.unpack(packed) == (1, 2, 3, 4, 5)
    assert packed.startswith(live_signature(Made(1, 2, 3, 4)))
    assert len(packed) == len(live_signature(Made())) + 8


@pytest.mark.parametrize("field", ["st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"])
def test_every_part_of_a_status_tells_signatures_apart(field: str) -> None:
    other = replace(Made(), **{field: getattr(Made(), field) + 1})
    assert live_signature(other) != live_signature(Made())
    assert signature(other, 7) != signature(Made(), 7)
    assert signature(Made(), 7) != signature(Made(), 8)


def test_the_largest_inodes_and_any_times_fit() -> None:
    """Before 1970 and after 2262, to which 64 bits of nanoseconds do not reach."""
    odd = Made(2**64 - 1, 2**63 - 1, -(2**63), 2**63 + 5)
    assert SIGNATURE.unpack(signature(odd, 2**64 - 1))[:2] == (2**64 - 1, 2**63 - 1)
    assert live_signature(odd) == signature(odd, 0)[: len(live_signature(odd))]
    later = Made(2**64 - 1, 2**63 - 1, -(2**63), 2**63 + 6)
    assert live_signature(odd) != live_signature(later)


# -- still_proves ------------------------------------------------------------------------------

HERE = Epoch("boot", 7, 1000 * SECOND)


@pytest.mark.parametrize(
    ("now", "proves"),
    [
        (HERE, True),
        (HERE._replace(offset=HERE.offset + SECOND), True),  # set forward
        (HERE._replace(offset=HERE.offset - MS), True),  # two clocks can't be read at once
        (HERE._replace(offset=HERE.offset - 4 * MS), False),  # set back, by the least step
        (HERE._replace(offset=HERE.offset - SECOND), False),
        (HERE._replace(boot="other"), False),
        (HERE._replace(boot=""), False),
        (HERE._replace(device=8), False),
    ],
)
def test_a_memory_proves_only_where_and_when_it_was_made(now: Epoch, proves: bool) -> None:
    assert still_proves(HERE, now) == proves


def test_an_unknown_boot_is_not_the_same_boot() -> None:
    assert not still_proves(HERE._replace(boot=""), HERE._replace(boot=""))


# -- a file system with a coarse clock ---------------------------------------------------------

Rule = Callable[[Status, Status, int, bool], bool]
Proves = Callable[[Epoch, Epoch], bool]


@dataclass
class Disk:
    """One file of two blocks, on a file system whose times have a `step`.

    As kernels do it: a write stamps mtime and ctime and lands at once; a direct one lands up to
    two seconds after its stamp; a store through mmap stamps only if the page was written back
    since the last one.
    """

    random: Random
    step: int
    clock: int = NOON + 123 * SECOND
    uptime: int = 0
    mtime: int = NOON
    ctime: int = NOON
    blocks: list[int] = field(default_factory=lambda: [0, 0])
    mapped: bool = False  # stores go unnoticed
    flying: list[tuple[int, int, int]] = field(default_factory=list)  # when, where, what
    writes: Iterator[int] = field(default_factory=lambda: iter(range(1, 1 << 30)))

    @property
    def now(self) -> int:
        """By the kernel's own coarse clock."""
        return self.clock - self.clock % min(self.step, 4 * MS)

    @property
    def moment(self) -> Epoch:
        return Epoch("boot", 7, self.clock - self.uptime)

    def status(self) -> Made:
        return Made(11, 4096, self.mtime, self.ctime)

    def pass_time(self) -> None:
        spans = (0, 0, 1000, MS, 3 * MS, 11 * MS, 30 * MS, 300 * MS, 900 * MS, 2100 * MS)
        span = self.random.choice(spans)
        self.clock += span
        self.uptime += span
        self.land(span)

    def land(self, span: int = 1 << 62) -> None:
        late = [(when - span, where, what) for when, where, what in self.flying]
        for _, where, what in (one for one in late if one[0] <= 0):
            self.blocks[where] = what
        self.flying = [one for one in late if one[0] > 0]

    def touch(self, mtime: int | None = None) -> None:
        self.ctime = self.clock - self.clock % self.step
        self.mtime = self.ctime if mtime is None else mtime

    def write(self) -> None:
        self.touch()
        self.blocks[self.random.randrange(2)] = next(self.writes)

    def store(self) -> None:
        if not self.mapped:
            self.touch()
        self.mapped = True
        self.blocks[self.random.randrange(2)] = next(self.writes)

    def write_directly(self) -> None:
        self.touch()
        longest = FLIGHT - max(self.step, 4 * MS)  # the stamp is up to a step older
        span = self.random.choice((MS, 40 * MS, longest // 2, longest - 1))
        self.flying.append((span, self.random.randrange(2), next(self.writes)))

    def set_time(self) -> None:
        """utime(2), to one that a change has or had."""
        self.touch(self.random.choice((self.mtime, NOON, self.ctime)))

    def set_clock_back(self) -> None:
        self.clock -= self.random.choice((4 * MS, 40 * MS, SECOND, 5 * SECOND))

    def anything(self) -> None:
        """What a process may do at any moment."""
        self.random.choice(
            (self.write, self.store, self.store, self.write_directly, self.set_time)
        )()


@dataclass
class Watch:
    """Commits of that file by a rule; after every event the signature must not lie."""

    disk: Disk
    rule: Rule
    proves: Proves = still_proves
    writes_back: bool = True
    known: tuple[bytes, list[int], Epoch] | None = None

    def lies(self) -> bool:
        if self.known is None:
            return False
        signed, content, then = self.known
        clean = signed.startswith(live_signature(self.disk.status()))
        return clean and self.proves(then, self.disk.moment) and content != self.disk.blocks

    def commit(self, writers: str) -> Iterator[None]:
        """Writers are free, paused (then only what is in flight goes on), or ended."""
        disk = self.disk
        if writers == "ended":
            disk.land()
            disk.mapped = False
        then, began = disk.moment, disk.now
        yield from self.meanwhile(writers)
        if self.writes_back:
            disk.mapped = False
        yield from self.meanwhile(writers)
        before, content = disk.status(), []
        for block in range(2):
            content.append(disk.blocks[block])
            yield from self.meanwhile(writers)
        after = disk.status()
        if self.rule(before, after, began, writers == "ended"):
            self.known = (signature(after, 5), content, then)

    def meanwhile(self, writers: str) -> Iterator[None]:
        self.disk.pass_time()
        if writers == "free" and self.disk.random.random() < 0.3:
            self.disk.anything()
        yield


def lies(seed: int, step: int, rule: Rule, **options: object) -> bool:
    """Whether a rule vouched for a content that was not there, in a random history."""
    random = Random(seed)
    disk = Disk(random, step)
    watch = Watch(disk, rule, **options)
    for _ in range(150):
        event = random.random()
        if event < 0.3:
            disk.anything()
        elif event < 0.32:
            disk.set_clock_back()
        elif event < 0.6:
            for _ in watch.commit(random.choice(("free", "paused", "ended"))):
                if watch.lies():
                    return True
        else:
            disk.pass_time()
        if watch.lies():
            return True
    return False


STEPS = [1, 4 * MS, 10 * MS, SECOND]
SEEDS = range(120)


@pytest.mark.parametrize("step", STEPS)
def test_no_signature_ever_lies(step: int) -> None:
    assert [seed for seed in SEEDS if lies(seed, step, is_not_racy)] == []


@pytest.mark.parametrize("step", STEPS)
def test_signatures_are_of_use(step: int) -> None:
    """A rule that never vouched would not lie either."""
    granted = []

    def counting(before: Status, after: Status, began: int, writers_stopped: bool) -> bool:
        granted.append(is_not_racy(before, after, began, writers_stopped))
        return granted[-1]

    for seed in SEEDS:
        lies(seed, step, counting)
    assert sum(granted) > len(granted) // 10


def _settled(before: Status, after: Status) -> bool:
    return signature(before, 0) == signature(after, 0)


LESS: dict[str, Rule] = {
    "whatever happened while it was read": lambda before, after, began, writers_stopped: (
        is_not_racy(before, before, began, writers_stopped)
    ),
    "within the tick": lambda before, after, began, writers_stopped: (
        _settled(before, after)
        and before.st_ctime_ns
        + (TICK if not writers_stopped or before.st_ctime_ns % SECOND == 0 else 0)
        <= began
    ),
    "while something is in flight": lambda before, after, began, writers_stopped: is_not_racy(
        before, after, began, True
    ),
    "at whole seconds": lambda before, after, began, writers_stopped: (
        _settled(before, after)
        and before.st_ctime_ns + (TICK if writers_stopped else FLIGHT) <= began
    ),
    "whatever the age": lambda before, after, began, writers_stopped: _settled(before, after),
}


@pytest.mark.parametrize("rule", LESS.values(), ids=LESS)
def test_less_of_the_rule_lies(rule: Rule) -> None:
    """So the histories above know each danger that a part of the rule is there for."""
    assert any(lies(seed, step, rule) for step in STEPS for seed in SEEDS)


def test_without_the_write_back_it_lies() -> None:
    assert any(lies(seed, 4 * MS, is_not_racy, writes_back=False) for seed in SEEDS)


def test_with_the_time_of_the_end_of_the_reading_it_lies() -> None:
    def late(before: Status, after: Status, began: int, writers_stopped: bool) -> bool:
        return is_not_racy(before, after, began + 3 * SECOND, writers_stopped)

    assert any(lies(seed, 4 * MS, late) for seed in SEEDS)


def test_without_a_look_at_the_clock_it_lies() -> None:
    assert any(lies(seed, SECOND, is_not_racy, proves=lambda then, now: True) for seed in SEEDS)
