"""The sentiment of a text, by the VADER lexicon: no model to download, the same answer everywhere."""

from __future__ import annotations

from decimal import Decimal

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # ty: ignore[import-not-found]

# The bounds that VADER's authors recommend for its compound score.
_BOUND = Decimal("0.05")
# Read at import: a package without its lexicon then fails in the build, not at the first item.
_ANALYZER = SentimentIntensityAnalyzer()


def score(text: str) -> tuple[str, Decimal]:
    """`positive`, `neutral` or `negative`, and the score from -1 to 1 with four decimals."""
    compound = Decimal(str(round(_ANALYZER.polarity_scores(text)["compound"], 4)))
    if compound >= _BOUND:
        return "positive", compound
    if compound <= -_BOUND:
        return "negative", compound
    return "neutral", compound
