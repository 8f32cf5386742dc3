"""Verbs while containers run: the right ones are ended, all come back, and the data is good."""

from __future__ import annotations

import subprocess

import pytest

from tests.docker.installed import Installed, wait_for

pytestmark = pytest.mark.engines

COUNTING = (
    "n=0; trap 'echo end $n >> /data/log; exit' TERM; "
    "while :; do n=$((n+1)); echo $n >> /data/log; sleep 0.02; done"
)


def test_a_commit_stops_and_starts_its_writers(installed: Installed, volume: str) -> None:
    installed.start(volume, "app", command=COUNTING)
    before = installed.started("app")
    done = installed.dvol("commit", "-m", "x", volume)
    assert "stopped /app" in done.stderr
    assert "started /app" in done.stderr
    assert installed.state("app")["Running"]
    assert installed.started("app") != before
    tree = installed.pool / volume / "commits" / done.stdout.strip()
    assert (tree / "log").read_text().splitlines()[-1].startswith("end ")
    assert "taken while" not in installed.dvol("log", volume).stdout


def test_a_paused_commit_keeps_the_process(installed: Installed, volume: str) -> None:
    installed.start(volume, "app", command=COUNTING)
    before = installed.started("app")
    done = installed.dvol("commit", "-m", "x", "--pause", volume)
    assert "paused /app" in done.stderr
    assert "unpaused /app" in done.stderr
    found = installed.state("app")
    assert (found["Running"], found["Paused"], found["StartedAt"]) == (True, False, before)
    assert "taken while paused" in installed.dvol("log", volume).stdout


def test_a_live_commit_is_refused_where_it_has_no_one_instant(
    installed: Installed, volume: str
) -> None:
    installed.start(volume, "app")
    refused = installed.dvol("commit", "-m", "x", "--live", volume, check=False)
    assert refused.returncode == 6
    assert "--pause or --stop" in refused.stderr


def test_a_reset_shows_the_application_the_old_state(installed: Installed, volume: str) -> None:
    installed.start(volume, "app")
    installed.write("app", "old")
    installed.dvol("commit", "-m", "old", volume)
    installed.write("app", "new")
    done = installed.dvol("reset", "--hard", "HEAD", volume)
    assert "killed /app" in done.stderr
    assert installed.read("app") == "old\n"
    installed.dvol("undo", volume)
    assert installed.read("app") == "new\n"


def test_checkout_lets_the_container_finish_its_work(installed: Installed, volume: str) -> None:
    installed.start(volume, "app", command=COUNTING)
    installed.dvol("commit", "-m", "x", volume)
    installed.dvol("checkout", "-b", "side", volume)
    log = (installed.pool / volume / "branches" / "master" / "log").read_text()
    assert log.splitlines()[-1].startswith("end ")
    assert installed.state("app")["Running"]
    before = installed.started("app")
    installed.dvol("checkout", "side", volume)
    assert installed.started("app") == before  # there is nothing to switch


def test_a_reader_is_left_alone_by_a_commit_and_restarted_by_a_reset(
    installed: Installed, volume: str
) -> None:
    installed.container(volume, "echo old > /data/file")
    options = ("-d", "--name", "reader", "--network", "none", "--volume-driver", "dvol")
    shell = ("busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
    installed.engine.docker("run", *options, "-v", f"{volume}:/data:ro", *shell)
    before = installed.started("reader")
    installed.dvol("commit", "-m", "x", volume)
    assert installed.started("reader") == before
    installed.container(volume, "echo new > /data/file")
    installed.dvol("reset", "--hard", "HEAD", volume)
    assert installed.read("reader") == "old\n"
    assert installed.started("reader") != before


def test_a_container_with_other_writable_data_is_stopped_in_order(
    installed: Installed, volume: str
) -> None:
    installed.dvol("commit", "-m", "x", volume)
    installed.dvol("init", "other")
    command = "trap 'echo done > /other/file; exit' TERM; while :; do sleep 0.05; done"
    installed.start(volume, "app", "-v", "other:/other", command=command)
    done = installed.dvol("reset", "--hard", "HEAD", volume)
    assert "stopped /app" in done.stderr
    assert (installed.pool / "other/branches/master/file").read_text() == "done\n"


def test_a_paused_container_is_paused_again(installed: Installed, volume: str) -> None:
    installed.start(volume, "app")
    installed.write("app", "old")
    installed.dvol("commit", "-m", "x", volume)
    installed.write("app", "new")
    installed.engine.docker("pause", "app")
    before = installed.started("app")
    installed.dvol("commit", "-m", "y", volume)
    assert (installed.state("app")["Paused"], installed.started("app")) == (True, before)
    installed.dvol("reset", "--hard", "HEAD~1", volume)
    assert installed.state("app")["Paused"]
    installed.engine.docker("unpause", "app")
    assert installed.read("app") == "old\n"


def test_what_does_not_run_is_not_started(installed: Installed, volume: str) -> None:
    installed.start(volume, "exited", command="true")
    installed.engine.docker("wait", "exited")
    installed.engine.docker("create", "--name", "created", *installed.mounting(volume), "busybox")
    installed.dvol("commit", "-m", "x", volume)
    installed.dvol("reset", "--hard", "HEAD", volume)
    assert installed.state("exited")["Status"] == "exited"
    assert installed.state("created")["Status"] == "created"


def test_one_that_removes_itself_is_paused_and_never_lost(
    installed: Installed, volume: str
) -> None:
    installed.start(volume, "app", "--rm")
    done = installed.dvol("commit", "-m", "x", volume)
    assert "paused /app" in done.stderr
    assert "warning: /app was only paused, since --rm would remove it" in done.stderr
    for verb in (["reset", "--hard"], ["checkout", "-b", "side"]):
        refused = installed.dvol(*verb, check=False)
        assert (refused.returncode, "--rm" in refused.stderr) == (4, True)
    assert installed.state("app")["Running"]
    installed.dvol("reset", "--hard", "-f")
    listed = ("ps", "-a", "--format", "{{.Names}}")  # it is removed after it has ended
    wait_for(lambda: installed.engine.docker(*listed).stdout == "", "it is removed")


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_a_restart_policy_goes_on_as_before(installed: Installed, volume: str, policy: str) -> None:
    installed.start(volume, "app", "--restart", policy)
    installed.write("app", "old")
    installed.dvol("commit", "-m", "x", volume)
    installed.write("app", "new")
    installed.dvol("reset", "--hard", "HEAD", volume)
    assert installed.read("app") == "old\n"
    shown = installed.engine.docker("inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", "app")
    assert shown.stdout.strip() == policy


def test_one_in_a_restart_loop_is_caught_and_let_go(installed: Installed, volume: str) -> None:
    installed.start(volume, "app", "--restart", "always", command="date >> /data/file; exit 1")
    installed.dvol("commit", "-m", "x", volume)
    installed.dvol("reset", "--hard", "HEAD", volume)
    assert installed.state("app")["Status"] in ("running", "restarting")


def test_one_that_does_not_stop_is_killed_and_the_commit_says_so(
    installed: Installed, volume: str
) -> None:
    installed.start(volume, "app", command="trap '' TERM; while :; do sleep 0.1; done")
    done = installed.dvol("commit", "-m", "x", "--stop-timeout", "3", volume)
    assert "stopping /app, which may take 3 s" in done.stderr
    assert "warning: /app was killed, since it did not stop in 3 s" in done.stderr
    assert "taken after a kill" in installed.dvol("log", volume).stdout


def test_list_names_the_running_ones(installed: Installed, volume: str) -> None:
    installed.start(volume, "two")
    installed.start(volume, "one")
    [line] = installed.dvol("list").stdout.splitlines()[1:]
    assert line.split() == ["*", volume, "master", "/one,/two"]


def test_dependents_are_stopped_first_and_started_last(installed: Installed, volume: str) -> None:
    project = ("--label", "com.docker.compose.project=shop", "--label")
    needs = "com.docker.compose.depends_on=db:service_started:false"
    installed.start(volume, "web", *project, "com.docker.compose.service=web", "--label", needs)
    installed.start(volume, "db", *project, "com.docker.compose.service=db")
    done = installed.dvol("commit", "-m", "x", volume)
    steps = [line.split()[1:3] for line in done.stderr.splitlines() if "/" in line]
    assert [" ".join(step) for step in steps] == [
        *("stopped /web", "stopped /db", "started /db", "started /web")
    ]


def test_health_is_waited_for(installed: Installed, volume: str) -> None:
    born = "cut -d' ' -f22 /proc/1/stat"  # what an earlier process has left does not count
    check = f'test "$(cat /tmp/well)" = "$({born})"'
    command = (
        f"trap 'exit 0' TERM; sleep 1; test -e /tmp/ill || {born} > /tmp/well; "
        "while :; do sleep 0.1; done"
    )
    health = ("--health-cmd", check, "--health-interval", "30s")
    installed.start(volume, "app", *health, command=command)
    installed.dvol("commit", "-m", "x", volume)
    installed.engine.docker("exec", "app", "sh", "-c", check)
    installed.engine.docker("exec", "app", "touch", "/tmp/ill")
    assert "warning" not in installed.dvol("reset", "--hard", "--no-wait", "HEAD", volume).stderr
    late = installed.engine.docker("exec", "app", "sh", "-c", check, check=False)
    assert late.returncode == 1


def test_quiet_says_nothing(installed: Installed, volume: str) -> None:
    installed.start(volume, "app")
    assert installed.dvol("-q", "commit", "-m", "x", volume).stderr == ""
    assert installed.dvol("reset", "--hard", "-q", "HEAD", volume).stderr == ""


def test_the_mode_can_be_set(
    installed: Installed, volume: str, request: pytest.FixtureRequest
) -> None:
    installed.start(volume, "app")
    assert installed.dvol("config", "commit.mode").stdout == "stop\n"
    request.addfinalizer(
        lambda: installed.dvol("config", "--global", "--unset", "commit.mode", check=False)
    )
    installed.dvol("config", "--global", "commit.mode", "pause")
    assert "paused" in installed.dvol("commit", "-m", "x", volume).stderr
    installed.dvol("config", volume, "commit.mode", "stop")
    assert "stopped" in installed.dvol("commit", "-m", "x", volume).stderr
    installed.dvol("config", "--unset", volume, "commit.mode")
    assert installed.dvol("config", volume, "commit.mode").stdout == "pause\n"


def test_verbs_about_volumes_of_one_container_take_turns(installed: Installed, volume: str) -> None:
    """Each finds it running, or waits for the other to start it again."""
    installed.dvol("init", "other")
    installed.start(volume, "app", "-v", "other:/other")
    words = ["dvol", "commit", "-m", "x"]
    both = [
        subprocess.Popen([*words, name], env=installed.env, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
        for name in (volume, "other")
    ]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0] * 6, said
    assert all("stopped /app" in each and "started /app" in each for each in said), said
    assert installed.state("app")["Running"]


def test_a_dependent_is_started_when_what_it_needs_is_well(
    installed: Installed, volume: str
) -> None:
    """As Compose's `service_healthy`: the application gives up if its database does not answer."""
    project = ("--label", "com.docker.compose.project=shop", "--label")
    born = "cut -d' ' -f22 /proc/1/stat"
    serve = (
        f"trap 'exit 0' TERM; {born} > /data/born; sleep 1; "
        "cp /data/born /data/well; while :; do sleep 0.1; done"
    )
    health = ("--health-cmd", f'test "$(cat /data/well)" = "$({born})"')
    db = (*project, "com.docker.compose.service=db", *health)
    installed.start(volume, "db", *db, command=serve)
    needs = "com.docker.compose.depends_on=db:service_healthy:false"
    web = (*project, "com.docker.compose.service=web", "--label", needs)
    there = ("exec", "db", "test", "-e", "/data/well")
    wait_for(lambda: not installed.engine.docker(*there, check=False).returncode, "it is well")
    well = 'test "$(cat /data/well)" = "$(cat /data/born)"'
    use = f"{well} || exit 1; trap 'exit 0' TERM; while :; do sleep 0.1; done"
    installed.start(volume, "web", *web, command=use)
    installed.dvol("commit", "-m", "x", volume)
    assert installed.state("web")["Running"]


def test_several_volumes_are_committed_and_reset_as_one(installed: Installed, volume: str) -> None:
    installed.dvol("init", "cache")
    label = ("--label", "com.docker.compose.project=shop")
    installed.start(volume, "db", *label)
    installed.start("cache", "cache", *label)
    for name in ("db", "cache"):
        installed.write(name, "old")
    done = installed.dvol("commit", "-m", "both", "--project", "shop")
    ids, names = zip(*(line.split() for line in done.stdout.splitlines()), strict=True)
    assert names == ("cache", volume)
    for name in ("db", "cache"):
        installed.write(name, "new")
    installed.dvol("reset", "--hard", ids[0][:10], "--project", "shop")
    assert [installed.read(name) for name in ("db", "cache")] == ["old\n", "old\n"]
    refused = installed.dvol("commit", "-m", "x", "--project", "nothing", check=False)
    assert refused.returncode == 3


def test_the_volumes_of_another_container_are_seen(installed: Installed, volume: str) -> None:
    """`--volumes-from`: the container names no volume, and has it all the same."""
    installed.start(volume, "app")
    options = ("-d", "--name", "beside", "--network", "none", "--volumes-from", "app")
    installed.engine.docker("run", *options, "busybox", "sleep", "1000")
    done = installed.dvol("commit", "-m", "x", "--stop-timeout", "1", volume)
    assert [done.stderr.count(f"{word} /beside") for word in ("stopped", "started")] == [1, 1]
    installed.write("beside", "new")
    installed.dvol("reset", "--hard", "HEAD", volume)
    gone = installed.engine.docker("exec", "app", "ls", "/data/file", check=False)
    assert gone.returncode == 1


def test_all_the_writers_of_a_volume_are_ended(installed: Installed, volume: str) -> None:
    for name in ("one", "two", "three"):
        installed.start(volume, name)
    installed.write("one", "old")
    installed.dvol("commit", "-m", "x", volume)
    installed.write("two", "new")
    done = installed.dvol("reset", "--hard", "HEAD", volume)
    assert done.stderr.count("killed") == done.stderr.count("started") == 3
    assert [installed.read(name) for name in ("one", "two", "three")] == ["old\n"] * 3


def test_one_that_cannot_be_started_again_is_named(installed: Installed, volume: str) -> None:
    """Its other volume is gone from under it."""
    source = installed.engine.root / "bound"
    source.mkdir()
    mount = ("--mount", f"type=bind,source={source},target=/bound")
    installed.start(volume, "app", *mount)
    installed.engine.docker("exec", "app", "true")
    source.rmdir()
    done = installed.dvol("commit", "-m", "x", volume, check=False)
    assert (done.returncode, done.stdout) == (7, "")
    assert "the commit is done, but /app" in done.stderr
    assert "    x\n" in installed.dvol("log", volume).stdout


def test_a_refused_verb_ends_nobody(installed: Installed, volume: str) -> None:
    installed.start(volume, "app")
    before = installed.started("app")
    for words in (["reset", "--hard", "abcd"], ["commit", "-m", ""], ["checkout", "-b", "x"]):
        assert installed.dvol(*words, check=False).returncode in (2, 3, 4)
    assert installed.started("app") == before


def test_without_a_server_nobody_is_ended_who_could_not_start_again(
    installed: Installed, volume: str
) -> None:
    installed.start(volume, "app")
    installed.engine.docker("plugin", "disable", "-f", "dvol")
    words = ("--pool", str(installed.pool), "commit", "-m", "x", volume)
    try:
        refused = installed.dvol(*words, check=False, DVOL_HOST="")
        assert refused.returncode == 7
        assert "enable the plugin dvol:latest first" in refused.stderr
        state = installed.engine.docker("inspect", "-f", "{{.State.Running}}", "app").stdout
        assert state == "true\n"
    finally:
        installed.engine.docker("plugin", "enable", "dvol")
    installed.dvol("commit", "-m", "x", volume)


def test_a_volume_of_dockers_own_is_not_taken_for_one_of_dvols(installed: Installed) -> None:
    installed.engine.docker("volume", "create", "old_db")
    refused = installed.dvol("init", "old_db", check=False)
    assert refused.returncode == 4
    assert "old_db" in refused.stderr
    assert "old_db" not in installed.dvol("list").stdout
