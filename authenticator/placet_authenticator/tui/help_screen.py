"""The keys of a screen, read from its own bindings."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Static

_OURS: Final = __package__.partition(".")[0]


class HelpScreen(ModalScreen[None]):
    """Lists what each key does on the screen below: what this app binds there, and then what it binds everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "Back", key_display="esc"),
    ]

    def __init__(self, bindings: dict[str, ActiveBinding]) -> None:
        super().__init__()
        ours = [each for each in bindings.values() if each.enabled and _ours(each)]
        self._keys = sorted(ours, key=lambda each: not each.tooltip)  # what needs no words comes last

    def compose(self) -> ComposeResult:
        """Two columns: keys and what they do."""
        here = self._rows([each for each in self._keys if each.node is not self.app])
        always = self._rows([each for each in self._keys if each.node is self.app])
        width = max((len(keys) for keys in (here | always).values()), default=0)
        with VerticalScroll(classes="window") as window:
            window.border_subtitle = "esc closes"
            for heading, rows in (("Here", here), ("Everywhere", always)):
                if rows:
                    yield Static(heading, markup=False, classes="heading section")
                    for words, keys in rows.items():
                        key = Static(Content.styled(keys.rjust(width), "$primary bold"), classes="key")
                        yield Horizontal(key, Static(words, markup=False, classes="does"), classes="row")

    def _rows(self, bindings: list[ActiveBinding]) -> dict[str, str]:
        rows: dict[str, list[str]] = {}
        for active in bindings:
            keys = rows.setdefault(active.tooltip or active.binding.description, [])
            shown = self.app.get_key_display(active.binding)
            if shown not in keys:
                keys.append(shown)
        return {words: " ".join(keys) for words, keys in rows.items()}


def _ours(active: ActiveBinding) -> bool:
    """Whether a class of this app binds the key itself; toolkit classes below it bind many that nobody needs."""
    return bool(active.binding.description) and any(
        active.binding.action == binding.action
        for kind in type(active.node).__mro__
        if issubclass(kind, DOMNode) and kind.__module__.startswith(_OURS)
        for binding in Binding.make_bindings(vars(kind).get("BINDINGS", ()))
    )
