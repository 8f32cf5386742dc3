"""The test of random trees can fail: each kind of difference is told, and a tree equals itself."""

from pathlib import Path

import pytest

from tests.contract.differences import DIFFERENCES, Change, fill
from tests.trees.description import Described, described_with_flags, differences


@pytest.mark.parametrize("change", DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_difference_is_told(tmp_path: Path, change: Change) -> None:
    fill(tmp_path)
    before = described_with_flags(tmp_path)
    assert differences(described_with_flags(tmp_path), before) == []
    change(tmp_path)
    assert differences(described_with_flags(tmp_path), before)


def test_a_flag_is_told(tmp_path: Path) -> None:
    tree = described_with_flags(tmp_path)
    assert differences(Described(tree.entries, {b"": "d"}), tree) == ["b'': flags d, wanted "]
