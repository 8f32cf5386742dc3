import os

import psycopg
import pytest
from seed import ADDRESS

from dvol.pytest_plugin import volumes


def answers() -> None:
    psycopg.connect(ADDRESS).close()


shop = volumes(os.environ.get("SHOP_VOLUME", "pytest-postgres_db"), to="seed", ready=answers)


@pytest.fixture
def db(shop):
    with psycopg.connect(ADDRESS, autocommit=True) as connection:
        yield connection
