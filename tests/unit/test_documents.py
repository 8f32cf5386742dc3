"""What the pages say of the code is true."""

import re
from pathlib import Path

from dvol.errors import kinds

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_on_the_protocol_lists_every_error_as_it_is() -> None:
    table = re.findall(
        r"^\| `(\w+)` \| (\d+) \| (\d+) \| (.*) \|$", (DOCS / "protocol.md").read_text(), re.M
    )
    listed = {name: (int(code), int(status), text) for name, code, status, text in table}
    assert listed == {
        kind.__name__: (kind.exit_code, kind.status, " ".join((kind.__doc__ or "").split()))
        for kind in kinds()
    }


def test_the_page_on_the_design_opens_with_the_promise() -> None:
    text = (DOCS / "design.md").read_text()
    promise = "> Kill dvol or cut the power at any moment: afterwards every volume is as it was"
    assert promise in text[:600]
