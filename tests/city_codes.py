"""The city's code service on a port of its own, and a city that asks it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from flask import Flask

from parking.adapters.identity_suishen import Account, SuishenCodes
from parking.core.identity import CityCodes
from parking.services.resolve import CityReader
from parking.simulators.city_codes import CityCodesSimulator
from tests.serving import simulating

REALM = "test-city"
PEOPLE = ["310101199001011237", "31010119900101123x", "310101198505054321"]


@contextmanager
def simulated_city_codes() -> Iterator[CityCodesSimulator]:
    """A service that nobody has asked yet, at `base_url`."""
    simulator = CityCodesSimulator(PEOPLE, password="open-sesame")
    with simulating(simulator.app) as simulator.base_url:
        yield simulator


def account(base_url: str, **changes: Any) -> Account:
    known = {"account": "parking", "password": "open-sesame", "organisation": "停车"}
    return Account(base_url=base_url, **{**known, **changes})


def connect(app: Flask, codes: CityCodes) -> None:
    """From now on the app's gates read the city's codes by this service."""
    app.extensions["scan_desk"] = replace(app.extensions["scan_desk"], city=CityReader(codes, REALM))


def codes_of(simulator: CityCodesSimulator) -> SuishenCodes:
    return SuishenCodes(account(simulator.base_url))
