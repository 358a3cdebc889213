"""Colours: dark, light, and one of high contrast; and the person's choice among them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from textual.app import App
from textual.theme import Theme

from placet_authenticator import preferences
from placet_protocol.text import visible

THEMES: Final = (
    Theme(
        name="placet-dark",
        primary="#7aa2f7",
        secondary="#9d7cd8",
        accent="#e0af68",
        success="#9ece6a",
        warning="#e0af68",
        error="#f7768e",
        foreground="#d5d9e6",
        background="#14161f",
        surface="#1b1e2a",
        panel="#262b3c",
        dark=True,
        variables={
            "quiet": "#9298a8",
            "footer-key-foreground": "#7aa2f7",
            "block-cursor-text-style": "none",
            "scrollbar-background": "#1b1e2a",
        },
    ),
    Theme(
        name="placet-light",
        primary="#2456c7",
        secondary="#6b3fa0",
        accent="#9a5b00",
        success="#1d7a3c",
        warning="#9a5b00",
        error="#b3261e",
        foreground="#1c2030",
        background="#f7f8fb",
        surface="#eceff5",
        panel="#dde2ec",
        dark=False,
        variables={"quiet": "#565b6b", "footer-key-foreground": "#2456c7", "block-cursor-text-style": "none"},
    ),
    Theme(
        name="placet-contrast",
        primary="#00ffff",
        secondary="#ffff00",
        accent="#ffff00",
        success="#00ff5f",
        warning="#ffff00",
        error="#ff6e6e",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#1c1c1c",
        dark=True,
        text_alpha=1.0,
        variables={
            "quiet": "#ffffff",
            "footer-key-foreground": "#00ffff",
            "block-cursor-foreground": "#000000",
            "block-cursor-background": "#ffff00",
            "block-cursor-text-style": "bold",
            "border": "#ffffff",
            "text-muted": "#ffffff",
        },
    ),
)


class Themed(App[None]):
    """An app that offers these themes and no others, and remembers in ``home`` which one was chosen."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self._home = home
        for name in self.available_themes:
            self.unregister_theme(name)
        for theme in THEMES:
            self.register_theme(theme)
        chosen = preferences.load(home).theme
        name = chosen if chosen in self.available_themes else THEMES[0].name
        self.set_reactive(App.theme, name)  # as an assignment it would parse all styles twice

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The colour of words that may be passed over, for styles that are read before a theme is put on."""
        return {"quiet": THEMES[0].variables["quiet"]}

    def watch_theme(self, theme: str) -> None:
        """Keep the person's choice for the next start."""
        if not self.is_running:
            return
        try:
            preferences.save(self._home, preferences.Preferences(theme))
        except OSError as error:
            self.notify(visible(str(error)), title="The choice is not kept", severity="warning", markup=False)
