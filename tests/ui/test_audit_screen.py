"""The audit on the screen: newest first, of all sessions, and of the selected VM alone."""

from concurrent.futures import Future
from pathlib import Path
from unittest.mock import patch

from kvmtui.engine.audit import Audit, Record
from kvmtui.model.vm import VmKey
from kvmtui.ui.paint import Palette
from kvmtui.ui.screens.audit import AuditScreen
from tests.ui.stage import dashboard


async def test_a_shows_what_was_done_newest_first_and_by_whom(tmp_path: Path) -> None:
    file = tmp_path / "kvmtui" / "audit.jsonl"
    before = Audit(file)
    before.intent("destroy", VmKey("qemu+ssh://u:pw@far/system", "gone"), "old[b]x").outcome("failed", "no [/] such")
    before.intent("start", VmKey("demo://h2", "lost"), "lost1")
    before.flush(10)
    async with dashboard(size=(120, 40)) as stage:
        stage.engine._audit = Audit(file)
        await stage.press("A")
        await stage.see("destroy old[b]x", "failed", "no [/] such")
        assert stage.line("start lost1", "no outcome recorded")
        assert stage.line(" h2 · ")
        assert not stage.line("demo://h2")
        assert stage.line("qemu+ssh://u:***@far/system", stage.engine.audit.intent("x", VmKey("", ""), "")._intent.user)
        await stage.press("A")
        assert not stage.count(AuditScreen)
        await stage.put_cursor_on("web1")
        await stage.press("p")
        await stage.says("pause web1", "done")
        await stage.press("A")
        await stage.see("suspend web1", "done after")
        lines = stage.text.splitlines()
        order = [next(i for i, line in enumerate(lines) if word in line) for word in ("suspend web1", "destroy old")]
        assert order == sorted(order)
        await stage.press("f")
        await stage.see("What was done to web1 on h1")
        assert stage.line("suspend web1")
        assert not stage.line("destroy")
        await stage.press("f", "q")
        assert not stage.count(AuditScreen)


async def test_a_home_that_hangs_is_said_and_nothing_waits() -> None:
    async with dashboard() as stage:
        never: Future[tuple[Record, ...]] = Future()
        with patch.object(stage.engine.audit, "read", return_value=never), patch("kvmtui.ui.screens.audit._SLOW_S", 0):
            await stage.press("A")
            await stage.see("its folder does not answer")
            with patch.object(stage.app.screen, "set_timer") as timer:
                await stage.press("f", "f", "f", "f")
                assert timer.call_count <= 1, "looking again goes on once"
            await stage.press("q")
        assert not stage.count(AuditScreen)


async def test_trouble_is_one_note_and_the_action_is_done(tmp_path: Path) -> None:
    (tmp_path / "kvmtui").write_text("in the way")
    async with dashboard() as stage:
        stage.engine._audit = None
        with patch("kvmtui.engine.audit.audit_of_this_user", lambda: Audit(tmp_path / "kvmtui" / "audit.jsonl")):
            stage.engine._audited = True
            await stage.put_cursor_on("web1")
            await stage.press("p")
            await stage.says("pause web1", "done")
        await stage.until(lambda: any("kept in memory only" in entry.text for entry in stage.main._journal))
        await stage.press("A")
        await stage.see("suspend web1", "done after")


async def test_of_many_records_those_in_sight_are_drawn_and_long_ones_are_indented(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "kvmtui" / "audit.jsonl")
    for number in range(400):
        audit.intent("start", VmKey("demo://h1", "lost"), f"vm{number}").outcome("failed", "no room for it " * 9)
    audit.flush(10)
    async with dashboard(size=(80, 24)) as stage:
        stage.engine._audit = audit
        with patch.object(Palette, "strip", autospec=True, side_effect=Palette.strip) as drawn:
            await stage.press("A")
            await stage.see("start vm399", "failed")
        assert drawn.call_count < 200
        first = next(i for i, line in enumerate(stage.text.splitlines()) if "start vm399" in line)
        below = stage.text.splitlines()[first + 1].strip("│ ").removeprefix("│")
        assert "no room for it" in below
        column = stage.text.splitlines()[first].index("start vm399")
        wrapped = stage.text.splitlines()[first + 1]
        assert wrapped[wrapped.index("│") + 1 : column].strip("│ ") == ""
        await stage.press("G")
        await stage.see("h1 · ", stage.engine.audit.intent("x", VmKey("", ""), "")._intent.user)
        await stage.see("start vm0:", "failed")
