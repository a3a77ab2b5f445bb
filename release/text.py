"""Text from elsewhere (commits, errors, people's reasons) put where it is read: a terminal, a mail, Markdown on GitHub.

Such text is never trusted. In Markdown it only ever stands in code, where GitHub sees no mention, no link, no HTML and
no reference; on one line it has no line ends and no control characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# Also the line ends that are no ASCII, and the marks that turn the direction of text around.
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")
_URL: Final = re.compile(r"https?://[!#-;=?-_a-z~]+")
_CUT: Final = " [cut]"


def one_line(text: object, longest: int | None = None) -> str:
    """`text` without line ends, control characters and runs of spaces, cut to `longest` characters."""
    line = " ".join(_UNSEEN.sub(" ", str(text)).split())
    if longest is None or len(line) <= longest:
        return line
    return line[: max(0, longest - len(_CUT))] + _CUT[-longest:]


def ascii_line(text: object, longest: int) -> str:
    """`text` on one line of printable ASCII; what is none becomes a question mark."""
    return re.sub(r"[^ -~]", "?", one_line(text))[:longest].rstrip()


def within(text: str, longest: int) -> str:
    """`text` cut to `longest` bytes of UTF-8, at the end of a character."""
    body = text.encode(errors="replace")
    if len(body) <= longest:
        return body.decode()
    return body[: max(0, longest - len(_CUT))].decode(errors="ignore") + _CUT[-longest:]


def title(text: object, longest: int) -> str:
    """`text` as the title of an issue: one line in which nothing is a mention, a reference, code or HTML."""
    harmless = {"@": "(at)", "#": "no. ", "`": "'", "<": "(", ">": ")"}
    return one_line("".join(harmless.get(letter, letter) for letter in one_line(text)), longest)


def span(text: object, longest: int | None = None) -> str:
    """`text` as code within a line of Markdown."""
    line = _no_marker(one_line(text, longest))
    if not line:
        return ""
    fence = "`" * (_longest_run(line) + 1)
    # One space on each side is taken off again by Markdown; it keeps a backtick at the edge apart from the fence.
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def block(lines: Iterable[object], language: str = "text") -> str:
    """Lines as a block of code in Markdown; a line end within one is a space. `language` is ours (`diff`)."""
    body = "\n".join(_no_marker(one_line(line)) for line in lines)
    fence = "`" * max(3, _longest_run(body) + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def link(url: str) -> str:
    """`url` as a link in Markdown if it is nothing but an http(s) address, else as code."""
    return f"<{url}>" if _URL.fullmatch(url) else span(url)


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _no_marker(line: str) -> str:
    # Issues are found again by a hidden comment in their text: nobody else may write one.
    return line.replace("<!--", "<! --")
