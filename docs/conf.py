"""Settings of the documentation's site: `make docs` builds it with Sphinx, MyST for Markdown and the theme Furo."""

from typing import Any

from pygments.lexers.special import TextLexer

project = "Sentiment pipeline"
extensions = ["myst_parser"]
exclude_patterns = ["examples/*/workflows"]
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
# Anchors of headings as GitHub makes them, so that one link works in both places.
myst_heading_anchors = 4
nitpicky = True


def setup(app: Any) -> None:
    """Show diagrams in Mermaid as text: GitHub draws them, and a site that works offline has no script for it."""
    app.add_lexer("mermaid", TextLexer)
