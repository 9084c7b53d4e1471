"""Each form's picture has the version of its form, and two decoders read it back."""

from __future__ import annotations

import io
import re

import cv2
import numpy as np
import pytest
import zxingcpp
from PIL import Image

from parking.core.code_picture import QUIET_ZONE, SCALE_DEFAULT, code_modules, code_png, code_svg
from parking.core.code_wire import QR_VERSION, SERVER_ISSUED
from tests.core.test_code import make_code
from tests.core.test_code_forms import FORMS

ALL_FORMS = {**FORMS, SERVER_ISSUED: make_code()}


@pytest.mark.parametrize("form", ALL_FORMS)
def test_two_decoders_read_each_forms_picture_back(form: int) -> None:
    code = ALL_FORMS[form]

    image = Image.open(io.BytesIO(code_png(code))).convert("L")

    side = 17 + 4 * QR_VERSION[form] + 2 * QUIET_ZONE
    assert image.size == (side * SCALE_DEFAULT, side * SCALE_DEFAULT)
    # A decoder that looks for stripes too finds some, now and then, in a code's own modules.
    found = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)
    assert [each.text for each in found] == [code]
    assert cv2.QRCodeDetectorAruco().detectAndDecode(np.array(image))[0] == code


@pytest.mark.parametrize("form", ALL_FORMS)
def test_the_drawing_has_the_same_modules_as_the_picture(form: int) -> None:
    modules = code_modules(ALL_FORMS[form])
    drawn = [[False] * len(modules) for _ in modules]

    for x, y, run in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", code_svg(ALL_FORMS[form])):
        for column in range(int(x), int(x) + int(run)):
            drawn[int(y) - QUIET_ZONE][column - QUIET_ZONE] = True

    assert drawn == modules
