"""Docker's door: each call as Docker makes it, and what Docker must never hear."""

import contextlib
import re
import threading
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from dvol.engine.local import LocalEngine
from dvol.errors import DvolError
from tests.contract.places import Server, eventually
from tests.protocol.conftest import ANN, Ask, tree
from tests.protocol.wire import as_docker, ask, dial, exchange, parsed

ID = "f" * 64
EMPTY = {"empty": b"", "torn": b'{"Name": "', "list": b"[]", "null": b"null", "binary": b"\xff\0"}
NAMED = ["Create", "Remove", "Mount", "Unmount", "Path", "Get"]


def names(docker: Ask) -> list[str]:
    return [volume["Name"] for volume in docker("VolumeDriver.List").document["Volumes"]]


def well(answer) -> dict:
    assert (answer.status, answer.document.get("Err")) == (200, ""), answer
    return answer.document


def refused(answer) -> str:
    """A refusal has status 500, because Podman looks at nothing else, and a text."""
    assert answer.status == 500
    assert answer.document["Err"]
    return answer.document["Err"]


# -- each call ---------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{}", b"null"])
def test_activate(docker: Ask, body: bytes) -> None:
    answer = docker("Plugin.Activate", body)
    assert (answer.status, answer.document) == (200, {"Implements": ["VolumeDriver"]})


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_capabilities(docker: Ask, body: bytes) -> None:
    answer = docker("VolumeDriver.Capabilities", body)
    assert (answer.status, answer.document) == (200, {"Capabilities": {"Scope": "local"}})


@pytest.mark.parametrize("options", [{}, {"Opts": None}, {"Opts": {}}], ids=str)
def test_create_makes_an_empty_volume(docker: Ask, server: Server, options: dict) -> None:
    well(docker("VolumeDriver.Create", Name="v", **options))
    assert list(tree(server).iterdir()) == []
    assert names(docker) == ["v"]
    assert LocalEngine(server.pool).get("v").branch == "master"


def test_create_never_makes_a_volume_the_active_one(docker: Ask, pool: LocalEngine) -> None:
    """The original did, under the feet of whoever was at work."""
    well(docker("VolumeDriver.Create", Name="w", Opts=None))
    assert pool.active() == "v"


def test_create_of_what_is_there_changes_nothing(
    docker: Ask, server: Server, pool: LocalEngine
) -> None:
    """It comes after any failed Get."""
    (tree(server) / "file").write_text("precious")
    for _ in range(2):
        well(docker("VolumeDriver.Create", Name="v", Opts=None))
    assert (tree(server) / "file").read_text() == "precious"
    assert len(pool.log("v")) == 1


@pytest.mark.parametrize(
    "options", [{"size": "1G"}, {"flag": ""}, {"": ""}, {"a\nb": "x"}], ids=str
)
def test_create_with_an_unknown_option_is_refused_by_name(docker: Ask, options: dict) -> None:
    text = refused(docker("VolumeDriver.Create", Name="v", Opts=options))
    assert "option" in text
    assert next(iter(options)).split("\n")[0] in text
    assert names(docker) == []


@pytest.mark.parametrize("options", [[], "x", 7, ["size"], True], ids=str)
def test_create_with_options_of_another_shape_is_no_bug(docker: Ask, options: object) -> None:
    docker("VolumeDriver.Create", Name="v", Opts=options)


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../../evil", "/abs", "a b", "x/y", "ü", "x" * 300),
        *("a\nb", ".dvol", "a\0", "config.yml"),
    ],
)
def test_a_bad_name_is_refused_by_all_that_act_on_one(
    docker: Ask, server: Server, pool: LocalEngine, name: str
) -> None:
    """Docker checks no name for a plugin: each of these does arrive."""
    before = sorted(path for path in server.data.rglob("*") if "locks" not in path.parts)
    for call in ("Create", "Mount", "Path"):
        refused(docker(f"VolumeDriver.{call}", Name=name, ID=ID))
    for call in ("Remove", "Unmount"):
        docker(f"VolumeDriver.{call}", Name=name, ID=ID)
    assert before == sorted(path for path in server.data.rglob("*") if "locks" not in path.parts)


def test_get_tells_all_of_a_volume(docker: Ask, pool: LocalEngine) -> None:
    volume = well(docker("VolumeDriver.Get", Name="v"))["Volume"]
    assert volume["Name"] == "v"
    head = pool.log("v")[0].id
    assert volume["Status"] == {"Branch": "master", "Head": head, "Commits": 1}


def test_get_tells_the_time_with_its_zone(docker: Ask, pool: LocalEngine) -> None:
    """Without one, Docker fails to decode the answer and forgets the volume."""
    created = well(docker("VolumeDriver.Get", Name="v"))["Volume"]["CreatedAt"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", created)
    age = datetime.now().astimezone() - datetime.fromisoformat(created)
    assert abs(age.total_seconds()) < 3600


def test_get_of_a_volume_of_the_original_has_a_time_with_its_zone(
    docker: Ask, server: Server, pool: LocalEngine
) -> None:
    tree(server, "old").mkdir(parents=True)
    created = well(docker("VolumeDriver.Get", Name="old"))["Volume"]["CreatedAt"]
    assert datetime.fromisoformat(created).tzinfo is not None


@pytest.mark.parametrize("name", ["nope", "", "..", "../v", "a b", "x" * 300, "config.yml"])
def test_get_of_what_is_no_volume_says_so(docker: Ask, pool: LocalEngine, name: str) -> None:
    """Docker asks every driver about names that are not its own."""
    answer = docker("VolumeDriver.Get", Name=name)
    refused(answer)
    assert not answer.document.get("Volume")


def test_list_names_each_volume_with_its_mountpoint(
    docker: Ask, server: Server, pool: LocalEngine
) -> None:
    pool.init("w")
    assert well(docker("VolumeDriver.List"))["Volumes"] == [
        {"Name": "v", "Mountpoint": str(tree(server))},
        {"Name": "w", "Mountpoint": str(tree(server, "w"))},
    ]


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"\xff"])
def test_list_needs_no_body(docker: Ask, pool: LocalEngine, body: bytes) -> None:
    assert [one["Name"] for one in well(docker("VolumeDriver.List", body))["Volumes"]] == ["v"]


def test_mount_answers_the_directory_itself(docker: Ask, server: Server, pool: LocalEngine) -> None:
    """No symlink: Docker resolves it on the host, where it leads elsewhere."""
    mountpoint = well(docker("VolumeDriver.Mount", Name="v", ID=ID))["Mountpoint"]
    assert mountpoint == str(tree(server))
    assert Path(mountpoint).resolve(strict=True) == Path(mountpoint)


def test_mount_and_unmount_keep_no_account(docker: Ask, pool: LocalEngine) -> None:
    """`docker cp` repeats a running container's id; a dead daemon never sends Unmount."""
    for _ in range(3):
        well(docker("VolumeDriver.Mount", Name="v", ID=ID))
    for id in (ID, ID, ID, ID, "never mounted", ""):
        well(docker("VolumeDriver.Unmount", Name="v", ID=id))
    pool.commit("v", "x", ANN)
    well(docker("VolumeDriver.Mount", Name="v", ID=ID))
    well(docker("VolumeDriver.Remove", Name="v"))


def test_unmount_of_a_missing_volume_is_no_error(docker: Ask, pool: LocalEngine) -> None:
    well(docker("VolumeDriver.Unmount", Name="gone", ID=ID))


def test_the_branch_that_is_checked_out_is_what_docker_mounts(
    docker: Ask, server: Server, pool: LocalEngine
) -> None:
    pool.branch("v", "side")
    side = str(tree(server, branch="side"))
    for call in ("Mount", "Path"):
        assert well(docker(f"VolumeDriver.{call}", Name="v", ID=ID))["Mountpoint"] == side
    volume = well(docker("VolumeDriver.Get", Name="v"))["Volume"]
    assert volume["Status"]["Branch"] == "side"


@pytest.mark.parametrize("call", ["Mount", "Path"])
def test_what_cannot_be_mounted_is_never_an_empty_path(
    docker: Ask, server: Server, pool: LocalEngine, call: str
) -> None:
    """Docker would mount the plugin's own root file system into the container."""
    assert "nope" in refused(docker(f"VolumeDriver.{call}", Name="nope", ID=ID))
    (server.pool / "v" / "current_branch.json").write_text("{")
    assert "current_branch" in refused(docker(f"VolumeDriver.{call}", Name="v", ID=ID))
    (server.pool / "v" / "current_branch.json").write_text('{"current_branch": "gone"}')
    assert "gone" in refused(docker(f"VolumeDriver.{call}", Name="v", ID=ID))


def test_a_volume_whose_list_is_corrupt_can_be_mounted(
    docker: Ask, server: Server, pool: LocalEngine
) -> None:
    """Its data is well; only its history can't be read."""
    (server.pool / "v" / "branches" / "master.json").write_text("{")
    mounted = well(docker("VolumeDriver.Mount", Name="v", ID=ID))
    assert mounted["Mountpoint"] == str(tree(server))


def test_remove_makes_a_volume_vanish_into_the_trash(
    docker: Ask, server: Server, pool: LocalEngine
) -> None:
    well(docker("VolumeDriver.Remove", Name="v"))
    refused(docker("VolumeDriver.Get", Name="v"))
    assert names(docker) == []
    trashed = (server.pool / ".dvol" / "trash").rglob("file")
    assert {path.read_text() for path in trashed} == {"committed"}


def test_remove_may_come_twice(docker: Ask, pool: LocalEngine) -> None:
    for _ in range(2):
        well(docker("VolumeDriver.Remove", Name="v"))


def test_a_new_volume_of_a_removed_ones_name_starts_empty(
    docker: Ask, server: Server, pool: LocalEngine
) -> None:
    well(docker("VolumeDriver.Remove", Name="v"))
    well(docker("VolumeDriver.Create", Name="v", Opts=None))
    assert list(tree(server).iterdir()) == []


def test_an_anonymous_volume_that_nobody_committed_to_is_deleted_for_good(
    docker: Ask, server: Server, pool: LocalEngine
) -> None:
    """Else `docker run --rm` in a loop would fill the disk with trash."""
    well(docker("VolumeDriver.Create", Name=ID, Opts=None))
    (tree(server, ID) / "file").write_text("a test's")
    well(docker("VolumeDriver.Remove", Name=ID))
    own = server.pool / ".dvol"
    eventually(lambda: not [*(own / "trash").iterdir(), *(own / "garbage").iterdir()])


def test_an_anonymous_volume_that_was_committed_to_goes_to_the_trash(
    docker: Ask, server: Server, pool: LocalEngine
) -> None:
    well(docker("VolumeDriver.Create", Name=ID, Opts=None))
    pool.commit(ID, "x", ANN)
    well(docker("VolumeDriver.Remove", Name=ID))
    assert len(list((server.pool / ".dvol" / "trash").iterdir())) == 1


def test_the_dialogue_of_docker_run(docker: Ask, server: Server, pool: LocalEngine) -> None:
    """`docker run --rm -v new:/data --volume-driver dvol` as recorded."""
    refused(docker("VolumeDriver.Get", Name="new"))
    docker("VolumeDriver.Capabilities")
    well(docker("VolumeDriver.Create", Name="new", Opts=None))
    well(docker("VolumeDriver.Get", Name="new"))
    for id in ("a" * 64, "b" * 64):  # the copy-up, then the container itself
        well(docker("VolumeDriver.Get", Name="new"))
        mounted = well(docker("VolumeDriver.Mount", Name="new", ID=id))
        assert Path(mounted["Mountpoint"]).is_dir()
        well(docker("VolumeDriver.Unmount", Name="new", ID=id))
    well(docker("VolumeDriver.Get", Name="new"))
    well(docker("VolumeDriver.Remove", Name="new"))


# -- what Get may never say --------------------------------------------------------------------


@pytest.mark.parametrize("body", EMPTY.values(), ids=EMPTY)
def test_get_without_a_name_closes_the_connection_without_a_word(
    server: Server, pool: LocalEngine, body: bytes
) -> None:
    """Docker's own retries have an empty body; any answer would make it forget the volume."""
    assert exchange(server.socket, as_docker("VolumeDriver.Get", body)) == b""


@pytest.mark.parametrize("body", [b"{}", b'{"Name": null}', b'{"Name": 7}', b'{"Name": ["v"]}'])
def test_get_of_no_name_closes_the_connection_without_a_word(
    server: Server, pool: LocalEngine, body: bytes
) -> None:
    assert exchange(server.socket, as_docker("VolumeDriver.Get", body)) == b""


CORRUPT = [
    *("v/branches/master.json", "v/current_branch.json", "v/.dvol/volume.json"),
    *("current_volume.json", ".dvol/pool.json", ".dvol/journal.json", "v/.dvol/journal.json"),
]


@pytest.mark.parametrize("path", CORRUPT)
@pytest.mark.parametrize("content", ["{", '{"current_branch": "gone"}', '{"format": 99}', "[7]"])
def test_get_never_denies_a_volume_that_is_there(
    server: Server, docker: Ask, pool: LocalEngine, path: str, content: str
) -> None:
    """Whatever cannot be read: an answer, or none at all."""
    (server.pool / path).write_text(content)
    raw = exchange(server.socket, as_docker("VolumeDriver.Get", b'{"Name": "v"}'))
    if raw:
        assert well(parsed(raw))["Volume"]["Name"] == "v"


@pytest.mark.parametrize("path", CORRUPT[:4])
def test_list_has_corrupt_volumes_too(
    server: Server, docker: Ask, pool: LocalEngine, path: str
) -> None:
    pool.init("w")
    (server.pool / path).write_text("{")
    assert names(docker) == ["v", "w"]


def test_get_tells_what_is_wrong_with_a_corrupt_volume(
    server: Server, docker: Ask, pool: LocalEngine
) -> None:
    (server.pool / "v" / "branches" / "master.json").write_text("{")
    volume = well(docker("VolumeDriver.Get", Name="v"))["Volume"]
    assert "master.json" in str(volume["Status"])


@pytest.mark.root
def test_get_of_a_volume_that_cannot_be_looked_at_is_no_denial(
    server: Server, docker: Ask, pool: LocalEngine, tmp_path: Path
) -> None:
    """As where the disk has errors: here the loop of a symlink stands for them."""
    branches = server.pool / "v" / "branches"
    branches.rename(server.pool / "v" / "kept")
    branches.symlink_to("branches")
    raw = exchange(server.socket, as_docker("VolumeDriver.Get", b'{"Name": "v"}'))
    branches.unlink()
    (server.pool / "v" / "kept").rename(branches)
    if raw:
        assert parsed(raw).document["Err"] == "" or "does not exist" in parsed(raw).document["Err"]
    assert names(docker) == ["v"]


# -- bodies and connections --------------------------------------------------------------------


@pytest.mark.parametrize("body", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("call", [name for name in NAMED if name != "Get"])
def test_a_call_without_a_name_acts_on_nothing(
    docker: Ask, pool: LocalEngine, call: str, body: bytes
) -> None:
    answer = docker(f"VolumeDriver.{call}", body)
    assert answer.status in (400, 500)
    assert answer.document["Err"]
    assert not answer.document.get("Mountpoint")
    assert names(docker) == ["v"]


@pytest.mark.parametrize("name", [None, 7, ["v"], {}, True])
@pytest.mark.parametrize("call", ["Create", "Remove", "Mount", "Path"])
def test_a_name_that_is_no_text_names_nothing(
    docker: Ask, pool: LocalEngine, call: str, name: object
) -> None:
    refused(docker(f"VolumeDriver.{call}", Name=name, ID=ID))
    assert names(docker) == ["v"]


JSON = "Content-Type: application/json\r\n"
PODMAN = "Content-Type: application/vnd.docker.plugins.v1.1+json\r\nConnection: keep-alive\r\n"
HEADERS = {
    "newer Docker": "Host: plugin.moby.localhost\r\n" + JSON,
    "Podman": "Host: x\r\n" + PODMAN,
    "text": "Host:\r\nContent-Type: text/plain; charset=latin1\r\n",
    "curl": "Host: x\r\nExpect: 100-continue\r\n",
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_headers_do_not_matter(server: Server, pool: LocalEngine, headers: str) -> None:
    body = b'{"Name": "v"}'
    head = f"POST /VolumeDriver.Get HTTP/1.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    raw = exchange(server.socket, head.encode() + body)
    assert well(parsed(raw.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")))["Volume"]["Name"] == "v"


def test_a_body_in_chunks_is_read(server: Server, pool: LocalEngine) -> None:
    head = "POST /VolumeDriver.Get HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw = exchange(server.socket, head.encode() + b'd\r\n{"Name": "v"}\r\n0\r\n\r\n')
    assert well(parsed(raw))["Volume"]["Name"] == "v"


@pytest.mark.parametrize("call", ["List", "Capabilities", "Create", "Get", "Mount"])
def test_every_connection_is_closed_after_its_answer(
    server: Server, pool: LocalEngine, call: str
) -> None:
    """A kept one that closes just as Docker sends would cause a retry with an empty body."""
    request = as_docker(f"VolumeDriver.{call}", b'{"Name": "v", "ID": "x"}')
    raw = exchange(server.socket, request)  # ends when the server closes
    head = raw.split(b"\r\n\r\n")[0].lower()
    assert b"\r\nconnection: close" in head
    assert parsed(raw).status == 200


@pytest.mark.parametrize(
    "path", ["VolumeDriver.Frob", "", "dvol/volumes", "NetworkDriver.Get", "%2e"]
)
def test_a_call_nobody_knows_is_not_found(docker: Ask, path: str) -> None:
    answer = docker(path)
    assert answer.status == 404
    assert answer.document["Err"]


def test_a_call_by_another_method_is_refused(server: Server, pool: LocalEngine) -> None:
    raw = exchange(server.socket, b"GET /VolumeDriver.List HTTP/1.1\r\nHost: x\r\n\r\n")
    assert parsed(raw).status == 405


@pytest.mark.parametrize("garbage", [b"nonsense\r\n\r\n", b"\x16\x03\x01\0\0\r\n\r\n", b"\r\n\r\n"])
def test_what_is_no_http_hinders_nobody(docker: Ask, server: Server, garbage: bytes) -> None:
    with dial(server.socket) as client:
        client.sendall(garbage)
        assert names(docker) == []


def test_a_huge_body_is_refused(docker: Ask, server: Server, pool: LocalEngine) -> None:
    with dial(server.socket) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(as_docker("VolumeDriver.Create", b'{"Name": "' + b"x" * (5 << 20)))
        assert names(docker) == ["v"]


def test_a_client_that_says_half_a_word_hinders_nobody(server: Server, docker: Ask) -> None:
    with ExitStack() as clients:
        for _ in range(50):
            client = clients.enter_context(dial(server.socket))
            client.sendall(b"POST /VolumeDriver.Get HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
        assert names(docker) == []


def test_a_client_that_goes_away_hinders_nobody(
    server: Server, docker: Ask, pool: LocalEngine
) -> None:
    for _ in range(50):
        with dial(server.socket) as client:
            client.sendall(as_docker("VolumeDriver.Get", b'{"Name": "v"}'))
    assert names(docker) == ["v"]


def test_fifty_calls_at_once_are_all_answered(
    server: Server, docker: Ask, pool: LocalEngine
) -> None:
    """As when Docker starts, which asks for every volume it knows at the same moment."""
    pool.init("w")
    questions = [
        ("VolumeDriver.Get", {"Name": "v"}),
        ("VolumeDriver.List", {}),
        ("VolumeDriver.Mount", {"Name": "w", "ID": ID}),
        ("VolumeDriver.Capabilities", {}),
        ("VolumeDriver.Create", {"Name": "new", "Opts": None}),
    ]
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda one=one: statuses.append(ask(server.socket, *one).status))
        for one in questions * 10
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 50
    assert names(docker) == ["new", "v", "w"]


def test_docker_may_create_and_remove_at_once(
    server: Server, docker: Ask, pool: LocalEngine
) -> None:
    def loop(name: str) -> None:
        for _ in range(5):
            well(ask(server.socket, "VolumeDriver.Create", {"Name": name, "Opts": None}))
            well(ask(server.socket, "VolumeDriver.Remove", {"Name": name}))

    threads = [threading.Thread(target=loop, args=(f"w{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(docker) == ["v"]
    assert len(list((server.pool / ".dvol" / "trash").iterdir())) == 40


def test_status_tells_of_a_volume_nobody_committed_to(docker: Ask, pool: LocalEngine) -> None:
    pool.init("w")
    status = well(docker("VolumeDriver.Get", Name="w"))["Volume"]["Status"]
    assert (status["Branch"], status["Commits"]) == ("master", 0)
    with pytest.raises(DvolError):
        pool.reset("w")
