"""Root's commands in a pool of an ordinary user, killed before each of their system calls that
change a disk: what they leave is the user's to delete."""

import pytest

from tests.crash.conftest import Filesystem
from tests.crash.counts import Sample
from tests.crash.two_users import (
    AS_USER,
    built,
    calls_of_root,
    killed_root,
    prepared,
    user_goes_on,
)
from tests.crash.worker import Worker

pytestmark = pytest.mark.root
VERBS = {  # with the function of `history` that builds the pool
    "commit": ("commit -m root v", "build"),
    "full commit": ("commit --full -m root v", "build"),
    "reset": ("reset --hard HEAD v", "build"),
    "reset of read-only directories": ("reset --hard HEAD v", "build_locked"),
    "undo": ("undo v", "build_and_reset"),
    "checkout -b": ("checkout -b new v", "build"),
}


@pytest.mark.parametrize("disk", ["dir"], indirect=True)
@pytest.mark.parametrize("name", VERBS)
def test_what_root_leaves_when_killed_is_the_users_to_delete(
    name: str,
    filesystem: Filesystem,
    worker: Worker,
    sample: Sample,
) -> None:
    words, built_by = VERBS[name]
    pool = filesystem.pool

    def build() -> None:
        worker.run(prepared, pool)
        worker.run(built, pool, built_by, AS_USER)

    build()
    calls = worker.run(calls_of_root, pool, words)
    died = 0
    for number in sample.choose(calls, 8):
        build()
        died += worker.run(killed_root, pool, words, number)
        assert worker.run(user_goes_on, pool, AS_USER) == [], calls[number]
    assert died > 2
