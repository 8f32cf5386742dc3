"""The plugin itself: restarts, crashes, removal, installation, and who may use it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time

import pytest

from tests.docker.installed import Installed, run, server_pid, wait_for
from tests.lab import Unavailable
from tests.lab.registry import Registry

pytestmark = pytest.mark.engines


@pytest.fixture
def precious(installed: Installed, volume: str) -> str:
    """A volume with a commit and with data that is not committed."""
    installed.container(volume, "echo committed > /data/file")
    installed.dvol("commit", "-m", "one", volume)
    installed.container(volume, "echo uncommitted > /data/file")
    return volume


def all_there(installed: Installed, volume: str) -> bool:
    """Whether data, list and tree are as `precious` left them."""
    assert installed.container(volume, "cat /data/file") == "uncommitted\n"
    assert "    one\n" in installed.dvol("log", volume).stdout
    assert installed.listed() == [volume]
    return True


def running(installed: Installed, name: str) -> bool:
    shown = installed.engine.docker("inspect", "-f", "{{.State.Running}}", name, check=False)
    return shown.stdout.strip() == "true"


def log_since(installed: Installed, mark: int) -> str:
    return installed.engine.logs()[mark:]


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_a_restart_of_the_daemon_brings_back_what_ran(
    installed: Installed, precious: str, end: str
) -> None:
    installed.start(precious, "always", "--restart=always")
    if end == "kill":
        installed.engine.kill()
        installed.engine.start()
    else:
        installed.engine.restart()
    wait_for(lambda: running(installed, "always"), "the container is back")
    read = installed.engine.docker("exec", "always", "cat", "/data/file")
    assert read.stdout == "uncommitted\n"
    installed.engine.docker("rm", "-f", "always")
    assert all_there(installed, precious)


def test_disabling_and_enabling_loses_nothing(installed: Installed, precious: str) -> None:
    installed.start(precious, "app")
    installed.engine.docker("plugin", "disable", "-f", "dvol")
    assert installed.dvol("list", check=False).returncode == 9
    assert installed.engine.docker("exec", "app", "cat", "/data/file").stdout == "uncommitted\n"
    installed.engine.docker("plugin", "enable", "dvol")
    installed.engine.docker("rm", "-f", "app")
    assert all_there(installed, precious)


def test_a_killed_server_comes_back_by_itself(installed: Installed, precious: str) -> None:
    installed.start(precious, "app")
    os.kill(server_pid(installed), 9)
    wait_for(lambda: installed.dvol("list", check=False).returncode == 0, "the server is back")
    assert installed.engine.docker("exec", "app", "cat", "/data/file").stdout == "uncommitted\n"
    installed.engine.docker("rm", "-f", "app")
    assert all_there(installed, precious)


def test_a_server_told_to_end_does_so_itself(installed: Installed) -> None:
    """Docker kills it after 10 s otherwise, in the midst of whatever it does."""
    mark = len(installed.engine.logs())
    installed.engine.docker("plugin", "disable", "-f", "dvol")
    assert "INFO stopped" in log_since(installed, mark)
    installed.engine.docker("plugin", "enable", "dvol")


def test_removing_the_plugin_by_force_and_installing_again_loses_nothing(
    installed: Installed, precious: str
) -> None:
    installed.start(precious, "app")
    installed.engine.docker("plugin", "rm", "-f", "dvol")
    assert installed.engine.docker("exec", "app", "cat", "/data/file").stdout == "uncommitted\n"
    installed.make("install")
    installed.engine.docker("rm", "-f", "app")
    assert all_there(installed, precious)


def test_installing_over_itself_loses_nothing(installed: Installed, precious: str) -> None:
    said = installed.make("install").stdout
    assert "Replacing the plugin dvol" in said
    assert all_there(installed, precious)


def test_uninstalling_refuses_while_containers_refer_to_volumes(
    installed: Installed, precious: str
) -> None:
    installed.start(precious, "app", command="true")
    installed.engine.docker("wait", "app")
    refused = installed.make("uninstall", check=False)
    assert refused.returncode != 0
    assert "app" in refused.stderr
    installed.engine.docker("rm", "app")
    assert all_there(installed, precious)


def test_uninstalling_makes_docker_forget_and_leaves_the_data(
    installed: Installed, precious: str
) -> None:
    installed.make("uninstall")
    assert installed.listed() == []
    assert not (installed.engine.root / "usr" / "bin" / "dvol").exists()
    mark = len(installed.engine.logs())
    installed.engine.restart()
    # what the daemon says, four times in 15 s, for each volume that it still remembers
    assert "Unable to locate plugin" not in log_since(installed, mark)
    assert (installed.pool / precious / "branches/master/file").read_text() == "uncommitted\n"
    installed.make("install")
    assert all_there(installed, precious)


def test_a_pool_that_is_not_the_one_it_kept_is_refused(installed: Installed, precious: str) -> None:
    """As after an upgrade, which resets the directory to its default: an empty pool would
    make Docker forget every volume."""
    other = installed.engine.root / "other"
    other.mkdir(exist_ok=True)
    docker = installed.engine.docker
    docker("plugin", "disable", "-f", "dvol")
    mark = len(installed.engine.logs())
    docker("plugin", "set", "dvol", f"data.source={other}")
    assert docker("plugin", "enable", "dvol", check=False).returncode == 1
    assert "this plugin kept the pool" in log_since(installed, mark)
    docker("plugin", "disable", "-f", "dvol", check=False)
    docker("plugin", "set", "dvol", f"data.source={installed.engine.data}")
    docker("plugin", "enable", "dvol")
    assert all_there(installed, precious)


def test_the_data_directory_is_roots_alone(installed: Installed, precious: str) -> None:
    script = f"ls {installed.pool}; cat {installed.pool}/{precious}/branches/master/file"
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script]
    refused = run(nobody, installed.env, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")


def test_whoever_may_use_docker_may_use_dvol_and_nobody_else(
    installed: Installed, precious: str
) -> None:
    docker, dvol = installed.engine.run / "docker.sock", installed.engine.run / "dvol/control.sock"
    group = 4242
    os.chown(docker, 0, group)
    installed.engine.docker("plugin", "disable", "-f", "dvol")
    installed.engine.docker("plugin", "enable", "dvol")
    assert dvol.stat().st_gid == group
    os.chown(docker, 0, 0)
    command = shutil.which("dvol", path=installed.env["PATH"]) or ""
    python = "/usr/bin/python3"
    for its_group, code in ((group, 0), (65534, 9)):
        person = ["setpriv", "--reuid=65534", f"--regid={its_group}", "--clear-groups"]
        done = run([*person, python, command, "log", precious], installed.env, check=False)
        assert done.returncode == code, done.stderr


def test_the_command_runs_inside_the_plugin(installed: Installed, precious: str) -> None:
    inside = installed.make("exec", "ARGS=list").stdout
    assert inside == installed.dvol("list").stdout
    outside = installed.make("exec", "ARGS=log HEAD nope", check=False)
    assert outside.returncode != 0
    assert "Volume 'nope' does not exist" in outside.stderr


def test_it_is_published_and_installed_as_any_plugin(installed: Installed, precious: str) -> None:
    """By an alias, and plainly, where the driver has the plugin's whole name."""
    docker = installed.engine.docker
    try:
        registry = Registry()
    except Unavailable as reason:
        pytest.skip(str(reason))
    with registry:
        name = f"{registry.address}/clusterhq/dvol"
        sources = (f"data.source={installed.engine.data}", f"run.source={installed.engine.run}")
        installed.make("push", f"REGISTRY={registry.address}")
        docker("plugin", "rm", "-f", "dvol")
        install = ("plugin", "install", "--grant-all-permissions")
        docker(*install, "--alias", "dvol", name, *sources)
        assert all_there(installed, precious)
        docker("plugin", "disable", "-f", "dvol")
        docker("plugin", "upgrade", "--grant-all-permissions", "--skip-remote-check", "dvol", name)
        docker("plugin", "set", "dvol", *sources)
        docker("plugin", "enable", "dvol")
        assert all_there(installed, precious)
        installed.make("uninstall")
        docker(*install, name, *sources)
        plain = Installed(installed.engine, driver=name)
        assert plain.container(precious, "cat /data/file") == "uncommitted\n"
        assert plain.inspect(precious)["Driver"] == f"{name}:latest"
        plain.clear()
        docker("plugin", "rm", "-f", name)
    installed.make("install")


def test_the_manifest_asks_for_no_more_than_it_needs(installed: Installed) -> None:
    shown = json.loads(installed.engine.docker("plugin", "inspect", "dvol").stdout)[0]
    config = shown["Config"]
    assert config["Linux"]["Capabilities"] == ["CAP_LINUX_IMMUTABLE", "CAP_SYS_ADMIN"]
    assert config["Linux"]["AllowAllDevices"] is False
    assert (config["Network"]["Type"], config["PidHost"], config["IpcHost"]) == ("", False, False)


def test_listing_is_timed_beside_dockers_own(
    installed: Installed, precious: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A figure for the reader of the log; no time is asserted."""
    commands = (["dvol", "list"], ["docker", "volume", "ls"])
    for command in commands:
        assert precious in run(command, installed.env).stdout
    ours, dockers = (median_time(installed, command) for command in commands)
    with capsys.disabled():
        ratio = ours / dockers
        print(f"\n`dvol list`: {ours:.3f} s, {ratio:.1f} times `docker volume ls`")


def median_time(installed: Installed, command: list[str]) -> float:
    times = []
    for _ in range(9):
        began = time.monotonic()
        subprocess.run(command, env=installed.env, check=True, capture_output=True)
        times.append(time.monotonic() - began)
    return sorted(times)[4]
