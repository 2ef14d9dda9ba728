"""The question before quitting, where something ends with the program or goes on unseen."""

from collections.abc import Sequence
from typing import Any

from textual.app import App

from kvmtui.ui.screens.ask import ConfirmScreen


class QuitScreen(ConfirmScreen):
    """Asks whether to quit."""


def quit_or_ask(app: App[Any], consoles: Sequence[str], moving: Sequence[str]) -> None:
    """Quit, or ask where sessions end or migrations are under way; both are given as "web1 on h1"."""
    if not consoles and not moving:
        app.exit()
        return
    if isinstance(app.screen, QuitScreen):
        return
    consequences = []
    if consoles:
        consequences.append("The console's session ends." if len(consoles) == 1 else "The consoles' sessions end.")
    if moving:
        consequences.append("How the migration ends is then not seen here.")
    lines = [*(f"console of {where}" for where in consoles), *(f"migrating {where}" for where in moving)]

    def agreed(answer: bool | None) -> None:
        if answer:
            app.exit()

    app.push_screen(QuitScreen("Quit kvmtui?", lines, " ".join(consequences), destructive=False), agreed)
