"""What is typed into a console while its stream breaks, and what is told of what was done to it."""

import threading

import pytest

from kvmtui.engine.console_state import ConsoleDeed, ConsoleState
from kvmtui.engine.typed_line import TypedLine
from kvmtui.model.actions import Verb
from kvmtui.model.migration_options import MigrationOptions
from tests.unit.test_consoles import OpenConsole, Seen, Stream, hold, line, open_console, perform
from tests.unit.test_engine import Bench, bench

__all__ = ["bench", "line", "open_console"]


class Time:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


# The line


def again(typed: TypedLine, *, same_line: bool = True) -> str:
    """Let the stream come back; return what is said."""
    said = typed.resume(same_line=same_line)
    typed.resumed()
    return said


@pytest.mark.parametrize("clear", [b"\x03", b"\x15"])
def test_half_a_line_in_the_guest_is_cleared_before_anything_else_is_sent(clear: bytes) -> None:
    time = Time()
    typed = TypedLine(time)
    assert typed.sends(b"rm -rf /tmp/", stands_still=False)
    time.now_s += 10
    typed.broke(unsent=False)
    typed.missed(b"o")
    assert again(typed).startswith("what was typed meanwhile was dropped; the guest may have half a line")
    for keys in (b"ld", b"\r", b"ls", b"\r"):
        assert not typed.sends(keys, stands_still=False)
    assert typed.sends(clear, stands_still=False)
    assert typed.sends(b"ls", stands_still=False)


def test_an_enter_that_may_be_lost_glues_no_lines() -> None:
    typed = TypedLine(Time())
    typed.sends(b"ls\r", stands_still=False)
    typed.broke(unsent=False)
    assert again(typed).startswith("what was typed last may be lost")
    assert not typed.sends(b"id\r", stands_still=False)


def test_the_rest_of_a_line_that_was_begun_in_the_gap_is_dropped_up_to_enter() -> None:
    time = Time()
    typed = TypedLine(time)
    typed.sends(b"ls\r", stands_still=False)
    time.now_s += 10
    typed.broke(unsent=False)
    typed.missed(b"rm -rf /")
    assert again(typed).endswith("so is the rest of that line, up to Enter")
    assert not typed.sends(b"tmp/x", stands_still=False)
    assert not typed.sends(b"\r", stands_still=False)
    assert typed.sends(b"ls", stands_still=False)


def test_what_was_sent_long_ago_is_not_in_doubt_but_for_a_guest_that_stood_still() -> None:
    time = Time()
    typed = TypedLine(time)
    typed.sends(b"ls", stands_still=False)
    time.now_s += 10
    typed.broke(unsent=False)
    assert again(typed) == ""
    assert not typed.dropped_until
    typed.sends(b"ls", stands_still=True)
    time.now_s += 10
    typed.broke(unsent=False)
    assert "may be lost" in again(typed)
    assert typed.dropped_until


def test_a_guest_that_started_anew_has_no_half_line_and_takes_keys_unless_one_was_just_being_typed() -> None:
    time = Time()
    typed = TypedLine(time)
    typed.sends(b"reb", stands_still=False)
    typed.broke(unsent=False)
    typed.missed(b"ro")
    assert "dropped" in typed.resume(same_line=False)
    assert typed.dropped_until == "Enter, ^U or ^C"
    time.now_s += 10
    assert "dropped" in typed.resume(same_line=False)
    assert not typed.dropped_until, "a key in a boot menu is no rest of a line"


# In a console


def move(bench: Bench, seen: Seen, name: str) -> str:
    """Move a VM as another client, and wait until it is there; return where."""
    key = bench.demo.find(name)
    destination = next(uri for uri in bench.demo.uris if uri != key.host)
    other = bench.demo.open(key.host, read_only=False)
    moving = threading.Thread(
        target=other.migrate, args=(key.uuid, destination, MigrationOptions()), kwargs={"peer_to_peer": True}
    )
    moving.start()
    bench.tick_until(lambda: bench.demo.find(name).host == destination, "the VM there")
    moving.join(10)
    return destination


def test_keys_typed_during_a_switch_over_are_dropped_with_their_line_and_it_is_said(
    bench: Bench, open_console: OpenConsole
) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    seen.console.write(b"echo one ")
    seen.wait_text("echo one ")
    bench.clock.advance(60)
    move(bench, seen, "web1")
    seen.wait(ConsoleState.WAITING)
    seen.console.write(b"two ")
    marks: list[str] = []

    def there() -> bool:
        output = seen.look()
        marks.append(output.mark)
        return output.state is ConsoleState.OPEN

    bench.tick_until(there, "attached there")
    assert [mark for mark in marks if mark] == [
        "now on h2: what was typed meanwhile was dropped; the guest may have half a line, so keys are dropped until "
        "^U or ^C clears it"
    ]
    assert seen.look().dropped_until == "^U or ^C"
    seen.text = ""
    seen.console.write(b"three")
    seen.console.write(b"\r")
    seen.console.write(b"\x15")
    assert not seen.look().dropped_until
    seen.console.write(b"echo four\r")
    seen.wait_text("\r\nfour\r\n")
    assert "three" not in seen.text
    assert "two" not in seen.text


def test_a_move_while_nobody_types_is_not_remarked_on(bench: Bench, open_console: OpenConsole) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    seen.console.write(b"ls")
    bench.clock.advance(60)
    move(bench, seen, "web1")
    output = seen.tick_until(ConsoleState.OPEN)
    assert (output.mark, output.dropped_until) == ("", "")


def test_the_interrupt_tells_how_much_of_a_paste_was_not_sent(
    bench: Bench, line: Stream, open_console: OpenConsole
) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    line.taking.clear()
    seen.console.write(b"echo a line\r" * 3000)
    assert seen.console.unsent_lines > 2900
    seen.console.write(b"\x03")
    line.taking.set()
    bench.wait_until(lambda: seen.look() and seen.messages, "the message")
    assert seen.messages == ["paste stopped: 3000 lines not sent"]
    assert seen.console.unsent_lines == 0
    bench.wait_until(lambda: line.pieces[-1:] == [b"\x03"], "the interrupt")


def test_an_interrupt_that_comes_while_a_piece_is_being_sent_is_not_taken_for_a_part_of_it(
    bench: Bench, line: Stream, open_console: OpenConsole
) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    bench.wait_until(lambda: not line.begun or line.pieces, "the greeting")
    line.taking.clear()
    begun = line.begun
    seen.console.write(b"echo a line\r" * 3000)
    bench.wait_until(lambda: line.begun > begun, "a piece under way")
    seen.console.write(b"\x03")
    line.taking.set()
    bench.wait_until(lambda: b"".join(line.pieces).endswith(b"\x03"), "the interrupt")
    assert len(b"".join(line.pieces)) <= 257


def test_a_bracketed_paste_that_is_stopped_is_ended(bench: Bench, line: Stream, open_console: OpenConsole) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    seen.console.write(b"\x1b[200~" + b"a line\r" * 10_000 + b"\x1b[201~")
    bench.wait_until(lambda: any(line.pieces), "a first piece")
    seen.console.write(b"\x03")
    bench.wait_until(lambda: b"".join(line.pieces).endswith(b"\x1b[201~\x03"), "the end and the interrupt")
    assert len(b"".join(line.pieces)) < 50_000


def test_lines_are_counted_down_as_they_are_sent(bench: Bench, line: Stream, open_console: OpenConsole) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    seen.console.write(b"echo a line\r" * 300)
    bench.wait_until(lambda: b"".join(line.pieces) == b"echo a line\r" * 300, "all of it")
    assert seen.console._attachment is not None
    bench.wait_until(lambda: not seen.console._attachment._unsent, "its note of it")  # type: ignore[union-attr]
    assert seen.console._attachment._unsent_lines == 0


# What is told


def audited(bench: Bench) -> list[tuple[str, ...]]:
    """Return what the audit has: event, verb with flags, result, message."""
    records = bench.engine.audit.read().result(10)
    return [(each.event, " ".join((each.verb, *each.flags)), each.result, each.message) for each in records]


def told_deeds(bench: Bench, seen: Seen) -> list[ConsoleDeed]:
    """Wait until the console tells what came of something."""
    deeds: list[ConsoleDeed] = []

    def told() -> bool:
        deeds.extend(seen.look().deeds)
        return bool(deeds)

    bench.wait_until(told, "what came of it")
    return deeds


def test_a_session_is_audited_from_its_opening_to_its_end(bench: Bench, open_console: OpenConsole) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    bench.wait_until(lambda: len(audited(bench)) == 2, "the opening")
    seen.console.close()
    assert audited(bench) == [
        ("intent", "console", "", ""),
        ("outcome", "console", "done", ""),
        ("outcome", "console", "ended", "left"),
    ]
    record = bench.engine.audit.read().result(10)[0]
    assert (record.vm, record.vm_uuid) == ("web1", bench.demo.find("web1").uuid)


def test_what_the_host_ends_and_what_is_attached_again_is_audited(bench: Bench, open_console: OpenConsole) -> None:
    seen, key = open_console("web1"), bench.demo.find("web1")
    seen.wait(ConsoleState.OPEN)
    perform(bench, Verb.FORCE_OFF, key)
    seen.wait(ConsoleState.WAITING)
    bench.engine.tick()
    perform(bench, Verb.START, key)
    seen.tick_until(ConsoleState.OPEN)
    bench.wait_until(lambda: len(audited(bench)) == 5, "the second session")
    assert audited(bench)[2:] == [
        ("outcome", "console", "ended", "the VM was shut off"),
        ("intent", "console again", "", ""),
        ("outcome", "console again", "done", ""),
    ]


def test_taking_over_is_audited_and_told_for_the_journal(bench: Bench, open_console: OpenConsole) -> None:
    hold(bench, bench.demo.find("web1"))
    seen = open_console("web1")
    message = seen.wait(ConsoleState.HELD).message
    seen.console.take_over()
    deeds = told_deeds(bench, seen)
    assert [(deed.what, deed.done) for deed in deeds] == [("take over the console of", True)]
    assert "console web1 --force" in deeds[0].command
    told = audited(bench)
    assert told[:2] == [("intent", "console", "", ""), ("outcome", "console", "failed", told[1][3])]
    assert told[2:] == [("intent", "console --force", "", ""), ("outcome", "console --force", "done", "")]
    assert "another client" in message


def test_a_break_is_audited_and_told_for_the_journal(bench: Bench, open_console: OpenConsole) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    seen.console.send_break()
    deeds = told_deeds(bench, seen)
    assert deeds == [ConsoleDeed("send a break to", True)]
    assert audited(bench)[2:] == [("intent", "send-break", "", ""), ("outcome", "send-break", "done", "break sent")]


@pytest.mark.parametrize("by", ["us", "another"])
def test_whoever_has_it_while_the_host_may_not_have_let_go_is_not_guessed(
    bench: Bench, open_console: OpenConsole, by: str
) -> None:
    seen, key = open_console("web1"), bench.demo.find("web1")
    seen.wait(ConsoleState.OPEN)
    if by == "another":
        hold(bench, key, force=True)

        def told() -> bool:
            # No time passes while an answer is waited for: the words are those of the first seconds.
            bench.wait_until(lambda: seen.look().state is not ConsoleState.OPENING, "an answer")
            return "or the host has not let go" in seen.look().message

        bench.tick_until(told, "the words")
    else:
        attachment = seen.console._attachment
        assert attachment is not None
        seen.console.close()
        bench.wait_until(lambda: not attachment._lane.alive, "its end")
        hold(bench, key)
        seen = open_console("web1")
        bench.wait_until(lambda: "or the host has not let go" in seen.look().message, "the words")
    assert "another client has it" in seen.messages[-1]
