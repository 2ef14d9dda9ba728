"""The question before quitting, where something ends with the program or goes on unseen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textual.app import App

from kvmtui.ui.screens.ask import ConfirmScreen


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What is under way, each as "web1 on h1"."""

    consoles: Sequence[str] = ()
    carried: Sequence[str] = ()
    """Moves that kvmtui carries itself."""
    going: Sequence[str] = ()
    """Moves that go on without it."""
    waiting: Sequence[str] = ()
    """Moves that wait their turn."""
    plan: int | None = None
    """How many moves a plan has left that is running; None: there is none."""


class QuitScreen(ConfirmScreen):
    """Asks whether to quit."""


def quit_or_ask(app: App[Any], unfinished: Unfinished) -> None:
    """Quit, or ask where something is not finished."""
    lines, consequences = _lines(unfinished), _consequences(unfinished)
    if not consequences:
        app.exit()
        return
    if isinstance(app.screen, QuitScreen):
        return

    def agreed(answer: bool | None) -> None:
        if answer:
            app.exit()

    app.push_screen(QuitScreen("Quit kvmtui?", lines, " ".join(consequences), destructive=False), agreed)


def _lines(unfinished: Unfinished) -> list[str]:
    return [
        *(f"console of {where}" for where in unfinished.consoles),
        *(f"migrating {where}, carried by kvmtui: aborted" for where in unfinished.carried),
        *(f"migrating {where}" for where in unfinished.going),
        *(f"waiting to migrate {where}: not migrated" for where in unfinished.waiting),
        *([] if unfinished.plan is None else [f"a plan that runs, {unfinished.plan} more to move: stops"]),
    ]


def _consequences(unfinished: Unfinished) -> list[str]:
    """Return what quitting brings with it, a sentence each."""
    said = []
    if unfinished.consoles:
        one = len(unfinished.consoles) == 1
        said.append("The console's session ends." if one else "The consoles' sessions end.")
    if unfinished.carried:
        said.append("A migration that kvmtui carries itself (managed) breaks off; its VM may be left paused.")
    if unfinished.going:
        said.append("What the hosts carry goes on; how it ends is not seen here.")
    if unfinished.waiting or unfinished.plan is not None:
        said.append("What has not begun is not migrated.")
    return said
