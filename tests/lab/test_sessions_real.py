"""Our sessions on real FRRouting and real sshd: broken links, runaway commands, long outputs, a jump host."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from netssh_mcp.errors import CommandInterrupted, CommandTimeout, SessionLost
from netssh_mcp.knowledge.inventory import InventorySource
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.wire import network
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.linux import LinuxConnection
from netssh_mcp.wire.network import NetworkConnection
from netssh_mcp.wire.opener import Opener
from netssh_mcp.wire.turn import Turn
from tests.devices.direct import no_threads_left
from tests.lab.reallab import RealLab
from tests.lab.reallab.session import Session

pytestmark = pytest.mark.real
PROFILES = Profiles.load(None)


class Line:
    """One open connection to a node, run from a plain thread."""

    def __init__(self, lab: RealLab, node: str, folder: Path, **more: Any) -> None:
        written = lab.inventory()
        for name, keys in more.items():
            written["hosts"][name] |= keys
        path = folder / "inventory.yaml"
        path.write_text(json.dumps(written))
        path.chmod(0o600)
        inventory = InventorySource([path], PROFILES.platforms()).current()
        device = inventory.device(node)
        hops = inventory.way(device)
        keys = HostKeys("tofu", (), folder / "known_hosts")
        self.lab, self.node = lab, node
        self.opener = Opener(keys)
        made = self.opener(hops, PROFILES.get(device.platform), turn=Turn(), byte_limit=64 << 20)
        assert isinstance(made, (NetworkConnection, LinuxConnection))
        self.connection = made

    def run(self, line: str, timeout: float = 20.0, turn: Turn | None = None) -> Any:
        return self.connection.run(line, deadline=time.monotonic() + timeout, turn=turn or Turn())

    @property
    def session(self) -> Session:
        """The lab's handle on it."""
        return self.lab.session(self.node, self.connection._link.sockets[0].getsockname()[:2])

    def while_running(self, line: str, seen: str, then: Callable[[], None], timeout: float = 20.0) -> BaseException:
        """Run a line and, once `seen` has come, do `then`; the error that it ends with."""
        turn, errors = Turn(), list[BaseException]()

        def work() -> None:
            try:
                self.run(line, timeout, turn)
            except Exception as error:  # noqa: BLE001  (handed to the test)
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        while seen not in turn.partial() and thread.is_alive():
            thread.join(0.01)
        then()
        thread.join(30)
        assert not thread.is_alive()
        assert errors, "the command ended without an error"
        return errors[0]


@pytest.fixture
def line_to(real_lab: RealLab, tmp_path: Path) -> Iterator[Callable[..., Line]]:
    """Opens lines; closes them, and sees that no thread is left."""
    opened: list[Line] = []

    def make(node: str, **more: Any) -> Line:
        opened.append(Line(real_lab, node, tmp_path, **more))
        return opened[-1]

    with no_threads_left():
        yield make
        for line in opened:
            line.connection.close()
            line.opener.close()


# -- routers -------------------------------------------------------------------------------------------------------


def test_a_router_answers_the_whole_table_and_each_command_its_own(line_to: Callable[..., Line]) -> None:
    line = line_to("r1")
    routes = line.run("show ip route")
    assert routes.framing == "proven"
    assert len(routes.output) > 5_000
    for _ in range(20):
        assert line.run("show version").output.startswith("FRRouting")
        assert len(line.run("show ip route").output.splitlines()) == len(routes.output.splitlines())


def test_an_endless_ping_is_stopped_by_its_timeout_and_the_session_lives_on(line_to: Callable[..., Line]) -> None:
    line = line_to("r1")
    with pytest.raises(CommandTimeout, match="the prompt is back") as caught:
        line.run("ping 127.0.0.1", timeout=1.2)
    assert "bytes from 127.0.0.1" in caught.value.partial
    assert line.run("show version").output.startswith("FRRouting")


def test_an_endless_ping_is_stopped_by_a_cancel(line_to: Callable[..., Line]) -> None:
    line = line_to("r1")
    turn = Turn()
    seen = threading.Timer(1.0, turn.cancel)
    seen.start()
    with pytest.raises(CommandInterrupted, match="the prompt is back"):
        line.run("ping 127.0.0.1", timeout=600, turn=turn)
    assert line.run("show version").output.startswith("FRRouting")


ENDINGS: dict[str, tuple[Callable[[Session], None], str]] = {
    "close": (Session.close, "closed"),
    "reset": (Session.reset, "was reset"),
    "garbage": (lambda session: session.garble(b"\xff\x00this is no packet" * 10), "garbage that is not SSH|was reset"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_link_that_ends_under_a_command_is_named_with_the_text_so_far(
    ending: str, line_to: Callable[..., Line]
) -> None:
    line = line_to("r1")
    act, named = ENDINGS[ending]
    error = line.while_running("ping 127.0.0.1", "bytes from", lambda: act(line.session), timeout=600)
    assert isinstance(error, SessionLost)
    assert "bytes from" in error.partial
    assert re.search(named, str(error)), error
    assert not line.connection.alive


def test_a_frozen_router_is_a_timeout_and_the_session_is_given_up(line_to: Callable[..., Line]) -> None:
    line = line_to("r1")
    session = line.session
    session.freeze()
    try:
        with pytest.raises(CommandTimeout, match="the session was closed"):
            line.run("show version", timeout=0.5)
    finally:
        session.thaw()
    assert not line.connection.alive
    assert network._STOP / 2 + network._STOP < 1.0  # what may come on top of the timeout


def test_a_black_hole_is_a_timeout_with_the_text_so_far(real_lab: RealLab, line_to: Callable[..., Line]) -> None:
    line = line_to("r3", r3={"hostname": "198.18.0.6", "port": 22})
    assert line.run("show version").output.startswith("FRRouting")
    with real_lab.cut("r3"), pytest.raises(CommandTimeout, match="the session was closed"):
        line.run("show ip route", timeout=0.5)


def test_a_log_line_behind_the_prompt_is_an_event(line_to: Callable[..., Line]) -> None:
    line = line_to("r1")
    session = line.session
    tty = _terminal_of(session)
    tty.write_bytes(b"% STARVATION: task vtysh_rl_read (5581) ran for 9164ms (cpu time 3ms)\r\n")
    reply = line.run("show version")
    assert reply.output.startswith("FRRouting")
    assert any("STARVATION" in event for event in reply.events)


def _terminal_of(session: Session) -> Path:
    """The pseudo-terminal that the session's vtysh reads."""
    for child in _descendants(session.pid):
        try:
            target = Path(f"/proc/{child}/fd/0").readlink()
        except OSError:
            continue
        if str(target).startswith("/dev/pts/"):
            return target
    raise LookupError("the session has no terminal")


def _descendants(pid: int) -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            yield int(stat.parent.name)
            yield from _descendants(int(stat.parent.name))


def test_a_router_behind_a_jump_host_is_reached_and_both_connections_close(line_to: Callable[..., Line]) -> None:
    line = line_to("r1", r1={"hostname": "198.18.1.2", "port": 22, "jump": "linux1"})
    assert line.run("show version").output.startswith("FRRouting")
    via = line.connection._link.via
    assert via is not None
    line.connection.close()
    line.opener.close()
    for transport in (line.connection._link.transport, via.link.transport):
        transport.join(5)
        assert not transport.is_alive()


def test_a_jump_host_that_goes_away_is_a_lost_link(line_to: Callable[..., Line], real_lab: RealLab) -> None:
    line = line_to("r1", r1={"hostname": "198.18.1.2", "port": 22, "jump": "linux1"})
    via = line.connection._link.via
    assert via is not None
    client = via.link.sockets[0].getsockname()[:2]
    error = line.while_running("ping 127.0.0.1", "bytes from", real_lab.session("linux1", client).reset, timeout=600)
    assert isinstance(error, SessionLost)
    assert "the connection to the jump host linux1 ended" in str(error)


# -- Linux ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [60_000, 5_000_000])
def test_a_long_output_is_whole(size: int, line_to: Callable[..., Line]) -> None:
    reply = line_to("linux1").run(f"yes 0123456789abcde | head -c {size}")
    assert reply.output == ("0123456789abcde\n" * (size // 16 + 1))[:size]
    assert (reply.exit_status, reply.stderr) == (0, "")


def test_three_megabytes_on_stderr_are_whole(line_to: Callable[..., Line]) -> None:
    reply = line_to("linux1").run("sh -c 'yes 0123456789abcde | head -c 3000000 >&2; echo done'")
    assert reply.stderr == ("0123456789abcde\n" * 187_500)
    assert reply.output == "done\n"


@pytest.mark.parametrize("status", [0, 1, 2, 126, 127, 255])
def test_exit_codes_are_the_commands_own(status: int, line_to: Callable[..., Line]) -> None:
    line = line_to("linux1")
    assert line.run(f"sh -c 'exit {status}'").exit_status == status
    assert line.run("true").exit_status == 0


def test_an_output_without_a_last_newline_stays_without(line_to: Callable[..., Line]) -> None:
    line = line_to("linux1")
    assert line.run("printf abc").output == "abc"
    assert line.run("printf 'abc\\n\\n'").output == "abc\n\n"
    assert line.run("true").output == ""


def _running(words: str) -> bool:
    """Whether such a process runs; namespaces do not hide it from this machine's root."""
    return any(_words(path) == words for path in Path("/proc").glob("[0-9]*/cmdline"))


def _words(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:  # it has ended meanwhile
        return ""


def test_a_timeout_ends_the_remote_process_and_the_shell_lives_on(line_to: Callable[..., Line]) -> None:
    line = line_to("linux1")
    with pytest.raises(CommandTimeout, match="it was stopped"):
        line.run("sleep 86399", timeout=0.3)
    assert not _running("sleep 86399")
    assert line.run("echo still here").output == "still here\n"


def test_a_process_that_ignores_the_interrupt_is_killed_with_its_children(line_to: Callable[..., Line]) -> None:
    line = line_to("linux1")
    with pytest.raises(CommandTimeout, match="it was killed, and the shell with it"):
        line.run("sh -c 'trap \"\" INT; sleep 86398; sleep 86397'", timeout=0.3)
    assert not _running("sleep 86398")
    assert not _running("sleep 86397")
    assert not line.connection.alive


def test_a_command_cannot_eat_what_follows_it(line_to: Callable[..., Line]) -> None:
    line = line_to("linux1")
    assert line.run("cat").output == ""
    assert line.run("sh").output == ""
    assert line.run("echo on").output == "on\n"


def test_a_shell_that_is_killed_under_a_command_is_named(line_to: Callable[..., Line]) -> None:
    line = line_to("linux1")
    with pytest.raises(SessionLost, match="the link was lost: the shell on the host ended") as caught:
        line.run("sh -c 'echo so far; echo on stderr >&2; kill -KILL $PPID'")
    assert "so far\n" in caught.value.partial
    assert "on stderr\n" in caught.value.partial
    assert not line.connection.alive
