"""Which frames of which format a decoder reads, in one pass and in the four that the gate page tries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np
import zxingcpp

from scripts.benches._camera import CELLS, Picture, draw_shot
from scripts.benches._code_formats import SAMPLES, Sample, make_samples

_QR = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
Decode = Callable[[Picture], str]
_samples: dict[str, list[Sample]] = {}


def read_once(frame: Picture, binarizer: zxingcpp.Binarizer = zxingcpp.Binarizer.LocalAverage) -> str:
    found = zxingcpp.read_barcodes(frame, formats=_QR, binarizer=binarizer)
    return found[0].text if found else ""


def read_by_cascade(frame: Picture) -> str:
    """Plain, one threshold for all, twice as large, and that with its edges sharpened."""
    text = read_once(frame) or read_once(frame, zxingcpp.Binarizer.GlobalHistogram)
    if text:
        return text
    larger = cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    return read_once(larger) or read_once(cv2.addWeighted(larger, 2.5, cv2.GaussianBlur(larger, (0, 0), 3), -1.5, 0))


@dataclass
class Reads:
    """1 or 0 a frame, in the order of the frames, so that two formats pair up."""

    single: list[int] = field(default_factory=list)
    cascade: list[int] = field(default_factory=list)


def read_frames(frames: int, seed: int, workers: int) -> Iterator[dict[str, tuple[int, int]]]:
    """For each frame in turn, and each format: whether one pass and whether the cascade read it."""
    with ProcessPoolExecutor(workers, initializer=_start, initargs=(seed,)) as pool:
        yield from pool.map(_read_frame, [seed] * frames, range(frames), chunksize=8)


def rate(hits: list[int]) -> dict[str, float]:
    """Percent, with its standard error."""
    share = float(np.mean(hits))
    return {"percent": round(share * 100, 1), "error": round(100 * math.sqrt(share * (1 - share) / len(hits)), 1)}


def difference(ours: list[int], theirs: list[int]) -> dict[str, float]:
    """Points that ours reads more of the same frames, with the standard error of the pairs."""
    pairs = np.array(ours) - np.array(theirs)
    return {
        "points": round(float(pairs.mean()) * 100, 1),
        "error": round(float(pairs.std(ddof=1)) / math.sqrt(len(pairs)) * 100, 1),
        "won": int((pairs > 0).sum()), "lost": int((pairs < 0).sum()),
    }


def by_cell(hits: list[int]) -> dict[str, float]:
    names = list(CELLS)
    return {name: round(100 * float(np.mean(hits[number :: len(names)])), 1) for number, name in enumerate(names)}


def _start(seed: int) -> None:
    cv2.setNumThreads(1)
    _samples.update(make_samples(seed))


def _read_frame(seed: int, number: int) -> dict[str, tuple[int, int]]:
    shot, read = draw_shot(seed, number), dict[str, tuple[int, int]]()
    for name, samples in _samples.items():
        sample = samples[number % SAMPLES]
        frame = shot.take(sample.modules)
        single = read_once(frame) == sample.text
        read[name] = (int(single), int(single or read_by_cascade(frame) == sample.text))
    return read
