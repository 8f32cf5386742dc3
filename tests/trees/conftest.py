"""The file systems and the user of the contract's tests."""

from tests.contract.conftest import filesystem, nobody, place

__all__ = ["filesystem", "nobody", "place"]
