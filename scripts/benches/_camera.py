"""What a gate's camera makes of a code: 640 x 480 frames, spoilt in the ways that gates spoil them.

A frame's spoiling is drawn once from the seed and its number, and is then the same for every
format, noise included, at the same printed width with the quiet zone. The models are simple
(no lens, no autofocus, no sharpening by a phone): trust the order of formats, not the rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 640, 480
FINER = 3
_WALL = 150  # the grey around the card
Range = tuple[float, float]
Picture = NDArray[np.uint8]
Light = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of bad frame: from where to where each of its faults is drawn, evenly.

    size: pixels across the code. blur: sigma in pixels. motion: pixels. tilt, turn: degrees.
    moire, glare: strength as a share of white. contrast: share left. jpeg: quality. noise: sigma in greys.
    """

    size: Range = (150, 240)
    blur: Range = (0.5, 0.9)
    motion: Range = (0, 0)
    tilt: Range = (0, 12)
    turn: Range = (-8, 8)
    moire: Range = (0, 0)
    glare: Range = (0, 0)
    contrast: Range = (0.7, 0.9)
    jpeg: Range = (95, 95)
    noise: Range = (2, 5)


CELLS = {
    "size": Cell(size=(120, 300)),
    "blur": Cell(size=(220, 300), blur=(1.0, 2.2)),
    "motion": Cell(size=(220, 300), motion=(2.5, 7)),
    "tilt": Cell(size=(220, 300), tilt=(25, 55)),
    "turn": Cell(size=(180, 300), turn=(-180, 180)),
    "moire": Cell(size=(200, 300), moire=(0.1, 0.45)),
    "glare": Cell(size=(200, 300), glare=(0.4, 1.0)),
    "contrast": Cell(size=(190, 300), contrast=(0.1, 0.25)),
    "jpeg": Cell(size=(200, 300), jpeg=(10, 25)),
    "garage_mild": Cell(
        size=(230, 300), blur=(0.7, 1.2), tilt=(10, 25), turn=(-30, 30), contrast=(0.3, 0.5), noise=(3, 6),
        jpeg=(45, 70)),
    "garage_hard": Cell(
        size=(190, 270), blur=(1.0, 1.5), motion=(1.5, 3.5), tilt=(15, 35), turn=(-45, 45), contrast=(0.15, 0.35),
        glare=(0, 0.4), noise=(4, 8), jpeg=(30, 55)),
}


@dataclass(frozen=True)
class Shot:
    """One frame's faults, as drawn: what depends on no code is worked out once."""

    seed: tuple[int, int]
    cell: str
    faults: dict[str, float]
    direction: float
    place: tuple[float, float]

    def take(self, modules: Picture) -> Picture:
        """The frame of this code: printed, tilted, seen, lit, shaken, and compressed."""
        dimmed, lit = self._light
        frame = np.clip(((self._see(modules) - 128) * self.faults["contrast"] + 128) * dimmed + lit, 0, 255)
        if self.faults["motion"] >= 1:
            frame = cv2.filter2D(frame, -1, _streak(self.faults["motion"], self.direction))
        frame = cv2.GaussianBlur(frame, (0, 0), self.faults["blur"])
        seen = np.clip(frame + self._noise, 0, 255).astype(np.uint8)
        _, packed = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, int(self.faults["jpeg"])])
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)

    @cached_property
    def _noise(self) -> Light:
        dice = np.random.default_rng((*self.seed, 1))
        return dice.standard_normal((HEIGHT, WIDTH), np.float32) * np.float32(self.faults["noise"])

    @cached_property
    def _light(self) -> tuple[Light, Light]:
        """What each pixel's light is multiplied by (moire), and what is added to it (glare)."""
        ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        along = xs * np.cos(self.direction) + ys * np.sin(self.direction)
        period = 3 + 9 * abs(np.sin(7 * self.direction))
        dimmed = 1 - self.faults["moire"] * (0.5 + 0.5 * np.sin(2 * np.pi * along / period))
        spread, (x, y) = 0.22 * self.faults["size"], self.place
        centre = (x + spread * np.cos(self.direction), y + spread * np.sin(self.direction))
        spot = np.exp(-((xs - centre[0]) ** 2 + (ys - centre[1]) ** 2) / (2 * spread**2))
        return dimmed.astype(np.float32), (255 * self.faults["glare"] * spot).astype(np.float32)

    def _see(self, modules: Picture) -> Light:
        """The card in the frame. It is drawn finer and averaged down, as a sensor's pixels average light."""
        side = round(self.faults["size"] * FINER)
        whole = -(-side // len(modules))
        card = cv2.resize(modules, None, fx=whole, fy=whole, interpolation=cv2.INTER_NEAREST)
        card = cv2.resize(card, (side, side), interpolation=cv2.INTER_AREA)
        edge = side - 0.5  # whole numbers are the middles of pixels, so that the card ends at halves
        edges = np.array([[-0.5, -0.5], [edge, -0.5], [edge, edge], [-0.5, edge]], np.float32)
        matrix = cv2.getPerspectiveTransform(edges, self._corners() * FINER)
        seen = cv2.warpPerspective(card, matrix, (WIDTH * FINER, HEIGHT * FINER), borderValue=_WALL)
        return cv2.resize(seen, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)

    def _corners(self) -> Light:
        """Where the card's corners fall, seen by a pinhole from three widths away."""
        half = self.faults["size"] / 2
        square = np.array([[-half, -half, 0], [half, -half, 0], [half, half, 0], [-half, half, 0]])
        axis = np.array([np.cos(self.direction), np.sin(self.direction), 0]) * np.radians(self.faults["tilt"])
        tilted = square @ cv2.Rodrigues(np.array([0, 0, np.radians(self.faults["turn"])]))[0].T
        tilted = tilted @ cv2.Rodrigues(axis)[0].T
        away = 6 * half
        flat = tilted[:, :2] * (away / (away + tilted[:, 2:]))
        return (flat + np.array(self.place)).astype(np.float32)


def draw_shot(seed: int, number: int) -> Shot:
    """The faults of a frame; cells take turns."""
    dice = np.random.default_rng((seed, number))
    name = list(CELLS)[number % len(CELLS)]
    cell = CELLS[name]
    faults = {fault: float(dice.uniform(*getattr(cell, fault))) for fault in Cell.__dataclass_fields__}
    return Shot((seed, number), name, faults, float(dice.uniform(0, 2 * np.pi)),
                (float(dice.uniform(280, 360)), float(dice.uniform(215, 265))))


def _streak(length: float, direction: float) -> Light:
    """A line of this length through the middle of a small kernel."""
    side = 2 * int(np.ceil(length / 2)) + 1
    fine = np.zeros((side * 8, side * 8), np.float32)
    middle, reach = side * 4, length * 4
    ends = [(round(middle + way * reach * np.cos(direction)), round(middle + way * reach * np.sin(direction)))
            for way in (-1, 1)]
    cv2.line(fine, ends[0], ends[1], 1, 8)
    kernel = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)
    return kernel / kernel.sum()
