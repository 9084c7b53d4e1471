"""What a lane must know to decide alone: keys, revocations, who is inside, prices (docs/lanes.md).

The newest good one stands on the disk, replaced as a whole or not at all. It ages from the last time
the service said that it is still true, which an unchanged answer says too.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from parking.core.calendar import Calendar, read_year
from parking.core.charge import read_vehicle
from parking.core.clock import BadInstant, UnknownZone, find_zone, format_instant, parse_instant
from parking.core.code_wire import SUBJECT_BYTES, City
from parking.core.context import check_context
from parking.core.decision import LotRules
from parking.core.json_text import BadJson, load_strict
from parking.core.payment import NOTHING_PAID, Paid
from parking.core.price import SMALL, Vehicle
from parking.edge.key_set import NO_KEYS, BadKeySet, KeySet, Root, verify_key_set

TRUSTED_FOR = timedelta(hours=24)
REVOKED_BYTES_MAX = 32 * 1024 * 1024
_DEPTH_MAX = 48


class BadBundle(ValueError):
    """It cannot be read, or its keys are not to be trusted; the message says which."""


@dataclass(frozen=True, slots=True)
class Inside:
    """A vehicle that is inside, as far as is known. is_sure: a lane saw it, so an entry may be shut on it.

    paid and tariff_hash are the service's to know; a lane that saw the entry itself has neither.
    """

    entered_at: datetime
    subjects: tuple[bytes, ...] = ()
    plate_name: bytes | None = None
    paid: Paid = NOTHING_PAID
    tariff_hash: str | None = None
    is_sure: bool = True
    vehicle: Vehicle = SMALL
    stop_of_day: int = 1
    validations: tuple[Mapping[str, int], ...] = ()

    @property
    def context(self) -> dict[str, Any]:
        """What is known of it beside its times and its vehicle, as `price` takes it."""
        given = {"validations": list(self.validations)} if self.validations else {}
        return {"stop_of_day": self.stop_of_day, **given}


@dataclass(frozen=True)
class Bundle:
    """direction: `entry`, `exit` or `both`. by_subject, by_plate: those inside, each under all its names."""

    made_at: datetime
    confirmed_at: datetime
    city: City
    lot_id: int
    zone: ZoneInfo
    rules: LotRules
    terminal_id: str
    direction: str
    next_sequence: int
    key_set: KeySet
    revoked: frozenset[int]
    plate_key: bytes
    by_subject: Mapping[bytes, Inside]
    by_plate: Mapping[bytes, Inside]
    tariffs: Mapping[str, Any]
    tariff_hash: str | None
    calendars: Mapping[str, Calendar]
    challenged: frozenset[bytes]

    def age(self, at: datetime) -> timedelta:
        return at - max(self.made_at, self.confirmed_at)

    def is_stale(self, at: datetime) -> bool:
        return self.age(at) > TRUSTED_FOR


def read_bundle(raw: bytes, root: Root, *, confirmed_at: datetime | None = None) -> Bundle:
    """:raises BadBundle: it cannot be read, or its key set is not signed by the root"""
    try:
        said = load_strict(raw, depth_max=_DEPTH_MAX)
        keys = NO_KEYS if said["key_set"] is None else verify_key_set(said["key_set"], root)
        return _read(said, keys, confirmed_at)
    except BadKeySet as wrong:
        raise BadBundle(str(wrong)) from None
    except (BadJson, BadInstant, UnknownZone, KeyError, TypeError, ValueError, AttributeError, zlib.error) as wrong:
        raise BadBundle(f"the bundle cannot be read: {type(wrong).__name__} {wrong}"[:200]) from None


def _read(said: Mapping[str, Any], keys: KeySet, confirmed_at: datetime | None) -> Bundle:
    lot, terminal, city = said["lot"], said["terminal"], said["city"]
    inside = [_read_inside(each) for each in said["inside"]]
    made_at, plate_key = parse_instant(said["made_at"]), base64.b64decode(said["plate_key"], validate=True)
    if len(plate_key) != 32 or terminal["direction"] not in ("entry", "exit", "both"):
        raise ValueError("a plate key has 32 bytes, a gate one of three directions")
    return Bundle(
        made_at=made_at, confirmed_at=confirmed_at or made_at,
        city=City(int(city["number"]), str(city["name"])), lot_id=int(lot["id"]), zone=find_zone(lot["time_zone"]),
        rules=LotRules(bool(lot["collects"]), bool(lot["is_closed"]), frozenset(lot["turned"])),
        terminal_id=str(terminal["id"]), direction=terminal["direction"],
        next_sequence=int(terminal["next_sequence"]), key_set=keys, revoked=read_indexes(said["revoked"]),
        plate_key=plate_key,
        by_subject={subject: each for each in inside for subject in each.subjects},
        by_plate={each.plate_name: each for each in inside if each.plate_name is not None},
        tariffs=dict(said["tariffs"]), tariff_hash=said["tariff"],
        calendars={name: _read_calendar(name, years) for name, years in said.get("calendars", {}).items()},
        challenged=frozenset(_read_name(each) for each in said["challenged"]),
    )


def _read_inside(said: Mapping[str, Any]) -> Inside:
    paid_until, leave_by = (
        None if said[name] is None else parse_instant(said[name]) for name in ("paid_until", "leave_by"))
    made = Inside(
        entered_at=parse_instant(said["entered_at"]), subjects=tuple(_read_name(each) for each in said["subjects"]),
        plate_name=None if said["plate"] is None else _read_name(said["plate"]),
        paid=Paid(int(said["paid_fen"]), paid_until, leave_by), tariff_hash=said["tariff"], is_sure=False,
        vehicle=read_vehicle(said["vehicle"]) if "vehicle" in said else SMALL,
        stop_of_day=int(said.get("stop_of_day", 1)),
        validations=tuple({str(unit): int(amount) for unit, amount in each.items()}
                          for each in said.get("validations", ())))
    check_context(made.context)
    return made


def _read_calendar(name: str, years: list[Any]) -> Calendar:
    return Calendar(name, {days.year: days for days in (read_year(each) for each in years)})


def _read_name(text: str) -> bytes:
    name = bytes.fromhex(text)
    if len(name) != SUBJECT_BYTES:
        raise ValueError("a subject or a plate's name has 16 bytes")
    return name


def read_indexes(text: str) -> frozenset[int]:
    """Status indexes: sorted, each less the one before as a varint (7 bits, low first), deflated, in base64.

    :raises ValueError: not that, or larger than 32 MiB
    """
    try:
        deflated = base64.b64decode(text, validate=True)
        unpack = zlib.decompressobj()
        raw = unpack.decompress(deflated, REVOKED_BYTES_MAX) if deflated else b""
    except (binascii.Error, zlib.error) as wrong:
        raise ValueError("the list of revoked credentials cannot be read") from wrong
    if deflated and not unpack.eof:
        raise ValueError("the list of revoked credentials is cut off, or too large")
    indexes, index, value, shift = [], 0, 0, 0
    for byte in raw:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            index += value
            indexes.append(index)
            value = shift = 0
    if shift:
        raise ValueError("the list of revoked credentials ends within a number")
    return frozenset(indexes)


class BundleShelf:
    """Where the newest good bundle stands, in a file of the lane's folder."""

    def __init__(self, path: Path, root: Root) -> None:
        self._path, self._root = path, root
        self.etag: str | None = None
        self._raw = b""
        self.bundle: Bundle | None = self._load()

    def put(self, raw: bytes, *, etag: str | None, confirmed_at: datetime) -> Bundle:
        """Keep a bundle as it came from the service.

        :raises BadBundle: the one that was held stays
        """
        fresh = read_bundle(raw, self._root, confirmed_at=confirmed_at)
        if self.bundle is not None:
            if fresh.key_set.issued_at < self.bundle.key_set.issued_at:
                raise BadBundle("its key set is older than the one that is held, or it has none")
            if fresh.terminal_id != self.bundle.terminal_id:
                raise BadBundle("it is another terminal's; a lane that is paired anew takes a new folder")
        self._raw, self.etag, self.bundle = raw, etag, fresh
        self._save()
        return fresh

    def confirm(self, at: datetime) -> None:
        """The service said that nothing has changed."""
        if self.bundle is not None:
            self.bundle = replace(self.bundle, confirmed_at=at)
            self._save()

    def _load(self) -> Bundle | None:
        """:raises BadBundle: the file was touched, or the root is not the one that it was fetched under"""
        if not self._path.exists():
            return None
        head, _, self._raw = self._path.read_bytes().partition(b"\n")
        try:
            said = json.loads(head)
            self.etag, confirmed_at = said["etag"], parse_instant(said["confirmed_at"])
        except (ValueError, KeyError, TypeError):
            raise BadBundle(f"{self._path} is no bundle; delete it to fetch another") from None
        return read_bundle(self._raw, self._root, confirmed_at=confirmed_at)

    def _save(self) -> None:
        assert self.bundle is not None
        head = json.dumps({"etag": self.etag, "confirmed_at": format_instant(self.bundle.confirmed_at)})
        write_whole(self._path, head.encode() + b"\n" + self._raw)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file so that a power cut leaves the old one or the new one; readable by its owner alone."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
