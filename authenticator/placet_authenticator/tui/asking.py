"""A small window over a screen: one question and its answers."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static


class QuestionScreen(ModalScreen[str]):
    """Asks before something that cannot be undone; ends with the id of the answer that was chosen.

    ``answers`` are id and words, the harmless one first: it has the focus, and Escape gives it. Texts are shown as they
    are, so foreign parts must be filtered.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "refuse", "Back"),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]

    def __init__(self, question: str, explanation: str, answers: dict[str, str]) -> None:
        super().__init__()
        self._question = question
        self._explanation = explanation
        self._answers = answers

    def compose(self) -> ComposeResult:
        """The question, what it means, and a button for each answer."""
        with VerticalScroll(classes="window", can_focus=False):
            yield Static(self._question, markup=False, classes="heading")
            yield Static(self._explanation, markup=False)
            with Horizontal(classes="answers"):
                for place, (answer, words) in enumerate(self._answers.items()):
                    yield Button(words, id=answer, variant="default" if place == 0 else "error")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """End with the chosen answer."""
        self.dismiss(event.button.id or "")

    def action_refuse(self) -> None:
        """End with the harmless answer."""
        self.dismiss(next(iter(self._answers)))
