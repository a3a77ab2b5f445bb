"""The sentiment of a text, by the VADER lexicon: no model to download, the same answer everywhere."""

from __future__ import annotations

from decimal import Decimal

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # ty: ignore[import-not-found]

# The bounds that VADER's authors recommend for its compound score.
_BOUND = Decimal("0.05")
# Read at import: a package without its lexicon then fails in the build, not at the first item.
_ANALYZER = SentimentIntensityAnalyzer()
_READ_AT_MOST = 4000
"""Characters, above the 2500 that ingestion sends. An emoji counts as the words that the library puts in its place: its
time grows with their square, and a thousand emojis would take longer than Lambda gives us."""


def score(text: str) -> tuple[str, Decimal]:
    """`positive`, `neutral` or `negative`, and the score from -1 to 1 with four decimals at most.

    The lexicon is English: texts in other languages are neutral, as are texts that say nothing. Of a long text the
    beginning counts.
    """
    # The library knows "isn't" and not the apostrophe that newspapers set.
    readable = _beginning(text).replace("\u2019", "'")
    compound = Decimal(str(round(_ANALYZER.polarity_scores(readable)["compound"], 4)))
    if compound >= _BOUND:
        return "positive", compound
    if compound <= -_BOUND:
        return "negative", compound
    return "neutral", compound


def _beginning(text: str) -> str:
    read = 0
    for position, letter in enumerate(text):
        read += len(_ANALYZER.emojis.get(letter, letter))
        if read > _READ_AT_MOST:
            return text[:position]
    return text
