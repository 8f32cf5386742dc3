"""A thread that is idle leaves the others as they are."""

import os
import threading

from dvol.fs.syscalls import be_idle


def test_only_the_thread_that_asks_becomes_nice() -> None:
    found = []

    def work() -> None:
        be_idle()
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0] > before
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
