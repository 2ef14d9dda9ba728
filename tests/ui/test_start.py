"""What is left for after the first picture is there for whoever is faster."""

from collections.abc import Iterator

import pytest

from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.ui.app import Dashboard
from kvmtui.ui.screens.help import HelpScreen


class _Hasty(Dashboard):
    """One whose user has opened the help before the first picture is out."""

    async def on_ready(self) -> None:  # type: ignore[override]
        await self.push_screen(HelpScreen())
        super().on_ready()


@pytest.fixture
def engine() -> Iterator[Engine]:
    backend = DemoBackend(12)
    made = Engine(backend, backend.uris)
    yield made
    made.stop()


@pytest.mark.parametrize("kind", [Dashboard, _Hasty])
async def test_a_dialog_looks_like_one_however_early_it_comes(kind: type[Dashboard], engine: Engine) -> None:
    app = kind(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        if kind is Dashboard:
            await app.push_screen(HelpScreen())
        await pilot.pause()
        dialog = app.screen.query_one(".dialog")
        assert dialog.styles.border_top[0] == "round"
        assert dialog.region.width == 100
