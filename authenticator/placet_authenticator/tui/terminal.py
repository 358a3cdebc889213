"""What is said to the terminal beside the screen itself."""

from __future__ import annotations

from textual.app import App

from placet_protocol.text import visible


def set_title(app: App[None], title: str) -> None:
    """Name the terminal's window or tab."""
    driver = app._driver  # noqa: SLF001  Textual offers no other way to the terminal
    if driver is not None and not driver.is_headless:
        driver.write(f"\x1b]2;{visible(title)}\x1b\\")
        driver.flush()
