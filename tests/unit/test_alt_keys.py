"""From the bytes of the user's terminal to the bytes of the guest's."""

import pytest
from textual import events
from textual._xterm_parser import XTermParser

from kvmtui.ui.alt_keys import teach_alt_keys
from kvmtui.ui.emulator import Emulator


@pytest.mark.parametrize(
    "typed",
    [
        *(f"\x1b{key}" for key in ".1905-=<>#/$!'\"|~"),
        "\x1bb",
        "\x1bf",
        "\x1b\x7f",
        "\x1b\r",
        "\x1b[1;5C",
        "\x1b[15~",
        "\x1bOP",
        "\x1b[1;5D",
        "\x1b[A",
        "\x01",
    ],
)
def test_alt_function_and_control_keys_arrive_as_they_were_typed(typed: str) -> None:
    teach_alt_keys()
    parser, emulator = XTermParser(False), Emulator(80, 24, lambda _: None)
    sent = b""
    # What could go on waits for what follows: a key of its own.
    for event in [*parser.feed(typed), *parser.feed("z")]:
        if isinstance(event, events.Key):
            sent += emulator.encode_key(event)
    assert sent == typed.encode() + b"z"


def test_in_application_mode_the_arrows_are_the_applications() -> None:
    emulator = Emulator(80, 24, lambda _: None)
    emulator.feed(b"\x1b[?1h")
    assert emulator.encode_key(events.Key("up", None)) == b"\x1bOA"
