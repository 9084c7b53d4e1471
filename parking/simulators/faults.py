"""How a simulated party fails on demand."""

from __future__ import annotations

import contextlib
import socket

from flask import request


def hang_up() -> None:
    """What was asked for is done, and the caller never hears of it: the connection ends before the answer."""
    with contextlib.suppress(OSError):
        request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
