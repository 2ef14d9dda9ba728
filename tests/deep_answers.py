"""Waiting for what the deep lanes of an engine's hosts have been asked."""

from kvmtui.engine.engine import Engine

_PATIENCE_S = 60.0


def let_deep_answers_in(engine: Engine) -> None:
    """Wait for the deep samples that are out; the next look takes them."""
    for poller in engine._pollers.values():
        # The lane answers in order: once it has answered this, it has answered all before.
        poller.lanes.start("deep", lambda _: None).future.result(_PATIENCE_S)
