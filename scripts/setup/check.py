"""Install what the checks need and run all of them; further arguments go to pytest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from machine import (
    PYTHON,
    ROOT,
    compile_translations,
    install_browser_files,
    install_packages,
    install_python,
    run,
    say,
    stop,
)


def main() -> None:
    install_python(ROOT / "requirements-dev.txt")
    install_browser_files(development=True)
    compile_translations()
    need_browser()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a hundred services that tests start would compile it each time
    if len(sys.argv) == 1:
        say("ruff")
        run(PYTHON, "-m", "ruff", "check", "-q", ".", cwd=ROOT)
        say("mypy --strict")
        run(PYTHON, "-m", "mypy", "-p", "parking", cwd=ROOT, env=environment)
    say("pytest")
    done = subprocess.run(
        [str(PYTHON), "-m", "pytest", "-q", "-n", str((os.cpu_count() or 1) + 1), "--dist", "loadgroup",
         "--durations", "30", *sys.argv[1:]],
        cwd=ROOT, env=environment, check=False,
    )
    raise SystemExit(done.returncode)


def need_browser() -> None:
    """Chromium and a font with Chinese characters: from the system's packages, or said what to type."""
    has_font = any(Path("/usr/share/fonts").rglob("*CJK*"))
    if any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")) and has_font:
        return
    if not install_packages("chromium", "fonts-noto-cjk"):
        stop("Chromium or a CJK font is missing; type: sudo apt-get install -y chromium fonts-noto-cjk")


if __name__ == "__main__":
    main()
