"""The six digits of a demo operator, from var/demo.json: the demo has no phone."""

from __future__ import annotations

import base64
import json
import sys
from datetime import UTC, datetime

from machine import ROOT, VAR, stop

sys.path.insert(0, str(ROOT))
from parking.services.second_factor import STEP_SECONDS, code_at


def main() -> None:
    made = json.loads((VAR / "demo.json").read_text())["operators"]
    login = sys.argv[1] if len(sys.argv) == 2 else ""
    found = next((each for each in made if each["login"] == login), None)
    if found is None:
        stop(f"say which: {', '.join(each['login'] for each in made)}")
    now, text = datetime.now(UTC), found["totp_secret"]
    secret = base64.b32decode(text + "=" * (-len(text) % 8))
    print(f"{code_at(secret, now)}  ({STEP_SECONDS - int(now.timestamp()) % STEP_SECONDS} s left)")


if __name__ == "__main__":
    main()
