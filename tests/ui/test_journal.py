"""What was done, and the virsh line of each to take along."""

import shlex
from collections.abc import Sequence

from textual.app import App
from textual.widgets import Label

from kvmtui.model.actions import virsh_line
from kvmtui.ui.screens.journal import Entry, JournalScreen

_WORDS = ["virsh", "-c", "qemu+unix:///system?socket=/run/it's a long folder of h1/libvirt-sock", "suspend", "web1"]
_LINE = virsh_line(_WORDS[2], "suspend", "web1", "uuid-of-web1")
_ENTRIES = (
    Entry("12:04:01", "migrate db1 on h1 to h2: done", "", "virsh -c qemu:///system migrate db1"),
    Entry("12:04:11", "pause web1 on h1: done", "$text-success", _LINE),
    Entry("12:04:31", "no VM is selected", "", ""),
)


class _JournalApp(App[None]):
    def __init__(self, entries: Sequence[Entry] = _ENTRIES) -> None:
        super().__init__()
        self.journal = JournalScreen(entries)

    def on_mount(self) -> None:
        self.push_screen(self.journal)

    @property
    def hint(self) -> str:
        return str(self.journal.query_one(".hint", Label).visual)


async def test_a_virsh_line_that_wraps_is_copied_as_one_that_a_shell_takes() -> None:
    app = _JournalApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("j", "y")
        assert "\n" not in app.clipboard
        assert shlex.split(app.clipboard) == _WORDS
        assert "is copied" in app.hint
        await pilot.press("G", "y")
        assert app.clipboard == "virsh -c qemu:///system migrate db1"


async def test_where_there_is_no_virsh_line_it_says_so_and_the_clipboard_stays() -> None:
    app = _JournalApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("j", "y", "k", "y")
        assert shlex.split(app.clipboard) == _WORDS
        assert "no virsh line" in app.hint


async def test_of_nothing_no_key_does_anything() -> None:
    app = _JournalApp(())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("y", "j", "G", "space")
        assert app.clipboard == ""
        assert "y copies" not in app.hint
        await pilot.press("q")
        assert app.screen is not app.journal
