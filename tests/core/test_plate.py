from __future__ import annotations

import pytest

from parking.core.plate import BadPlate, mask_plate, parse_plate


@pytest.mark.parametrize(("text", "kind"), [
    ("沪A12345", "ordinary"), ("川A2222学", "trainer"), ("粤Z1234港", "hk"), ("沪A1234挂", "trailer"),
    ("沪AF12345", "nev_small_hybrid"), ("沪AB12345", "nev_small_pure"), ("沪AK12345", "nev_small_hybrid"),
    ("沪A12345D", "nev_large_pure"), (" 沪a·12345 ", "ordinary"), ("沪Ａ１２３４５", "ordinary"),
])
def test_a_plate_is_normalised_and_classified(text: str, kind: str) -> None:
    assert parse_plate(text).kind == kind


@pytest.mark.parametrize("text", [
    "川A123456", "川AD123456", "沪AI1234", "A12345", "", "'; DROP TABLE", "沪" * 500, "\x00",
])
def test_what_is_no_plate_is_refused(text: str) -> None:
    with pytest.raises(BadPlate):
        parse_plate(text)


def test_a_mask_shows_the_last_three() -> None:
    assert mask_plate("沪A12345") == "沪A·**345"
    assert mask_plate("沪AD12345") == "沪A·***345"
