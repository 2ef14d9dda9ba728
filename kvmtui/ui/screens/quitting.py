"""The question before quitting, where something ends with the program or goes on unseen."""

from collections.abc import Sequence
from typing import Any

from textual.app import App

from kvmtui.ui.screens.ask import ConfirmScreen


class QuitScreen(ConfirmScreen):
    """Asks whether to quit."""


def quit_or_ask(app: App[Any], consoles: Sequence[str], moving: Sequence[str], *, managed: bool, waits: bool) -> None:
    """Quit, or ask where sessions end or migrations are under way; both are given as "web1 on h1".

    `managed` says that one of them is carried by kvmtui itself, `waits` that others are still to begin.
    """
    if not consoles and not moving and not waits:
        app.exit()
        return
    if isinstance(app.screen, QuitScreen):
        return
    consequences = []
    if consoles:
        consequences.append("The console's session ends." if len(consoles) == 1 else "The consoles' sessions end.")
    if managed:
        consequences.append("A move that kvmtui carries itself (managed) breaks off; its VM may be left paused.")
    elif moving:
        consequences.append("How the migration ends is then not seen here.")
    if waits:
        consequences.append("What has not begun is not moved.")
    lines = [*(f"console of {where}" for where in consoles), *(f"migrating {where}" for where in moving)]

    def agreed(answer: bool | None) -> None:
        if answer:
            app.exit()

    app.push_screen(QuitScreen("Quit kvmtui?", lines, " ".join(consequences), destructive=False), agreed)
