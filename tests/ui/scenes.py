"""What the pictures show: one scene each, the same at every run."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from textual.pilot import Pilot

from kvmtui.model.migration import Phase
from kvmtui.ui.glyphs import ASCII, UNICODE, Glyphs
from kvmtui.ui.widgets.host_list import HostList
from kvmtui.ui.widgets.vm_detail import VmDetail
from tests.deep_answers import let_deep_answers_in
from tests.ui.played_moves import (
    MACHINE,
    MEMORY,
    PORT,
    VERSIONS,
    at_second,
    ended_with_repair,
    local_disks,
    not_converging,
    open_dialog,
    running,
    waiting,
)
from tests.ui.stage import H2, Stage

WATCHED_S = 150


@dataclass(frozen=True, slots=True)
class Scene:
    """How a picture comes about."""

    columns: int
    rows: int
    play: Callable[[Stage], Awaitable[None]]
    glyphs: Glyphs = UNICODE
    cursor_on: str = "web1"

    def stage(self) -> Stage:
        """Return the dashboard before it runs, its hosts watched long enough for full graphs."""
        stage = Stage(glyphs=self.glyphs)
        keys = [stage.key(name) for name in "web1 web2 db1 db2 batch1 build3 cache1 ci7 mail win1".split()]  # noqa: SIM905
        stage.engine.show_interest(keys[0], keys)
        # What the screen shows while it lays itself out must not decide when which VM is looked at.
        stage.engine.interest_is_fixed = True
        stage.watch_for(WATCHED_S)
        return stage

    async def run(self, stage: Stage, pilot: Pilot[Any]) -> None:
        """Bring the running dashboard to where the picture is taken."""
        stage.pilot = pilot
        # From here on the screen hears of every look.
        await stage.until(lambda: stage.engine.started)
        await stage.look()
        await _lay_out(stage)
        await stage.put_cursor_on(self.cursor_on)
        await pilot.pause()
        await _see_all(stage)
        await self.play(stage)
        await pilot.pause()


async def _lay_out(stage: Stage) -> None:
    """Wait until all parts have the heights they will keep: where the table scrolls to depends on its own."""
    hosts, detail = stage.main.query_one(HostList), stage.main.query_one(VmDetail)
    await stage.until(lambda: hosts.size.height == len(stage.backend.uris) + 1)
    stage.main.divide_height()
    await stage.until(lambda: detail.styles.height is not None and detail.size.height == detail.styles.height.value)
    assert stage.pilot is not None
    await stage.pilot.pause()


async def _see_all(stage: Stage) -> None:
    """Let the screen show everything that is known at this moment, also what is read in the background."""
    let_deep_answers_in(stage.engine)
    await stage.look(0)
    detail = stage.main.query_one(VmDetail)
    await stage.look_until(lambda: detail.vm_config is not None, seconds=0)


async def _nothing(stage: Stage) -> None:
    pass


async def _busy(stage: Stage) -> None:
    await stage.press("P")


async def _confirm(stage: Stage) -> None:
    await stage.press("K")


async def _help(stage: Stage) -> None:
    await stage.press("question_mark")


async def _host_down(stage: Stage) -> None:
    stage.backend.host_down(H2, "ssh: connect to host h2 port 22: Connection refused")
    await stage.look()
    await stage.look(0)


async def _move_fails(stage: Stage) -> None:
    await open_dialog(stage, "db1", h2=local_disks(MACHINE, VERSIONS, PORT))
    await stage.press("enter")


async def _move_warns(stage: Stage) -> None:
    await open_dialog(stage, "db1", h2=local_disks(MEMORY, PORT))


async def _move_passes(stage: Stage) -> None:
    await open_dialog(stage, "db1", h2=local_disks(PORT))
    await stage.press("v")


async def _move_options(stage: Stage) -> None:
    await open_dialog(stage, "db1", h2=local_disks(MEMORY, PORT))
    await stage.press("c")


async def _moves(stage: Stage) -> None:
    """Moves of every kind, the cursor on the one that does not converge."""
    now_s = stage.clock()
    stuck = not_converging("cache1", now_s - 190)
    moves = (
        stuck,
        running("web1", now_s - 42),
        waiting("mail", now_s),
        ended_with_repair("db1", now_s - 400),
        running("win1", now_s - 800, phase=Phase.DONE, ended_at_s=now_s - 770, steers=frozenset()),
    )
    for second in range(190):
        stage.engine.play(at_second(stuck, second), *moves[1:])
    stage.engine.play(*moves)
    await stage.see("kvmtui", "3 migrating")
    await stage.press("w", "g")


async def _moves_converge(stage: Stage) -> None:
    await _moves(stage)
    await stage.press("j")


async def _moves_ended(stage: Stage) -> None:
    await _moves(stage)
    await stage.press("j", "j", "j")


async def _moves_counted(stage: Stage) -> None:
    await _moves(stage)
    await stage.press("escape")


async def _console(stage: Stage) -> None:
    await stage.press("c")
    await stage.see("root@web1:~#")
    for command in ("uname -a", "free", "dmesg"):
        await stage.press(*command, "enter")
    await stage.until(lambda: stage.text.count("root@web1:~#") >= 2 and "SMBus" in stage.text)


PREFIX = "ctrl+right_square_bracket"


async def _open_console(stage: Stage, name: str) -> None:
    await stage.put_cursor_on(name)
    await stage.press("c")
    await stage.see(f"root@{name}:~#")


async def _consoles(stage: Stage) -> None:
    """Two of them beside the table, and the prefix waits for a key."""
    await _open_console(stage, "db1")
    await stage.press(PREFIX, "h")
    await _open_console(stage, "web1")
    await stage.press(PREFIX, "v", *"ls", "enter", PREFIX)
    await stage.see("install.log")


async def _search(stage: Stage) -> None:
    await _open_console(stage, "web1")
    await stage.press(*"dmesg", "enter")
    await stage.see("SMBus")
    await stage.press(PREFIX, "slash", *"smb", "enter", "n")
    await stage.see("2 of 2", "older")


async def _plan(stage: Stage) -> None:
    await stage.press("B")
    await stage.see("1 move proposed")
    await stage.see("web1 h1→h2")


async def _emptying(stage: Stage) -> None:
    await stage.press("E", "home", "enter")
    await stage.see("4 moves proposed")
    await stage.press("n")
    await stage.see("win1 on h1", "pinned")


async def _findings(stage: Stage) -> None:
    """Both hosts have been looked at; no time passes meanwhile, so that the figures stay."""
    assert stage.engine.health.standing.findings == ()
    await stage.look_until(lambda: stage.line("kvmtui", "2 wrong: !"), seconds=0)
    await stage.press("exclamation_mark")
    await stage.see("warning", "h2: pool backup")
    await stage.see("rule vm-ready")


SCENES = {
    "dashboard": Scene(120, 40, _nothing),
    "busy": Scene(200, 60, _busy),
    "small": Scene(80, 24, _nothing),
    "ascii": Scene(100, 30, _nothing, ASCII),
    "confirm": Scene(100, 30, _confirm),
    "help": Scene(100, 30, _help),
    "host_down": Scene(100, 30, _host_down),
    "move_fails": Scene(80, 24, _move_fails, cursor_on="db1"),
    "move_warns": Scene(80, 24, _move_warns, cursor_on="db1"),
    "move_passes": Scene(120, 40, _move_passes, cursor_on="db1"),
    "move_options": Scene(80, 24, _move_options, cursor_on="db1"),
    "move_warns_wide": Scene(120, 40, _move_warns, cursor_on="db1"),
    "moves": Scene(120, 40, _moves),
    "moves_small": Scene(80, 24, _moves),
    "moves_converge": Scene(80, 24, _moves_converge),
    "moves_ended": Scene(80, 24, _moves_ended),
    "moves_ascii": Scene(100, 30, _moves, ASCII),
    "moves_counted": Scene(80, 24, _moves_counted),
    "console": Scene(100, 30, _console),
    "consoles": Scene(160, 40, _consoles),
    "search": Scene(80, 24, _search),
    "findings": Scene(120, 40, _findings),
    "findings_small": Scene(80, 24, _findings),
    "plan": Scene(120, 40, _emptying),
    "plan_small": Scene(80, 24, _plan),
}
