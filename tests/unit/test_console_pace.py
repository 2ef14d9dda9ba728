"""How often a console that floods is read and drawn."""

from kvmtui.hypervisor.serial_console import next_rest_s
from kvmtui.ui.open_consoles import FEED_BUDGET_S, FRAME_S, UNSEEN_FRAME_S, pause_after


def test_the_loop_rests_longer_the_longer_a_guest_floods_and_no_longer_than_a_frame() -> None:
    rests_s = [0.0]
    for _ in range(10):
        rests_s.append(next_rest_s(rests_s[-1], 0.0))
    assert rests_s == sorted(rests_s)
    assert 0.0 < rests_s[1] < rests_s[-1] <= FRAME_S


def test_the_loop_does_not_rest_when_a_guest_has_paused() -> None:
    assert next_rest_s(next_rest_s(0.0, 0.0), 0.1) == 0.0


def test_an_unseen_console_is_taken_less_often_unless_it_has_more_than_a_frames_work() -> None:
    assert pause_after(0.0, in_sight=True) == FRAME_S
    assert pause_after(0.0, in_sight=False) == UNSEEN_FRAME_S > FRAME_S
    assert pause_after(FEED_BUDGET_S, in_sight=False) == pause_after(FEED_BUDGET_S, in_sight=True)


def test_what_takes_long_is_followed_by_a_longer_pause() -> None:
    assert pause_after(1.0, in_sight=True) == pause_after(1.0, in_sight=False) > 1.0
