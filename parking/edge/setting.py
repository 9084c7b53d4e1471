"""What a lane was told when it was set up; kept in its folder, so that it starts again without being told."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from parking.edge.bundle import write_whole
from parking.edge.key_set import BadKeySet, Root, read_root
from parking.edge.risk import ENTRIES_PER_HOUR

_FILE = "settings.json"


class BadSetting(ValueError):
    """Something is missing, or cannot be; the message says what to give."""


@dataclass(frozen=True)
class Setting:
    """server, token, root: where the service is, who this terminal is, whose keys it trusts.

    root: the offline root's public key, PEM or JWK. authority: a CA file for HTTPS, if not the system's.
    scanner: `lines`, `serial:/dev/…` or `none`. barrier: `simulated`, or the relay's address.
    port: of the lane's own HTTP on 127.0.0.1, 0 for none. origin: of the gate page that may call it.
    peer: the address of the lot's listening lane. peer_listen: host:port, where this lane is the one that listens.
    """

    server: str = ""
    token: str = ""
    root: str = ""
    authority: str | None = None
    scanner: str = "lines"
    barrier: str = "simulated"
    relay_token: str | None = None
    port: int = 8071
    origin: str | None = None
    has_display: bool = False
    peer: str | None = None
    peer_listen: str | None = None
    risk_budget: int = ENTRIES_PER_HOUR

    def pinned_root(self) -> Root:
        """:raises BadSetting: it is no public key that signs key sets"""
        try:
            return read_root(self.root)
        except BadKeySet as wrong:
            raise BadSetting(str(wrong)) from None


def load_setting(folder: Path, given: dict[str, Any]) -> Setting:
    """What is in the folder, with what is given now on top; both are kept for the next start.

    :raises BadSetting: what a lane cannot be without was never given, or the root is changed
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / _FILE
    held: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    known = {name: value for name, value in held.items() if name in Setting.__dataclass_fields__}
    setting = replace(Setting(**known), **{name: value for name, value in given.items() if value is not None})
    missing = [name for name in ("server", "token", "root") if not getattr(setting, name)]
    if missing:
        raise BadSetting("on the first start give " + ", ".join(f"--{name}" for name in missing))
    if held.get("root") and setting.root != held["root"]:
        raise BadSetting(f"the pinned root is another; if that is meant, take a new --folder (this one is {folder})")
    setting.pinned_root()
    write_whole(path, json.dumps(asdict(setting), indent=1).encode())
    return setting
