"""Park with the code a citizen already carries.

`create_app` is the wiring, and the only place that sees every part. It imports inside itself, so
that `parking.core` and `parking.edge` stand alone where no web framework or database is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

    from config import Config


def create_app(config: Config) -> Flask:
    """One process of the service; the database must have been migrated."""
    from flask import Flask
    from werkzeug.middleware.proxy_fix import ProxyFix

    from parking.adapters.identity_oidc import OpenIdProvider, Registration
    from parking.adapters.identity_suishen import Account, SuishenCodes
    from parking.adapters.invoicing_gateway import make_invoicing_gateway
    from parking.adapters.overheard import overheard_client
    from parking.adapters.payment_alipay import make_alipay
    from parking.adapters.payment_wechat import make_wechat_pay
    from parking.adapters.webhook_http import WebhookHttp
    from parking.cli import group
    from parking.cli.tools import right_now
    from parking.core.bank import read_bank_account
    from parking.core.code_wire import City
    from parking.core.seal import Sealer
    from parking.core.secret import Secrets
    from parking.services.connect import Channels, Maker
    from parking.services.deliver import WebhookDesk
    from parking.services.engage import Invoicing
    from parking.services.equip import PlateNames
    from parking.services.follow import Desk
    from parking.services.offer import Bundles
    from parking.services.overhear import Overhearing
    from parking.services.resolve import CityReader
    from parking.services.scan import ScanDesk
    from parking.services.unlock import KeySafe
    from parking.services.verify import CodeKeys
    from parking.store.database import Database
    from parking.web import (
        account_books,
        apds,
        arrears,
        arrears_console,
        arrears_pages,
        auto_pay,
        books,
        booth,
        callbacks,
        cash,
        companions,
        console,
        coupon_desk,
        credentials,
        day_desk,
        draft_console,
        driver,
        errors,
        exit_claims,
        funds,
        gate,
        ghosts,
        inbox,
        invoice_console,
        invoice_desk,
        invoice_pages,
        invoices,
        lanes,
        logs,
        merchant_console,
        merchant_desk,
        merchants,
        messages,
        metrics,
        openings,
        other_channels,
        pages,
        pairing,
        pay,
        payment_invoices,
        places,
        public,
        receipts,
        settlement_console,
        settlements,
        sign_in,
        signs,
        tariff_console,
        tariffs,
        waivers,
        wallet,
        webhook_console,
        webhooks,
        what_ifs,
    )

    app = Flask(__name__, template_folder="web/templates", static_folder="web/static")
    app.config["MAX_CONTENT_LENGTH"] = config.body_bytes_max
    app.config["MAX_FORM_MEMORY_SIZE"] = config.body_bytes_max
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    if config.proxy_count:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=config.proxy_count, x_proto=config.proxy_count)  # type: ignore[method-assign]

    database = Database(config.database_url, role=config.database_role, pool_size=config.database_pool_size)
    secrets = Secrets(config.pepper, Sealer(config.sealing_key))
    device = _signing_device(config.signing_device)
    city, safe = City(config.city_number, config.city_name), KeySafe(secrets.sealer, device)
    makers: dict[str, Maker] = {
        "wechat_pay": lambda settings, url, hear: make_wechat_pay(settings, url, overheard_client(hear)),
        "alipay": lambda settings, url, hear: make_alipay(settings, url, overheard_client(hear))}
    overhearing = Overhearing(database, right_now)
    channels = Channels(database, secrets.sealer, makers, config.public_url, overhearing.hear)
    invoicing = Invoicing(database, secrets.sealer, make_invoicing_gateway)
    poster = WebhookHttp(allowed=config.webhook_networks, ca_file=config.webhook_ca_file)
    providers = [OpenIdProvider(Registration(**each)) for each in config.sign_in_providers]
    codes = config.city_codes and SuishenCodes(Account(**config.city_codes))
    reader = CityReader(codes, config.city_code_realm) if codes else None
    app.extensions |= {
        "config": config, "database": database, "secrets": secrets, "city": city, "key_safe": safe,
        "signing_device": device, "payer": read_bank_account(**config.payer) if config.payer else None,
        "bundles": Bundles(city, PlateNames(secrets)),
        "identity_providers": {each.name: each for each in providers},
        "channels": channels, "overhearing": overhearing, "invoicing": invoicing,
        "desk": Desk(database, safe, channels, secrets, invoicing),
        "webhook_desk": WebhookDesk(database, secrets.sealer, poster, config.public_url),
        "scan_desk": ScanDesk(database, CodeKeys(database, city), secrets, safe, reader),
    }
    for part in (logs, metrics, errors, pages):
        part.register(app)
    for view in (
        public, sign_in, gate, lanes, inbox, openings, pairing, driver, credentials, companions, console, pay, receipts,
        callbacks, books, cash, booth, signs, tariffs, tariff_console, draft_console, what_ifs,
        apds, places, waivers, account_books, day_desk, funds, other_channels, settlements, settlement_console,
        ghosts, exit_claims, messages, webhooks, webhook_console, wallet, merchants, merchant_console, merchant_desk,
        coupon_desk, auto_pay, arrears, arrears_console, arrears_pages,
        invoices, invoice_desk, invoice_pages, invoice_console, payment_invoices,
    ):
        app.register_blueprint(view.blueprint)
    app.cli.add_command(group)
    return app


def _signing_device(name: str) -> Any:
    """What SIGNING_DEVICE names, called once: an HSM's adapter (core/signing.py); None where nothing is named."""
    if not name:
        return None
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)()
