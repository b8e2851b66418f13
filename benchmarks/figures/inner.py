"""What a command costs beside the wire: the policy's decision, two audit records, the table. Best of batches."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Bench, fastest
from benchmarks.report import Figure, compared
from netssh_mcp.guard import policy
from netssh_mcp.guard.audit import Audit
from netssh_mcp.guard.wall import PolicySource, Wall
from netssh_mcp.knowledge.inventory import InventorySource
from netssh_mcp.knowledge.parsing import Parsers
from netssh_mcp.knowledge.profiles import Profile, Profiles
from netssh_mcp.knowledge.shipped import shipped
from netssh_mcp.lab.device import DeviceSpec
from tests.devices.house import write_inventory
from tests.redaction.figures import megabytes_a_second

_TIMES = 2_000
_MEGABYTES = 10  # of text that are redacted in a second of processor time
_LINES = {  # on platforms with words of their own; `{}` is a number, never the same
    "fortinet": "get router info routing-table details 192.0.2.{}",
    "hp_comware": "dis ip routing-table 192.0.2.{}",
    "huawei_vrp": "dis ip routing-table 192.0.2.{}",
    "linux": "vtysh -c 'sh ip route 192.0.2.{}'",
    "mikrotik_routeros": "/ip/route/print detail where dst-address=192.0.2.{}/32 and active",
}
_ROUTES = 130  # as many as the routers of the real lab have


def run(bench: Bench) -> Iterator[Figure]:
    """Each against the least that does something of the kind."""
    folder = bench.subfolder("inner")
    specs = [DeviceSpec("r1", "cisco_ios"), DeviceSpec("f1", "frr")]
    inventory = write_inventory({"r1": 22, "f1": 22}, specs, folder)
    profiles = Profiles.load(None)
    source = InventorySource([inventory], profiles.platforms)
    times = bench.rounds(_TIMES)

    line = "show ip route vrf MGMT | include 192.0.2"
    device, profile = source.current().device("r1"), profiles.get("cisco_ios")
    numbers = itertools.count()  # never the same line: a decision remembered is not one made
    decision = fastest(lambda: policy.decide(device, profile, f"{line}.{next(numbers)}"), times=times) * 1e6
    split = fastest(line.split, times=times) * 1e6
    yield compared("policy decision", decision, "us", "str.split of the line", split, absolute=50)
    wall = Wall(PolicySource(_rules(folder)))

    def by_the_file() -> None:  # its stamp is looked at, and the rates are counted
        wall.count(wall.decide(source.current(), device, profile, f"{line}.{next(numbers)}"))

    decision = fastest(by_the_file, times=times) * 1e6
    yield compared("policy decision, operator's file", decision, "us", "str.split of the line", split, absolute=50)

    yield _slowest(wall, source, profiles, times)
    yield _audit(bench, times)
    yield _redaction()

    profile, parsers = profiles.get("frr"), Parsers(None)
    text = _HEAD + "".join(_ROUTE.format(n=n) for n in range(_ROUTES))
    parsed = parsers.parse(profile, "show ip route", text, "textfsm")
    assert parsed.table is not None
    assert len(parsed.table.rows) == _ROUTES
    rows = [dict(zip(parsed.table.columns, row, strict=True)) for row in parsed.table.rows]
    as_json = json.dumps(rows)
    few = max(5, times // 200)
    textfsm = fastest(lambda: parsers.parse(profile, "show ip route", text, "textfsm"), times=few) * 1e3
    lines = fastest(text.splitlines, times=times) * 1e3
    yield compared(f"TextFSM, show ip route, {_ROUTES} rows", textfsm, "ms", "str.splitlines", lines)
    ours = fastest(lambda: parsers.parse(profile, "show ip route", as_json, "json", native_json=True), times=few) * 1e3
    bare = fastest(lambda: json.loads(as_json), times=few) * 1e3
    yield compared(f"JSON, the same {_ROUTES} rows", ours, "ms", "json.loads", bare)


def _redaction() -> Figure:
    """Recorded outputs, in processor time; the first round reads the rules."""
    text = _ROUTE.format(n=1) * 200_000
    began = time.process_time()
    for _ in range(8):
        text.splitlines()
    lines = 8 * len(text) / 1_000_000 / (time.process_time() - began)
    speed = max(megabytes_a_second(secrets_too=False) for _ in range(3))
    return compared("redaction, recordings", speed, "MB/s", "str.splitlines", lines, least_value=_MEGABYTES)


def _rules(folder: Path) -> Path:
    path = folder / "policy.yaml"
    path.write_text(_RULES)
    path.chmod(0o600)
    return path


def _slowest(wall: Wall, source: InventorySource, profiles: Profiles, times: int) -> Figure:
    """The platform whose decisions take longest, by the operator's file too, against the fastest one."""
    device, numbers = source.current().device("r1"), itertools.count()
    seen: dict[str, float] = {}
    for name in sorted(path.stem for path in shipped("device_profiles").glob("*.yaml")):
        profile, line = profiles.get(name), _LINES.get(name, "sh ip route 192.0.2.{}")

        def once(profile: Profile = profile, line: str = line) -> None:
            wall.count(wall.decide(source.current(), device, profile, line.format(next(numbers))))

        seen[name] = fastest(once, times=max(5, times // 40), repeats=20) * 1e6
    slow, fast = max(seen, key=lambda name: seen[name]), min(seen, key=lambda name: seen[name])
    return compared(
        f"policy decision, {slow} (slowest)", seen[slow], "us", f"{fast} (fastest)", seen[fast], absolute=50
    )


def _audit(bench: Bench, times: int) -> Figure:
    folder = bench.subfolder("audit")
    audit = Audit(folder / "audit.jsonl")

    def both() -> None:
        decision = audit.record_decision(
            device="r1", command="show clock", command_class="read", verdict="allow", rule="show"
        )
        audit.record_outcome(decision, outcome="ok", received=30, seconds=0.001)

    plain = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    record = b"x" * 350 + b"\n"

    def write_two() -> None:
        os.write(plain, record)
        os.write(plain, record)

    try:
        recorded = fastest(both, times=times) * 1e6
        written = fastest(write_two, times=times) * 1e6
    finally:
        audit.close()
        os.close(plain)
    return compared("audit, decision and outcome", recorded, "us", "two plain writes", written)


_RULES = """\
version: 1
timezone: Europe/Berlin
rules:
  - classes: [read, diagnose, secret-read]
    deny_always: [show tech-support, show crypto key, ... | redirect, ... | tee]
    deny: [show running-config, show startup-config, show snmp user, show aaa, show key chain, show archive config]
    networks: [192.0.2.0/24, 127.0.0.0/8]
    destinations: [10.0.0.0/8]
    hours: 00:00-24:00
    max_devices: 50
    max_commands: 20
    max_seconds: 60
    rate: 100000/s
    rate_total: 100000/s
  - devices: platform=cisco_ios
    classes: [diagnose]
    allow: [show version, show clock, show ip route, display ip, get router, ip route print]
"""

_HEAD = """\
Codes: K - kernel route, C - connected, L - local, S - static,
       R - RIP, O - OSPF, I - IS-IS, B - BGP, E - EIGRP, N - NHRP,
       T - Table, v - VNC, V - VNC-Direct, A - Babel, F - PBR,
       f - OpenFabric,
       > - selected route, * - FIB route, q - queued, r - rejected, b - backup
       t - trapped, o - offload failure

"""
_ROUTE = "B>* 203.0.{n}.0/24 [200/0] via 198.18.1.{n}, eth0, weight 1, 00:12:42\n"
