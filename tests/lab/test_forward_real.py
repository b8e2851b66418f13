"""Port forwards through a real sshd: both directions and SOCKS, ends of all kinds, what is refused, and by whom."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from netssh_mcp.errors import CommandDenied, ForwardingRefused, InputError
from netssh_mcp.services.app import App, open_app
from netssh_mcp.services.forwards import MOST_OF_A_DEVICE
from netssh_mcp.wire import forwarding
from netssh_mcp.wire.tunnels import WINDOW
from tests.devices.direct import no_threads_left, until
from tests.devices.house import audit_records, settings
from tests.devices.mcp_house import served
from tests.lab.far_servers import BLOCK
from tests.lab.reallab import RealLab
from tests.lab.reallab.topology import PREFIX

pytestmark = [pytest.mark.real, pytest.mark.anyio]
FAR = "198.18.0.2"


@pytest.fixture(scope="module")
def far(real_lab: RealLab) -> Iterator[int]:
    """The port of a server inside the Linux host's namespace, on its address and on its loopback."""
    script = Path(__file__).with_name("far_servers.py")
    command = ["ip", "netns", "exec", PREFIX + "linux1", "/usr/bin/python3", str(script), FAR, "127.0.0.1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


@dataclass
class House:
    """The services on the lab, and clients that use what they open."""

    app: App
    folder: Path
    sockets: list[socket.socket] = field(default_factory=list)

    async def open(self, **more: Any) -> dict[str, Any]:
        return await self.app.forwards.act("open", **{"device": "linux1", **more})

    def row(self, name: str) -> dict[str, Any]:
        return next(row for row in self.app.forwards.rows() if row["forward_id"] == name)

    def forward(self, name: str) -> Any:
        return self.app.forwards._forwards[name]

    def client(self, opened: dict[str, Any]) -> socket.socket:
        """A client of a forward that listens here."""
        host, _, port = opened["listen"].rpartition(":")
        sock = socket.create_connection((host.strip("[]"), int(port)), timeout=20)
        self.sockets.append(sock)
        return sock

    async def said(self, opened: dict[str, Any], words: bytes) -> bytes:
        """All that comes back for these words, behind our end."""

        def talk() -> bytes:
            with self.client(opened) as sock:
                sock.sendall(words)
                sock.shutdown(socket.SHUT_WR)
                return everything(sock)

        return await anyio.to_thread.run_sync(talk)

    def rules(self, *rules: str) -> None:
        """Another policy, from now on."""
        policy = self.folder / "policy.yaml"
        policy.write_text("version: 1\nrules:\n" + "".join(f"  - {rule}\n" for rule in rules))
        policy.chmod(0o600)

    def audited(self, event: str) -> list[dict[str, Any]]:
        return [each for each in audit_records(self.folder) if each.get("event") == event]

    def denials(self) -> list[str]:
        return [each["command"] for each in audit_records(self.folder) if each.get("verdict") == "deny"]


def everything(sock: socket.socket) -> bytes:
    parts = []
    while data := sock.recv(1 << 20):
        parts.append(data)
    return b"".join(parts)


@asynccontextmanager
async def ready(lab: RealLab, folder: Path, *rules: str, hosts: dict[str, Any] | None = None) -> AsyncIterator[House]:
    written = lab.inventory()
    for name, keys in (hosts or {}).items():
        written["hosts"][name] = written["hosts"]["linux1"] | keys
    inventory = folder / "inventory.yaml"
    inventory.write_text(json.dumps(written))
    inventory.chmod(0o600)
    House.rules(House(None, folder), *rules)  # type: ignore[arg-type]
    with no_threads_left():
        async with open_app(settings(folder, inventory, policy=str(folder / "policy.yaml"))) as app:
            house = House(app, folder)
            with anyio.fail_after(60):
                yield house
        for sock in house.sockets:
            sock.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("netssh-forward")]


CHANGE = "classes: [read, change]"


@pytest.fixture
async def house(real_lab: RealLab, tmp_path: Path) -> AsyncIterator[House]:
    """Changes are allowed, and to it and its loopback forwards may lead, from there to our loopback."""
    opens = f"{{forward_to: ['{FAR}:*', '127.0.0.1:*', 'localhost:*'], forward_here: ['127.0.0.1:*']}}"
    async with ready(real_lab, tmp_path, CHANGE, opens) as opened:
        yield opened


# -- local ---------------------------------------------------------------------------------------------------------


async def test_a_local_forward_carries_both_streams_whole_and_counts_them(house: House, far: int) -> None:
    opened = await house.open(host=FAR, port=far)
    assert opened["listen"].startswith("127.0.0.1:")
    sent = b"digest\n" + BLOCK * 100
    said = await house.said(opened, sent)  # the answer comes behind our end: the other stream went on
    assert said.split() == [b"%d" % (len(BLOCK) * 100), hashlib.sha256(BLOCK * 100).hexdigest().encode()]
    assert await house.said(opened, b"blob %d\n" % (len(BLOCK) * 100)) == BLOCK * 100
    await until(lambda: house.row(opened["forward_id"])["open"] == 0)
    row = house.row(opened["forward_id"])
    assert (row["state"], row["connections"], row["refused"], row["last_error"]) == ("open", 2, 0, "")
    assert row["bytes_sent"] == len(sent) + len(b"blob 6553600\n")
    assert row["bytes_received"] == len(said) + len(BLOCK) * 100
    closed = await house.app.forwards.act("close", forward_id=opened["forward_id"])
    assert (closed["state"], closed["reason"], closed["connections"]) == ("ended", "closed", 2)
    with pytest.raises(ConnectionRefusedError):
        house.client(opened)
    (begun,) = [each for each in audit_records(house.folder) if each.get("verdict") == "allow"]
    assert (begun["command"], begun["class"]) == (f"forward local {FAR}:{far}", "change")
    (ended,) = house.audited("forward_closed")
    assert (ended["connections"], ended["bytes_sent"], ended["reason"]) == ("2", str(row["bytes_sent"]), "closed")
    assert [each["listen"] for each in house.audited("forward_opened")] == [opened["listen"]]


async def test_the_far_end_may_end_first_and_is_still_heard(house: House, far: int) -> None:
    opened = await house.open(host=FAR, port=far)

    def talk() -> None:
        with house.client(opened) as sock:
            sock.sendall(b"end\n")
            assert everything(sock) == b"first\n"
            sock.sendall(b"and last " + opened["listen"].encode())

    await anyio.to_thread.run_sync(talk)
    await until(lambda: house.row(opened["forward_id"])["open"] == 0)
    with anyio.fail_after(20):  # the far end is another process, and looks when it likes
        while f"and last {opened['listen']}" not in json.loads(await house.said(opened, b"heard\n")):
            pass


async def test_fifty_clients_at_once_cost_one_thread_and_get_their_own_bytes(house: House, far: int) -> None:
    opened = await house.open(host=FAR, port=far)
    before = threading.active_count()
    clients = [house.client(opened) for _ in range(50)]
    for number, sock in enumerate(clients):
        sock.sendall(b"echo\n" + b"%04d" % number * 50_000)
    await until(lambda: house.row(opened["forward_id"])["open"] == 50)
    assert threading.active_count() == before

    def read(number: int) -> bool:
        sock = clients[number]
        sock.shutdown(socket.SHUT_WR)
        return everything(sock) == b"%04d" % number * 50_000

    for number in range(50):  # one after the other: the others' windows are full meanwhile
        assert await anyio.to_thread.run_sync(read, number)
    assert house.row(opened["forward_id"])["connections"] == 50


async def test_a_client_that_does_not_read_costs_a_window_and_holds_up_nobody(house: House, far: int) -> None:
    opened = await house.open(host=FAR, port=far)
    size = len(BLOCK) * 1024
    slow = house.client(opened)
    slow.sendall(b"blob %d\n" % size)
    forward = house.forward(opened["forward_id"])
    await until(
        lambda: [len(each.opening.channel.in_buffer) for each in forward._clients if each.relay] > [WINDOW // 2]
    )
    assert await house.said(opened, b"echo\nquick") == b"quick"
    assert house.row(opened["forward_id"])["bytes_received"] < size // 2
    assert len(await anyio.to_thread.run_sync(everything, slow)) == size


async def test_clients_that_vanish_leave_the_shared_connection_as_it_is(house: House, far: int) -> None:
    opened = await house.open(host=FAR, port=far)
    transport = house.forward(opened["forward_id"])._transport
    for number in range(200):
        sock = house.client(opened)
        sock.sendall(b"blob 10000000\n" if number % 2 else b"echo\n" + bytes(100_000))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    await until(lambda: house.row(opened["forward_id"])["connections"] >= 150)
    await until(lambda: not house.forward(opened["forward_id"])._clients)
    assert await house.said(opened, b"echo\nstill") == b"still"
    assert transport.is_active()
    assert house.forward(opened["forward_id"])._transport is transport
    assert not transport._channels.values() or len(transport._channels.values()) <= 1


async def test_a_connection_refused_there_closes_the_client_and_is_counted_with_its_reason(house: House) -> None:
    opened = await house.open(host=FAR, port=1)
    with pytest.raises(ConnectionResetError):
        await house.said(opened, b"echo\n")
    row = house.row(opened["forward_id"])
    assert (row["refused"], row["connections"], row["last_error"]) == (1, 0, "connection refused there")


async def test_too_many_clients_are_refused_one_by_one(house: House, far: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "MOST_CLIENTS", 2)
    opened = await house.open(host=FAR, port=far)
    first, _second = house.client(opened), house.client(opened)
    await until(lambda: house.row(opened["forward_id"])["open"] == 2)
    with pytest.raises(ConnectionResetError):
        await anyio.to_thread.run_sync(house.client(opened).recv, 1)
    await until(lambda: house.row(opened["forward_id"])["refused"] == 1)
    assert "the most" in house.row(opened["forward_id"])["last_error"]
    first.close()
    await until(lambda: house.row(opened["forward_id"])["open"] == 1)
    assert await house.said(opened, b"echo\nroom") == b"room"


# -- dynamic -------------------------------------------------------------------------------------------------------


def curl(proxy: str, listen: str, url: str) -> tuple[int, str]:
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "20", proxy, listen, url], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


async def socks(house: House, opened: dict[str, Any], host: str, port: int) -> int:
    """The code of a SOCKS 5 answer to a request by name."""

    def ask() -> int:
        with house.client(opened) as sock:
            name = host.encode()
            sock.sendall(b"\x05\x01\x00\x05\x01\x00\x03" + bytes([len(name)]) + name + struct.pack(">H", port))
            said = everything(sock) if port != 0 else b""
            assert said[:2] == b"\x05\x00"
            return said[3]

    return await anyio.to_thread.run_sync(ask)


@pytest.mark.parametrize("proxy", ["--socks5", "--socks5-hostname", "--socks4", "--socks4a"])
async def test_curl_reaches_what_is_there_through_socks(house: House, far: int, proxy: str) -> None:
    opened = await house.open(kind="dynamic")
    for host in (FAR, "127.0.0.1"):
        ran = await anyio.to_thread.run_sync(curl, proxy, opened["listen"], f"http://{host}:{far}/")
        assert ran == (0, "hello\n")
    if proxy == "--socks5-hostname":  # resolved there, and listed as a name
        ran = await anyio.to_thread.run_sync(curl, proxy, opened["listen"], f"http://localhost:{far}/")
        assert ran == (0, "hello\n")
    allowed = [each["command"] for each in audit_records(house.folder) if each.get("verdict") == "allow"]
    assert allowed[:3] == ["forward dynamic '*'", f"forward dynamic {FAR}:{far}", f"forward dynamic 127.0.0.1:{far}"]


SPELLINGS = ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "::1", "::ffff:127.0.0.1", "localhost")
METADATA = ("169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "::ffff:a9fe:a9fe", "169.254.43518")
MORE = ("fd00:ec2::254", "100.100.100.200", "metadata.google.internal", "64:ff9b::a9fe:a9fe", "0.0.0.0", "::", "linux1")


async def test_no_spelling_of_loopback_and_metadata_passes_without_leave(
    real_lab: RealLab, tmp_path: Path, far: int
) -> None:
    async with ready(real_lab, tmp_path, CHANGE) as house:
        opened = await house.open(kind="dynamic")
        for host in (*SPELLINGS, *METADATA, *MORE):
            assert await socks(house, opened, host, far) == 2, host  # not allowed by ruleset
            with pytest.raises(CommandDenied, match="no rule lists it"):
                await house.open(host=host, port=far)
            with pytest.raises(CommandDenied, match="`forward_here`"):
                await house.open(kind="remote", host=host, port=far)
        count = len((*SPELLINGS, *METADATA, *MORE))
        assert house.row(opened["forward_id"])["refused"] == count
        assert len([line for line in house.denials() if line.startswith("forward dynamic")]) == count
        ran = await anyio.to_thread.run_sync(curl, "--socks5", opened["listen"], f"http://{FAR}:{far}/")
        assert ran == (0, "hello\n"), "and any other address does"


async def test_socks_says_why_and_a_client_that_is_none_is_closed(house: House) -> None:
    opened = await house.open(kind="dynamic")
    assert await socks(house, opened, FAR, 1) == 5  # connection refused
    assert house.row(opened["forward_id"])["last_error"] == "connection refused there"
    with pytest.raises(ConnectionResetError):
        await house.said(opened, b"GET / HTTP/1.0\r\n\r\n")
    assert house.row(opened["forward_id"])["last_error"] == "what came is not SOCKS"


async def test_a_policy_that_changes_holds_for_the_next_connection(house: House, far: int) -> None:
    opened = await house.open(host=FAR, port=far)
    assert await house.said(opened, b"echo\nyes") == b"yes"
    house.rules("classes: [read]")
    with pytest.raises(ConnectionResetError):
        await house.said(opened, b"echo\nno")
    assert house.denials() == [f"forward local {FAR}:{far}"]
    house.rules(CHANGE, f"forward_to: ['{FAR}:*']")
    assert await house.said(opened, b"echo\nagain") == b"again"


# -- remote --------------------------------------------------------------------------------------------------------


@pytest.fixture
def here() -> Iterator[int]:
    """The port of an HTTP server on our loopback."""
    from tests.lab.far_servers import Server

    with Server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


def there(lab: RealLab, listen: str) -> str:
    """What a client on the Linux host gets."""
    return lab.inside("linux1", "sh", "-c", f"curl -sS --max-time 20 http://{listen}/ 2>&1 || true")


async def test_remote_forwards_lead_each_to_its_own_place_and_end_one_by_one(
    house: House, real_lab: RealLab, here: int
) -> None:
    good = await house.open(kind="remote", host="127.0.0.1", port=here)
    dead = await house.open(kind="remote", host="127.0.0.1", port=1)
    also = await house.open(kind="remote", host="127.0.0.1", port=here)
    assert len({good["listen"], dead["listen"], also["listen"]}) == 3
    listening = real_lab.inside("linux1", "ss", "-ltnH")
    assert good["listen"] in listening
    assert await anyio.to_thread.run_sync(there, real_lab, good["listen"]) == "hello\n"
    assert "hello" not in await anyio.to_thread.run_sync(there, real_lab, dead["listen"])
    row = house.row(dead["forward_id"])
    assert (row["refused"], row["last_error"]) == (1, "no connection to it here: Connection refused")
    await house.app.forwards.act("close", forward_id=good["forward_id"])
    assert good["listen"] not in real_lab.inside("linux1", "ss", "-ltnH")
    assert await anyio.to_thread.run_sync(there, real_lab, also["listen"]) == "hello\n"
    taken = int(also["listen"].rpartition(":")[2])
    with pytest.raises(ForwardingRefused, match=f"does not listen on 127.0.0.1:{taken}"):
        await house.open(kind="remote", host="127.0.0.1", port=here, listen=taken)
    assert await house.app.forwards.close_all("linux1") == 2
    assert also["listen"] not in real_lab.inside("linux1", "ss", "-ltnH")


async def test_a_name_in_a_remote_forward_is_resolved_here_and_its_address_is_judged_too(
    real_lab: RealLab, tmp_path: Path, here: int
) -> None:
    name = "db.netssh.test"
    async with ready(real_lab, tmp_path, CHANGE, f"forward_here: ['{name}:*', 'localhost:*']") as house:
        opened = await house.open(kind="remote", host="localhost", port=here)  # a loopback name, listed as such
        assert await anyio.to_thread.run_sync(there, real_lab, opened["listen"]) == "hello\n"
        resolve = socket.getaddrinfo
        with pytest.MonkeyPatch.context() as patch:
            answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", here))]
            patch.setattr(
                socket, "getaddrinfo", lambda host, *a, **k: answer if host == name else resolve(host, *a, **k)
            )
            with pytest.raises(CommandDenied, match=f"{name}: 127.0.0.1:{here} is in no"):
                await house.open(kind="remote", host=name, port=here)


# -- refused and limited -------------------------------------------------------------------------------------------


async def test_what_cannot_be_opened_says_why_and_what_to_do(house: House, far: int) -> None:
    opened = await house.open(host=FAR, port=far)
    taken = int(opened["listen"].rpartition(":")[2])
    with pytest.raises(InputError, match=f"127.0.0.1:{taken} is in use") as caught:
        await house.open(host=FAR, port=far, listen=taken)
    assert "0 for a free one" in caught.value.hint
    with pytest.raises(InputError, match="frr device; forwards go through Linux hosts only"):
        await house.open(device="r1", host=FAR, port=far)
    with pytest.raises(CommandDenied, match=r"listens on 0\.0\.0\.0 is open to others") as denied:
        await house.open(host=FAR, port=far, bind="0.0.0.0")
    assert "forward_bind: any" in denied.value.hint
    for bad in (
        {"kind": "dynamic", "host": FAR},
        {"port": far},
        {"host": FAR},
        {"host": FAR, "port": far, "bind": "x"},
    ):
        with pytest.raises(InputError):
            await house.open(**bad)
    with pytest.raises(InputError, match="there is no forward 'f99'") as unknown:
        await house.app.forwards.act("close", forward_id="f99")
    assert f"Open: {opened['forward_id']}." in unknown.value.hint
    house.rules("{classes: [read, change], forward_bind: any}")
    wide = await house.open(host=FAR, port=far, bind="0.0.0.0")
    assert "others than this machine's users" in wide["note"]
    house.rules("classes: [read]")
    with pytest.raises(CommandDenied, match="class change"):
        await house.open(host=FAR, port=far)


async def test_there_are_only_so_many_of_a_device(house: House, far: int) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(MOST_OF_A_DEVICE):
            tasks.start_soon(lambda: house.open(host=FAR, port=far))
    assert house.app.forwards.count("linux1") == MOST_OF_A_DEVICE
    with pytest.raises(InputError, match="are the most"):
        await house.open(host=FAR, port=far)
    assert await house.app.forwards.close_all() == MOST_OF_A_DEVICE
    assert house.app.forwards.rows() == []


@pytest.fixture
def closed_sshd(real_lab: RealLab, tmp_path: Path) -> Iterator[int]:
    """The port of an sshd that forwards nothing."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    config, log = real_lab.folder / "sshd-linux1.conf", tmp_path / "sshd.log"
    command = ["/usr/sbin/sshd", "-D", "-f", str(config), "-E", str(log)]
    for option in (f"ListenAddress=127.0.0.1:{port}", "AllowTcpForwarding=no"):
        command += ["-o", option]
    with subprocess.Popen(command) as process:
        listening: Callable[[], bool] = lambda: log.exists() and "listening" in log.read_text()  # noqa: E731
        anyio.run(until, listening)
        yield port
        process.kill()


async def test_an_sshd_that_forwards_nothing_is_named_for_it(
    real_lab: RealLab, tmp_path: Path, closed_sshd: int
) -> None:
    async with ready(real_lab, tmp_path, CHANGE, hosts={"shut": {"port": closed_sshd}}) as house:
        opened = await house.open(device="shut", host=FAR, port=22)
        with pytest.raises(ConnectionResetError):
            await house.said(opened, b"")
        assert "AllowTcpForwarding" in house.row(opened["forward_id"])["last_error"]
        with pytest.raises(ForwardingRefused, match="does not listen") as refused:
            await house.open(device="shut", kind="remote", host="192.0.2.1", port=80)
        assert "AllowTcpForwarding" in refused.value.hint


# -- ends ----------------------------------------------------------------------------------------------------------


async def ended(house: House, opened: dict[str, Any]) -> None:
    """Wait until it listens no longer."""
    forward = house.forward(opened["forward_id"])
    await until(lambda: forward.ended_at)


async def test_a_lost_link_ends_the_forward_at_once_and_its_clients_know_it(
    house: House, real_lab: RealLab, far: int
) -> None:
    opened = await house.open(host=FAR, port=far)
    other = await house.open(kind="dynamic")
    client = house.client(opened)
    client.sendall(b"echo\nhalf")
    assert await anyio.to_thread.run_sync(client.recv, 4) == b"half"
    address = house.forward(opened["forward_id"])._transport.sock.getsockname()[:2]
    real_lab.session("linux1", address).reset()
    with pytest.raises(ConnectionResetError):  # no regular end: what it has is not all there is
        await anyio.to_thread.run_sync(client.recv, 4)
    for each in (opened, other):
        await ended(house, each)
        row = house.row(each["forward_id"])
        assert (row["state"], row["reason"]) == ("ended", "the connection to the host was lost")
        with pytest.raises(ConnectionRefusedError):
            house.client(each)
    assert house.app.forwards.count("linux1") == 0
    assert {each["reason"] for each in house.audited("forward_closed")} == {"the connection to the host was lost"}
    again = await house.open(host=FAR, port=far)
    assert await house.said(again, b"echo\nback") == b"back"


async def test_a_lifetime_ends_open_connections_too(house: House, far: int) -> None:
    opened = await house.open(host=FAR, port=far, lifetime=1.0)
    client = house.client(opened)
    client.sendall(b"echo\nhi")
    assert await anyio.to_thread.run_sync(client.recv, 2) == b"hi"
    with pytest.raises(ConnectionResetError):
        await anyio.to_thread.run_sync(client.recv, 2)
    await ended(house, opened)
    assert house.row(opened["forward_id"])["reason"] == "its lifetime is over"
    with pytest.raises(ConnectionRefusedError):
        house.client(opened)


async def test_the_end_of_the_server_ends_them_all(real_lab: RealLab, tmp_path: Path, far: int) -> None:
    async with ready(real_lab, tmp_path, CHANGE, "forward_here: ['127.0.0.1:*']") as house:
        opened = [await house.open(host=FAR, port=far), await house.open(kind="dynamic")]
        remote = await house.open(kind="remote", host="127.0.0.1", port=1)
        client = house.client(opened[0])
        client.sendall(b"echo\nhi")
        assert await anyio.to_thread.run_sync(client.recv, 2) == b"hi"
    for each in opened:
        with pytest.raises(ConnectionRefusedError):
            house.client(each)
    assert remote["listen"] not in real_lab.inside("linux1", "ss", "-ltnH")
    assert [each["reason"] for each in house.audited("forward_closed")] == ["the server ended"] * 3


async def test_without_a_record_nothing_is_opened(house: House, far: int) -> None:
    audit = house.app.forwards._desk.audit
    path = audit.path
    path.unlink()
    path.mkdir()
    with pytest.raises(Exception, match="cannot be written"):
        await house.open(host=FAR, port=far)
    assert house.app.forwards.rows() == []
    path.rmdir()


# -- as a client of the server --------------------------------------------------------------------------------------


async def test_a_story_over_mcp(real_lab: RealLab, tmp_path: Path, far: int) -> None:
    """A model opens a tunnel to a database beside the host, uses it, looks at its figures, and ends it."""
    inventory = real_lab.write_inventory(tmp_path / "inventory.yaml")
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"version: 1\nrules:\n  - {CHANGE}\n")
    policy.chmod(0o600)
    arguments = ("--policy", str(policy), "--toolsets", "observe,operate")
    async with served(inventory, tmp_path, *arguments, known_hosts=[real_lab.known_hosts]) as house:
        denied = await house.call("forward", action="open", device="linux1", host="127.0.0.1", port=far)
        assert (denied.error["kind"], denied.error["effect"]) == ("denied", "none")
        assert "forward_to: ['127.0.0.1:" in denied.error["hint"]
        opened = await house.call("forward", action="open", device="linux1", host=FAR, port=far)
        assert not opened.failed, opened.text
        assert f"listen: {opened.fields['listen']}" in opened.text
        outside = House(None, tmp_path)  # type: ignore[arg-type]
        assert await outside.said(opened.fields, b"echo\nselect 1") == b"select 1"
        listed = await house.call("forward", action="list")
        (row,) = [dict(zip(listed.fields["columns"], cells, strict=True)) for cells in listed.fields["rows"]]
        assert (row["connections"], row["bytes_received"], row["state"]) == (1, 8, "open")
        second = await house.call("forward", action="open", device="linux1", kind="dynamic")
        closed = await house.call("forward", action="close", forward_id=opened.fields["forward_id"])
        assert (closed.fields["state"], closed.fields["bytes_sent"]) == ("ended", 13)
        with pytest.raises(ConnectionRefusedError):
            outside.client(opened.fields)
        outside.client(second.fields).close()
    await until(lambda: not answers(second.fields["listen"]))  # the server has gone, and what it listened on with it
    assert "forward_closed" in (tmp_path / "audit.jsonl").read_text()


def answers(listen: str) -> bool:
    host, _, port = listen.rpartition(":")
    with socket.socket() as sock:
        return sock.connect_ex((host, int(port))) == 0
