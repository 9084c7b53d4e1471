"""Orders are paid inside a channel's own app too."""

from __future__ import annotations

from parking.store.migrations import change_check

revision = "0031"
down_revision = "0030"

PAYMENT_WAYS = (
    "way IN ('qr', 'redirect', 'booth', 'wallet', 'auto')",
    "way IN ('qr', 'redirect', 'booth', 'wallet', 'auto', 'in_app')")
TOP_UP_WAYS = "way IN ('qr', 'redirect')", "way IN ('qr', 'redirect', 'in_app')"
REFERRING = "refund", "deduction", "invoice_claim"


def upgrade() -> None:
    change_check("payment", "way", *PAYMENT_WAYS, is_wider=True, referring=REFERRING)
    change_check("top_up", "way", *TOP_UP_WAYS, is_wider=True, referring=("withdrawal",))


def downgrade() -> None:
    """Refused by the checks of old where an order was paid inside an app."""
    change_check("top_up", "way", *TOP_UP_WAYS[::-1], is_wider=False, referring=("withdrawal",))
    change_check("payment", "way", *PAYMENT_WAYS[::-1], is_wider=False, referring=REFERRING)
