"""50,000 generated lines through the services: whatever reaches a device stays inside its grammar.

The oracle below is written against the issue's words, not against the grammar's code: it looks at what a device
received, character by character and word by word.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.server import RunningNetwork, start_network
from netssh_mcp.services.app import App, open_app
from tests.devices.house import settings as app_settings
from tests.devices.house import write_inventory

PLATFORMS = ("cisco_ios", "cisco_nxos", "cisco_xr", "cisco_asa", "arista_eos", "juniper_junos", "frr")
LINES, EXAMPLES = 100, 72  # a call has 100 commands; 7 platforms x 72 calls x 100 lines = 50,400
PROFILES = Profiles.load(None)
SPECS = [DeviceSpec(name, name) for name in PLATFORMS]


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
def app(network: RunningNetwork, portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("generated")
    inventory = write_inventory(network.ports, SPECS, folder)
    with portal.wrap_async_context_manager(open_app(app_settings(folder, inventory))) as opened:
        yield opened


def outside(platform: str, line: str) -> str:  # noqa: PLR0911 - one return a rule
    """Why a line that a device received is not one that a reading tool may send; "" when it is."""
    profile = PROFILES.get(platform)
    if not (line.isascii() and line.isprintable()):
        return "not printable ASCII"
    if "?" in line:
        return "a help key"
    if set(line) & set(profile.refused_chars):
        return "a separator or shell character"
    reads = [phrase for kind in ("read", "diagnose", "secret-read") for phrase in profile.commands.get(kind, ())]
    if not any(line == phrase or line.startswith(f"{phrase} ") for phrase in reads):
        return "not a read command in full words"
    if "://" in line:
        return "a URL"
    bare = "".join(part for odd, part in enumerate(line.split('"')) if odd % 2 == 0)
    if any(piped.split(" ")[0] not in profile.pipes.safe for piped in bare.split(" | ")[1:]):
        return "a pipe that is not safe"
    return ""


@pytest.mark.parametrize("platform", PLATFORMS)
def test_whatever_reaches_a_device_stays_inside_its_grammar(
    platform: str, app: App, portal: BlockingPortal, network: RunningNetwork
) -> None:
    device = network.device(platform)
    portal.call(lambda: app.commands.show(platform, ["show version"], parse="raw"))
    prepared = set(device.received) - {"show version"}  # what a session types by itself after its login
    counts = {"lines": 0, "sent": 0}

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(lines=st.lists(LINE, min_size=LINES, max_size=LINES))
    def ask(lines: list[str]) -> None:
        before = len(device.received)
        result = portal.call(lambda: app.commands.show(platform, lines, parse="raw"))
        assert result["requested"] == len(lines)
        counts["lines"] += len(lines)
        for line in device.received[before:]:
            if line in prepared or line.startswith(PROFILES.get(platform).comment):
                continue  # its proofs, and its preparation again in a new session
            counts["sent"] += 1
            assert outside(platform, line) == "", line

    ask()
    assert counts["lines"] >= 7_000
    assert counts["sent"] > 300  # some do pass, or nothing would have been tested
