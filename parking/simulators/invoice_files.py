"""A pretended invoice as a PDF and as an XML: what it is stands on it in large letters."""

from __future__ import annotations

import json
import threading
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pylopdf_fonts_zh_cn
import typst

from parking.core.money import format_yuan

DOCUMENTS = Path(__file__).parent / "documents"
STAMP = "模拟 SIMULATED"
_TITLES = {"vat_invoice": "电子发票（普通发票）", "non_tax_receipt": "非税收入通用票据（电子）"}
_one_at_a_time = threading.Lock()


def write_pdf(asked: dict[str, Any], number: str, issued_at: str, is_red: bool) -> bytes:
    sign = "-" if is_red else ""
    data = {
        "title": ("红字 " if is_red else "") + _TITLES[asked["kind"]], "stamp": STAMP, "is_red": is_red,
        "facts": [
            ("发票号码 No.", number), ("开票日期 Date", issued_at[:10]),
            ("购买方 Buyer", f"{asked['buyer']['name']} {asked['buyer']['taxpayer_id']}"),
            ("销售方 Seller", f"{asked['seller']['name']} {asked['seller']['taxpayer_id']}"),
            *([("对应蓝字 Takes back", asked["red_of"])] if is_red else [])],
        "heads": ["项目 Item", "时间 Time", "金额 Net", "税率 Rate", "税额 Tax"],
        "rows": [[f"*经营租赁*{line['item']} {line['place'] or ''}", f"{line['from'][:16]} – {line['to'][:16]}",
                  sign + format_yuan(line["net_fen"]), _rate(line), sign + format_yuan(line["tax_fen"])]
                 for line in asked["lines"]],
        "foot": ["价税合计 Total", sign + format_yuan(asked["gross_fen"]), sign + format_yuan(asked["net_fen"]), "",
                 sign + format_yuan(asked["tax_fen"])],
        "note": "由停车演示环境生成，不具法律效力。Made by a simulator: no invoice in law."}
    with _one_at_a_time:
        made = _compiler().compile(
            format="pdf", sys_inputs={"data": json.dumps(data, ensure_ascii=False)}, timestamp=0)
    assert isinstance(made, bytes)
    return made


def write_xml(asked: dict[str, Any], number: str, issued_at: str, is_red: bool) -> bytes:
    root = ElementTree.Element("SimulatedInvoice", number=number, issued_at=issued_at, kind=asked["kind"],
                               red="1" if is_red else "0")
    for who in ("seller", "buyer"):
        ElementTree.SubElement(root, who, {name: value for name, value in asked[who].items() if value})
    for line in asked["lines"]:
        ElementTree.SubElement(root, "line", {name: str(value) for name, value in line.items() if value is not None})
    ElementTree.SubElement(root, "total", {name: str(asked[name]) for name in ("gross_fen", "net_fen", "tax_fen")})
    made: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return made


def _rate(line: dict[str, Any]) -> str:
    return f"{line['rate'] // 100} %" if line["rate"] else (line["free_reason"] or "—")


@cache
def _compiler() -> typst.Compiler:
    fonts = typst.Fonts(include_system_fonts=False, font_paths=[pylopdf_fonts_zh_cn.sans_path().parent])
    return typst.Compiler(DOCUMENTS / "invoice.typ", root=DOCUMENTS, font_paths=fonts, ignore_system_fonts=True)
