"""What the one-file command runs first. It must be valid syntax for old Pythons."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  (any Python may run this file)
    sys.exit("dvol: needs Python 3.11 or newer, this is %d.%d" % sys.version_info[:2])  # noqa: UP031

from dvol.__main__ import run

run()
