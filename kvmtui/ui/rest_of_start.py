"""What the first picture does not need, done when it is out: modules for keys to come, and the garbage collector."""

import gc
import logging
import threading
from importlib import import_module

_log = logging.getLogger(__name__)
MODULES = (
    "kvmtui.ui.screens.ask",
    "kvmtui.ui.screens.help",
    "kvmtui.ui.screens.menu",
    "kvmtui.ui.screens.journal",
    "kvmtui.ui.screens.audit",
    "kvmtui.ui.screens.migrating",
    "kvmtui.ui.screens.cockpit",
    "kvmtui.ui.screens.device",
    "kvmtui.ui.screens.host_choice",
    "kvmtui.ui.screens.plan",
    "kvmtui.ui.screens.health",
    "kvmtui.ui.console_terminal",
    "kvmtui.ui.console_words",
    "kvmtui.engine.actions",
    "kvmtui.engine.consoles",
    "kvmtui.engine.health_watch",
    "kvmtui.engine.migrations",
    "kvmtui.engine.plans",
    "kvmtui.engine.preflights",
    "kvmtui.model.preflight",
)


def finish_start() -> threading.Thread:
    """Do it in a thread: a key that comes meanwhile waits at most for the module it needs; return the thread."""
    thread = threading.Thread(target=_finish, name="rest of start", daemon=True)
    thread.start()
    return thread


def _finish() -> None:
    for name in MODULES:
        try:
            import_module(name)
        except Exception:  # noqa: BLE001 - who needs it will tell the user; the collector is needed in any case
            _log.exception("cannot be loaded: %s", name)
    # What is there by now stays: the collector need not look at it again.
    gc.freeze()
    gc.enable()
