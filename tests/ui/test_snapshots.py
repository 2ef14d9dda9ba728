"""Pictures of the dashboard, compared with those that somebody has looked at.

After a wanted change: `pytest tests/ui/test_snapshots.py --snapshot-update`, then look at what has changed.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.ui.scenes import SCENES
from tests.ui.screenshots import FOLDER, picture
from tests.ui.stage import measured_time_stands_still

Compare = Callable[..., bool]


def _same(snap_compare: Compare, name: str, **options: Any) -> bool:
    scene = SCENES[name]
    with measured_time_stands_still():
        stage = scene.stage()
        for option, value in options.items():
            setattr(stage.app, option, value)
        try:
            return snap_compare(
                stage.app, terminal_size=(scene.columns, scene.rows), run_before=partial(scene.run, stage)
            )
        finally:
            stage.end()


@pytest.mark.parametrize("name", SCENES)
def test_looks_as_it_did(snap_compare: Compare, name: str) -> None:
    assert _same(snap_compare, name)


@pytest.mark.parametrize("name", ["dashboard", "confirm"])
def test_without_colour(snap_compare: Compare, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert _same(snap_compare, name)


def test_in_the_terminals_own_colours(snap_compare: Compare) -> None:
    assert _same(snap_compare, "dashboard", theme="ansi-dark")


def test_published_pictures_name_no_server_and_no_path() -> None:
    svg = picture("small")
    assert set(re.findall(r"https?://[^\"<\s)]*", svg)) == {"http://www.w3.org/2000/svg"}
    assert "@font-face" not in svg
    assert str(FOLDER) not in svg
    assert ">running</text>" in svg
