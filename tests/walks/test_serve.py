"""scripts/serve in a checkout of its own: a city to click, its outside parties, and an end to all of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving import ROOT

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "var", "node_modules", "__pycache__", ".*_cache", ".hypothesis")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The working tree, with the packages that are installed already."""
    made = tmp_path / "checkout"
    shutil.copytree(ROOT, made, ignore=LEFT_OUT)
    (made / ".venv").symlink_to(ROOT / ".venv")
    (made / "parking/web/vendor/node_modules").symlink_to(ROOT / "parking/web/vendor/node_modules")
    return made


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1]) % 20_000 + 20_000


def start(checkout: Path, port: int, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, checkout / "scripts/setup/serve.py", "--port", str(port), "--workers", "1", *more],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "LOG_LEVEL": "ERROR"})


def read_until(process: subprocess.Popen[str], words: str) -> str:
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(said)


@pytest.fixture
def served(checkout: Path, port: int) -> Iterator[tuple[Path, str, subprocess.Popen[str]]]:
    process = start(checkout, port)
    try:
        read_until(process, "identity codes are a simulator")
        yield checkout, f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(20)


def test_the_demo_is_served_whole_and_ends_whole(served: tuple[Path, str, subprocess.Popen[str]], port: int) -> None:
    checkout, base, process = served
    demo = json.loads((checkout / "var/demo.json").read_text())
    with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
        assert client.get("/readyz").status_code == 200
        page = client.get("/sign-in").text
        assert "/sign-in/with/suishen" in page
        to_provider = client.get("/sign-in/with/suishen", headers={"Host": f"127.0.0.1:{port}"})
        assert to_provider.status_code == 303 and "code_challenge=" in to_provider.headers["location"]
        terminal = {"Authorization": f"Bearer {demo['terminals'][0]['token']}"}
        bundle = client.get("/v1/terminal/bundle", headers=terminal).json()
        assert bundle["key_set"], "signed by the demo's root, for lanes"
        assert (checkout / "var/root.pem").stat().st_mode & 0o077 == 0
        driver = {"Authorization": f"Bearer {demo['drivers'][0]['token']}"}
        assert client.post("/v1/codes", json={}, headers=driver).status_code == 200
        places = client.get("/v1/parking-sessions?state=open", headers=driver).json()["items"]
        assert {each["lot_id"] for each in places} == {1, 12}
    again = start(checkout, port + 1)
    said, _ = again.communicate(timeout=60)
    assert again.returncode == 1 and "running from this folder already" in said

    process.send_signal(signal.SIGKILL)
    process.wait(10)
    deadline = time.monotonic() + 20
    while _is_open(port) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_open(port), "its processes end with it, however it ends"

    once_more = start(checkout, port)
    try:
        said = read_until(once_more, "identity codes are a simulator")
        assert "making the demo city" not in said and demo["drivers"][0]["password"] in said
    finally:
        once_more.terminate()
        once_more.wait(20)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
