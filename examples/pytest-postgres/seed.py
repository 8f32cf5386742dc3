"""What every test begins with: three customers and a hundred orders."""

import os

import psycopg

from dvol.pytest_plugin import await_ready

ADDRESS = f"host=127.0.0.1 port={os.environ.get('PGPORT', '5432')} user=postgres"


def answers() -> None:
    psycopg.connect(ADDRESS).close()


if __name__ == "__main__":
    await_ready(answers, timeout=60)  # seconds: at its first start it makes its files
    with psycopg.connect(ADDRESS) as connection:
        connection.execute("CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL)")
        connection.execute(
            "CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, total int)"
        )
        connection.execute("INSERT INTO customers VALUES (1, 'Ann'), (2, 'Bob'), (3, 'Eve')")
        connection.execute(
            "INSERT INTO orders SELECT n, n % 3 + 1, n * 10 FROM generate_series(1, 100) n"
        )
