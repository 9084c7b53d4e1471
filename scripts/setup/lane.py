"""Install what a lane needs, which is little, and run it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from machine import PYTHON, ROOT, VENV, install_python

LOCK = ROOT / "scripts" / "setup" / "requirements-lane.txt"


def main() -> None:
    if not any((VENV / f"requirements{of}.sha256").exists() for of in ("", "-dev")):  # the service's has it all
        install_python(LOCK)
    os.umask(0o077)
    command = [str(PYTHON), "-m", "parking.edge.run", *sys.argv[1:]]
    os.execve(PYTHON, command, {**os.environ, "PYTHONPATH": str(ROOT)})  # noqa: S606



if __name__ == "__main__":
    main()
