"""Our parse is ntc-templates' parse, faster, and never an error."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.parsing import Parsed, Parsers, check_query, objects, query_rows, select_fields
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.knowledge.shipped import shipped
from netssh_mcp.knowledge.textfsm_index import TemplateFolder
from netssh_mcp.model import Table
from tests.recordings.loader import Recording, extra, ours

OURS = {path.name for path in shipped("templates").glob("*.textfsm")}
BRIEF = "Interface  IP-Address  OK? Method Status  Protocol\nGi0/0  192.0.2.1  YES manual up  up\n"


@pytest.fixture(scope="module")
def parsers() -> Parsers:
    return Parsers()


def ntc_folder() -> Path:
    import ntc_templates

    return Path(ntc_templates.__file__).parent / "templates"


def assert_same_as_ntc(parsed: Parsed, recording: Recording, text: str) -> None:
    from ntc_templates.parse import ParsingException, parse_output
    from textfsm import TextFSMError

    folder = str(shipped("templates")) if parsed.parsed_by.split(":")[-1] in OURS else None
    try:
        wanted = parse_output(recording.platform, recording.command, text, template_dir=folder)
    except (TextFSMError, ParsingException):
        wanted = None
    got = objects(parsed.table) if parsed.table else None
    assert got == wanted, recording


@pytest.mark.parametrize("recording", ours(), ids=str)
def test_every_recording_parses_as_ntc_templates_parses_it(parsers: Parsers, recording: Recording) -> None:
    parsed = parsers.parse(Profile(name=recording.platform), recording.command, recording.text)
    assert parsed.table is not None, parsed.note
    assert_same_as_ntc(parsed, recording, recording.text)
    expected = recording.path.with_suffix(".json")
    if parsed.parsed_by.split(":")[-1] in OURS:  # ntc-templates tests its own; ours are pinned here
        table = json.loads(json.dumps({"columns": parsed.table.columns, "rows": parsed.table.rows}))
        assert table == json.loads(expected.read_text(encoding="utf-8"))


def test_recordings_cover_sixty_outputs_of_twenty_five_platforms_and_empty_ones() -> None:
    recordings = ours()
    assert len(recordings) >= 60
    assert len({recording.platform for recording in recordings}) >= 25
    assert sum(recording.path.stem.endswith("__none") for recording in recordings) >= 5


def test_every_template_of_ours_has_a_recording() -> None:
    parsers = Parsers()
    used = {
        parsers.parse(Profile(name=recording.platform), recording.command, recording.text).parsed_by.split(":")[-1]
        for recording in [*ours("frr"), *ours("linux")]
    }
    assert used >= OURS


def test_extra_recordings_parse_as_ntc_templates_parses_them(parsers: Parsers) -> None:
    """The folder NETSSH_EXTRA_RECORDINGS names; none in the usual run. ntc-templates' own tests hold 1,885."""
    for recording in extra():
        text = recording.path.read_bytes().decode("utf-8", errors="replace")
        parsed = parsers.parse(Profile(name=recording.platform), recording.command, text, "textfsm")
        if parsed.parsed_by.split(":")[-1] not in OURS:
            assert_same_as_ntc(parsed, recording, text)


def test_index_chooses_the_row_that_clitable_chooses_for_every_row_of_ntc_templates() -> None:
    from textfsm.clitable import CliTable

    clitable = CliTable("index", str(ntc_folder()))
    folder = TemplateFolder(ntc_folder())
    rows = folder.rows()
    assert len(rows) == len(clitable.index) >= 970
    platforms = {"cisco_(asa|ftd)": "cisco_ftd", "(hp|aruba)_procurve": "aruba_procurve", ".*vyos.*": "vyatta_vyos"}
    for row in rows:
        platform = platforms.get(row.platform, row.platform)
        name = row.says(platform)
        short = (
            (name[:-1], f"sh {name[5:]}", "show foo") if row.line % 10 == 0 else ()
        )  # clitable takes 0.5 ms for each
        for command in (name, *short):
            at = clitable.index.GetRowMatch({"Command": command, "Platform": platform})
            found = folder.find(platform, command)
            assert (found.templates if found else None) == (clitable.index.index[at]["Template"] if at else None)


def test_commands_lists_what_has_a_template_and_each_of_them_finds_one(parsers: Parsers) -> None:
    assert "show ip interface brief" in parsers.commands("cisco_ios")
    assert "show route-map" in parsers.commands("frr")
    assert parsers.commands("no_such_platform") == []
    folder = TemplateFolder(ntc_folder())
    for platform in ("cisco_ios", "cisco_ftd", "vyatta_vyos", "hp_procurve", "juniper_junos"):
        commands = {row.says(platform) for _, row in folder.matchers(platform)}
        assert commands
        assert all(folder.find(platform, command) for command in commands)


def test_templates_are_looked_up_by_the_ntc_name_of_the_profile(parsers: Parsers) -> None:
    profile = Profile(name="cisco_xe", ntc_templates_platform="cisco_ios")
    assert parsers.parse(profile, "show ip interface brief", BRIEF).table == Table(
        ("interface", "ip_address", "status", "proto"), (("Gi0/0", "192.0.2.1", "up", "up"),)
    )


def test_raw_is_raw_and_needs_no_reason(parsers: Parsers) -> None:
    assert parsers.parse(Profile(name="cisco_ios"), "show ip interface brief", BRIEF, "raw") == Parsed(
        None, None, "raw", ""
    )


def test_command_without_template_is_raw_and_names_the_nearest(parsers: Parsers) -> None:
    parsed = parsers.parse(Profile(name="frr"), "show ip ospf neigbor", "some text")
    assert parsed.parsed_by == "raw"
    assert parsed.note.startswith("no template for 'show ip ospf neigbor' on frr; nearest: 'show ip ospf neighbor'")


def test_text_that_the_template_refuses_is_raw_and_says_why(parsers: Parsers) -> None:
    parsed = parsers.parse(Profile(name="frr"), "show version", "Segmentation fault", "textfsm")
    assert (parsed.table, parsed.parsed_by) == (None, "raw")
    assert "frr_show_version.textfsm did not accept the text" in parsed.note
    assert parsed.note.endswith("at line 1 of the text")
    assert "Segmentation" not in parsed.note


def test_table_without_rows_stays_a_table_and_says_so_when_there_was_text(parsers: Parsers) -> None:
    empty = parsers.parse(Profile(name="frr"), "show vrf", "\n")
    assert empty == Parsed(Table(("vrf", "state", "id", "table"), ()), None, "textfsm:frr_show_vrf.textfsm", "")
    legend_only = parsers.parse(Profile(name="frr"), "show route-map", "ZEBRA:\nOSPF:\n")
    assert legend_only.table is not None
    assert legend_only.table.rows == ()
    assert "no rows in 2 lines" in legend_only.note


def test_filtered_output_is_parsed_with_a_warning(parsers: Parsers) -> None:
    parsed = parsers.parse(Profile(name="cisco_ios"), "show ip interface brief | include up", BRIEF.split("\n")[1])
    assert parsed.table is not None
    assert "filtered the text ('| include up')" in parsed.note
    whole = parsers.parse(Profile(name="cisco_ios"), "show ip interface brief | no-more", BRIEF)
    assert whole.note == ""


def test_device_json_is_data(parsers: Parsers) -> None:
    text = '\n\r\n{"routes": [1, 2]}\n'
    for parsed in (
        parsers.parse(Profile(name="frr"), "show ip route json", text, native_json=True),
        parsers.parse(Profile(name="frr"), "show ip route json", text, "json"),
        parsers.parse(Profile(name="linux"), "ip -j route", text),
    ):
        assert parsed == Parsed(None, {"routes": [1, 2]}, "json", "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1}\nr1#', "not JSON: Extra data at line 2, column 1"),
        ('{"a": ', "not JSON: Expecting value at line 1, column 7"),
        ("% Unknown command", "line 1, column 1"),
        ("", "no text at all"),
        ('{"a": NaN}', "NaN is not a JSON value"),
        ("[" * 100_000, "not JSON: "),
        ("9" * 5000, "not JSON: "),
    ],
)
def test_what_is_not_json_is_raw_with_the_position(parsers: Parsers, text: str, why: str) -> None:
    parsed = parsers.parse(Profile(name="frr"), "show ip route json", text, "json")
    assert (parsed.table, parsed.data, parsed.parsed_by) == (None, None, "raw")
    assert why in parsed.note
    assert not text.strip() or not any(word in parsed.note for word in ("r1#", "Unknown"))


def user_folder(tmp_path: Path, index: str, **templates: str) -> Path:
    (tmp_path / "index").write_text(index)
    for name, text in templates.items():
        (tmp_path / f"{name}.textfsm").write_text(text)
    return tmp_path


HEADER = "Template, Hostname, Platform, Command\n"
TEMPLATE = "Value Key NAME (\\S+)\nValue COLOUR (\\S+)\n\nStart\n  ^${NAME} is ${COLOUR} -> Record\n"


def test_users_template_wins_and_a_failing_one_falls_through_with_a_note(tmp_path: Path) -> None:
    index = HEADER + "mine.textfsm, .*, cisco_ios, sh[[ow]] ip int[[erface]] br[[ief]]\n"
    won = Parsers(user_folder(tmp_path, index, mine=TEMPLATE))
    parsed = won.parse(Profile(name="cisco_ios"), "show ip interface brief", "sky is blue\n")
    assert parsed.table == Table(("name", "colour"), (("sky", "blue"),))
    broken = Parsers(user_folder(tmp_path, index, mine="Value X (\\S+)\n\nStart\n  ^. -> Error\n"))
    parsed = broken.parse(Profile(name="cisco_ios"), "show ip interface brief", BRIEF)
    assert parsed.parsed_by == "textfsm:cisco_ios_show_ip_interface_brief.textfsm"
    assert "mine.textfsm did not accept the text" in parsed.note


@pytest.mark.parametrize("template", ["Value X y\n\nStart\n", "no value\n", "Value X (\\S+)\n\nStart\n  ^${Y}\n"])
def test_broken_template_is_raw_with_the_reason(tmp_path: Path, template: str) -> None:
    folder = user_folder(tmp_path, HEADER + "bad.textfsm, .*, mine, show it\ngone.textfsm, .*, mine, show gone\n")
    (folder / "bad.textfsm").write_text(template)
    parsers = Parsers(folder)
    assert "template bad.textfsm is broken" in parsers.parse(Profile(name="mine"), "show it", "x y").note
    assert "gone.textfsm cannot be read" in parsers.parse(Profile(name="mine"), "show gone", "x").note


@pytest.mark.parametrize(
    ("index", "why"),
    [
        (HEADER + "a.textfsm, .*, x, show (\n", "line 2: 'show (' is not a regex"),
        ("Tmplate, Command\n", "line 1: the header has no column 'Template'"),
    ],
)
def test_broken_index_of_a_user_is_an_error_at_the_start(tmp_path: Path, index: str, why: str) -> None:
    with pytest.raises(InputError, match="index") as caught:
        Parsers(user_folder(tmp_path, index))
    assert why in str(caught.value)


def test_folder_without_index_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no template index"):
        Parsers(tmp_path)


def test_rows_of_several_templates_are_merged_as_clitable_merges_them(tmp_path: Path) -> None:
    from textfsm.clitable import CliTable

    other = "Value NAME (\\S+)\nValue SIZE (\\d+)\n\nStart\n  ^${NAME} has ${SIZE} -> Record\n"
    folder = user_folder(tmp_path, HEADER + "one.textfsm:two.textfsm, .*, p, c\n", one=TEMPLATE, two=other)
    text = "sky is blue\nsea is green\nsea has 7\nsun has 9\n"
    table = CliTable("index", str(folder))
    table.ParseCmd(text, {"Command": "c", "Platform": "p"})
    parsed = Parsers(folder).parse(Profile(name="p"), "c", text)
    assert parsed.table is not None
    assert [list(row) for row in parsed.table.rows] == [list(row) for row in table]
    assert parsed.table.rows == (("sky", "blue", ""), ("sea", "green", "7"))


def test_threads_share_parsers_without_mixing_their_texts() -> None:
    parsers, wrong = Parsers(), []

    def work(number: int) -> None:
        for _ in range(40):
            parsed = parsers.parse(Profile(name="frr"), "show vrf", f"vrf v{number} id {number} table {number}\n" * 3)
            rows = parsed.table.rows if parsed.table else ()
            if rows != ((f"v{number}", "", str(number), str(number)),) * 3:
                wrong.append(parsed)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


TABLE = Table(("interface", "status"), (("eth0", "up"), ("eth1", "down")))


def test_query_sees_a_table_as_a_list_of_objects() -> None:
    assert query_rows(TABLE, "[?status=='down'].interface") == ["eth1"]
    assert query_rows({"a": {"b": 3}}, "a.b") == 3
    assert query_rows(TABLE, "length(@)") == 2


@pytest.mark.parametrize("query", ["[?status==", "", "nosuch(@)", "length()", "[?a=='b", "(" * 3000, "sum([*].status)"])
def test_bad_query_is_an_input_error_that_names_the_columns(query: str) -> None:
    with pytest.raises(InputError) as caught:
        query_rows(TABLE, query)
    assert "interface, status" in caught.value.hint


def test_bad_query_says_where_it_breaks() -> None:
    with pytest.raises(InputError, match="at position 14"):
        query_rows(TABLE, "[?status=='up'")


def test_selected_fields_keep_their_order_and_an_unknown_one_is_an_error() -> None:
    assert select_fields(TABLE, ["status", "interface"]).rows == (("up", "eth0"), ("down", "eth1"))
    with pytest.raises(InputError, match="no column 'statu'; did you mean status"):
        select_fields(TABLE, ["statu"])


def test_importing_the_parser_imports_neither_textfsm_nor_ntc_templates_nor_jmespath() -> None:
    import subprocess
    import sys

    code = (
        "import sys, netssh_mcp.knowledge.parsing as p; p.Parsers();"
        "sys.exit(' '.join({'textfsm', 'ntc_templates', 'jmespath'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


BOMBS = [
    "@" + "|[@,@,@,@,@,@,@,@][]" * 10,
    "@" + "|[@,@]" * 60,  # small in memory, 2^60 times as long written out
    "@" + "|{a:@,b:@,c:@}" * 20,
    "[*].[" + ",".join(["interface"] * 20) + "][]|[*].[" + ",".join(["@"] * 60) + "]",
    "to_string([" * 12 + "@" + "])" * 12,
    "map(&[@,@,@,@],@)" + "|[]|map(&[@,@,@,@],@)" * 8,
    "[?[@,@,@,@]|[@,@,@,@]|[@,@,@,@]|[@,@,@,@]|[@,@,@,@]|[@,@,@,@]]",
]


@pytest.mark.parametrize("query", BOMBS)
def test_query_that_multiplies_its_data_is_refused_before_anything_is_sent(query: str) -> None:
    with pytest.raises(InputError, match="times as large"):
        check_query(query)


def test_query_may_grow_small_data_more_than_large() -> None:
    query = "[@,@,@,@,@][]|[@,@,@,@,@][]|[@,@,@,@,@][]"
    assert query_rows(TABLE, query)
    with pytest.raises(InputError, match="125 times as large"):
        query_rows([["x" * 1000] * 5] * 1000, query)


def test_separator_of_a_join_is_a_literal_since_it_would_multiply() -> None:
    assert query_rows(TABLE, "join(', ', [].interface)") == "eth0, eth1"
    with pytest.raises(InputError, match="separator of join must be a literal"):
        query_rows(TABLE, "join(to_string(@), [].interface)")


def test_overlong_query_is_an_input_error() -> None:
    with pytest.raises(InputError, match="500 are allowed"):
        query_rows(TABLE, "a" * 501)


@pytest.mark.parametrize(
    "query",
    [
        "[?status=='up' && (interface=='eth0' || contains(interface, 'eth'))].{port: interface, is: status}",
        "sort_by(@, &interface)[*].interface | [0]",
        "{all: length(@), up: length([?status=='up']), names: [].interface}",
        "[].[interface, status][]",
        "max_by(@, &length(interface)).interface",
        "map(&interface, @)",
        "reverse(sort([].interface))[:1]",
        "[].{" + ",".join(f"c{i}: col{i}" for i in range(30)) + "}",
    ],
)
def test_usual_query_works_on_a_long_table(query: str) -> None:
    long = Table(TABLE.columns, TABLE.rows * 20_000)
    assert query_rows(long, query)


def test_hidden_characters_of_a_devices_json_are_shown_in_names_and_values(parsers: Parsers) -> None:
    text = r'[{"name\u200b": "eth0\u001b]0;x\u0007\u202e\u009b2J", "n": 1, "lone": "\ud800"}]'
    parsed = parsers.parse(Profile(name="linux"), "ip -j link", text, native_json=True)
    shown = {r"name\u{200b}": r"eth0\u{1b}]0;x\u{7}\u{202e}\u{9b}2J", "n": 1, "lone": r"\u{d800}"}
    assert parsed.data == [shown]


def test_hidden_characters_are_shown_in_the_cells_of_a_table(tmp_path: Path) -> None:
    template = "Value List NAMES (\\S+)\nValue NAME (\\S+)\n\nStart\n  ^name ${NAME}\n  ^also ${NAMES}\n"
    folder = user_folder(
        tmp_path, "Template, Hostname, Platform, Command\n\nn.textfsm, .*, acme, show names\n", n=template
    )
    parsed = Parsers(folder).parse(Profile(name="acme"), "show names", "name a\u202eb\nalso c\u200bd\n")
    assert parsed.table == Table(("names", "name"), (([r"c\u{200b}d"], r"a\u{202e}b"),))
