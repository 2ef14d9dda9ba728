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


def test_half_a_line_is_not_glued_to_what_was_typed_before_a_gap() -> None:
    typed = TypedLine(Time())
    assert typed.sends(b"rm -rf /tmp/", stands_still=False)
    typed.broke(unsent=False)
    typed.missed(b"o")
    said = typed.resume(same_line=True)
    typed.resumed()
    assert said == "what was typed meanwhile was dropped; so is the rest of that line, up to Enter or ^C"
    assert not typed.sends(b"ld", stands_still=False)
    assert not typed.sends(b"\r", stands_still=False)
    assert typed.sends(b"ls", stands_still=False)


def test_an_interrupt_ends_the_dropping_and_is_sent() -> None:
    typed = TypedLine(Time())
    typed.missed(b"x")
    typed.resume(same_line=True)
    assert not typed.sends(b"y", stands_still=False)
    assert typed.sends(b"\x03", stands_still=False)
    assert typed.sends(b"y", stands_still=False)


def test_what_was_sent_long_ago_is_not_in_doubt_but_for_a_guest_that_stood_still() -> None:
    time = Time()
    typed = TypedLine(time)
    typed.sends(b"ls", stands_still=False)
    time.now_s += 10
    typed.broke(unsent=False)
    assert typed.resume(same_line=True) == ""
    assert not typed.drops
    typed.sends(b"ls", stands_still=True)
    time.now_s += 10
    typed.broke(unsent=False)
    assert "may be lost" in typed.resume(same_line=True)
    assert typed.drops


def test_a_guest_that_started_anew_has_no_half_line_and_takes_keys_unless_one_was_just_being_typed() -> None:
    time = Time()
    typed = TypedLine(time)
    typed.missed(b"ro")
    assert "dropped" in typed.resume(same_line=False)
    assert typed.drops
    time.now_s += 10
    assert "dropped" in typed.resume(same_line=False)
    assert not typed.drops, "a key in a boot menu is no rest of a line"


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
        "now on h2: what was typed meanwhile was dropped; so is the rest of that line, up to Enter or ^C"
    ]
    assert seen.look().drops_line
    seen.text = ""
    seen.console.write(b"three")
    seen.console.write(b"\r")
    assert not seen.look().drops_line
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
    assert (output.mark, output.drops_line) == ("", False)


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
        bench.tick_until(lambda: "or the host has not let go" in seen.look().message, "the words")
    else:
        attachment = seen.console._attachment
        assert attachment is not None
        seen.console.close()
        bench.wait_until(lambda: not attachment._lane.alive, "its end")
        hold(bench, key)
        seen = open_console("web1")
        bench.wait_until(lambda: "or the host has not let go" in seen.look().message, "the words")
    assert "another client has it" in seen.messages[-1]
