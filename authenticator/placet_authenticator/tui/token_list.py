"""The list of soft tokens: only what is in view is computed and drawn, so that a thousand cost as little as ten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from placet_authenticator import tokens
from placet_authenticator.records import Token
from placet_protocol.text import visible

BAR: Final = 12
ENDING_MS: Final = 5_000
"""A code that lasts no longer than this is drawn as ending: by the time it is typed it is over."""


class _Row(NamedTuple):
    """What is drawn of a token whatever the time; foreign text is filtered once."""

    token: Token
    name: str
    detail: str


class TokenList(ScrollView, can_focus=True):
    """Soft tokens with their live codes, two lines each. ``clock`` gives ms UTC.

    Codes stay hidden until ``reveal``. Posts ``Chosen`` when a token is picked by Enter or a double click.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "token-list--cursor",
        "token-list--name",
        "token-list--detail",
        "token-list--code",
        "token-list--ending",
        "token-list--bar",
        "token-list--rest",
    }
    DEFAULT_CSS = """
    TokenList {
        overflow-x: hidden;
        & > .token-list--cursor { background: $panel; }
        &:focus > .token-list--cursor { background: $primary 30%; }
        & > .token-list--name { text-style: bold; color: $foreground; }
        & > .token-list--detail { color: $quiet; }
        & > .token-list--code { text-style: bold; color: $accent; }
        & > .token-list--ending { text-style: bold; color: $error; }
        & > .token-list--bar { color: $primary; }
        & > .token-list--rest { color: $panel-lighten-1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Copy", tooltip="Copy the code that is valid now"),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "move(-1000000)", "First", show=False),
        Binding("end", "move(1000000)", "Last", show=False),
    ]

    cursor: reactive[int] = reactive(0)

    class Chosen(Message):
        """A token was picked."""

        def __init__(self, token: Token) -> None:
            super().__init__()
            self.token: Final = token

    def __init__(self, clock: Callable[[], int], *, id: str | None = None) -> None:  # noqa: A002  as all widgets
        super().__init__(id=id)
        self._clock = clock
        self._rows: list[_Row] = []
        self._revealed: frozenset[str] = frozenset()

    @property
    def current(self) -> Token | None:
        """The token under the cursor."""
        return self._rows[self.cursor].token if self._rows else None

    @property
    def revealed(self) -> frozenset[str]:
        """Ids of the tokens whose codes are shown."""
        return self._revealed

    def show(self, found: Sequence[Token]) -> None:
        """List these tokens; the cursor stays on its token where that is still there."""
        before = self.current
        self._rows = [_Row(token, *_words(token)) for token in found]
        places = (place for place, row in enumerate(self._rows) if before and row.token.id == before.id)
        self.cursor = next(places, 0)
        self._fit()
        self._follow()
        self.refresh()

    def go_to(self, token: Token) -> None:
        """Put the cursor on this token, if it is listed."""
        self.cursor = next((place for place, row in enumerate(self._rows) if row.token.id == token.id), 0)

    def reveal(self, ids: frozenset[str]) -> None:
        """Show the codes of these tokens and hide all others."""
        self._revealed = ids
        self.refresh()

    def tick(self) -> None:
        """Draw again what depends on the time."""
        self.refresh()

    def validate_cursor(self, cursor: int) -> int:
        """Within the list."""
        return max(0, min(cursor, len(self._rows) - 1))

    def watch_cursor(self) -> None:
        """Keep the cursor in view."""
        self._follow()
        self.refresh()

    def action_move(self, by: int) -> None:
        """Move the cursor by so many tokens."""
        self.cursor += by

    def action_page(self, by: int) -> None:
        """Move the cursor by so many screenfuls."""
        self.cursor += by * max(1, self.size.height // self._height)

    def action_choose(self) -> None:
        """Pick the token under the cursor."""
        if self.current is not None:
            self.post_message(self.Chosen(self.current))

    def on_resize(self) -> None:
        """Take more lines for a token where there is room."""
        self._fit()
        self._follow()

    def on_click(self, event: Click) -> None:
        """A click moves the cursor, a double click picks."""
        place = (event.y + self.scroll_offset.y) // self._height
        if place < len(self._rows):
            self.cursor = place
            if event.chain == 2:
                self.action_choose()

    def render_line(self, y: int) -> Strip:
        """One line of the view."""
        place, line = divmod(y + self.scroll_offset.y, self._height)
        width = self.scrollable_content_region.width
        if place >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        at_cursor = place == self.cursor
        base = self.get_component_rich_style("token-list--cursor") if at_cursor else self.rich_style
        if line > 1:
            return Strip.blank(width, self.rich_style)
        mark = Segment("▌ " if at_cursor else "  ", base + self._style("bar"))
        left, right = (self._first_line if line == 0 else self._second_line)(self._rows[place], width - 3)
        room = width - 3 - sum(segment.cell_length for segment in right)
        text = left.text if cell_len(left.text) <= room else set_cell_size(left.text, max(0, room - 1)) + "…"
        parts = [mark, Segment(set_cell_size(text, room), left.style), *right, Segment(" ")]
        return Strip(Segment.apply_style(parts, base), width)

    @property
    def _height(self) -> int:
        return 3 if self.size.height >= 24 else 2

    def _first_line(self, row: _Row, _: int) -> tuple[Segment, list[Segment]]:
        made = tokens.code(row.token, self._clock())
        kind = "ending" if made.lasts_ms <= ENDING_MS else "code"
        return Segment(row.name, self._style("name")), [
            Segment(self._digits(row, made.digits), self._style(kind))
        ]

    def _second_line(self, row: _Row, width: int) -> tuple[Segment, list[Segment]]:
        made = tokens.code(row.token, self._clock())
        dim = self._style("detail")
        right = []
        if row.token.id in self._revealed:
            right.append(Segment(f"  then {grouped(made.following)}", dim))
        if width >= 50:
            full = -(-made.lasts_ms * BAR // (row.token.period * 1000))
            ending = made.lasts_ms <= ENDING_MS
            right.append(Segment("  " + "━" * full, self._style("ending" if ending else "bar")))
            right.append(Segment("─" * (BAR - full), self._style("rest")))
        right.append(Segment(f"{-(-made.lasts_ms // 1000):>4} s", dim))
        return Segment(row.detail, dim), right

    def _digits(self, row: _Row, digits: str) -> str:
        return grouped(digits if row.token.id in self._revealed else "•" * len(digits))

    def _style(self, kind: str) -> Style:
        # Without its background, which would cut a hole into the cursor's bar.
        style = self.get_component_rich_style(f"token-list--{kind}")
        return Style(color=style.color, bold=style.bold)

    def _fit(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._rows) * self._height)

    def _follow(self) -> None:
        here = Region(0, self.cursor * self._height, 1, min(2, self._height))
        self.scroll_to_region(here, animate=False, force=True)


def grouped(digits: str) -> str:
    """Digits as people read them: in two halves, the longer one last."""
    half = len(digits) // 2
    return f"{digits[:half]} {digits[half:]}"


def _words(token: Token) -> tuple[str, str]:
    unusual = [
        token.algorithm if token.algorithm != "SHA1" else "",
        f"{token.digits} digits" if token.digits != 6 else "",
        f"every {token.period} s" if token.period != 30 else "",
    ]
    account = token.account if token.issuer else ""
    detail = "  ·  ".join(part for part in (account, *unusual) if part)
    return visible(token.issuer or token.account), visible(detail)
