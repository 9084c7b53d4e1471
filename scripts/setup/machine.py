"""What both commands set up on a machine. Standard library alone: nothing is installed yet."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
VAR = ROOT / "var"
PYTHON = VENV / "bin" / "python"
VENDOR = ROOT / "parking" / "web" / "vendor"


def say(text: str) -> None:
    print(f"\033[1m»\033[0m {text}" if sys.stdout.isatty() else f"» {text}", flush=True)


def stop(text: str) -> None:
    print(f"✗ {text}", file=sys.stderr, flush=True)
    raise SystemExit(1)


def write_whole(file: Path, text: str) -> None:
    """Write a file of this user's alone, all of it or nothing."""
    half = file.with_suffix(".half")
    half.touch(mode=0o600)
    half.write_text(text)
    half.replace(file)


def run(*command: str | Path, **options: object) -> None:
    done = subprocess.run([str(part) for part in command], check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        stop(f"this failed (exit {done.returncode}): {' '.join(str(part) for part in command)}")


def install_packages(*packages: str) -> bool:
    """Ask the system's package manager, as root or through sudo without a password."""
    if not shutil.which("apt-get"):
        return False
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if prefix and (not shutil.which("sudo") or subprocess.run([*prefix, "true"], capture_output=True).returncode):
        return False
    say(f"installing {' '.join(packages)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*prefix, "apt-get", "update", "-q"], stdout=subprocess.DEVNULL, env=quiet, check=False)
    done = subprocess.run(
        [*prefix, "apt-get", "install", "-yq", "--no-install-recommends", *packages],
        stdout=subprocess.DEVNULL, env=quiet, check=False,
    )
    return done.returncode == 0


def make_venv() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036
        stop(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
    asked = [PYTHON, "-m", "pip", "--version"]
    if os.access(PYTHON, os.X_OK) and subprocess.run(asked, capture_output=True).returncode == 0:
        return
    say("making .venv")
    shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True).returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        if not install_packages("python3-venv"):
            stop("venv is missing; type: sudo apt-get install -y python3-venv")
        run(sys.executable, "-m", "venv", VENV)


def install_python(*locks: Path) -> None:
    """Install the locked packages, each checked by its hash; nothing to do if the locks are as before."""
    make_venv()
    for lock in locks:
        stamp = VENV / f"{lock.stem}.sha256"
        digest = hashlib.sha256(lock.read_bytes()).hexdigest()
        if stamp.exists() and stamp.read_text() == digest:
            continue
        say(f"installing {lock.relative_to(ROOT)}")
        run(PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", lock)
        stamp.write_text(digest)


def install_browser_files(*, development: bool) -> None:
    """Fetch the pages' third-party files by the hash-locked package file."""
    digest = hashlib.sha256((VENDOR / "package-lock.json").read_bytes()).hexdigest()
    stamp = VENDOR / "node_modules" / (".development" if development else ".production")
    both = (stamp, VENDOR / "node_modules" / ".development")
    if any(each.exists() and each.read_text() == digest for each in both):
        return
    npm = shutil.which("npm") or str(VENV / "bin" / "npm")
    if not Path(npm).exists():
        say("no npm on this machine: taking node from a Python wheel")
        run(PYTHON, "-m", "pip", "install", "-q", "--require-hashes", "-r",
            ROOT / "scripts" / "setup" / "requirements-node.txt")
    say("fetching the browser files")
    path = f"{Path(npm).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    extra = [] if development else ["--omit=dev"]
    run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *extra,
        cwd=VENDOR, env={**os.environ, "PATH": path}, stdout=subprocess.DEVNULL)
    stamp.write_text(digest)


def compile_translations() -> None:
    run(PYTHON, "-m", "babel.messages.frontend", "-q", "compile", "-d", ROOT / "parking/web/translations",
        stderr=subprocess.DEVNULL)
