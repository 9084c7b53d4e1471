"""The gate page: from asking for the camera to an open barrier on the screen, in a headless Chromium.

The camera is a video of a dual-offline code that a phone, bound by the live service, has just signed;
each round has a new code, and the page is loaded anew. Besides the whole, it says when the first frame
was there, for what is before it is the browser's, and what one look at a frame costs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.progress import track

from parking.core.code_picture import code_png
from parking.store.migrations import migrate
from tests.browsing import open_browser, write_video
from tests.city import City, make_city
from tests.conftest import make_app
from tests.phone import bound_phone
from tests.serving import serving

PLATE = "沪A12345"
WATCH = """
    const devices = MediaDevices.prototype, open = devices.getUserMedia;
    devices.getUserMedia = function (wanted) {
        window.askedAt = performance.now();
        return open.call(this, wanted);
    };
    addEventListener("DOMContentLoaded", () => {
        document.getElementById("camera")?.addEventListener("loadeddata", () => { window.seenAt = performance.now(); });
        const result = document.getElementById("result");
        if (result) new MutationObserver(() => {
            if (result.dataset.state === "open") window.openAt ??= performance.now();
        }).observe(result, { attributeFilter: ["data-state"] });
    });
"""
LOOK = """async (times) => {
    const { readFast, RETRIES } = await import("/static/gate/decode.js");
    const video = document.getElementById("camera"), canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(video, 0, 0);
    const spent = [[], [], [], []];
    for (let time = 0; time < times; time++) {
        for (const [number, look] of [readFast, ...RETRIES].entries()) {
            const started = performance.now();
            await look(canvas);
            spent[number].push(performance.now() - started);
        }
    }
    return spent;
}"""
console = Console(stderr=True)


def show_code(city: City, page: Page, base: str, video: Path, code: str) -> dict[str, float]:
    """One round: a car that is outside, a new code before the camera, the page loaded."""
    write_video(video, code_png(code))
    page.goto("about:blank")  # the camera is let go, so that it opens with the new code
    page.goto(f"{base}/gate")
    page.wait_for_selector("#result[data-state=open]", timeout=20_000)
    asked, seen, opened = page.evaluate("[window.askedAt, window.seenAt, window.openAt]")
    city.scan(1, "exit", plate=PLATE)
    return {"open_ms": opened - asked, "first_frame_ms": seen - asked, "read_and_answered_ms": opened - seen}


def measure(rounds: int, looks: int, folder: Path) -> tuple[dict[str, list[float]], list[list[float]]]:
    url = f"sqlite:///{folder / 'parking.sqlite3'}"
    migrate(url)
    city, video = make_city(make_app(url)), folder / "camera.y4m"
    write_video(video, code_png(city.code("wang")))
    found: dict[str, list[float]] = {}
    with serving(url, public=True) as (base, _), sync_playwright() as play:
        lane: Any = open_browser(
            play, folder / "lane", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={video}", locale="en-US")
        page = lane.new_page()
        page.goto(f"{base}/gate")
        page.fill("input[name=token]", city.tokens[1, "entry"])
        page.click("main button[type=submit]")
        page.wait_for_selector("#result[data-state=open]", timeout=20_000)
        lane.add_init_script(WATCH)
        phone = bound_phone(city, plate=PLATE)
        for number in track(range(rounds), "camera opened and code accepted", console=console):
            for name, value in show_code(city, page, base, video, phone.show(counter=number)).items():
                found.setdefault(name, []).append(value)
        spent = page.evaluate(LOOK, looks)
        lane.close()
    return found, spent


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench gate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--looks", type=int, default=30, help="at one frame, to see what each kind costs")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found, spent = measure(asked.rounds, asked.looks, Path(folder))
    for name, values in found.items():
        console.print(f"{name}: {' '.join(f'{value:.0f}' for value in values)}", highlight=False)
    kinds = ("look_ms", "look_histogram_ms", "look_twice_ms", "look_sharpened_ms")
    print(json.dumps({
        "bench": "gate", "cores": os.cpu_count(), "python": sys.version.split()[0], "rounds": asked.rounds,
        **{name: round(statistics.median(values), 1) for name, values in found.items()},
        "open_ms_max": round(max(found["open_ms"]), 1),
        **{kind: round(statistics.median(values), 1) for kind, values in zip(kinds, spent, strict=True)},
    }))


if __name__ == "__main__":
    main()
