"""The real app with one line of paper at its lower edge: what Acme Pay's own page shows Ada at this moment."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from placet_authenticator.settings import Settings
from placet_authenticator.tui import app
from placet_authenticator.tui.app import PlacetApp


class AcmePage(Static):
    """What Ada sees in her browser, which is no part of the device: a number is only ever shown here."""


class DemoApp(PlacetApp):
    """``placet`` as it is; only the page is added to each of its screens."""

    CSS_PATH = [  # noqa: RUF012  Textual's type; it looks beside the class otherwise
        Path(app.__file__).with_name(str(name)) for name in PlacetApp.CSS_PATH
    ]

    CSS = """
    AcmePage {
        dock: bottom; margin-bottom: 1; height: 6; padding: 0 2;
        background: $accent 12%; border-top: tall $accent 40%;
    }
    ToastRack { margin-bottom: 8; }
    .-low AcmePage { height: 5; border-top: none; padding: 0 1; }
    """

    def __init__(self, settings: Settings, passphrase: str) -> None:
        super().__init__(settings)
        self._passphrase: Final = passphrase
        self._page = Content("")

    def on_ready(self) -> None:
        """Keep the page in sight on every screen."""
        self.set_interval(0.2, self._keep)

    def tell(self, happens: str, number: str, to_do: str) -> None:
        """Show another page: what happens at Acme Pay, the number there (or nothing), and what Ada can do."""
        shown = (
            Content.assemble("  Your number: ", (f" {' '.join(number)} ", "reverse bold"))
            if number
            else Content("")
        )
        self._page = Content("\n").join(
            (
                Content.assemble(
                    ("Acme Pay in your browser", "$accent bold"), "   q in the inbox ends the demo"
                ),
                Content.assemble((happens, "bold"), shown),
                Content(to_do),
            )
        )
        if not self.screen_stack:  # asked before the first screen: the page is drawn with it
            return
        for page in self.screen.query(AcmePage):
            page.update(self._page)

    def _keep(self) -> None:
        screen = self.screen
        if isinstance(screen, ModalScreen) or not screen.is_running or screen.query(AcmePage):
            return
        locked = Content(f"The demo's passphrase: {self._passphrase}")
        # Not awaited: a screen that is just being left would never have mounted it.
        screen.mount(AcmePage(locked if self.locked else self._page, markup=False))
