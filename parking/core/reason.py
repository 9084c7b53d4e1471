"""Every reason a gate can give, in words for the person in front of it.

A word is published for ever: it is never renamed, and a new one is added with its three texts
and a row in docs/reasons.md (a test holds the two together).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Language = Literal["zh", "en", "fr"]
LANGUAGES: tuple[Language, ...] = ("zh", "en", "fr")
Words = dict[Language, str]


@dataclass(frozen=True, slots=True)
class Reason:
    """What a reason does at each barrier (None: it cannot occur there) and how it is said.

    policy: a lot may turn the answer of this reason round.
    """

    word: str
    at_entry: Literal["open", "hold"] | None
    at_exit: Literal["open", "hold"] | None
    says: Words
    policy: bool = False


_CODE_AGAIN: Words = {
    "zh": "请打开最新的停车码再试。",
    "en": "Please show a fresh parking code.",
    "fr": "Veuillez présenter un nouveau code de stationnement.",
}


def _code(word: str, zh: str, en: str, fr: str) -> Reason:
    says: Words = {
        "zh": f"{zh}{_CODE_AGAIN['zh']}",
        "en": f"{en} {_CODE_AGAIN['en']}",
        "fr": f"{fr} {_CODE_AGAIN['fr']}",
    }
    return Reason(word, "hold", "hold", says)


_ALL = (
    Reason("entered", "open", None, {
        "zh": "欢迎入场。", "en": "Welcome. Please drive in.", "fr": "Bienvenue. Vous pouvez entrer."}),
    Reason("left", None, "open", {
        "zh": "一路平安。", "en": "Have a safe trip.", "fr": "Bonne route."}),
    Reason("already_inside", "hold", None, {
        "zh": "该车已在本停车场内，请联系值班员。",
        "en": "This vehicle is already inside this car park. Please call the attendant.",
        "fr": "Ce véhicule est déjà dans ce parking. Veuillez appeler l'agent."}, policy=True),
    Reason("inside_elsewhere", "hold", None, {
        "zh": "该车在另一停车场尚未离场，请联系值班员。",
        "en": "This vehicle is still inside another car park. Please call the attendant.",
        "fr": "Ce véhicule est encore dans un autre parking. Veuillez appeler l'agent."}, policy=True),
    Reason("not_inside", None, "hold", {
        "zh": "没有找到入场记录，正在呼叫值班员。",
        "en": "No entry was found for this vehicle. Help is being called.",
        "fr": "Aucune entrée trouvée pour ce véhicule. Un agent est appelé."}, policy=True),
    Reason("fee_due", None, "hold", {
        "zh": "应付停车费 {due_yuan} 元。",
        "en": "{due_yuan} yuan are due for parking.",
        "fr": "{due_yuan} yuans sont dus pour le stationnement."}),
    Reason("arrears_due", None, "hold", {
        "zh": "有已通知且逾期的欠费，请在付款页一并支付。",
        "en": "There are arrears of which notice was given. Please pay them on the payment page.",
        "fr": "Des impayés notifiés sont échus. Veuillez les régler sur la page de paiement."}, policy=True),
    Reason("review_needed", "open", "open", {
        "zh": "请通行，本次停车记录将由人工核对。",
        "en": "Please drive on. Someone will check this parking session.",
        "fr": "Vous pouvez passer. Ce stationnement sera vérifié."}),
    Reason("lot_full", "hold", None, {
        "zh": "车位已满。", "en": "The car park is full.", "fr": "Le parking est complet."}, policy=True),
    Reason("lot_closed", "hold", None, {
        "zh": "停车场未开放。", "en": "The car park is closed.", "fr": "Le parking est fermé."}, policy=True),
    Reason("wrong_direction", "hold", "hold", {
        "zh": "方向不对，请走另一车道。",
        "en": "Wrong direction. Please use the other lane.",
        "fr": "Mauvais sens. Veuillez prendre l'autre voie."}),
    Reason("wrong_lot", "hold", "hold", {
        "zh": "此码不适用于本停车场。",
        "en": "This code is for another car park.",
        "fr": "Ce code est destiné à un autre parking."}),
    Reason("vehicle_blocked", "hold", "hold", {
        "zh": "该车暂不能通行，请联系值班员。",
        "en": "This vehicle may not pass. Please call the attendant.",
        "fr": "Ce véhicule ne peut pas passer. Veuillez appeler l'agent."}),
    Reason("plate_mismatch", "hold", "hold", {
        "zh": "停车码与车牌不符，请确认所选车辆。",
        "en": "The code is for another plate. Please check the vehicle you chose.",
        "fr": "Le code vise une autre plaque. Vérifiez le véhicule choisi."}),
    Reason("plate_unreadable", "hold", "hold", {
        "zh": "车牌未能识别，请出示停车码。",
        "en": "The plate could not be read. Please show your parking code.",
        "fr": "Plaque illisible. Veuillez présenter votre code de stationnement."}),
    Reason("identity_unresolved", "hold", "hold", {
        "zh": "身份码暂时无法核验，请出示停车码。",
        "en": "The identity code could not be checked. Please show your parking code.",
        "fr": "Le code d'identité n'a pu être vérifié. Présentez votre code de stationnement."}),
    Reason("identity_code_not_here", "hold", "hold", {
        "zh": "本道口不读身份码，请打开停车码。",
        "en": "This gate does not take identity codes. Please open your parking code.",
        "fr": "Cette borne ne lit pas les codes d'identité. Ouvrez votre code de stationnement."}),
    Reason("payment_code", "hold", "hold", {
        "zh": "这是付款码，请打开停车码。",
        "en": "This is a payment code. Please open your parking code.",
        "fr": "Ceci est un code de paiement. Ouvrez votre code de stationnement."}),
    _code("code_malformed", "此码不是停车码。", "This is not a parking code.",
          "Ceci n'est pas un code de stationnement."),
    _code("code_unsupported_type", "此种停车码本道口尚不支持。", "This kind of code is not read here.",
          "Ce type de code n'est pas lu ici."),
    _code("code_unknown_key", "此码的签发方无法识别。", "The issuer of this code is not known.",
          "L'émetteur de ce code est inconnu."),
    _code("code_bad_signature", "此码的签名无效。", "The signature of this code is not valid.",
          "La signature de ce code n'est pas valide."),
    _code("code_bad_proof", "此码不是由绑定的手机出示。", "This code was not shown by the phone it is bound to.",
          "Ce code ne vient pas du téléphone auquel il est lié."),
    _code("code_expired", "停车码已过期。", "The code has expired.", "Le code a expiré."),
    _code("code_not_yet_valid", "停车码尚未生效。", "The code is not valid yet.",
          "Le code n'est pas encore valable."),
    _code("code_stale", "此码出示过久。", "The code was shown too long ago.",
          "Le code a été affiché il y a trop longtemps."),
    _code("code_used", "此码已使用过。", "The code has been used already.", "Le code a déjà été utilisé."),
    _code("code_revoked", "此码已被停用。", "The code has been revoked.", "Le code a été révoqué."),
    Reason("challenge_needed", "hold", "hold", {
        "zh": "请在手机的停车码页面点“回答道口”，扫描屏幕上的图案。",
        "en": "Please answer this gate: scan the picture on its screen with your parking page.",
        "fr": "Répondez à la borne : scannez l'image de son écran avec votre page de stationnement."}),
    Reason("scanned_at_out_of_range", "hold", "hold", {
        "zh": "道口时钟不准，请联系值班员。",
        "en": "The clock of this gate is wrong. Please call the attendant.",
        "fr": "L'horloge de cette borne est déréglée. Veuillez appeler l'agent."}),
)
REASONS: dict[str, Reason] = {reason.word: reason for reason in _ALL}


def message(word: str, **values: str) -> Words:
    """What the display and the phone say, in every language."""
    return {language: REASONS[word].says[language].format(**values) for language in LANGUAGES}


def in_all_languages(words: dict[str, str]) -> Words:
    """A name that an operator gave in some languages, said in all: English, else the first, fills in."""
    other = words.get("en") or next(iter(words.values()), "")
    return {language: words.get(language) or other for language in LANGUAGES}
