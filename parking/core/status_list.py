"""Status indexes of revoked credentials, small enough for every bundle (docs/lanes.md).

Sorted, each less the one before, as varints (7 bits, low first), deflated (zlib), in base64: a
thousand of a million credentials take about two bytes each.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable


def pack_indexes(indexes: Iterable[int]) -> str:
    raw, before = bytearray(), 0
    for index in sorted(set(indexes)):
        rest, before = index - before, index
        while rest >= 0x80:
            raw.append(rest & 0x7F | 0x80)
            rest >>= 7
        raw.append(rest)
    return base64.b64encode(zlib.compress(bytes(raw), 9)).decode()
