"""A scanner on a serial line (RS-232, RS-485 or USB that looks like it): one code a line.

Needs pyserial, which a lane without such a scanner does not install.
"""

from __future__ import annotations

import importlib
from typing import Any

from parking.edge.hardware import DeviceFailed, Show, Showing

LINE_BYTES_MAX = 4096


class SerialScanner:
    """:param port: such as /dev/ttyUSB0
    :raises DeviceFailed: pyserial is missing, or the port cannot be opened"""

    def __init__(self, port: str, *, baud: int = 9600) -> None:
        try:
            serial: Any = importlib.import_module("serial")
        except ModuleNotFoundError:
            raise DeviceFailed("a serial scanner needs pyserial: .venv/bin/pip install pyserial") from None
        try:
            self._line: Any = serial.Serial(port, baud)
        except (OSError, ValueError) as wrong:
            raise DeviceFailed(f"{port}: {wrong}") from None

    def run(self, show: Show) -> None:
        pending = b""
        while True:
            try:
                read = self._line.read(max(1, self._line.in_waiting))
            except OSError as wrong:
                raise DeviceFailed(str(wrong)) from None
            *lines, pending = (pending + read).replace(b"\r", b"\n").split(b"\n")
            pending = pending[-LINE_BYTES_MAX:]
            for line in lines:
                text = line.decode("utf-8", "replace").strip()
                if text:
                    show(Showing(code=text))
