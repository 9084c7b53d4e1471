"""Walk through the running demo in a real Chromium, from sign-in to the balanced day, and keep pictures of it.

Start scripts/serve first, best with --fresh. Pictures go to docs/pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from check import need_browser
from machine import PYTHON, ROOT, VAR, install_python, run, say, stop


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/pictures", description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "pictures")
    asked = parser.parse_args()
    if not (VAR / "demo.json").exists():
        stop("no demo is running: start scripts/serve first")
    install_python(ROOT / "requirements-dev.txt")
    need_browser()
    base = json.loads((VAR / "demo.json").read_text())["base"]
    say(f"walking through {base}")
    walk = ROOT / "scripts" / "setup" / "walk.py"
    run(PYTHON, walk, asked.into, env={**os.environ, "PYTHONPATH": str(ROOT)})


if __name__ == "__main__":
    main()
