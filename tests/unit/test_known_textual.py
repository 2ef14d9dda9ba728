"""Whether Textual is as it was: by names, without importing anything that may be gone."""

from typing import Any

import pytest
from textual.widget import Widget

from kvmtui.ui.known_textual import known, strange


@pytest.mark.parametrize(
    ("relied", "reason"),
    [
        ((Widget, "refresh", {"_set_dirty"}), ""),
        ((Widget, "refresh", {"_set_dirty", "_gone"}), "Widget.refresh does not use _gone"),
        ((Widget, "_gone", {"anything"}), "Widget._gone does not use anything"),
        ((Widget, "DEFAULT_CSS", {"anything"}), "Widget.DEFAULT_CSS does not use anything"),
    ],
)
def test_what_is_not_as_it_was_has_a_name(relied: Any, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    assert strange(relied) == reason
    assert known(relied) is (reason == "")
    assert (reason in caplog.text) or not reason
