"""Each test finds the seed, and leaves a ruin."""

import psycopg
import pytest


def count(db, table: str = "orders") -> int:
    return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.fixture(autouse=True)
def the_seed_is_there(db):
    assert (count(db, "customers"), count(db)) == (3, 100)


def test_an_order_can_be_deleted(db):
    db.execute("DELETE FROM orders WHERE id = 1")
    assert count(db) == 99


def test_all_orders_can_be_deleted(db):
    db.execute("TRUNCATE orders")
    assert count(db) == 0


def test_a_customer_with_orders_cannot_be_deleted(db):
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        db.execute("DELETE FROM customers WHERE id = 1")


def test_a_customer_can_be_deleted_with_all_orders(db):
    db.execute("DELETE FROM orders WHERE customer = 1")
    db.execute("DELETE FROM customers WHERE id = 1")
    assert count(db, "customers") == 2


def test_totals_can_be_changed(db):
    db.execute("UPDATE orders SET total = 0")
    assert db.execute("SELECT sum(total) FROM orders").fetchone()[0] == 0


def test_a_column_can_be_dropped(db):
    db.execute("ALTER TABLE orders DROP COLUMN total")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        db.execute("SELECT total FROM orders")


def test_a_table_can_be_dropped(db):
    db.execute("DROP TABLE orders")
    assert count(db, "customers") == 3


def test_a_migration_that_goes_wrong_half_way(db):
    db.execute("ALTER TABLE orders RENAME TO old_orders")
    db.execute("CREATE TABLE orders (id int)")
    assert count(db) == 0


def test_many_orders_can_be_made(db):
    db.execute("INSERT INTO orders SELECT n, 1, 0 FROM generate_series(101, 20000) n")
    assert count(db) == 20000


def test_everything_can_be_dropped(db):
    db.execute("DROP SCHEMA public CASCADE")
    with pytest.raises(psycopg.errors.UndefinedTable):
        count(db)
