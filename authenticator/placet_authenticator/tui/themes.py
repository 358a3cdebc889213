"""Colours: dark, light, and one of high contrast."""

from __future__ import annotations

from typing import Any, Final

from textual.app import App
from textual.theme import Theme

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
        variables={"footer-key-foreground": "#7aa2f7", "block-cursor-text-style": "none"},
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
        variables={"footer-key-foreground": "#2456c7", "block-cursor-text-style": "none"},
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
            "footer-key-foreground": "#00ffff",
            "block-cursor-foreground": "#000000",
            "block-cursor-background": "#ffff00",
            "block-cursor-text-style": "bold",
            "border": "#ffffff",
            "text-muted": "#ffffff",
        },
    ),
)


def register(app: App[Any], chosen: str) -> None:
    """Offer these themes and put on the chosen one, or the first where there is none of that name."""
    for theme in THEMES:
        app.register_theme(theme)
    name = chosen if chosen in app.available_themes else THEMES[0].name
    app.set_reactive(App.theme, name)  # as an assignment it would parse all styles twice
