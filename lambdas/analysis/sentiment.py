"""The sentiment of a text, by the VADER lexicon: no model to download, the same answer everywhere."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

from text import one_form
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # ty: ignore[import-not-found]

# The bounds that VADER's authors recommend for its compound score.
_BOUND = Decimal("0.05")
# Read at import: a package without its lexicon then fails in the build, not at the first item.
_ANALYZER = SentimentIntensityAnalyzer()
_READ_AT_MOST = 4000
"""Characters, above the 2500 that ingestion sends. An emoji counts as the words that the library puts in its place: its
time grows with their square, and a thousand emojis would take longer than Lambda gives us."""

_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>")
_MARKS = str.maketrans(
    dict.fromkeys("\u00b4\u2018\u2019\u201a\u201b\u2032\u2039\u203a", "'")
    | dict.fromkeys("\u00ab\u00bb\u201c\u201d\u201e\u201f\u2033", '"')
    | dict.fromkeys("\u2012\u2013\u2014\u2015", " - ")
)
"""The library takes only ASCII marks off a word: with another quote or dash at its side it does not know the word."""


def score(text: str) -> tuple[str, Decimal]:
    """`positive`, `neutral` or `negative`, and the score from -1 to 1 with four decimals at most.

    The lexicon is English: texts in other languages are neutral, as are texts that say nothing. Of a long text the
    beginning counts.
    """
    readable = _beginning(_in_plain_letters(text[:_READ_AT_MOST]))
    compound = Decimal(str(round(_ANALYZER.polarity_scores(readable)["compound"], 4)))
    if compound >= _BOUND:
        return "positive", compound
    if compound <= -_BOUND:
        return "negative", compound
    return "neutral", compound


def _in_plain_letters(text: str) -> str:
    """The text as the library knows words: without markup, in compatible letters (NFKC), nothing in it unseen."""
    plain = _MARKUP.sub(" ", one_form(text)).translate(_MARKS)
    plain = unicodedata.normalize("NFKC", plain)
    return "".join(letter for letter in plain if unicodedata.category(letter) != "Cf")


def _beginning(text: str) -> str:
    read = 0
    for position, letter in enumerate(text):
        read += len(_ANALYZER.emojis.get(letter, letter))
        if read > _READ_AT_MOST:
            return text[:position]
    return text
