"""Whose data a tree holds, who wrote it, and when the image of a container does not fit it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dvol.containers.container import Container, Mounted, parse
from dvol.containers.provenance import (
    DatabaseServer,
    database_servers,
    mismatch,
    warning,
    writers_of,
)
from dvol.history.commits import as_document, commits_of
from dvol.model import MOST_WRITERS, Commit, Writer, as_plain
from dvol.tree.data_version import DataVersion, data_versions

ID = "sha256:" + "1" * 64
DIGEST = "sha256:" + "2" * 64
HISTORY = (
    '{"file_format":"1","upgrade_history":[{"date":"2024-03-15 22:02:35","version":"8.4.0",'
    '"maturity":"LTS","initialize":true},{"date":"2025-01-30 10:00:00", "version": "9.2.0"}]}'
)
REDIS = b"REDIS0010\xfa\x09redis-ver\x067.0.15\xfa\x0aredis-bits\xc0\x40"
VALKEY = b"VALKEY080\xfa\x0avalkey-ver\x059.0.1\xfa\x0aredis-bits\xc0\x40"


def written(tree: Path, path: str, content: str | bytes) -> Path:
    file = tree / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return tree


@pytest.mark.parametrize(
    ("path", "content", "version"),
    [
        ("PG_VERSION", "17\n", "PostgreSQL 17"),
        ("PG_VERSION", "9.6\n", "PostgreSQL 9.6"),
        ("data/PG_VERSION", "15\n", "PostgreSQL 15"),
        ("pgdata/PG_VERSION", "16\n", "PostgreSQL 16"),
        ("18/docker/PG_VERSION", "18\n", "PostgreSQL 18"),
        ("15/main/PG_VERSION", "15\n", "PostgreSQL 15"),
        ("mysql_upgrade_info", "10.11.6-MariaDB", "MariaDB 10.11.6"),
        ("mysql_upgrade_info", "10.6.16-MariaDB-1:10.6.16+maria~ubu2004\n", "MariaDB 10.6.16"),
        ("mariadb_upgrade_info", "11.8.6-MariaDB\n", "MariaDB 11.8.6"),
        ("data/mariadb_upgrade_info", "11.8.6-MariaDB", "MariaDB 11.8.6"),
        ("mysql_upgrade_info", "8.0.35", "MySQL 8.0.35"),
        ("mysql_upgrade_history", HISTORY, "MySQL 9.2.0"),
        ("dump.rdb", REDIS, "Redis 7.0.15"),
        ("dump.rdb", VALKEY, "Valkey 9.0.1"),
        ("dump.rdb", REDIS.replace(b"\x09redis", b"\x0avalkey"), "Valkey 7.0.15"),
    ],
)
def test_a_small_file_says_whose_data_it_is(
    tmp_path: Path, path: str, content: str | bytes, version: str
) -> None:
    found = data_versions(written(tmp_path, path, content))
    assert ", ".join(map(str, found)) == version


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("PG_VERSION", ""),
        ("PG_VERSION", "17\x1b[31m\n"),
        ("PG_VERSION", "17" * 5000),
        ("base/5/PG_VERSION", "17\n"),
        ("mysql_upgrade_info", "yesterday"),
        ("mysql_upgrade_history", HISTORY + " " * 5000),
        ("dump.rdb", b"REDIS0003\xfe\x00"),
        ("dump.rdb", b""),
        ("WiredTiger", "WiredTiger\nWiredTiger 11.2.0: (November 30, 2022)\n"),
    ],
)
def test_what_a_file_does_not_say_is_not_known(
    tmp_path: Path, path: str, content: str | bytes
) -> None:
    assert data_versions(written(tmp_path, path, content)) == ()


def test_nothing_but_a_regular_file_is_read(tmp_path: Path) -> None:
    outside = written(tmp_path / "outside", "PG_VERSION", "17\n")
    tree = tmp_path / "tree"
    tree.mkdir()
    os.mkfifo(tree / "PG_VERSION")
    (tree / "dump.rdb").mkdir()
    (tree / "mysql_upgrade_info").symlink_to(outside / "PG_VERSION")
    (tree / "data").symlink_to(outside)
    (tree / "18").symlink_to(outside)
    assert data_versions(tree) == ()
    assert data_versions(tmp_path / "missing") == ()


def test_data_of_two_versions_side_by_side_is_both(tmp_path: Path) -> None:
    written(tmp_path, "15/docker/PG_VERSION", "15\n")
    written(tmp_path, "18/docker/PG_VERSION", "18\n")
    assert data_versions(tmp_path) == (pg("15"), pg("18"))


def test_the_file_counts_that_the_newer_server_writes(tmp_path: Path) -> None:
    written(tmp_path, "mysql_upgrade_info", "10.6.16-MariaDB")
    written(tmp_path, "mariadb_upgrade_info", "11.4.2-MariaDB")
    assert data_versions(tmp_path) == (DataVersion("MariaDB", "11.4.2"),)


@pytest.mark.parametrize(
    ("environment", "servers"),
    [
        (["PG_MAJOR=17", "PG_VERSION=17.5-1.pgdg13+1"], [("PostgreSQL", "17", "")]),
        (["PGDATA=/d/18/docker", "PG_MAJOR=18"], [("PostgreSQL", "18", "/d/18/docker")]),
        (["MARIADB_VERSION=1:11.4.2+maria~ubu2404"], [("MariaDB", "11.4.2", "")]),
        (["MYSQL_MAJOR=8.4", "MYSQL_VERSION=8.4.3-1.el9"], [("MySQL", "8.4.3", "")]),
        (["MYSQL_MAJOR=innovation", "MYSQL_VERSION=9.1.0-1.el9"], [("MySQL", "9.1.0", "")]),
        (["MYSQL_MAJOR=8.0"], [("MySQL", "8.0", "")]),
        (["REDIS_VERSION=7.2.5"], [("Redis", "7.2.5", "")]),
        (["VALKEY_VERSION=8.1.3"], [("Valkey", "8.1.3", "")]),
        (["PG_MAJOR=", "REDIS_VERSION=latest", "MYSQL_MAJOR=innovation", "PATH=/bin"], []),
        (["PG_MAJOR=" + "9" * 5000, "PG_MAJOR"], []),
        ([None, 3, "X"], []),
        (None, []),
    ],
)
def test_the_environment_says_what_an_image_runs(
    environment: object, servers: list[tuple[str, str, str]]
) -> None:
    assert list(database_servers(environment)) == [DatabaseServer(*each) for each in servers]


def pg(version: str) -> DataVersion:
    return DataVersion("PostgreSQL", version)


def container(name: str, *environment: str, path: str = "/data", **facts: Any) -> Container:
    mounts = facts.pop("mounts", (Mounted("db", facts.pop("writable", True), path),))
    usual = {"state": "running", "started": "2026-01-01T00:00:00Z", "image": "postgres:17"}
    servers = database_servers(environment)
    return Container(id=name, name=name, mounts=mounts, runs=servers, **(usual | facts))


def warned(
    containers: list[Container],
    holds: list[DataVersion],
    by: Sequence[Writer] = (),
    present: Sequence[DataVersion] = (),
) -> str:
    found = mismatch("db", containers, holds, by, present)
    return warning(found, "it") if found else ""


PG17 = container("/pg", "PG_MAJOR=17")
MARIADB11 = container("/db", "MARIADB_VERSION=1:11.4.2+maria~ubu2404", image="mariadb:11")
NOT_STARTED = (
    "warning: it holds data of PostgreSQL 15, and /pg runs PostgreSQL 17, image postgres:17: "
    "it may not start with that"
)


def test_data_of_another_major_version_is_warned_of() -> None:
    assert warned([PG17], [pg("15")]) == NOT_STARTED
    assert warned([PG17], [pg("18")])
    assert warned([PG17], [pg("15")], present=[pg("15")]), "it does not run with it now either"
    assert warned([PG17], [pg("9.6")])
    assert warned([container("/pg", "PG_MAJOR=9.5")], [pg("9.6")])


@pytest.mark.parametrize(
    ("containers", "holds"),
    [
        ([PG17], [pg("17")]),
        ([PG17], []),
        ([], [pg("15")]),
        ([PG17], [DataVersion("Redis", "6.2.0")]),
        ([PG17], [pg("15"), pg("17")]),
        ([container("/app")], [pg("15")]),
        ([container("/reader", "PG_MAJOR=17", writable=False)], [pg("15")]),
        ([container("/backup", "PG_MAJOR=17"), container("/pg", "PG_MAJOR=15")], [pg("15")]),
        ([container("/pg", "PG_MAJOR=17", "PGDATA=/pgdata", path="/backups")], [pg("15")]),
        ([container("/m", "MYSQL_VERSION=8")], [DataVersion("MySQL", "8.0.35")]),
        ([container("/m", "MYSQL_VERSION=8.4.3")], [DataVersion("MySQL", "8.4.0")]),
        ([container("/r", "REDIS_VERSION=7.4.0")], [DataVersion("Redis", "7.0.15")]),
    ],
)
def test_there_is_no_false_alarm(containers: list[Container], holds: list[DataVersion]) -> None:
    assert warned(containers, holds) == ""


def test_a_data_directory_below_the_mount_is_in_it() -> None:
    one = container("/pg", "PG_MAJOR=18", "PGDATA=/lib/18/docker", path="/lib/")
    assert warned([one], [pg("15")])


def test_a_server_that_opens_older_data_is_warned_of_where_the_data_becomes_older() -> None:
    old, new, newer = (DataVersion("MariaDB", each) for each in ("10.6.16", "11.4.2", "12.0.1"))
    converts = warned([MARIADB11], [old], present=[new])
    assert converts.endswith("/db runs MariaDB 11.4.2, image mariadb:11: it may convert that")
    assert warned([MARIADB11], [newer], present=[newer]).endswith("it may not start with that")
    # its file may be from before MariaDB 11 opened it: nobody ran mariadb-upgrade
    assert warned([MARIADB11], [old], present=[old]) == ""


def test_who_wrote_older_data_counts_more_than_what_it_says() -> None:
    old = DataVersion("MariaDB", "10.6.16")
    by_ten = Writer("/db", "mariadb:10.6", runs="MariaDB 10.6.16")
    by_eleven = Writer("/db", "mariadb:11", runs="MariaDB 11.4.2")
    assert warned([MARIADB11], [old], [by_ten], [old]).endswith("it may convert that")
    assert warned([MARIADB11], [old], [by_eleven], [DataVersion("MariaDB", "11.4.2")]) == ""
    assert warned([PG17], [pg("15")], [Writer("/pg", runs="PostgreSQL 17")]) == NOT_STARTED
    odd = Writer("/db", runs="MariaDB 1.2.3.4.5, MariaDB, MariaDB x, , a b c")
    assert warned([MARIADB11], [old], [odd], [old]) == ""
    assert warned([MARIADB11], [old], [Writer("/db", runs="MariaDB 1:11.4.2")]) == ""


def test_a_container_is_recorded_with_its_image_and_its_path() -> None:
    one = container("/pg", "PG_MAJOR=17", path="/var/lib/postgresql/data", image_id=ID)
    reader = container("/reader", writable=False)
    digests = {ID: [f"mirror/postgres@{DIGEST}", f"postgres@{DIGEST}"]}
    [found] = writers_of("db", [one, reader], digests)
    assert found == Writer(
        "/pg", "postgres:17", f"postgres@{DIGEST}", "/var/lib/postgresql/data", "PostgreSQL 17"
    )
    [found] = writers_of("db", [one._replace(image="localhost:5000/pg")], digests)
    assert found.digest == f"mirror/postgres@{DIGEST}"
    [found] = writers_of("db", [one], {})
    assert found.digest == ID


def test_what_is_recorded_is_bounded_and_clean() -> None:
    hostile = container("/a\x1b[31m", image="x" * 5000, path="/\r\n\ud800" * 500)
    [found] = writers_of("db", [hostile], {})
    assert found.name == "/a\\x1b[31m"
    assert found.image == "x" * 512 + "..."
    assert found.path.isprintable()
    assert len(writers_of("db", [hostile] * 100, {})) == MOST_WRITERS


def test_docker_may_leave_anything_of_it_out() -> None:
    state = {"Running": True, "StartedAt": "2026-01-01T00:00:00Z"}
    bare = {"Id": "1", "Name": "/x", "Mounts": [], "State": state, "Config": {}, "HostConfig": {}}
    one = parse(bare, lambda mount: Mounted("", True))
    assert (one.image, one.image_id, one.runs) == ("", "", ())
    assert (
        parse(
            {**bare, "Config": {"Image": None, "Env": None}}, lambda mount: Mounted("", True)
        ).image
        == ""
    )


def test_a_commit_keeps_its_provenance_in_its_document() -> None:
    writer = Writer("/pg", "postgres:17", f"postgres@{DIGEST}", "/data")
    commit = Commit("a" * 40, "x", data="PostgreSQL 17", writers=(writer,))
    [document] = as_document((commit,))
    assert document["writers"] == [
        {"name": "/pg", "image": "postgres:17", "digest": f"postgres@{DIGEST}", "path": "/data"}
    ]
    assert commits_of([document], Path("x")) == (commit,)
    assert as_plain(commit)["writers"] == [writer._asdict()]
    assert as_document((Commit("a" * 40, "x"),)) == [{"id": "a" * 40, "message": "x"}]


@pytest.mark.parametrize("writers", [None, "", 3, {}, [3, None], "x", [[]]])
def test_writers_that_are_none_do_not_hide_a_commit(writers: object) -> None:
    [commit] = commits_of([{"id": "a" * 40, "message": "x", "writers": writers}], Path("x"))
    assert commit.writers == ()


def test_of_a_writer_in_a_later_format_the_texts_are_kept() -> None:
    listed = [{"name": "/pg", "image": 3, "more": {}}] * 100
    [commit] = commits_of([{"id": "a" * 40, "message": "x", "writers": listed}], Path("x"))
    assert commit.writers == (Writer("/pg"),) * MOST_WRITERS
