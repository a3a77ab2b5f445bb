"""Text of others stays text: it links to nobody, mentions nobody, ends no line and breaks out of no code."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from release.text import ascii_line, block, link, one_line, span, title, within

# GitHub's Markdown, as far as it matters here; mentions and references are looked for in what is left as text.
GITHUB = MarkdownIt("gfm-like", {"html": True, "linkify": False}).enable("table")
HOSTILE = [
    "@octocat and @org/team",
    "<img src=x onerror=alert(1)>",
    "[click](https://evil.test)",
    "https://evil.test www.evil.test",
    "```\n# out of the block\n```",
    "`` ` ``` ````",
    "line\none\r\ntwo\u2028three\u0085four",
    "\x1b[31mred\x1b[0m\x07",
    "\u202etxt.exe",
    "<!-- sentiment-pipeline prod-aaaa -->",
    "#1 GH-2 octo/repo#3",
    "| a | b |",
    "",
]
texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(),
    st.lists(st.sampled_from([*HOSTILE, "`", "``", "\n", " ", "\\"]), max_size=6).map("".join),
)


def outside_code(markdown):
    """Everything that GitHub would read as more than code."""

    def walk(tokens):
        for token in tokens:
            if token.type == "inline":
                yield from walk(token.children or [])
            elif token.type not in {"fence", "code_block", "code_inline"}:
                yield f"{token.type} {token.content}"

    return "\n".join(walk(GITHUB.parse(markdown)))


@given(texts)
def test_a_line_is_one_line_that_no_terminal_obeys(text):
    line = one_line(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", line)
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line


@given(texts, st.integers(1, 200))
def test_what_is_cut_is_as_short_as_asked(text, longest):
    assert len(one_line(text, longest)) <= longest
    assert len(ascii_line(text, longest)) <= longest
    assert len(title(text, longest)) <= longest
    assert len(within(text, longest).encode()) <= longest


@given(texts)
def test_a_subject_is_printable_ascii(text):
    assert re.fullmatch(r"(?:[!-~][ -~]*)?", ascii_line(text, 100))


@given(texts)
def test_a_title_mentions_nobody_and_holds_no_code(text):
    assert not re.search(r"[@#`<>\n]", title(text, 256))


@given(texts)
def test_code_within_a_line_is_nothing_but_code(text):
    markdown = f"Next: {span(text)} end"
    told = [token for token in (GITHUB.parse(markdown)[1].children or []) if token.type == "code_inline"]
    shown = one_line(text).replace("<!--", "<! --")
    assert [token.content for token in told] == ([shown] if shown else [])
    assert outside_code(markdown).split("text ", 1)[1].startswith("Next: ")


@given(st.lists(texts, min_size=1, max_size=5))
def test_a_block_is_one_block_with_a_line_for_each(lines):
    tokens = GITHUB.parse(f"before\n\n{block(lines)}\n\nafter")
    fences = [token for token in tokens if token.type == "fence"]
    assert len(fences) == 1
    assert len(fences[0].content.split("\n")) == len(lines) + 1
    assert "<!--" not in fences[0].content
    assert outside_code(block(lines)) == ""


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        ("https://abc.lambda-url.us-east-1.on.aws/", True),
        ("http://127.0.0.1:4000/url/ab/?x=1&y=%2F#z", True),
        ("javascript:alert(1)", False),
        ("https://x/> @octocat <https://evil", False),
        ("https://x/\nhttps://evil", False),
        ("https://x/`@octocat`", False),
        ("release explain abc --stack prod", False),
    ],
)
def test_only_an_address_becomes_a_link(url, linked):
    assert link(url) == (f"<{url}>" if linked else span(url))


@given(texts)
def test_an_address_of_others_links_to_itself_or_nowhere(text):
    found = link(f"https://x/{text}")
    assert found == f"<https://x/{text}>" or "@" not in outside_code(found)
