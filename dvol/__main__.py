"""`python -m dvol` is the command `dvol`."""

import sys

from dvol.cli import main

sys.exit(main())
