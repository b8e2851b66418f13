"""50,000 generated lines through the tool `show`: the bytes at the device stay inside its grammar.

The oracle is written from what the platforms' manuals call reading, not from the tables that the wall reads: a word
that slips into a table does not slip in here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client

from netssh_mcp.errors import CommandDenied, InputError
from netssh_mcp.guard.policy import decide
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.server import RunningNetwork, start_network
from netssh_mcp.server import build_server
from netssh_mcp.services.app import open_app
from tests.devices.house import settings as app_settings
from tests.devices.house import write_inventory

LINES, EXAMPLES = 100, 63  # a call has 100 commands; 7 platforms and Linux, each 63 x 100 lines: 50,400
PROFILES = Profiles.load(None)
READS = {
    "cisco_ios": "show dir where who systat pwd ping traceroute",
    "cisco_nxos": "show dir where pwd ping ping6 traceroute traceroute6",
    "cisco_xr": "show dir pwd admin ping traceroute",
    "cisco_asa": "show dir who pwd ping traceroute packet-tracer",
    "arista_eos": "show dir who pwd ping traceroute",
    "juniper_junos": "show file help request ping traceroute",
    "frr": "show traceroute",
}
PHRASES = {  # words whose second word decides
    "admin": ("show",),
    "file": ("list", "show /var/log/", "checksum"),
    "help": ("topic", "apropos", "reference"),
    "request": ("support information",),
}
_PIPES = """begin compare count display egrep except exclude find format grep head include json json-pretty last match
    no-more nz section sort trim uniq wc xml"""
PIPES = set(_PIPES.split())
SPECS = [DeviceSpec(name, name) for name in READS]
PROOF = re.compile(r"[!#][0-9a-f]{12,40}")


def _line(head: str, words: list[str], glue: str, odd: str, at: int) -> str:
    text = glue.join([head, *words])
    return text[:at] + odd + text[at:]


_HEADS = """show sh sho show show s dir ping traceroute who admin file request configure conf c reload rel write wr copy
    clear debug undebug tclsh bash start run set commit delete no enable more terminal test monitor SHOW Show"""
_WORDS = """version clock ip route interface int br run running-config tech-support log | include inc section redirect
    tee append save more begin no-more json 192.0.2.1 count 5 repeat flash:x tftp://192.0.2.9/x disk0:/x > >> ; & && ||
    $(id) `id` reload shell bash system reboot compare rollback 1 vrf MGMT neighbors brief support information ^65000$
    ? ! # " '"""
HEADS, WORDS = st.sampled_from(_HEADS.split()), st.sampled_from(_WORDS.split())
ODD = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("\n\r\t\x00\x03\x16\x1b\x7f\u2028\u00a0|;\"'\\")),
    max_size=8,
)
LINE = st.builds(
    _line,
    HEADS,
    st.lists(WORDS, max_size=5),
    st.sampled_from([" ", " ", " ", "  ", "\t", "\n", "\r", ""]),
    st.one_of(st.just(""), st.just(""), ODD),
    st.integers(0, 60),
)


@pytest.fixture(scope="module")
def network() -> Iterator[RunningNetwork]:
    with start_network(SPECS) as running:
        yield running


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as opened:
        yield opened


@pytest.fixture(scope="module")
def client(
    network: RunningNetwork, portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("generated")
    inventory = write_inventory(network.ports, SPECS, folder)
    server = build_server(app_settings(folder, inventory), open_app)
    with portal.wrap_async_context_manager(Client(server)) as opened:
        yield opened


def outside(platform: str, line: str) -> str:
    """Why a line that a device received is not one that a reading tool may send; "" when it is."""
    first, _, rest = line.partition(" ")
    bare = "".join(part for odd, part in enumerate(line.split('"')) if odd % 2 == 0)
    wrong = {
        "not printable ASCII": not (line.isascii() and line.isprintable()),
        "a help key, a separator or a shell character": bool(set(line) & set("?;&<>`\\")),
        "an expansion": "$(" in line or "${" in line,
        "not a read command in full words": first not in READS[platform].split(),
        "not a reading phrase": first in PHRASES and not rest.startswith(PHRASES.get(first, ())),
        "a URL": "://" in line,
        "a pipe that is not safe": any(piped.split(" ")[0] not in PIPES for piped in bare.split(" | ")[1:]),
    }
    return ", ".join(reason for reason, found in wrong.items() if found)


def _typed(network: RunningNetwork, platform: str) -> bytes:
    """All bytes that the device has got since the last look."""
    writes = network.device(platform).writes
    typed = b"".join(data for _, data in writes)
    writes.clear()
    return typed


@pytest.mark.parametrize("platform", READS)
def test_the_bytes_at_a_device_stay_inside_its_grammar(
    platform: str, client: Client, portal: BlockingPortal, network: RunningNetwork
) -> None:
    def show(lines: list[str]) -> None:
        arguments = {"targets": platform, "commands": lines, "parse": "raw"}
        result = portal.call(lambda: client.call_tool("show", arguments))
        assert result.structured_content is not None
        assert result.structured_content["requested"] == len(lines)

    show(["show version"])
    prepared = set(_typed(network, platform).decode("ascii").split("\n"))  # what a session types after its login
    counts = {"lines": 0, "sent": 0}

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(lines=st.lists(LINE, min_size=LINES, max_size=LINES))
    def ask(lines: list[str]) -> None:
        show(lines)
        counts["lines"] += len(lines)
        for line in _typed(network, platform).decode("ascii").split("\n"):
            if line in prepared - {"show version"} or PROOF.fullmatch(line):
                continue
            counts["sent"] += 1
            assert outside(platform, line) == "", line

    ask()
    assert counts["lines"] >= 6_300
    assert counts["sent"] > 250  # some do pass, or nothing would have been tested


_PROGRAMS = """arp bluetoothctl bridge cat chronyc date df dig dmesg dmidecode du ethtool findmnt free getent groups
    host hostname hostnamectl id ifconfig ip iptables iptables-legacy iptables-nft ip6tables iwconfig iwlist journalctl
    last lldpcli lldpctl ls lsblk lscpu lsmem lsmod lsof lspci lsusb mount mtr netstat networkctl nft nmcli nproc
    nslookup ntpq pct ping ping6 ps pveversion pwd qm readlink resolvectl route sensors ss stat systemctl tc timedatectl
    top tracepath tracepath6 traceroute traceroute6 uname uptime vmstat vtysh vzlist w who whoami"""
_LINUX = """ip -j route addr link netns exec id ss -K -tn systemctl --no-pager status restart stop cat /etc/shadow
    /proc/version /proc/1/environ journalctl -n 5 --vacuum-time=1s find / -exec rm bash -c sh env sudo git vtysh show
    'conf t' "show ip route" | ; && > < $(id) `id` dmesg -C -c date -s now ping -c 3 -f 192.0.2.1 ls -la /root tcpdump
    mount -o remount ps aux top -b hostname x nft flush list ruleset iptables -F -L sysctl -w ethtool -s eth0 df -h
    uname -a uptime free"""
PROGRAMS = set(_PROGRAMS.split())
LINUX = st.lists(
    st.one_of(
        st.sampled_from(_LINUX.split()),
        ODD,
    ),
    max_size=7,
).map(" ".join)


# What makes a program of those do something: `ls flush` and `ps -C exec` only name a file and a process.
_FLAGS = {
    "ss": {"-K"},
    "dmesg": {"-c", "-C"},
    "mount": {"-o", "remount"},
    "date": {"-s"},
    "ethtool": {"-s"},
    "journalctl": {"--vacuum-time=1s"},
    "ping": {"-f"},
    "iptables": {"-F"},
}
_VERBS = {"ip": 2, "systemctl": 1, "nft": 1}  # in how many of the first words a verb stands


def _acts(argv: list[str]) -> bool:
    words = [word for word in argv[1:] if not word.startswith("-")]
    verbs = {"exec", "flush", "restart", "stop"} & set(words[: _VERBS.get(argv[0], 0)])
    return bool(verbs or _FLAGS.get(argv[0], set()) & set(argv[1:]) or (argv[0] == "hostname" and words))


@settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(lines=st.lists(LINUX, min_size=LINES, max_size=LINES))
def test_on_linux_what_is_granted_is_one_program_that_reads(lines: list[str]) -> None:
    device = Device(name="h1", hostname="192.0.2.1", port=22, platform="linux", username="ops")
    for line in lines:
        try:
            sent = decide(device, PROFILES.get("linux"), line).line
        except (CommandDenied, InputError):
            continue
        argv = shlex.split(sent)
        assert shlex.join(argv) == sent, sent
        assert not set(sent) & set(";&|<>$`\\\n\r"), sent
        assert argv[0] in PROGRAMS, sent
        assert not _acts(argv), sent
        if argv[0] in ("cat", "ls", "vtysh"):  # `df /proc/1/environ` opens no file, nor does ls
            hidden = ("shadow", "/root", "conf t", *(("environ",) if argv[0] == "cat" else ()))
            assert not any(word in sent for word in hidden), sent
