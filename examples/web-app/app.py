"""A guest book: GET shows who was here, POST adds a name."""

import os
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2

DATABASE = f"host=127.0.0.1 port={os.environ['PGPORT']} user=postgres"


def ask(query: str, *values: str) -> list[tuple]:
    """Over a new connection each time: a reset ends the database, and starts it again."""
    with closing(psycopg2.connect(DATABASE)) as connection, connection:
        with connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall() if cursor.description else []


class GuestBook(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            names = [name for (name,) in ask("SELECT name FROM guests ORDER BY id")]
        except psycopg2.Error as error:
            self.answer(503, str(error))
        else:
            self.answer(200, "".join(f"{name}\n" for name in names))

    def do_POST(self) -> None:
        name = self.rfile.read(int(self.headers["Content-Length"])).decode()
        ask("INSERT INTO guests (name) VALUES (%s)", name)
        self.answer(200, f"Welcome, {name}\n")

    def answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())


if __name__ == "__main__":
    ask("CREATE TABLE IF NOT EXISTS guests (id serial PRIMARY KEY, name text NOT NULL)")
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["WEB_PORT"])), GuestBook).serve_forever()
