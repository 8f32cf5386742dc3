"""The test of random trees can fail: each kind of difference is told, and a tree equals itself."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.differences import DIFFERENCES, Change, fill
from tests.trees.description import description, differences


@pytest.mark.parametrize("change", DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_difference_is_told(tmp_path: Path, change: Change) -> None:
    fill(tmp_path)
    before = description(tmp_path)
    assert differences(description(tmp_path), before) == []
    change(tmp_path)
    assert differences(description(tmp_path), before)


def test_a_flag_is_told(tmp_path: Path) -> None:
    tree = description(tmp_path)
    flagged = {b"": replace(tree[b""], flags="d")}
    assert differences(flagged, tree) == ["b'': flags d, wanted "]
