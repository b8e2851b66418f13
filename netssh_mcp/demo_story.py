"""What the demo tells: questions an engineer asks, the one call that answers each, and the facts that must come out.

Every step asserts its facts; a step that does not come out is said and counted, and the next one goes on.
"""

from __future__ import annotations

import json
import socket
import statistics
import textwrap
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mcp import Client, MCPError

from netssh_mcp.lab.demo_network import specs
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Faults, Hang, Log, Pause, Prompt, Script, Text
from netssh_mcp.lab.server import RunningNetwork

Fields = dict[str, Any]  # JSON
_WIDTH = 96
_LOG_LINES = 4_000
_TIMED = 100
_TECH = "show tech-support"
_HANGS = "show bgp trace"

# One query for seven templates: each platform's column of a name, and only what is no number of prefixes.
_DOWN = (
    "[?!to_number(not_null(state_or_prefixes_received, state_pfxrcd, 'x'))"
    " && !starts_with(not_null(state, 'x'), 'Estab')]"
    ".{neighbor: not_null(bgp_neighbor, bgp_neigh, peer_ip, neighbor), state: not_null(state, state_pfxrcd),"
    " since: up_down}"
)
_ROUTE = "[?starts_with(network, '203.0.113.')].{protocol: protocol, next_hop: not_null(nexthop_ip, next_hop, nexthop)}"


# -- the network, with what only the demo needs --------------------------------------------------------------------


def devices(password: str) -> tuple[DeviceSpec, ...]:
    """The demo network; some devices get a long, a slow, an endless and a treacherous output more."""
    more: dict[str, dict[str, Script]] = {
        "core1": {
            _TECH: Script.of(_sections(), Faults(line_delay=0.12)),
            "show processes cpu history": Script((Text("CPU, last 60 s\n 5%\n"), Log(), *_look_alike())),
        },
        "core2": {_HANGS: Script((Hang(),))},
        "spine1": {"show logging logfile": Script.of(_log())},
    }
    return tuple(
        replace(spec, outputs={**spec.outputs, **more[spec.name]}) if spec.name in more else spec
        for spec in specs(password)
    )


def _look_alike() -> tuple[Text | Prompt | Pause, ...]:
    """The device's own prompt on a line of its own inside an output, and silence behind it."""
    return Text("core1 says:\n"), Prompt(), Pause(0.2), Text("\nthe last line\n")


def _sections() -> str:
    return "".join(f"------------------ section {number} ------------------\n" for number in range(1, 16))


def _log() -> str:
    """A switch's log of 4,000 lines; one of them says why the session to leaf2 is down."""
    lines = [
        f"2026 Nov 19 {n // 240 % 24:02d}:{n // 4 % 60:02d}:{n % 4 * 15:02d} spine1 %ETHPORT-5-SPEED: Interface "
        f"Ethernet1/{n % 48 + 1}, operational speed changed to 10 Gbps\n"
        for n in range(_LOG_LINES)
    ]
    lines[2_817] = "2026 Nov 19 11:44:15 spine1 %BGP-5-ADJCHANGE:  bgp-65000 [8241] (default) neighbor 10.0.1.3 Down"
    lines[2_817] += " - holdtimer expired error\n"
    return "".join(lines)


# -- the teller ----------------------------------------------------------------------------------------------------


class NotAsTold(Exception):
    """A fact of a step did not come out; the text says which."""


@dataclass(slots=True)
class Story:
    """The steps of one run, and how many came out."""

    client: Client
    network: RunningNetwork
    inventory: Path
    described: dict[str, object]
    came_out: int = 0
    steps: list[str] = field(default_factory=list)

    async def tell(self) -> None:
        """Every step that needs the server."""
        for question, step in STEPS:
            await self._step(question, step(self))

    def last(self, report: Callable[[], str]) -> None:
        """The audit, when the server has ended."""
        self._begin("What was done, and was the record touched?", "netssh-mcp audit verify")
        said = report()
        self.say(said)
        self._end("" if "the chain is whole" in said else "the audit chain is not whole")

    async def _step(self, question: str, answer: Awaitable[None]) -> None:
        self._begin(question)
        try:
            await answer
        except NotAsTold as broken:
            self._end(str(broken))
        except MCPError as broken:
            self._end(f"the server did not answer: {broken}")
        except (LookupError, TypeError, ValueError) as broken:
            self._end(f"the answer has another shape ({type(broken).__name__}: {broken})")
        else:
            self._end("")

    def _begin(self, question: str, call: str = "") -> None:
        self.steps.append(question)
        print(f"\n{len(self.steps)}. {question}")
        if call:
            print(f"   > {call}")

    def _end(self, broken: str) -> None:
        if broken:
            print(f"   NOT AS TOLD: {broken}")
        else:
            self.came_out += 1

    def say(self, text: str) -> None:
        """A sentence, wrapped."""
        print(textwrap.fill(text, _WIDTH, initial_indent="   ", subsequent_indent="   "), flush=True)

    def lines(self, *lines: str) -> None:
        """Lines of an answer; a long one goes on in the next."""
        for line in lines:
            print(textwrap.fill(line, _WIDTH, initial_indent="     ", subsequent_indent="       "), flush=True)

    def sheet(self, rows: Sequence[Sequence[object]]) -> None:
        """Rows as aligned columns."""
        widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = (str(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
            print(f"     {'  '.join(cells).rstrip()}", flush=True)

    def must(self, fact: bool, otherwise: str) -> None:
        """A fact of the story."""
        if not fact:
            raise NotAsTold(otherwise)

    async def call(self, tool: str, **arguments: object) -> Fields:
        """Call a tool, show the call, and give its fields."""
        shown = ", ".join(f"{name}={_short(value)}" for name, value in arguments.items())
        text = textwrap.fill(f"{tool}({shown})", _WIDTH - 2, subsequent_indent="  ")
        print(textwrap.indent(text, "     ").replace("     ", "   > ", 1), flush=True)
        result = await self.client.call_tool(tool, dict(arguments))
        return result.structured_content or {}

    async def show(self, targets: str, *commands: str, **more: object) -> Fields:
        """`show`, with the promise that holds for every call: as many rows as were asked for."""
        result = await self.call("show", targets=targets, commands=list(commands), **more)
        self.must("rows" in result, f"no rows but {_short(result)}")
        self.must(result["requested"] == len(result["rows"]), "requested is not the number of rows")
        return result

    def proven(self, rows: Sequence[Fields]) -> None:
        """All of these came back, and their ends are proven."""
        for row in rows:
            self.must(row["ok"], f"{row['device']}: {row['command']}: {row.get('error', {}).get('message')}")
            self.must(row["framing"] == "proven", f"{row['device']}: the end of {row['command']!r} is not proven")


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 400 else text[:397] + "..."


# -- the steps -----------------------------------------------------------------------------------------------------


async def _what_is_there(story: Story) -> None:
    result = await story.call("list_devices")
    columns = result["columns"]
    rows = [dict(zip(columns, row, strict=True)) for row in result["rows"]]
    story.sheet([(row["device"], row["platform"], f"@{row['groups'][0]}", _pairs(row["data"])) for row in rows])
    story.must(len(rows) == len(story.network.ports), "not every device is listed")
    story.must("password" not in json.dumps(result), "the list speaks of passwords")


def _pairs(data: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in data.items())


async def _who_is_down(story: Story) -> None:
    result = await story.show("*", "show ip bgp summary", "show bgp summary", parse="textfsm", query=_DOWN)
    answered = [row for row in result["rows"] if row["ok"]]
    down = [(row["device"], each["neighbor"], each["state"], each["since"]) for row in answered for each in row["data"]]
    story.proven(answered)
    story.sheet([("device", "neighbor", "state", "for"), *down])
    others = [row for row in result["rows"] if not row["ok"]]
    story.must(all(row["error"]["kind"] == "rejected" for row in others), "a device failed otherwise")
    story.say(
        f"One call, {result['requested']} rows: {len(answered)} answers, and {len(others)} times the device itself "
        "knows no such command (fw1 speaks no BGP). spine1 and leaf2 see the same session from both ends."
    )
    found = {(device, neighbor, state) for device, neighbor, state, _ in down}
    story.must(found == {("spine1", "10.0.1.3", "Idle"), ("leaf2", "10.0.1.2", "Active")}, f"down is {down}")
    story.must(len(answered) == 7, "not every BGP speaker answered")


async def _why_is_it_down(story: Story) -> None:
    result = await story.show("spine1", "show logging logfile")
    (row,) = result["rows"]
    story.proven([row])
    story.must(bool(row["truncated"] and row["output_id"]), "the log was not cut")
    notice = next((line for line in row["output"].splitlines() if row["output_id"] in line), "")
    story.lines(notice)
    found = await story.call("read_output", output_id=row["output_id"], grep="neighbor 10\\.0\\.1\\.3 Down")
    story.lines(*found["text"].splitlines())
    story.say(f"The whole log ({_LOG_LINES} lines) stays with the server; {len(row['output'])} characters came here.")
    story.must(found["total"] == 1 and "holdtimer expired" in found["text"], "the line was not found")
    story.must("2818:" in found["text"], "the line number is wrong")


async def _where_does_it_go(story: Story) -> None:
    result = await story.show("role=core | @spine | edge2", "show ip route", parse="textfsm", query=_ROUTE)
    story.proven(result["rows"])
    routes = {row["device"]: row["data"][0] for row in result["rows"] if row["data"]}
    story.sheet([(name, route["protocol"], "via", route["next_hop"]) for name, route in routes.items()])
    story.must(routes["core1"] == {"protocol": "S", "next_hop": "10.0.0.7"}, "core1 has no static route")
    story.must(routes["core2"]["next_hop"] == routes["spine1"]["next_hop"] == "10.255.0.31", "the others differ")
    story.say(
        "Everybody sends it to edge1 (10.255.0.31); core1 has a static route to edge2 (10.0.0.7), the slow backup."
    )
    result = await story.show("core1", "show running-config | include ^ip route")
    (row,) = result["rows"]
    story.proven([row])
    story.lines(*row["output"].strip().splitlines())
    story.must("name MAINTENANCE-2026-11-03" in row["output"], "the route has no name")
    story.say("Somebody forgot it after a maintenance.")


async def _what_differs(story: Story) -> None:
    result = await story.show("@leaf", "show version", query="version")
    story.proven(result["rows"])
    versions = {row["device"]: row["data"] for row in result["rows"]}
    story.sheet([(row["device"], row["platform"], row["data"], f"sent: {row['sent']}") for row in result["rows"]])
    story.must(versions["leaf2"] == "4.29.5M" and versions["leaf1"] != versions["leaf2"], f"versions are {versions}")
    story.say("leaf2 was not upgraded. EOS was asked for its own JSON, so nothing had to be parsed.")


async def _which_cable(story: Story) -> None:
    query = "[?to_number(crc) > `0`].{interface: interface, to: description, crc: crc, of: input_packets}"
    result = await story.show("core1", "show interfaces", query=query)
    (row,) = result["rows"]
    story.proven([row])
    story.must(len(row["data"]) == 1, f"{len(row['data'])} interfaces have CRC errors")
    (bad,) = row["data"]
    story.lines(f"{bad['interface']} to {bad['to']}: {bad['crc']} CRC errors in {bad['of']} packets")
    story.must((bad["interface"], bad["crc"]) == ("GigabitEthernet2", "18291"), "another interface")


async def _may_it_write(story: Story) -> None:
    asked = ("reload", "show running-config | redirect tftp://192.0.2.9/x", "configure terminal", "sh ver\nreload")
    result = await story.show("core1", *asked)
    for row in result["rows"]:
        story.must(not row["ok"] and row["error"]["kind"] == "denied", f"{row['command']!r} was not refused")
        story.must(row["error"]["effect"] == "none", "the effect is not none")
        story.lines(row["error"]["message"].removeprefix("core1: "))
    received = story.network.device("core1").received
    wrong = [line for line in received if any(word in line for word in ("reload", "redirect", "conf"))]
    wrong = [line for line in wrong if line != "show running-config | include ^ip route"]
    story.must(not wrong, f"the device received {wrong}")
    story.say(f"Asked core1 itself: of {len(received)} lines that it ever received, none is one of these.")


async def _one_is_dead(story: Story) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]  # free again in a moment: nothing listens there
    hosts = story.described["hosts"]
    story.must(isinstance(hosts, dict), "the inventory has no hosts")
    leaf3 = {"hostname": "127.0.0.1", "port": port, "platform": "arista_eos", "groups": ["leaf"]}
    with_leaf3 = {**story.described, "hosts": {**dict(hosts), "leaf3": leaf3}}  # type: ignore[call-overload]  # a dict
    story.inventory.write_text(json.dumps(with_leaf3, indent=1), encoding="utf-8")
    story.say("(leaf3 was just added to the inventory file; the server reads it again by itself)")
    result = await story.show("*", "show version")
    dead = [row for row in result["rows"] if not row["ok"]]
    alive = [row for row in result["rows"] if row["ok"]]
    story.must([row["device"] for row in dead] == ["leaf3"], f"{len(dead)} devices did not answer")
    story.proven(alive)
    story.lines(dead[0]["error"]["message"], f"next: {dead[0]['error']['hint']}")
    story.must(dead[0]["error"]["kind"] == "connect" and dead[0]["error"]["retryable"], "not a connect error")
    slowest = max(sum(row["ms"].values()) for row in alive)
    story.say(f"The other {len(alive)} answered, the slowest within {slowest:.0f} ms.")


async def _what_is_slow(story: Story) -> None:
    result = await story.show("core1", _TECH, parse="raw", wait=0.5)
    (row,) = result["rows"]
    story.must(row["state"] == "running" and result["job_id"] != "", "it was not slow")
    story.lines(f"state: running, job_id: {result['job_id']}, {len(row.get('output', '').splitlines())} lines so far")
    ended = await story.call("job", action="wait", job_id=result["job_id"])
    story.must(ended["state"] == "done" and len(ended["rows"]) == 1, f"the job is {ended['state']}")
    (row,) = ended["rows"]
    story.proven([row])
    got = row["output"].splitlines()
    story.lines(f"state: done after {ended['seconds']:.1f} s, {len(got)} lines, framing: {row['framing']}")
    story.must(row["output"].strip() == _sections().strip(), "its output is not whole")


async def _can_it_be_stopped(story: Story) -> None:
    result = await story.show("core2", _HANGS, wait=0.3)
    story.must(result.get("job_id", "") != "", "it did not hang")
    ended = await story.call("job", action="cancel", job_id=result["job_id"])
    (row,) = ended["rows"]
    story.lines(f"{row['error']['kind']}: {row['error']['message']}")
    story.must(row["error"]["kind"] == "interrupted", f"it is {row['error']['kind']}")
    interrupts = story.network.device("core2").interrupts
    story.must(interrupts == 1, f"the device got {interrupts} interrupts")
    after = await story.show("core2", "show ip bgp summary", query="length(@)")
    story.proven(after["rows"])
    story.must(after["rows"][0]["ms"]["connect"] == 0, "the session was not kept")
    story.say("core2 got one Ctrl-C, showed its prompt again, and the same session went on.")


async def _whose_output_is_it(story: Story) -> None:
    result = await story.show("core1", "show processes cpu history")
    (row,) = result["rows"]
    story.proven([row])
    story.lines(*row["output"].splitlines(), *(f"event: {line}" for line in row["events"]))
    story.must(row["output"].splitlines()[-1] == "the last line", "it was cut at the look-alike of the prompt")
    story.must("core1#" in row["output"], "the look-alike is gone")
    story.must(len(row["events"]) == 1 and "UPDOWN" in row["events"][0], "the log line is no event")
    story.say(
        "The device's own prompt stood inside the output, followed by silence, and a log line came in between: the "
        "text is whole, and the log line is kept apart. An end is not guessed but proven: by a random comment, whose "
        "echo the device gives between two prompts."
    )


async def _how_fast(story: Story) -> None:
    result = await story.client.call_tool(
        "show", {"targets": "core1", "commands": ["show ip interface brief"] * _TIMED, "query": "length(@)"}
    )
    fields = result.structured_content or {}
    rows = fields["rows"]
    story.proven(rows)
    median = statistics.median(row["ms"]["exec"] for row in rows)
    reused = sum(row["ms"]["connect"] == 0 for row in rows)
    story.lines(f"{len(rows)} x `show ip interface brief` on core1, all proven: {median:.2f} ms each (median)")
    story.must(len(rows) == _TIMED and fields["ok"] == _TIMED, "not all came back")
    story.must({row["data"] for row in rows} == {6}, "one answer is another command's")
    story.must(reused == _TIMED, "the session was not reused")
    story.say("From the first byte written to the proven end; the simulated device's own time is in it.")


Step = Callable[[Story], Awaitable[None]]
STEPS: tuple[tuple[str, Step], ...] = (
    ("What is there?", _what_is_there),
    ("Which BGP neighbours are down, anywhere?", _who_is_down),
    ("Why? The log of spine1 is long.", _why_is_it_down),
    ("Where does the route to 203.0.113.0/24 go?", _where_does_it_go),
    ("What differs between the leaves?", _what_differs),
    ("Does a cable count errors?", _which_cable),
    ("May an agent reload a router, or write a file?", _may_it_write),
    ("One device is dead. What does it cost the others?", _one_is_dead),
    ("What if a command is slow?", _what_is_slow),
    ("Can a command that hangs be stopped?", _can_it_be_stopped),
    ("Is an output surely this command's, and whole?", _whose_output_is_it),
    ("How fast is it?", _how_fast),
)
