"""What a README tells people to type."""

from __future__ import annotations

import re
from textwrap import dedent


def blocks(readme: str) -> list[str]:
    """Its indented blocks, without that indentation."""
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", readme, flags=re.MULTILINE)
    return [dedent(block).strip("\n") for block in found]


def block_with(readme: str, text: str) -> list[str]:
    """The lines of the first block that has `text` in it."""
    block = next(block for block in blocks(readme) if text in block)
    return [line.strip() for line in block.splitlines() if line.strip()]
