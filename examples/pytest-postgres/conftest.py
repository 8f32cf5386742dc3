import os

import psycopg
import pytest
from seed import ADDRESS, answers

from dvol.pytest_plugin import volumes

shop = volumes(os.environ.get("SHOP_VOLUME", "pytest-postgres_db"), to="seed", ready=answers)


@pytest.fixture
def db(shop):
    with psycopg.connect(ADDRESS, autocommit=True) as connection:
        yield connection
