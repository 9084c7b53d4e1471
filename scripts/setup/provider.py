"""The demo's provider of sign-ins (oidc-provider-mock), with HTTPS where other devices come to it."""

from __future__ import annotations

import argparse
import logging
import os
import warnings
from pathlib import Path

from werkzeug.serving import make_server


def main() -> None:
    with warnings.catch_warnings(record=True):  # of what the provider imports; not ours to mend
        import oidc_provider_mock

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("people", nargs="+", help="the subjects that can be chosen with one click")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls", type=Path, help="folder with server.pem and server.key")
    asked = parser.parse_args()
    if os.environ.get("PARKING_PRODUCTION"):
        raise SystemExit("a simulator does not run in production")
    app = oidc_provider_mock.app(user_claims=[oidc_provider_mock.User(sub=each, claims={}) for each in asked.people])
    while hasattr(app.wsgi_app, "app"):  # its debugger runs what it is told: not on a network
        app.wsgi_app = app.wsgi_app.app
    app.debug = False
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    certificate = (str(asked.tls / "server.pem"), str(asked.tls / "server.key")) if asked.tls else None
    make_server(asked.host, asked.port, app, threaded=True, ssl_context=certificate).serve_forever()


if __name__ == "__main__":
    main()
