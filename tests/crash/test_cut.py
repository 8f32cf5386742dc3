"""Every mutating verb, with the power cut before each of its calls that change a disk.

Killing a process shows nothing of what was never synced; the image file of its disk does.
"""

import pytest

from tests.crash.conftest import DISKS
from tests.crash.counts import Sample, count
from tests.crash.cut_disk import cut_disk
from tests.crash.image import calls_of
from tests.crash.verbs import VERBS
from tests.crash.worker import Worker

pytestmark = pytest.mark.root


@pytest.mark.parametrize("kind", DISKS)
@pytest.mark.parametrize("name", VERBS)
def test_a_power_cut_leaves_the_old_or_the_new(
    name: str, kind: str, worker: Worker, request: pytest.FixtureRequest
) -> None:
    with cut_disk(worker, kind) as disk:
        disk.run(name)
        for where, complaints in disk.check():
            assert complaints == [], where
        assert len(disk.images.points_of) > 1
        made = [call for call in disk.expected.calls if call.name not in VERBS[name].without]
        assert disk.points == len(made) + 1
        count(request, "cut", name, kind, disk.points)


@pytest.mark.parametrize("kind", DISKS)
@pytest.mark.parametrize("name", VERBS)
def test_even_where_another_process_syncs_just_before(
    name: str, kind: str, worker: Worker, sample: Sample, request: pytest.FixtureRequest
) -> None:
    """Then the file system has kept names and sizes of which it has no content yet."""
    with cut_disk(worker, kind) as disk:
        calls = worker.run(calls_of, disk.root, name)
        disk.run(name, fsync_first=True, only=frozenset([*sample.choose(calls, 2), len(calls)]))
        for where, complaints in disk.check():
            assert complaints == [], where
        count(request, "cut after fsync", name, kind, disk.points)
