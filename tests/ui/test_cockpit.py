"""The screen of moves: what it shows, its keys, and what the main screen says of moves meanwhile."""

from dataclasses import replace
from unittest.mock import patch

import pytest
from textual.widgets import Input

from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.model.actions import BY_ID
from kvmtui.model.migration import Migration, Phase, RepairKind, Steer
from kvmtui.model.migration_options import DiskMove, PartCopy
from kvmtui.model.vm import Job
from kvmtui.ui.acting import refusal
from kvmtui.ui.app import Dashboard
from kvmtui.ui.screens.ask import ConfirmScreen
from kvmtui.ui.screens.cockpit import CockpitScreen
from kvmtui.ui.screens.journal import JournalScreen
from kvmtui.ui.screens.number import NumberScreen
from kvmtui.ui.widgets.bars import TitleBar
from kvmtui.ui.widgets.migration_lines import row_runs
from tests.ui.played_moves import ended_with_repair, not_converging, running, waiting
from tests.ui.stage import H1, H2, Stage, dashboard


async def _open(stage: Stage, *moves: Migration) -> None:
    stage.engine.play(*moves)
    await stage.press("w")
    await stage.until(lambda: stage.count(CockpitScreen))


async def _answered(stage: Stage) -> None:
    await stage.until(lambda: not stage.count(ConfirmScreen) and not stage.count(NumberScreen))


async def test_with_nothing_moved_it_says_so() -> None:
    async with dashboard() as stage:
        await _open(stage)
        assert stage.line("Nothing has been migrated")
        await stage.press("X", "d", "1", "enter", "j", "y", "escape")
        await stage.until(lambda: not stage.count(CockpitScreen))
        assert stage.engine.steered == []


async def test_all_moves_with_the_selected_one_in_detail() -> None:
    async with dashboard(size=(80, 24)) as stage:
        await _open(stage, not_converging("cache1", 0.0), running("web1", 1.0), waiting("db2", 2.0))
        assert stage.line("migrations", "2 under way", "1 waiting")
        assert stage.line("cache1", "h1 → h2", "41 %", "will not converge")
        assert stage.line("it had reached 62 % and fell back to 41 %")
        assert stage.line("d downtime", "o post-copy", "X abort", "Esc back"), "all keys fit 80 columns"
        await stage.press("j")
        assert stage.line("▸", "web1", "~18 s", "converging")
        await stage.press("enter")
        assert stage.line("there is nothing to repair")
        assert stage.line("converging: sends 112 MiB/s, dirties 21")
        assert not stage.line("o post-copy")
        await stage.press("j")
        assert stage.line("▸", "db2", "waiting its turn")
        assert stage.line("X abort")
        assert not stage.line("d downtime")


async def test_the_heading_says_of_its_disks_what_is_so_and_once_how_it_goes() -> None:
    async with dashboard(size=(120, 24)) as stage:
        move = running("web1", 0.0, peer_to_peer=False)
        managed = replace(move.request.options, peer_to_peer=False)
        for options, diskless, says in (
            (managed, False, "managed by kvmtui  ·  disks shared  ·  auto-converge"),
            (managed, True, "managed by kvmtui  ·  no disks to copy  ·  auto-converge"),
            (
                replace(managed, offline=True, auto_converge=False),
                True,
                "managed by kvmtui  ·  it is off: its definition is migrated, no disk is copied",
            ),
            (
                replace(managed, disks=DiskMove.COPY, partly=PartCopy(("vdb",), ("vda",))),
                False,
                "managed by kvmtui  ·  only vdb copied; the others shared  ·  auto-converge",
            ),
        ):
            stage.engine.play(replace(move, request=replace(move.request, options=options), diskless=diskless))
            if not stage.count(CockpitScreen):
                await stage.press("w")
            await stage.see("web1", "h1 → h2", says)


async def test_where_there_is_room_the_moves_above_the_cursor_are_seen() -> None:
    async with dashboard(size=(80, 24)) as stage:
        moves = [running(f"vm{number}", float(number)) for number in range(3)]
        await _open(stage, *moves, ended_with_repair("db1", 5.0))
        assert stage.line("▸", "db1"), "the one that needs somebody is chosen"
        assert all(stage.line(f"vm{number}") for number in range(3))


async def test_the_title_keeps_what_matters_where_it_is_too_long() -> None:
    async with dashboard(size=(80, 24), read_only=True) as stage:
        stage.engine.play(*(ended_with_repair(f"vm{number}", 5.0) for number in range(2)), running("web1", 0.0))
        stage.main.query_one(TitleBar).plan = "plan: 3 of 12 moved (B)"
        assert stage.pilot is not None
        await stage.pilot.pause()
        title = stage.text.splitlines()[0]
        assert "read-only · 1 migrating · 2 need you: w · plan: 3 of 12 moved (B)" in title
        stage.main.query_one(TitleBar).plan = ""
        await stage.pilot.pause()
        title = stage.text.splitlines()[0]
        assert "2 need you: w" in title
        assert title.rstrip().endswith("12:04:31"), title


async def test_of_many_moves_those_around_the_cursor_are_drawn() -> None:
    async with dashboard(size=(80, 24)) as stage:
        await _open(stage, *(running(f"vm{number}", float(number)) for number in range(40)))
        with patch("kvmtui.ui.widgets.migration_panel.row_runs", wraps=row_runs) as drawn:
            await stage.press("G")
            assert stage.line("▸", "vm39")
            await stage.press("k", "k")
            assert stage.line("▸", "vm37")
            assert stage.line("vm39")
        assert {call.args[0].request.vm_name for call in drawn.call_args_list} <= {f"vm{n}" for n in range(25, 40)}


async def test_figures_come_while_it_is_open_and_the_cursor_stays_on_its_move() -> None:
    async with dashboard() as stage:
        web1, cache1 = running("web1", 1.0), not_converging("cache1", 0.0)
        await _open(stage, cache1, web1)
        await stage.press("j")
        stage.engine.play(web1, replace(cache1, phase=Phase.DONE, ended_at_s=60.0, steers=frozenset()))
        await stage.see("cache1", "migrated in 1m 00s")
        assert stage.line("▸", "web1")
        await stage.look()
        assert stage.main.fleet is stage.engine.fleet, "the rest stays live"


async def test_downtime_is_raised_step_by_step_or_asked_for() -> None:
    async with dashboard() as stage:
        move = running("web1", 0.0)
        uuid = move.request.key.uuid
        await _open(stage, move)
        await stage.press("d", "d")
        assert stage.line("210 ms, 500 ms asked for")
        await stage.press("D", "ctrl+a", *["delete"] * 3, *"1200", "enter")
        await _answered(stage)
        await stage.press("b", *"80", "enter")
        await _answered(stage)
        assert stage.engine.steered == [
            (uuid, Steer.DOWNTIME, 400),
            (uuid, Steer.DOWNTIME, 500),
            (uuid, Steer.DOWNTIME, 1200),
            (uuid, Steer.BANDWIDTH, 80),
        ]


@pytest.mark.parametrize(("key", "steer"), [("o", Steer.POST_COPY), ("p", Steer.PAUSE_GUEST), ("X", Steer.ABORT)])
async def test_what_hurts_asks_first_and_starts_on_no(key: str, steer: Steer) -> None:
    async with dashboard() as stage:
        move = not_converging("cache1", 0.0)
        await _open(stage, move)
        await stage.press(key)
        assert stage.line("cache1", "h1", "h2", "?")
        await stage.press("enter")
        await _answered(stage)
        assert stage.engine.steered == []
        await stage.press(key, "y")
        await _answered(stage)
        assert stage.engine.steered == [(move.request.key.uuid, steer, None)]


async def test_what_is_not_possible_says_why() -> None:
    async with dashboard() as stage:
        await _open(stage, running("web1", 0.0))
        await stage.press("o")
        assert stage.line("post-copy: it has to be allowed when the migration is started")
        assert stage.engine.steered == []


async def test_a_move_that_ended_while_it_was_asked_is_left_alone() -> None:
    async with dashboard() as stage:
        move = running("web1", 0.0)
        await _open(stage, move)
        await stage.press("X")
        stage.engine.play(replace(move, phase=Phase.DONE, ended_at_s=9.0, steers=frozenset()))
        await stage.press("y")
        await _answered(stage)
        assert stage.line("abort: not possible any more")
        assert stage.engine.steered == []


async def test_a_repair_is_offered_with_its_consequence_and_done_only_when_agreed_to() -> None:
    async with dashboard(size=(80, 24)) as stage:
        move = ended_with_repair("db1", 0.0)
        await _open(stage, running("web1", 1.0), move)
        assert stage.line("▸", "db1"), "it begins on what needs somebody"
        assert stage.line("1  delete the unfinished disk copies")
        for key, done in (("enter", []), ("y", [(move.request.key.uuid, RepairKind.DELETE_COPIES, None)])):
            await stage.press("1")
            assert stage.line("db1, h1 → h2: delete the unfinished disk copies at the")
            assert stage.line("virsh -c demo://h2 vol-delete")
            await stage.press(key)
            await _answered(stage)
            assert stage.engine.steered == done
        await stage.press("2")
        assert stage.line("nothing of that number is offered")


async def test_the_title_counts_moves_until_somebody_looked() -> None:
    async with dashboard(size=(80, 24)) as stage:
        assert "migrating" not in stage.line("kvmtui")
        bad = ended_with_repair("db1", 0.0)
        stage.engine.play(running("web1", 1.0), running("web2", 2.0))
        await stage.see("kvmtui", "2 migrating: w")
        stage.engine.play(running("web1", 1.0), bad)
        await stage.see("kvmtui", "1 migrating · 1 needs you: w", "12:04:31")
        await stage.says("migrate db1 on h1 to h2: failed: the daemon of h2 went away", "w shows what can be done")
        await stage.press("w", "escape")
        await stage.until(lambda: not stage.count(CockpitScreen))
        assert "1 migrating: w" in stage.line("kvmtui")
        await stage.press("w")
        assert stage.line("db1", "failed"), "it stays listed"


async def test_while_both_hosts_are_asked_x_ends_that_and_escape_leaves() -> None:
    async with dashboard(size=(80, 24)) as stage:
        move = running("web1", 0.0, phase=Phase.VERIFYING, steers=frozenset({Steer.ABORT}))
        await _open(stage, move)
        assert stage.line("web1", "asking both hosts")
        assert stage.line("X stop asking")
        await stage.press("X")
        assert stage.line("Ask no longer how migrating web1 from h1 to h2 ended?")
        await stage.press("y")
        await _answered(stage)
        assert stage.engine.steered == [(move.request.key.uuid, Steer.ABORT, None)]
        await stage.press("escape")
        await stage.until(lambda: not stage.count(CockpitScreen))


async def test_in_the_table_there_is_nothing_to_cancel_while_both_hosts_are_asked() -> None:
    async with dashboard() as stage:
        moving = replace(stage.vm("web1"), job=Job("migration"))
        fleet, cancel = stage.engine.fleet, BY_ID["abort_job"]
        assert refusal(cancel, moving, fleet, read_only=False) is None
        asked = fleet.with_pending({moving.key: Phase.VERIFYING.value})
        assert "both hosts are asked" in (refusal(cancel, moving, asked, read_only=False) or "")


async def test_help_begins_with_the_keys_of_moves() -> None:
    async with dashboard(size=(80, 24)) as stage:
        await _open(stage, running("web1", 1.0))
        assert stage.line("? help", "Esc back")
        await stage.press("question_mark")
        assert stage.line("Migrations: the dialog (m) and those under way (w)")


async def test_an_end_is_told_once() -> None:
    async with dashboard() as stage:
        done = running("web1", 0.0, phase=Phase.DONE, ended_at_s=9.0, steers=frozenset())
        stage.engine.play(done)
        await stage.says("migrate web1 on h1 to h2: done: h2 has it, h1 does not run it")
        stage.engine.play(done)
        await stage.press("J")
        await stage.until(lambda: stage.count(JournalScreen))
        assert len(stage.main._journal) == 1


async def test_the_virsh_line_is_copied() -> None:
    copied: list[str] = []
    async with dashboard() as stage:
        await _open(stage, running("web1", 0.0))
        with patch.object(Dashboard, "copy_to_clipboard", lambda _, text: copied.append(text)):
            await stage.press("y")
        assert stage.line("the virsh line is copied")
    assert copied[0].startswith("virsh -c demo://h1 migrate web1 demo://h2 --live")


async def test_many_moves_scroll_with_the_cursor() -> None:
    async with dashboard(size=(80, 24)) as stage:
        await _open(stage, *(running(f"vm{number:02}", float(number)) for number in range(30)))
        assert not stage.line("vm29")
        await stage.press("G")
        assert stage.line("▸", "vm29")
        await stage.press("g")
        assert stage.line("▸", "vm00")
        assert not stage.line("vm29")


# On the demo hosts


async def test_a_move_that_does_not_converge_is_finished_by_post_copy() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("build3")
        await stage.press("m")
        await stage.see("h1", "can take it")
        await stage.press("c", "a", "enter", "w")
        await stage.look_until(lambda: stage.line("build3", "will not converge at this rate"))
        await stage.press("o", "y")
        await stage.look_until(lambda: stage.line("build3", "migrated in"))
        assert stage.key("build3").host == H1


async def test_what_a_failed_move_left_is_mended() -> None:
    async with dashboard() as stage:
        stage.backend.fail("migrate resume", HypervisorError("internal error: unable to execute QEMU command 'cont'"))
        await stage.put_cursor_on("web2")
        await stage.press("m")
        await stage.see("h2", "can take it")
        await stage.press("enter")
        await stage.look_until(lambda: stage.line("kvmtui", "1 migration needs you: w"))
        await stage.press("w")
        await stage.see("1  resume it at the destination")
        await stage.press("1", "y")
        await stage.look_until(lambda: stage.vm("web2").key.host == H2 and stage.vm("web2").state.executing)
        await stage.look_until(lambda: not stage.line("1  resume"))


async def test_the_present_bandwidth_is_offered() -> None:
    async with dashboard() as stage:
        await _open(stage, replace(running("web1", 0.0), bandwidth_mib_per_s=80))
        await stage.press("b")
        assert stage.app.screen.query_one(Input).value == "80"


async def test_what_the_main_screen_has_to_say_is_said_here() -> None:
    async with dashboard() as stage:
        await _open(stage, running("web1", 0.0))
        stage.engine.listeners.trouble("the disk of the audit is full")
        await stage.see("the disk of the audit is full")
        await stage.press("escape")
        await stage.until(lambda: not stage.count(CockpitScreen))
        stage.engine.listeners.trouble("and nothing fails when it is closed")
        await stage.says("and nothing fails")


async def test_time_goes_on_also_while_nothing_comes_from_the_hosts() -> None:
    with patch("kvmtui.ui.screens.cockpit._TICK_S", 0.01):
        async with dashboard() as stage:
            await _open(stage, running("web1", stage.clock()))
            assert not stage.line("web1", "1m 30s")
            stage.clock.advance(90)
            await stage.see("1m 30s")


@pytest.mark.parametrize("key", ["w", "B", "question_mark", "K"])
async def test_over_another_screen_there_is_no_palette(key: str) -> None:
    async with dashboard() as stage:
        stage.engine.play(running("web1", 0.0))
        await stage.press(key)
        depth = len(stage.app.screen_stack)
        assert depth == 2
        await stage.press("ctrl+p")
        assert len(stage.app.screen_stack) == depth
        await stage.press("escape", "ctrl+p")
        await stage.until(lambda: len(stage.app.screen_stack) == 2)
