"""The journey of a new user over MCP stdio: from an empty inventory to a changed service, used through a tunnel."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
import pytest

from tests.devices.mcp_house import served
from tests.lab.reallab import RealLab

pytestmark = [pytest.mark.real, pytest.mark.anyio]

NAME = "netssh-journey"
FAR = ("198.18.1.1", 5432)  # linux1's own address on the far side: no route leads there from here
POLICY = """\
version: 1
rules:
  - classes: [read, diagnose, secret-read, change]
    deny: [put_file delete, reboot, shutdown]
"""
DATABASE = """\
import pathlib, socket, sys
greeting = pathlib.Path(sys.argv[1]).read_text().strip()
with socket.create_server(("198.18.1.1", 5432)) as listening:
    while True:
        client, _ = listening.accept()
        with client:
            if client.recv(100) == b"SELECT greeting;\\n":
                client.sendall(greeting.encode() + b"\\n")
"""
INIT = """\
#!/bin/sh
### BEGIN INIT INFO
# Provides: {name}
# Required-Start:
# Required-Stop:
# Default-Start:
# Default-Stop:
### END INIT INFO
pid={folder}/pid
stop() {{ [ -f $pid ] && kill $(cat $pid) 2>/dev/null; rm -f $pid; }}
case $1 in
restart)
    stop
    {python} -I {folder}/database.py {folder}/app.conf </dev/null >/dev/null 2>&1 &
    echo $! >$pid
    for try in $(seq 100); do ss -ltn | grep -q :5432 && exit 0; sleep 0.05; done
    exit 1;;
stop) stop;;
*) exit 2;;
esac
"""


@dataclass
class Service:
    """A database of root's on the far side, and its configuration."""

    folder: Path

    @property
    def conf(self) -> Path:
        return self.folder / "app.conf"

    @property
    def pid(self) -> int:
        return int((self.folder / "pid").read_text())


@pytest.fixture
def service(real_lab: RealLab) -> Iterator[Service]:
    folder = Path("/etc") / NAME
    folder.mkdir(mode=0o755)
    script = Path("/etc/init.d") / NAME
    try:
        (folder / "app.conf").write_text("good morning\n")
        (folder / "app.conf").chmod(0o640)
        (folder / "database.py").write_text(DATABASE)
        script.write_text(INIT.format(name=NAME, folder=folder, python=os.path.realpath(sys.executable)))
        script.chmod(0o755)
        real_lab.inside("linux1", str(script), "restart")
        yield Service(folder)
    finally:
        real_lab.inside("linux1", str(script), "stop")
        script.unlink()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def asked(port: int) -> str:
    """The database's answer, by whoever listens on this port of ours."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as database:
        database.sendall(b"SELECT greeting;\n")
        return database.makefile().readline().strip()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_from_an_empty_inventory_to_a_changed_service_used_through_a_tunnel(
    real_lab: RealLab, service: Service, tmp_path: Path
) -> None:
    ops = real_lab.ops
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("hosts: {}\n")
    policy, secrets = tmp_path / "policy.yaml", tmp_path / "secrets.env"
    policy.write_text(POLICY)
    # The operator says which secret goes to which address; what an agent adds gets none by itself.
    secrets.write_text(
        f"NETSSH_DB1_HOST=127.0.0.1\nNETSSH_DB1_PASSWORD='{ops.password}'\nNETSSH_DB1_SUDO='{ops.password}'\n"
    )
    for path in (policy, secrets, inventory):
        path.chmod(0o600)
    flags = ("--toolsets", "all", "--policy", str(policy), "--env-file", str(secrets), "--edit-hosts")
    async with served(inventory, tmp_path, *flags, known_hosts=[real_lab.known_hosts]) as house:
        assert (await house.call("list_devices")).fields["rows"] == []

        # A host is added, and tested.
        values = {"hostname": "127.0.0.1", "port": real_lab.port("linux1"), "platform": "linux", "username": ops.name}
        added = await house.call("host", action="add", name="db1", values=values)
        assert not added.failed, added.text
        tested = await house.call("host", action="test", name="db1")
        assert not tested.failed, tested.text
        assert [row[0] for row in (await house.call("list_devices")).fields["rows"]] == ["db1"]

        # Its configuration is read and edited, as root, in one piece.
        conf = str(service.conf)
        refused = await house.call("get_file", device="db1", path=conf)
        assert refused.failed, "the login user may not read it"
        read = await house.call("get_file", device="db1", path=conf, sudo=True)
        assert "good morning" in read.text
        before = service.conf.stat()
        written = await house.call("put_file", device="db1", path=conf, content="good evening\n", sudo=True)
        assert not written.failed, written.text
        after = service.conf.stat()
        assert service.conf.read_text() == "good evening\n"
        assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
        assert after.st_ino != before.st_ino, "it was replaced in one step, not written over"

        # The service is restarted under sudo.
        old = service.pid
        restarted = await house.call("run", targets="db1", commands=[f"service {NAME} restart"], sudo=True)
        assert (restarted.row["ok"], restarted.row["exit_status"]) == (True, 0), restarted.text
        assert service.pid != old
        listening = await house.call("run", targets="db1", commands=["ss -ltn"], answers=[], stop_on_error=True)
        assert ":5432" in listening.row["output"]

        # The database is used through a tunnel.
        tunnel = await house.call("forward", action="open", device="db1", host=FAR[0], port=FAR[1])
        assert not tunnel.failed, tunnel.text
        port = int(tunnel.fields["listen"].rpartition(":")[2])
        said = await anyio.to_thread.run_sync(asked, port)
        assert said == "good evening"
        counted = await house.call("forward", action="list")
        assert tunnel.fields["forward_id"] in counted.text

        # All is closed, and what may not be done was not done.
        denied = await house.call("put_file", device="db1", path=conf, action="delete", sudo=True)
        assert denied.error["kind"] == "denied"
        closed = await house.call("session", action="close_all")
        assert not closed.failed, closed.text
        assert (await house.call("forward", action="list")).fields["rows"] == []
        removed = await house.call("host", action="remove", name="db1")
        assert not removed.failed, removed.text
        assert (await house.call("list_devices")).fields["rows"] == []
        with pytest.raises(ConnectionRefusedError):
            await anyio.to_thread.run_sync(asked, port)
    written_here = {path: path.read_bytes() for path in files(tmp_path) if path != secrets}
    assert not [path for path, content in written_here.items() if ops.password.encode() in content]
