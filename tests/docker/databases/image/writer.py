"""writer.py KIND PORT: writes numbers to a database for ever, and says so, until it is killed.

A line `try N` before each, `ack N` once the database has acknowledged it. Numbers only ever grow
(they are the time), and one that failed is not tried again.
"""

import signal
import sys
import time
from collections.abc import Callable

Write = Callable[[int], object]
PAYLOAD = "x" * 400


def postgres(port: int) -> Write:
    import psycopg2

    connection = psycopg2.connect(host="127.0.0.1", port=port, user="postgres", connect_timeout=2)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE IF NOT EXISTS log (n bigint PRIMARY KEY, payload text)")
    return lambda n: cursor.execute("INSERT INTO log VALUES (%s, %s)", (n, PAYLOAD))


def mariadb(port: int) -> Write:
    import pymysql

    timeout = {"connect_timeout": 2, "read_timeout": 20}
    connection = pymysql.connect(
        host="127.0.0.1", port=port, user="root", autocommit=True, **timeout
    )
    cursor = connection.cursor()
    cursor.execute("CREATE DATABASE IF NOT EXISTS load_test")
    cursor.execute(
        "CREATE TABLE IF NOT EXISTS load_test.log (n BIGINT PRIMARY KEY, payload TEXT)"
        " ENGINE=InnoDB"
    )
    return lambda n: cursor.execute("INSERT INTO load_test.log VALUES (%s, %s)", (n, PAYLOAD))


def redis(port: int) -> Write:
    import redis

    connection = redis.Redis(host="127.0.0.1", port=port, socket_timeout=20)
    connection.ping()
    return lambda n: connection.rpush("log", n)


def sqlite(port: int) -> Write:
    import sqlite3

    connection = sqlite3.connect("/data/log.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, payload TEXT)")
    return lambda n: connection.execute("INSERT INTO log VALUES (?, ?)", (n, PAYLOAD))


KINDS = {"postgres": postgres, "mariadb": mariadb, "redis": redis, "sqlite": sqlite}


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # process 1 would not hear it else
    kind, port = KINDS[sys.argv[1]], int(sys.argv[2])
    write = None
    while True:
        try:
            write = write or kind(port)
            n = time.time_ns() // 1000
            print("try", n, flush=True)
            write(n)
            print("ack", n, flush=True)
            time.sleep(0.002)
        except Exception:  # the server is gone, for now
            write = None
            time.sleep(0.02)


if __name__ == "__main__":
    main()
