"""Settings of the documentation's site: `make docs` builds it with Sphinx, MyST for Markdown and the theme Furo."""

from types import MappingProxyType
from typing import Any, Final

from pygments.lexers.special import TextLexer

CONTENTS: Final = MappingProxyType(
    {
        "index": {
            "Tutorial": ["tutorial/local-cloud"],
            "How-to guides": [
                "how-to/bootstrap",
                "how-to/github-environments",
                "how-to/previews",
                "how-to/attestations",
                "how-to/runbook",
                "how-to/destroy",
                "examples/access-keys/README",
            ],
            "Reference": [
                "reference/commands",
                "reference/lifecycle",
                "reference/service",
                "reference/validation",
                "reference/testing",
                "reference/readiness",
                "reference/local-cloud",
                "reference/benchmarks",
                "reference/cost",
                "reference/shipped",
            ],
            "Explanation": [
                "explanation/architecture",
                "explanation/flow",
                "explanation/safety",
                "explanation/duel",
                "explanation/who-may-act",
                "explanation/threat-model",
                "decisions/index",
            ],
        },
        "decisions/index": {"Decisions": ["0*"]},
        "reference/benchmarks": {"Results": ["../figures/*"]},
    }
)
"""The pages below a page, by the heading of their list. GitHub would show such a list in a page as code."""

project = "Sentiment pipeline"
extensions = ["myst_parser"]
exclude_patterns = ["examples/*/workflows"]
nitpicky = True
smartquotes = False  # `--stack` in a sentence stays as it is typed
# Anchors of headings as GitHub makes them, so that one link works in both places.
myst_heading_anchors = 4
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False


def add_contents(_: Any, page: str, source: list[str]) -> None:
    """Append the lists of the pages below `page`."""
    for heading, pages in CONTENTS.get(page, {}).items():
        source[0] += "\n".join(
            ["", "```{toctree}", ":hidden:", ":glob:", f":caption: {heading}", "", *pages, "```", ""]
        )


def setup(app: Any) -> None:
    """Connect the lists, and show Mermaid as text: GitHub draws it, and an offline site has no script for it."""
    app.connect("source-read", add_contents)
    app.add_lexer("mermaid", TextLexer)
