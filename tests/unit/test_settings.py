"""Settings: flags beat variables beat defaults, and every error names where the wrong word came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.settings import Settings


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; the home folder is `home` beside it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def environ(here: Path) -> dict[str, str]:
    return {"HOME": str(here.parent / "home")}


@pytest.fixture
def inventory(here: Path) -> Path:
    path = here / "inventory.yaml"
    path.write_text("hosts: {}\n")
    return path


def test_without_flags_and_variables_the_defaults_hold(inventory: Path, environ: dict[str, str]) -> None:
    home = Path(environ["HOME"])
    state = home / ".local/state/netssh-mcp"
    assert Settings.resolve({}, environ) == Settings(
        inventory=(inventory,),
        known_hosts=(home / ".ssh/known_hosts", state / "known_hosts"),
        spill=state / "outputs",
        audit=state / "audit.jsonl",
        toolsets=("observe",),
        read_only=False,
        host_keys="strict",
        output_cap=20_000,
    )


def test_xdg_folders_move_ours_and_relative_ones_are_ignored(inventory: Path, environ: dict[str, str]) -> None:
    moved = Settings.resolve({}, environ | {"XDG_STATE_HOME": "/state"})
    assert moved.audit == Path("/state/netssh-mcp/audit.jsonl")
    assert Settings.resolve({}, environ | {"XDG_STATE_HOME": "state"}) == Settings.resolve({}, environ)


def test_the_inventory_is_looked_for_here_and_then_in_the_config_folder(here: Path, environ: dict[str, str]) -> None:
    with pytest.raises(InputError, match="there is no inventory: neither") as caught:
        Settings.resolve({}, environ)
    assert "inventory.example.yaml" in caught.value.hint
    assert "netssh-mcp demo" in caught.value.hint
    assert Settings.resolve({}, environ, inventory_required=False).inventory == ()

    config = here.parent / "config"
    theirs = config / "netssh-mcp" / "inventory.yaml"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    assert Settings.resolve({}, environ | {"XDG_CONFIG_HOME": str(config)}).inventory == (theirs,)
    (here / "inventory.yaml").touch()
    assert Settings.resolve({}, environ | {"XDG_CONFIG_HOME": str(config)}).inventory == (here / "inventory.yaml",)


def test_flags_beat_variables_and_empty_ones_are_not_given(here: Path, environ: dict[str, str]) -> None:
    for name in ("a.yaml", "b.yaml", "c.yaml", "policy.yaml"):
        (here / name).touch()
    (here.parent / "home" / "mine").mkdir()
    variables = environ | {
        "NETSSH_INVENTORY": f"a.yaml:{here}/b.yaml",
        "NETSSH_PROFILES": "~/mine",
        "NETSSH_AUDIT": "audit.jsonl",
        "NETSSH_READ_ONLY": "yes",
        "NETSSH_HOST_KEYS": "tofu",
        "NETSSH_KNOWN_HOSTS": "kh1:kh2",
        "NETSSH_OUTPUT_CAP": "5000",
        "NETSSH_TOOLSETS": "observe, all",
        "NETSSH_LOG_LEVEL": "DEBUG",
        "NETSSH_SPILL": "",
    }
    by_variable = Settings.resolve({"inventory": (), "policy": None, "audit": "", "toolsets": []}, variables)
    assert by_variable.inventory == (here / "a.yaml", here / "b.yaml")
    assert by_variable.profiles == here.parent / "home" / "mine"
    assert by_variable.audit == here / "audit.jsonl"
    assert (by_variable.read_only, by_variable.host_keys, by_variable.output_cap) == (True, "tofu", 5000)
    assert by_variable.known_hosts == (here / "kh1", here / "kh2")
    assert (by_variable.toolsets, by_variable.log_level) == (("observe", "operate"), "debug")
    assert by_variable.spill.name == "outputs"

    flags = {
        "inventory": ["c.yaml", Path("a.yaml")],
        "audit": Path("/var/audit.jsonl"),
        "host_keys": "strict",
        "output_cap": 2000,
        "toolsets": "observe",
    }
    by_flag = Settings.resolve(flags, variables)
    assert by_flag.inventory == (here / "c.yaml", here / "a.yaml")
    assert by_flag.audit == Path("/var/audit.jsonl")
    assert (by_flag.host_keys, by_flag.output_cap) == ("strict", 2000)


@pytest.mark.parametrize(
    ("flag", "variable", "restricted"),
    [
        (True, "", True),
        (True, "no", True),
        (False, "1", True),
        (None, "ON", True),
        (False, "0", False),
        (None, "", False),
    ],
)
def test_read_only_is_on_when_either_the_flag_or_the_variable_says_so(
    inventory: Path, environ: dict[str, str], flag: bool | None, variable: str, restricted: bool
) -> None:
    assert Settings.resolve({"read_only": flag}, environ | {"NETSSH_READ_ONLY": variable}).read_only is restricted


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("inventory", "absent.yaml", "there is no file"),
        ("policy", "absent.yaml", "there is no file"),
        ("profiles", "absent", "there is no folder"),
        ("templates", "inventory.yaml", "there is no folder"),
        ("toolsets", "obsrve", "there is no toolset 'obsrve'; did you mean observe?"),
        ("toolsets", "change", "toolset 'change' is not in this version"),
        ("host_keys", "strcit", "'strcit' is not allowed; did you mean strict?"),
        ("host_keys", "accept_any", "'accept_any' is not allowed"),
        ("read_only", "maybe", "'maybe' is not allowed; known: 1, true, yes"),
        ("output_cap", "many", "'many' is not a whole number from 1000 to 2000000"),
        ("output_cap", "²", "is not a whole number"),
        ("output_cap", "10", "is not a whole number"),
        ("log_level", "warn", "did you mean warning?"),
    ],
)
def test_a_wrong_value_names_the_flag_or_the_variable_it_came_from(
    inventory: Path, environ: dict[str, str], name: str, value: str, why: str
) -> None:
    with pytest.raises(InputError) as by_flag:
        Settings.resolve({name: value}, environ)
    with pytest.raises(InputError) as by_variable:
        Settings.resolve({}, environ | {f"NETSSH_{name.upper()}": value})
    assert str(by_flag.value).startswith(f"--{name.replace('_', '-')}: ")
    assert str(by_variable.value).startswith(f"NETSSH_{name.upper()}: ")
    assert why in str(by_flag.value)
    assert why in str(by_variable.value)


def test_accept_any_for_the_whole_server_is_refused_with_the_place_where_it_may_stand(
    inventory: Path, environ: dict[str, str]
) -> None:
    with pytest.raises(InputError) as caught:
        Settings.resolve({"host_keys": "accept_any"}, environ)
    assert "inventory file" in caught.value.hint


def test_an_unknown_argument_is_an_error_with_the_nearest_setting(inventory: Path, environ: dict[str, str]) -> None:
    with pytest.raises(InputError, match="there is no setting 'inventry'; did you mean inventory"):
        Settings.resolve({"inventry": "x"}, environ)


def test_a_value_that_is_not_text_is_an_error(inventory: Path, environ: dict[str, str]) -> None:
    with pytest.raises(InputError, match="--policy: float is not text"):
        Settings.resolve({"policy": 1.5}, environ)


def test_a_policy_file_comes_from_the_flag_or_the_variable_and_must_be_there(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\n")
    for arguments, environ in (({"policy": policy}, {}), ({}, {"NETSSH_POLICY": str(policy)})):
        found = Settings.resolve(arguments, {"HOME": str(tmp_path), **environ}, inventory_required=False)
        assert found.policy == policy


@pytest.mark.parametrize("ours", ["audit", "spill"])
@pytest.mark.parametrize("theirs", ["inventory", "policy", "known_hosts"])
@pytest.mark.parametrize("how", ["same", "symlink", "hardlink", "dots"])
def test_what_the_server_writes_is_never_a_file_that_it_obeys(tmp_path: Path, ours: str, theirs: str, how: str) -> None:
    deciding, writing = tmp_path / "deciding", tmp_path / "writing"
    deciding.write_text("version: 1\n")
    match how:
        case "same":
            writing = deciding
        case "symlink":
            writing.symlink_to(deciding)
        case "hardlink":
            writing.hardlink_to(deciding)
        case _:
            (tmp_path / "folder").mkdir()
            writing = tmp_path / "folder" / ".." / "deciding"
    with pytest.raises(InputError, match=f"{ours} and {theirs} are the same file"):
        Settings.resolve({ours: writing, theirs: deciding}, {"HOME": str(tmp_path)}, inventory_required=False)


def test_observe_is_the_default_and_operate_has_to_be_named(inventory: Path, environ: dict[str, str]) -> None:
    assert Settings.resolve({}, environ).toolsets == ("observe",)
    assert Settings.resolve({"toolsets": "operate"}, environ).toolsets == ("operate",)
    assert Settings.resolve({}, environ | {"NETSSH_TOOLSETS": "all"}).toolsets == ("observe", "operate")


def test_what_opens_the_server_further_is_off_unless_asked_for(here: Path, environ: dict[str, str]) -> None:
    found = Settings.resolve({}, environ, inventory_required=False)
    assert (found.env_file, found.edit_hosts, found.ad_hoc, found.local_roots) == (None, None, False, ())
    assert found.answer_format == "text"


def test_each_of_them_comes_by_flag_or_by_variable(here: Path, environ: dict[str, str]) -> None:
    (here / "secrets.env").touch()
    (here / "in").mkdir()
    (here / "out").mkdir()
    given = {"env_file": "secrets.env", "edit_hosts": "mine.yaml", "ad_hoc": True, "local_roots": ["in", "out"]}
    by_flag = Settings.resolve(given | {"answer_format": "json"}, environ)
    variables = {
        "NETSSH_ENV_FILE": "secrets.env",
        "NETSSH_EDIT_HOSTS": "mine.yaml",
        "NETSSH_AD_HOC": "on",
        "NETSSH_ALLOW_DIR": "in:out",
        "NETSSH_FORMAT": "JSON",
    }
    assert Settings.resolve({}, environ | variables) == by_flag
    assert by_flag.env_file == here / "secrets.env"
    assert by_flag.edit_hosts == here / "mine.yaml"
    assert by_flag.local_roots == (here / "in", here / "out")
    assert (by_flag.ad_hoc, by_flag.answer_format) == (True, "json")


def test_without_a_path_added_hosts_stand_beside_the_last_inventory_file(here: Path, environ: dict[str, str]) -> None:
    assert Settings.resolve({"edit_hosts": "on"}, environ).edit_hosts == here / "inventory.added.yaml"
    assert Settings.resolve({"edit_hosts": "off"}, environ, inventory_required=False).edit_hosts is None
    (here / "a.yaml").touch()
    (here / "deep").mkdir()
    (here / "deep" / "b.yaml").touch()
    found = Settings.resolve({"inventory": ["a.yaml", "deep/b.yaml"]}, environ | {"NETSSH_EDIT_HOSTS": "yes"})
    assert found.edit_hosts == here / "deep" / "inventory.added.yaml"


@pytest.mark.parametrize(
    ("name", "value", "flag", "why"),
    [
        ("env_file", "absent", "--env-file", "there is no file"),
        ("edit_hosts", "absent/x.yaml", "--edit-hosts", "there is no folder"),
        ("local_roots", "absent", "--allow-dir", "there is no folder"),
        ("answer_format", "xml", "--format", "'xml' is not allowed; known: text, json"),
    ],
)
def test_a_wrong_one_is_named_as_it_was_written(
    environ: dict[str, str], name: str, value: str, flag: str, why: str
) -> None:
    variable = "NETSSH_" + flag.removeprefix("--").replace("-", "_").upper()
    for arguments, variables, origin in (({name: value}, {}, flag), ({}, {variable: value}, variable)):
        with pytest.raises(InputError) as caught:
            Settings.resolve(arguments, environ | variables, inventory_required=False)
        assert str(caught.value).startswith(f"{origin}: ")
        assert why in str(caught.value)


@pytest.mark.parametrize("theirs", ["inventory", "policy", "known_hosts", "audit", "env_file", "ssh_config", "spill"])
@pytest.mark.parametrize("how", ["same", "symlink", "hardlink"])
def test_the_file_of_added_hosts_is_no_other_file(tmp_path: Path, theirs: str, how: str) -> None:
    deciding, added = tmp_path / "deciding", tmp_path / "added"
    deciding.touch()
    match how:
        case "same":
            added = deciding
        case "symlink":
            added.symlink_to(deciding)
        case _:
            added.hardlink_to(deciding)
    with pytest.raises(InputError, match="are the same file"):
        Settings.resolve({"edit_hosts": added, theirs: deciding}, {"HOME": str(tmp_path)}, inventory_required=False)


@pytest.mark.parametrize(
    "theirs", ["inventory", "policy", "known_hosts", "audit", "edit_hosts", "env_file", "ssh_config", "spill"]
)
def test_a_folder_for_transfers_holds_nothing_that_the_server_obeys(tmp_path: Path, theirs: str) -> None:
    root = tmp_path / "transfers"
    (root / "deep").mkdir(parents=True)
    path = root / "deep" / "file"
    path.touch()
    with pytest.raises(InputError, match=rf"--allow-dir: .*\({theirs}\) are in each other") as caught:
        Settings.resolve(
            {theirs: path, "local_roots": root}, {"HOME": str(tmp_path / "home")}, inventory_required=False
        )
    assert "for transfers alone" in caught.value.hint


@pytest.mark.parametrize("root", [".", "home", "home/.ssh", "home/.ssh/keys", "home/.config/netssh-mcp", "link"])
def test_a_folder_for_transfers_is_not_where_keys_and_secrets_are(tmp_path: Path, root: str) -> None:
    for folder in ("home/.ssh/keys", "home/.config/netssh-mcp/secrets"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "home")
    with pytest.raises(InputError, match="are in each other"):
        Settings.resolve({"local_roots": tmp_path / root}, {"HOME": str(tmp_path / "home")}, inventory_required=False)


def test_profiles_and_templates_are_no_folders_for_transfers_and_nothing_below_them_is(tmp_path: Path) -> None:
    (tmp_path / "p" / "below").mkdir(parents=True)
    for name in ("profiles", "templates"):
        for root in ("p", "p/below"):
            with pytest.raises(InputError, match="are in each other"):
                Settings.resolve(
                    {name: tmp_path / "p", "local_roots": tmp_path / root},
                    {"HOME": str(tmp_path / "home")},
                    inventory_required=False,
                )


def test_with_hosts_to_be_added_or_unlisted_targets_no_inventory_is_needed(here: Path, environ: dict[str, str]) -> None:
    for variable in ("NETSSH_EDIT_HOSTS", "NETSSH_AD_HOC"):
        assert Settings.resolve({}, environ | {variable: "on"}).inventory == ()
