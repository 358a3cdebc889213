"""The words of a page."""

from __future__ import annotations

from placet_server.faces.htmltext import words


def test_blocks_become_lines_and_what_is_not_shown_is_left_out() -> None:
    """Tags, styles and scripts go, entities are read, blocks begin lines."""
    page = (
        "<html><head><title>T</title><style>p{}</style></head><body><p>Your&nbsp;code is <b>4K9Q2Z</b>.</p>"
        "<p>It is &lt;yours&gt;.<br>Bye</p><script>alert(1)</script></body></html>"
    )
    assert words(page) == "Your code is 4K9Q2Z.\nIt is <yours>.\nBye"


def test_broken_pages_give_what_words_they_have() -> None:
    """Unclosed and stray tags and plain text do not raise."""
    assert words("</p></style>a < b <i>c") == "a < b c"
    assert words("no markup") == "no markup"
