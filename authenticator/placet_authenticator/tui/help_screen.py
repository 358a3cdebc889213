"""The keys of a screen, read from its own bindings."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static


class HelpScreen(ModalScreen[None]):
    """Lists what each key does on the screen below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "Back", key_display="esc"),
    ]

    def __init__(self, bindings: dict[str, ActiveBinding]) -> None:
        super().__init__()
        self._keys = bindings

    def compose(self) -> ComposeResult:
        """Two columns: keys and what they do."""
        rows: dict[str, list[str]] = {}
        for active in self._keys.values():
            binding = active.binding
            if binding.description and active.enabled and not binding.system:
                keys = rows.setdefault(active.tooltip or binding.description, [])
                shown = self.app.get_key_display(binding)
                if shown not in keys:
                    keys.append(shown)
        width = max(len(" ".join(keys)) for keys in rows.values()) if rows else 0
        with VerticalScroll(classes="window"):
            yield Static("Keys", markup=False, classes="heading")
            yield Static(
                Content("\n").join(
                    Content.assemble((" ".join(keys).rjust(width), "$primary bold"), "  ", words)
                    for words, keys in rows.items()
                )
            )
