"""The first thing that runs in the one-file command: an old Python must still understand this."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  (who runs this file is not known beforehand)
    sys.exit("dvol: needs Python 3.11 or newer, this is %d.%d" % sys.version_info[:2])  # noqa: UP031

from dvol.__main__ import run

run()
