"""Giving back the memory of screens that were closed, which Textual and the collector would keep for long."""

import asyncio
import gc
from typing import Generic, TypeVar

from textual._styles_cache import StylesCache
from textual.app import App
from textual.await_complete import AwaitComplete

T = TypeVar("T")
_COLLECT_S = 1.0
"""How long after a screen was closed: not while the key that closed it is answered."""


class ClosedScreensApp(App[T], Generic[T]):
    """An app that keeps nothing of a screen that was closed."""

    _collect_due: asyncio.TimerHandle | None = None

    def pop_screen(self) -> AwaitComplete:
        """Close the screen on top, and have its memory back soon."""
        closed = super().pop_screen()
        if self._collect_due is None:
            self._collect_due = asyncio.get_running_loop().call_later(_COLLECT_S, self._collect)
        return closed

    def _collect(self) -> None:
        self._collect_due = None
        # For the sake of two colours each, this cache of a method holds on to the drawn lines of the last thousand
        # widgets (Textual 8.2): 1.5 MB for each time that the help was read.
        forget = getattr(getattr(StylesCache, "get_inner_outer", None), "cache_clear", None)
        if forget is not None:
            forget()
        # Widgets refer to each other, and the collector by itself would let many of them add up first.
        gc.collect()
