"""What was closed is gone: a dashboard that runs for weeks must not grow with every look at the help."""

import weakref

import pytest
from textual.widget import Widget

from tests.ui.stage import Stage, dashboard


async def look_and_close(stage: Stage, key: str) -> list["weakref.ref[object]"]:
    """Open a screen and close it; return its widgets, and their drawn lines, which are what is large."""
    await stage.press(key)
    assert stage.app.screen is not stage.main
    assert "Esc" in stage.text
    widgets = list(stage.app.screen.query("*").results(Widget))
    await stage.press("escape")
    assert stage.app.screen is stage.main
    return [weakref.ref(part) for each in widgets for part in (each, each._styles_cache)]


@pytest.mark.parametrize("key", ["question_mark", "J"])
async def test_nothing_is_kept_of_a_closed_screen(key: str) -> None:
    # Not of a question: what is left of its time to live, a minute at most, keeps it that long.
    async with dashboard() as stage:
        earlier = await look_and_close(stage, key)
        assert earlier
        # Of the last one the compositor may still know.
        await look_and_close(stage, key)
        await stage.until(lambda: not any(reference() for reference in earlier))
