"""WeChat Pay's parking service as its simulator plays it: plates, stays told at the entry, fees taken on and taken.

A plate's service is open, or closed for a reason; who closes or opens it during a stay has the merchant told. A second
number for a car that is inside makes a second stay, as it does at the real channel.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flask import Response, request

from parking.core.clock import format_instant
from parking.simulators.wechat_pay_seen import SeenOrder
from parking.simulators.wechat_pay_statement import ZONE

if TYPE_CHECKING:
    from parking.simulators.wechat_pay import WechatPaySimulator

OPEN = "NORMAL"
KIND = "PARKING"


@dataclass
class SeenStay:
    stay_no: str
    parking_id: str
    plate: str
    colour: str
    notify_url: str
    started_at: str
    name: str
    free_seconds: int
    is_over: bool = False


@dataclass
class Parking:
    """What the channel knows of plates. plates: OPEN, or why a plate's service is closed; others are as `unknown` says.

    poor: plates whose users have no money; takes_after: seconds until a fee is taken by itself, None for never.
    """

    stays: dict[str, SeenStay] = field(default_factory=dict)
    plates: dict[str, str] = field(default_factory=dict)
    unknown: str = "OUT_SERVICE"
    poor: set[str] = field(default_factory=set)
    payers: dict[str, str] = field(default_factory=dict)
    takes_after: float | None = None


class ParkingDesk:
    """The part of WeChat Pay's simulator that knows cars."""

    def __init__(self, channel: WechatPaySimulator) -> None:
        self._channel, self.seen = channel, Parking()
        self.rules: tuple[tuple[str, str, Any], ...] = (
            ("POST", "/v3/vehicle/parking/parkings", self._enter),
            ("POST", "/v3/vehicle/transactions/parking", self._take_on),
            ("GET", "/v3/vehicle/transactions/out-trade-no/<order_no>", self._query_fee))

    def open_service(self, plate: str) -> None:
        """The user opens the service for a plate; where it is inside, the merchant is told."""
        self._turn(plate, OPEN)

    def close_service(self, plate: str, why: str = "PAUSE") -> None:
        self._turn(plate, why)

    def finish_deduction(self, order_no: str) -> None:
        """The fee that was taken on is taken, or cannot be."""
        channel = self._channel
        with channel._lock:
            order = channel.seen.orders[order_no]
            if order.state != "ACCEPTED":
                return
            is_poor = self.seen.payers[order_no] in self.seen.poor
            order.state = "PAY_FAIL" if is_poor else "SUCCESS"
            if not is_poor:
                order.paid_at = format_instant(channel.clock().replace(microsecond=0), ZONE)
                order.transaction_id = f"42{secrets.randbelow(10**26):026d}"
            channel._keep()
        channel._tell("TRANSACTION.FAIL" if is_poor else "TRANSACTION.SUCCESS", order.notify_url, self._fee_data(order))

    def stay_event(self, stay_no: str, **other: Any) -> tuple[dict[str, str], bytes]:
        """The callback that tells how a stay stands, as it is sent: headers and body. other: what it says otherwise."""
        body = self._channel.event(
            "VEHICLE.ENTRANCE_STATE_CHANGE", {**self._change(self.seen.stays[stay_no]), **other})
        return self._channel.sign_headers(body), body

    def _turn(self, plate: str, state: str) -> None:
        with self._channel._lock:
            self.seen.plates[plate] = state
            inside = [each for each in self.seen.stays.values() if each.plate == plate and not each.is_over]
            self._channel._keep()
        for stay in inside:
            self._channel._tell("VEHICLE.ENTRANCE_STATE_CHANGE", stay.notify_url, self._change(stay))

    def _enter(self) -> Response:
        asked, channel = request.get_json(), self._channel
        with channel._lock:
            stay = self.seen.stays.get(asked["out_parking_no"])
            if stay is not None and stay.plate != asked["plate_number"]:
                return channel._answer({"code": "INVALID_REQUEST", "message": "out_parking_no of another car"}, 400)
            if stay is None:
                stay = SeenStay(
                    asked["out_parking_no"], f"5{secrets.randbelow(10**27):027d}", asked["plate_number"],
                    asked["plate_color"], asked["notify_url"], asked["start_time"], asked["parking_name"],
                    asked["free_duration"])
                self.seen.stays[stay.stay_no] = stay
                channel._keep()
        state = self._state(stay.plate)
        said = {"id": stay.parking_id, **self._stay_data(stay), "state": OPEN if state == OPEN else "BLOCKED"}
        return channel._answer(said if state == OPEN else {**said, "block_reason": state})

    def _take_on(self) -> Response:
        asked, channel = request.get_json(), self._channel
        info, number = asked["parking_info"], asked["out_trade_no"]
        with channel._lock:
            known = channel.seen.orders.get(number)
            if known is not None and known.total != asked["amount"]["total"]:
                return channel._answer({"code": "OUT_TRADE_NO_USED", "message": "another amount"}, 400)
            stay = next((each for each in self.seen.stays.values() if each.parking_id == info["parking_id"]), None)
            if stay is None or stay.plate != info["plate_number"]:
                return channel._answer({"code": "INVALID_REQUEST", "message": "no such parking"}, 400)
            if known is None and self._state(stay.plate) != OPEN:
                return channel._answer({"code": "NO_AUTH", "message": "the service is closed"}, 403)
            if known is None:
                known = SeenOrder(
                    number, secrets.token_urlsafe(9), asked["amount"]["total"], asked["description"],
                    asked["notify_url"], format_instant(channel.clock(), ZONE), state="ACCEPTED", kind=KIND)
                channel.seen.orders[number] = known
                self.seen.payers[number], stay.is_over = stay.plate, True
                channel._keep()
                if self.seen.takes_after is not None:
                    timer = threading.Timer(self.seen.takes_after, self.finish_deduction, [number])
                    timer.daemon = True
                    timer.start()
        return channel._answer(self._fee_data(known))

    def _query_fee(self, order_no: str) -> Response:
        order = self._channel.seen.orders.get(order_no)
        if order is None or order.kind != KIND:
            return self._channel._answer({"code": "ORDER_NOT_EXIST", "message": "no such order"}, 404)
        return self._channel._answer(self._fee_data(order))

    def _fee_data(self, order: SeenOrder) -> dict[str, Any]:
        said = self._channel._order_data(order)
        said["sp_mchid"] = said.pop("mchid")
        return {**said, "trade_scene": KIND}

    def _state(self, plate: str) -> str:
        return self.seen.plates.get(plate, self.seen.unknown)

    def _stay_data(self, stay: SeenStay) -> dict[str, Any]:
        return {"out_parking_no": stay.stay_no, "plate_number": stay.plate, "plate_color": stay.colour,
                "start_time": stay.started_at, "parking_name": stay.name, "free_duration": stay.free_seconds}

    def _change(self, stay: SeenStay) -> dict[str, Any]:
        state = self._state(stay.plate)
        said = {"sp_mchid": self._channel.keys.mchid, "parking_id": stay.parking_id, **self._stay_data(stay),
                "parking_state": OPEN if state == OPEN else "BLOCKED",
                "state_update_time": format_instant(self._channel.clock(), ZONE)}
        return said if state == OPEN else {**said, "blocked_state_description": state}
