"""A driver showed a code at one lane and a plate was read at the other: one visit, under two names.

A code that names no vehicle stands for the driver's own key until something says which car it was.
Which one it was follows from the driver's facts at the lot in their order, so that it does not
matter in which order they came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from parking.core.fact import Fact, FactRef


def join_visits(
    scans: Iterable[Fact], *, driver_id: UUID, own_key: bytes, proved: Collection[bytes] = (),
    proved_alone: Collection[bytes] = (),
) -> dict[FactRef, bytes]:
    """The vehicle of each scan that stands under the driver's own key.

    An exit by code alone is the one visit that the driver can be leaving: of a vehicle that the
    driver's code let in, else of one that the driver has proved. An entry by code alone was the vehicle
    that leaves with the driver's code, or that nobody else has proved.

    :param scans: opened, in their order, of the driver and of the vehicles concerned, each under what was shown
    """
    inside: dict[bytes, Fact] = {}
    vehicle_of: dict[FactRef, bytes] = {}
    for scan in scans:
        key = scan.vehicle_key
        if key is None:
            continue
        if key == own_key:
            vehicle_of[scan.ref] = own_key
        if scan.direction == "entry":
            inside[key] = scan
        elif key in inside:
            del inside[key]
        elif key == own_key:
            theirs = [each for each, entry in inside.items() if entry.driver_id == driver_id]
            theirs = theirs or [each for each in inside if each in proved]
            if len(theirs) == 1:
                vehicle_of[scan.ref] = theirs[0]
                del inside[theirs[0]]
        elif own_key in inside and (scan.driver_id == driver_id or (scan.driver_id is None and key in proved_alone)):
            vehicle_of[inside.pop(own_key).ref] = key
    return vehicle_of
