"""get_file and put_file on simulated network devices: what is sent, what is compared, what is left behind."""
# The files that the tests look at are small and on this machine.

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from netssh_mcp.errors import CommandDenied, DeviceError, FileRefused, InputError, NetsshError, TransferBroken
from netssh_mcp.lab.device import Device, DeviceSpec
from netssh_mcp.lab.faults import Hang, Script, Text
from netssh_mcp.lab.files import ScpFault
from netssh_mcp.lab.server import start_network
from netssh_mcp.services.app import App, open_app
from netssh_mcp.services.files import Files
from tests.devices import house
from tests.devices.mcp_house import served

pytestmark = pytest.mark.anyio
IMAGE = bytes(range(256)) * 4096  # 1 MiB
NOTE = b"hostname r1\nusername ops secret 5 $1$abcd$abcdefghijklmnopqrstu.\nend\n"
FILES = {"image.bin": IMAGE, "note.txt": NOTE}
EVERYTHING = ["read", "diagnose", "secret-read", "change", "config", "shell"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Site:
    """A server on one simulated device."""

    app: App
    device: Device
    folder: Path

    @property
    def files(self) -> Files:
        return self.app.files

    @property
    def local(self) -> Path:
        return self.folder / "local"

    async def get(self, path: str, action: str, **more: Any) -> dict[str, Any]:
        return await self.files.get("r1", path, action=action, **more)

    async def put(self, path: str, action: str, **more: Any) -> dict[str, Any]:
        return await self.files.put("r1", path, action=action, **more)

    def sent(self) -> list[str]:
        """The commands that the device executed since the login."""
        return [line for line in self.device.received if line.partition(" ")[0] in _CONTROL and "length" not in line]


_CONTROL = ("dir", "verify", "delete", "show", "file")


@asynccontextmanager
async def site(
    folder: Path,
    platform: str = "cisco_ios",
    *,
    classes: list[str] | None = None,
    rules: Mapping[str, Any] | None = None,
    contents: Mapping[str, bytes] | None = None,
    patience: float = 30.0,
    max_sessions: int = 2,
    **more: Any,
) -> AsyncIterator[Site]:
    """`rules`: further keys of the one rule; `more`: of the device."""
    spec = DeviceSpec("r1", platform, files=FILES if contents is None else contents, **more)
    policy = folder / "policy.yaml"
    policy.write_text(yaml.safe_dump({"version": 1, "rules": [{"classes": classes or EVERYTHING, **(rules or {})}]}))
    policy.chmod(0o600)
    (folder / "local").mkdir(exist_ok=True)
    with start_network([spec]) as network:
        inventory = house.write_inventory(network.ports, [spec], folder, r1={"max_sessions": max_sessions})
        settings = house.settings(folder, inventory, policy=str(policy), local_roots=(str(folder / "local"),))
        with anyio.fail_after(60):
            async with open_app(settings) as app:
                app.files._network._patience = patience
                yield Site(app, network.device("r1"), folder)


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


PLACES = {
    "cisco_ios": "flash:",
    "cisco_nxos": "bootflash:",
    "cisco_xr": "disk0:",
    "cisco_asa": "disk0:",
    "arista_eos": "flash:",
    "juniper_junos": "/var/tmp/",  # noqa: S108 - on the device
}


@pytest.mark.parametrize("platform", PLACES)
async def test_a_file_goes_there_and_comes_back_on_every_platform(tmp_path: Path, platform: str) -> None:
    place = PLACES[platform]
    async with site(tmp_path, platform) as at:
        listed = await at.get(place.rstrip("/"), "list")
        names = [row[-1] for row in listed["entries"]["rows"]]
        assert (names, listed["total"]) == (["image.bin", "note.txt"], 2)
        assert listed["entries"]["rows"][0][1] == len(IMAGE)
        assert listed["free"] == pytest.approx(at.device.flash.free, abs=1024)

        (at.local / "new.bin").write_bytes(IMAGE[::-1])
        sent = await at.put(f"{place}new.bin", "upload", local_path=str(at.local / "new.bin"))
        assert (sent["changed"], sent["created"], sent["file"]["checked"]) == (True, True, "md5")
        assert sent["file"]["md5"] == md5(IMAGE[::-1])
        assert at.device.flash.contents["new.bin"] == IMAGE[::-1]
        again = await at.put(f"{place}new.bin", "upload", local_path=str(at.local / "new.bin"))
        assert (again["changed"], at.device.flash.kept) == (False, len(IMAGE)), "what is there is not sent again"

        stat = await at.get(f"{place}new.bin", "stat")
        assert (stat["file"]["type"], stat["file"]["size"]) == ("file", len(IMAGE))
        came = await at.get(f"{place}new.bin", "download", local_path=str(at.local / "back.bin"))
        assert (came["file"]["checked"], came["file"]["size"]) == ("md5", len(IMAGE))
        assert (at.local / "back.bin").read_bytes() == IMAGE[::-1]

        gone = await at.put(f"{place}new.bin", "delete")
        assert gone["changed"] is True
        assert "new.bin" not in at.device.flash.contents
        with pytest.raises(FileRefused, match="is not there"):
            await at.get(f"{place}new.bin", "stat")


async def test_text_is_read_without_its_secrets_and_written_from_the_call(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        read = await at.get("flash:note.txt", "read")
        assert "hostname r1" in read["text"]
        assert "abcdefghij" not in read["text"]
        assert read["redacted"] == 1
        wrote = await at.put("flash:/new.txt", "write", content="hello\n")
        assert (wrote["created"], at.device.flash.contents["new.txt"]) == (True, b"hello\n")
        image = await at.get("flash:image.bin", "read")
        assert (image["binary"], "text" in image) == (True, False)


async def test_a_long_text_is_read_in_pieces(tmp_path: Path) -> None:
    text = b"".join(b"line %07d\n" % number for number in range(300_000))
    async with site(tmp_path, contents={"long.txt": text}) as at:
        first = await at.get("flash:long.txt", "read")
        assert first["truncated"]
        at_ = first["next_offset"]
        second = await at.get("flash:long.txt", "read", offset=at_)
        assert (second["next_offset"], second["text"].startswith(text[at_ : at_ + 12].decode())) == (None, True)


async def test_the_login_for_scp_counts_and_does_not_stay(tmp_path: Path) -> None:
    async with site(tmp_path, max_sessions=1) as at:
        await at.put("flash:a.txt", "write", content="a\n")
        with anyio.fail_after(5):
            while at.device.links > 1:  # noqa: ASYNC110 - the device ends it in its own time
                await anyio.sleep(0.01)
        assert at.device.links <= 1, "one session, and no connection without a shell"


async def test_what_is_there_is_not_replaced_unless_that_is_asked_for(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        with pytest.raises(FileRefused, match="exists already, and is as it was"):
            await at.put("flash:note.txt", "write", content="x", overwrite=False)
        assert at.device.flash.contents["note.txt"] == NOTE
        replaced = await at.put("flash:note.txt", "write", content="x")
        assert (replaced["created"], at.device.flash.contents["note.txt"]) == (False, b"x")


async def test_too_little_space_is_said_with_both_numbers_before_anything_is_sent(tmp_path: Path) -> None:
    async with site(tmp_path, flash_size=len(IMAGE) + len(NOTE) + 10) as at:
        with pytest.raises(FileRefused, match="flash: has 10 bytes free, the file has 11") as caught:
            await at.put("flash:new.txt", "write", content="x" * 11)
        assert (caught.value.effect, at.device.flash.kept) == ("none", 0)


async def test_scp_that_is_off_is_quoted_with_the_command_that_turns_it_on(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.device.flash.scp = "off"
        for call, more in (
            (at.get, {"path": "flash:note.txt", "action": "read"}),
            (at.put, {"path": "flash:new.txt", "action": "write", "content": "x"}),
            (at.get, {"path": "flash:note.txt", "action": "download", "local_path": str(at.local / "x")}),
        ):
            with pytest.raises(FileRefused) as caught:
                await call(**more)
            assert caught.value.line == "Administratively disabled."
            assert "ip scp server enable" in caught.value.hint
            assert caught.value.effect == "none"
        assert not any("scp" in line for line in at.device.received), "nothing is turned on by us"
        assert list(at.local.iterdir()) == []


@pytest.mark.parametrize("fault", ["cut", "size", "more", "corrupt", "freeze", "refuse"])
async def test_a_download_that_goes_wrong_leaves_nothing_here(tmp_path: Path, fault: ScpFault) -> None:
    async with site(tmp_path, patience=1.0 if fault == "freeze" else 30.0) as at:
        at.device.flash.scp = fault
        with pytest.raises((TransferBroken, FileRefused)) as caught:
            await at.get("flash:image.bin", "download", local_path=str(at.local / "image.bin"))
        assert caught.value.effect == "none"
        assert list(at.local.iterdir()) == []


@pytest.mark.parametrize("fault", ["name", "second"])
async def test_the_name_that_the_device_sends_means_nothing(tmp_path: Path, fault: ScpFault) -> None:
    async with site(tmp_path) as at:
        at.device.flash.scp = fault
        await at.get("flash:image.bin", "download", local_path=str(at.local / "image.bin"))
        assert [path.name for path in at.local.iterdir()] == ["image.bin"]
        assert (at.local / "image.bin").read_bytes() == IMAGE


@pytest.mark.parametrize("fault", ["cut", "full", "corrupt", "freeze"])
async def test_an_upload_that_goes_wrong_is_removed_there(tmp_path: Path, fault: ScpFault) -> None:
    async with site(tmp_path, patience=1.0 if fault == "freeze" else 30.0) as at:
        at.device.flash.scp = fault
        (at.local / "new.bin").write_bytes(IMAGE)
        with pytest.raises(NetsshError, match="nothing of it is left there") as caught:
            await at.put("flash:new.bin", "upload", local_path=str(at.local / "new.bin"))
        assert caught.value.effect == "none"
        assert set(at.device.flash.contents) == set(FILES)
        if fault == "full":
            assert caught.value.line == "new.bin: No space left on device"


async def test_what_an_upload_has_destroyed_is_said(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.device.flash.scp = "full"
        with pytest.raises(NetsshError, match="what was there before is gone") as caught:
            await at.put("flash:note.txt", "write", content="x" * 1000)
        assert caught.value.effect == "done"


async def test_a_part_that_cannot_be_removed_is_named(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.device.flash.scp, at.device.flash.deaf_delete = "full", True
        with pytest.raises(NetsshError, match=r"may be left there as flash:/new\.txt") as caught:
            await at.put("flash:new.txt", "write", content="x" * 1000)
        assert caught.value.effect == "possible"


async def test_another_checksum_on_the_device_is_an_error_on_both_ways(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.device.flash.wrong_md5 = True
        with pytest.raises(TransferBroken, match=r"what came has MD5 .*, and the device says"):
            await at.get("flash:note.txt", "download", local_path=str(at.local / "note.txt"))
        with pytest.raises(TransferBroken, match=r"what is there has MD5 .*nothing of it is left there"):
            await at.put("flash:new.txt", "write", content="new\n")
        assert (list(at.local.iterdir()), set(at.device.flash.contents)) == ([], set(FILES))


async def test_a_device_that_knows_no_checksum_is_compared_by_size_and_that_is_said(tmp_path: Path) -> None:
    async with site(tmp_path, outputs={"verify /md5 <word>": "% Invalid input detected at '^' marker.\n"}) as at:
        wrote = await at.put("flash:new.txt", "write", content="new\n")
        assert wrote["file"]["checked"] == "size"
        assert "no checksum" in wrote["note"]


async def test_a_cancelled_upload_leaves_nothing_there(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.device.flash.scp = "freeze"
        (at.local / "new.bin").write_bytes(IMAGE)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: at.put("flash:new.bin", "upload", local_path=str(at.local / "new.bin")))
            while "new.bin" not in at.device.flash.contents:  # noqa: ASYNC110 - the device is in another thread
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        assert set(at.device.flash.contents) == set(FILES)
        records = house.audit_records(tmp_path)
        assert any(record.get("error") == "interrupted" for record in records)


async def test_a_delete_that_asks_is_answered_by_nobody(tmp_path: Path) -> None:
    asks = Script((Text("Delete flash:/note.txt? [confirm]"), Hang()))
    async with site(tmp_path, outputs={"delete /force <word>": asks}) as at:
        with pytest.raises(DeviceError, match="asks a question, which was not answered") as caught:
            await at.put("flash:note.txt", "delete")
        assert "[confirm]" in caught.value.line
        assert "note.txt" in at.device.flash.contents


async def test_a_file_that_stays_is_no_success(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.device.flash.deaf_delete = True
        with pytest.raises(DeviceError, match="is still there"):
            await at.put("flash:note.txt", "delete")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("running-config", "is a configuration"),
        ("startup-config", "is a configuration"),
        ("nvram:startup-config", "is a configuration"),
        ("nvram:/anything", "is a configuration"),
        ("system:running-config", "is a configuration"),
        ("flash:config.text", "is a configuration"),
        ("flash:/./CONFIG.TEXT", "is a configuration"),
        ("flash:", "not a file"),
        ("note.txt", "in no place for files"),
        ("tftp://192.0.2.1/x", "in no place for files"),
        ("https://192.0.2.1/x", "in no place for files"),
        ("flash:../x", "cannot be named"),
        ("flash:a/../../x", "cannot be named"),
        ("flash:-x", "cannot be named"),
        ("flash:a b", "cannot be named"),
        ("flash:a|b", "cannot be named"),
        ("flash:a\nreload", "cannot be named"),
        ("flash:$(reboot)", "cannot be named"),
        ("flash:ä", "cannot be named"),
        ("flash:" + "x" * 300, "cannot be named"),
    ],
)
async def test_paths_that_are_no_files_are_refused_before_a_login(tmp_path: Path, path: str, why: str) -> None:
    async with site(tmp_path) as at:
        with pytest.raises(InputError, match=why):
            await at.put(path, "write", content="x")
        assert at.device.connections == 0


async def test_what_means_nothing_there_is_refused(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        more: dict[str, Any]
        for more in ({"append": True}, {"mode": "0644"}, {"sudo": True}, {"make_dirs": True}):
            with pytest.raises(InputError, match="means nothing on a network device"):
                await at.put("flash:x", "write", content="x", **more)
        with pytest.raises(InputError, match="means nothing on a network device"):
            await at.get("flash:", "list", hidden=True)
        with pytest.raises(InputError, match="`content` is missing"):
            await at.put("flash:x", "write")
        with pytest.raises(InputError, match="folders are not made"):
            await at.put("flash:x", "mkdir")
        assert at.device.connections == 0


async def test_a_platform_without_facts_says_so(tmp_path: Path) -> None:
    async with site(tmp_path, "frr") as at:
        with pytest.raises(InputError, match="no file transfer is known for frr"):
            await at.get("flash:x", "read")


async def test_the_class_is_that_of_the_action_and_of_the_path(tmp_path: Path) -> None:
    async with site(tmp_path, classes=["read"]) as at:
        assert (await at.get("flash:", "list"))["total"] == 2
        with pytest.raises(CommandDenied, match="secret-read"):
            await at.get("flash:note.txt", "read")
        with pytest.raises(CommandDenied, match="class change"):
            await at.put("flash:x", "write", content="x")
    other = tmp_path / "other"
    other.mkdir()
    async with site(other, classes=["read", "secret-read", "change"]) as at:
        with pytest.raises(CommandDenied, match="class shell"):
            await at.get("nvram:private-config", "read")
        with pytest.raises(CommandDenied, match="class shell"):
            await at.get("flash:r1.PEM", "download", local_path=str(at.local / "x"))


async def test_what_the_operator_denies_by_name_stays_denied_inside_an_action(tmp_path: Path) -> None:
    rules = {"deny": ["delete", "put_file upload flash:/secret.bin"]}
    async with site(tmp_path, rules=rules) as at:
        with pytest.raises(CommandDenied, match="needs it"):
            await at.put("flash:note.txt", "delete")
        (at.local / "x").write_bytes(b"x")
        with pytest.raises(CommandDenied):
            await at.put("flash:secret.bin", "upload", local_path=str(at.local / "x"))
        assert "note.txt" in at.device.flash.contents


async def test_the_audit_has_the_action_and_each_command_of_it(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.put("flash:new.txt", "write", content="hello\n")
    records = [record for record in house.audit_records(tmp_path) if record.get("verdict")]
    assert [record["command"] for record in records] == [
        "put_file write flash:/new.txt",
        "dir flash:/new.txt",
        "dir flash:",
        "dir flash:/new.txt",
        "verify /md5 flash:/new.txt",
    ]
    assert {record["class"] if "class" in record else record["command_class"] for record in records} == {"change"}


async def test_over_mcp(tmp_path: Path) -> None:
    spec = DeviceSpec("r1", "cisco_ios", files=FILES)
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "up.bin").write_bytes(IMAGE)
    policy = tmp_path / "policy.yaml"
    policy.write_text(yaml.safe_dump({"version": 1, "rules": [{"classes": EVERYTHING}]}))
    policy.chmod(0o600)
    with start_network([spec]) as network:
        inventory = house.write_inventory(network.ports, [spec], tmp_path)
        more = ("--toolsets", "observe,operate", "--policy", str(policy), "--allow-dir", str(tmp_path / "local"))
        async with served(inventory, tmp_path, *more) as there:
            listed = await there.call("get_file", device="r1", path="flash:", action="list")
            assert (listed.failed, listed.fields["total"]) == (False, 2), listed.text
            up = {"path": "flash:up.bin", "action": "upload", "local_path": str(tmp_path / "local" / "up.bin")}
            sent = await there.call("put_file", device="r1", **up)
            assert sent.fields["file"]["md5"] == md5(IMAGE), sent.text
            read = await there.call("get_file", device="r1", path="flash:note.txt")
            assert "abcdefghij" not in read.text + str(read.fields)
            gone = await there.call("put_file", device="r1", path="flash:up.bin", action="delete")
            assert gone.fields["changed"] is True
            refused = await there.call("put_file", device="r1", path="startup-config", content="x")
            assert (refused.failed, refused.error["kind"]) == (True, "input")
