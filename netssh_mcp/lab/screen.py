"""What the session's terminal shows: text goes out with the device's line ends, and the cursor's column is known."""

from __future__ import annotations

from netssh_mcp.lab.device import Device
from netssh_mcp.lab.editor import NEWLINE
from netssh_mcp.lab.faults import Faults
from netssh_mcp.lab.model import Echo
from netssh_mcp.lab.outlet import Outlet


class Screen:
    def __init__(self, device: Device, outlet: Outlet) -> None:
        self.outlet = outlet
        self.line_start = True  # the cursor is in the first column
        self._device = device
        self._own: Faults | None = None  # of the command that is running, instead of the device's

    @property
    def faults(self) -> Faults:
        return self._own or self._device.faults

    @property
    def echo(self) -> Echo:
        return self.faults.echo or self._device.platform.editor.echo

    def take_faults(self, faults: Faults | None) -> None:
        """Those of one command; None = the device's own again."""
        self._own = faults
        self.outlet.shape(self.faults)
        self.outlet.disarm()
        if faults and faults.break_with:
            self.outlet.arm(faults.break_with, faults.break_after)

    def device_faults_changed(self) -> None:
        self.outlet.shape(self.faults)
        self.outlet.disarm()
        if self.faults.break_with:
            self.outlet.arm(self.faults.break_with, self.faults.break_after)

    @property
    def own_faults(self) -> bool:
        return self._own is not None

    def write(self, text: str) -> None:
        if not text:
            return
        self.line_start = text.endswith(NEWLINE)
        faults = self.faults
        if "\r\n" in text:
            text = text.replace("\r\n", NEWLINE)
        end = f"\0{faults.newline}" if faults.nul else faults.newline
        self.outlet.write(text.replace(NEWLINE, end).encode("utf-8", "surrogateescape"))

    def log(self, text: str) -> None:
        """A line nobody asked for, on a line of its own."""
        self.write(f"{'' if self.line_start else NEWLINE}{text}{NEWLINE}")
