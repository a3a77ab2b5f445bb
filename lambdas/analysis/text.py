"""One form for the texts of the outside world. Ingestion stores it; analysis, with a copy of its own, scores it again.

Analysis repeats it because an older release, which may run beside this one during a canary, stores and announces texts
as they came. A text in this form stays as it is.
"""

from __future__ import annotations

import html
import re
import unicodedata

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
"""With its semicolon: without one, `R&D` and `?a=1&copy=2` would be read as entities."""
_LAYERS = 3
"""Feeds escape what is escaped already (`&amp;#39;`). More layers than this are somebody's joke, and cost time."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]")
"""Characters that mean nothing in a text, and that SQS, where lost announcements end, does not take."""
_HALF_PAIR = re.compile(r"[\ud800-\udfff]")
"""Half of a surrogate pair: JSON can hold one, UTF-8 cannot."""
_UNSEEN = re.compile(r"[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Soft hyphen, zero-width spaces and marks of direction: they split a word, or turn a line around, and nobody sees it.
The joiners U+200C and U+200D stay: Persian and the families of emojis are written with them."""
_APOSTROPHE = re.compile(r"(?<=\w)[`\u00b4\u02b9\u02bc\u02c8\u055a\u2018\u2019\u201b\u2032\ua78b\ua78c\uff07](?=\w)")
"""Everything that people and machines write for the apostrophe within a word."""


def one_form(text: str) -> str:
    """The text without entities, control characters and what is not seen, with one apostrophe and one kind of space.

    The letters are composed (NFC) and otherwise the publisher's own: NFKC would make `1/2` of a half and `TM` of a
    trade mark, which people then read. Analysis does that for itself, where only the score sees it.
    """
    for _ in range(_LAYERS):
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), _UNSEEN.sub("", text))
    text = _HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", _CONTROL.sub(" ", text))
    text = unicodedata.normalize("NFC", _UNSEEN.sub("", text))
    return " ".join(_APOSTROPHE.sub("'", text).split())
