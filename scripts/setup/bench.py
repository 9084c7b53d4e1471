"""Install what the benches need and run one; its last line is one JSON object."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from machine import PYTHON, ROOT, install_python, stop

BENCHES = ROOT / "scripts" / "benches"


def main() -> None:
    names = sorted(path.stem for path in BENCHES.glob("*.py") if not path.stem.startswith("_"))
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        stop(f"scripts/bench {' | '.join(names)}")
    own = ROOT / "scripts" / "setup" / f"requirements-bench-{sys.argv[1]}.txt"
    install_python(ROOT / "requirements-dev.txt", *([own] if own.exists() else []))
    done = subprocess.run(
        [str(PYTHON), "-m", f"scripts.benches.{sys.argv[1]}", *sys.argv[2:]], cwd=ROOT, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
