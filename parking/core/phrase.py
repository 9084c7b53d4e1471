"""Phrases in every language at once, put together from smaller ones."""

from __future__ import annotations

from collections.abc import Iterable

from parking.core.reason import LANGUAGES, Language, Words

COMMA: Words = {"zh": "，", "en": ", ", "fr": ", "}
LIST: Words = {"zh": "、", "en": ", ", "fr": ", "}
SEMICOLON: Words = {"zh": "；", "en": "; ", "fr": " ; "}
OR: Words = {"zh": "或", "en": " or ", "fr": " ou "}
AND: Words = {"zh": "，且", "en": " and ", "fr": " et "}
_COLON: Words = {"zh": "：", "en": ": ", "fr": " : "}


def say(zh: str, en: str, fr: str, *values: Words) -> Words:
    """Texts with places {0}, {1}, …, filled with the values of each language."""
    texts: dict[Language, str] = {"zh": zh, "en": en, "fr": fr}
    if not values:
        return texts
    return {language: texts[language].format(*(value[language] for value in values)) for language in LANGUAGES}


def same(text: str) -> Words:
    """What is written alike in every language: a number, a name that nobody translated."""
    return dict.fromkeys(LANGUAGES, text)


def join(parts: Iterable[Words], between: Words) -> Words:
    told = list(parts)
    return {language: between[language].join(part[language] for part in told) for language in LANGUAGES}


def title(of: Words) -> Words:
    """With a colon, for what stands below it."""
    return {language: of[language] + _COLON[language].rstrip() for language in LANGUAGES}


def head(of: Words, text: Words) -> Words:
    """Such as "night 19:30–07:30: 10.00 flat"."""
    return {language: of[language] + _COLON[language] + text[language] for language in LANGUAGES}


def capital(text: Words) -> Words:
    return {language: text[language][:1].upper() + text[language][1:] for language in LANGUAGES}
