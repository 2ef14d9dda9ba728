"""What the soak judges by: a soak that could not see a breach would prove nothing."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.soak import view
from tests.soak.view import Row
from tests.soak.vitals import history_mb_per_h, slope
from tests.soak.witness import Written, called, judge_actions, read_audit

_TEXT = """\
 kvmtui  2 hosts · 3 VMs · 1 running                             10:47:46
  HOST      CPU                 MEMORY                      VMS     LINK
  h1        ▃▅▅▄   72 % of 2    ━━━─────  4.9 of 24 G       1/2     4 ms

  NAME▲        HOST  STATE           CPU                     READY
▸ alpha        h1    running         ▁▁▁▁    0 %   0.1 %
  bravo        h1    paused          ▁▁▁▁    0 %   0.1 %
  carol        h2    starting…

  alpha on h1  ·  running"""
SCREEN = _TEXT.splitlines()

TRUTH = {("h1", "alpha"): "running", ("h1", "bravo"): "paused", ("h2", "carol"): "shut off"}


def test_the_screen_is_read() -> None:
    assert view.clock(SCREEN) == "10:47:46"
    assert view.rows(SCREEN) == [
        Row("h1", "alpha", "running", True),
        Row("h1", "bravo", "paused", False),
        Row("h2", "carol", "starting…", False),
    ]
    assert view.rows(["  NAME       STATE", "  alpha      running"]) == []
    assert view.clock([]) == view.clock([" kvmtui"]) == ""


@pytest.mark.parametrize(
    ("shown", "state", "right"),
    [
        ("running", "running", True),
        ("shut off, forced off", "shut off", True),
        ("crashed", "shut off", True),
        ("was running", "running", False),
        ("monitor silent 4 s", "running", False),
        ("paused", "running", False),
        ("crashed", "running", False),
    ],
)
def test_which_words_mean_which_state(shown: str, state: str, right: bool) -> None:
    assert view.says(shown, state) is right


@pytest.mark.parametrize(
    ("state", "pending"),
    [("starting…", True), ("migrating 21 %", True), ("migr. 3 %", True), ("running", False), ("was running", False)],
)
def test_what_is_under_way_is_seen(state: str, pending: bool) -> None:
    assert Row("h1", "alpha", state, False).pending is pending


def test_every_difference_is_told() -> None:
    shown = view.rows(SCREEN)
    # What is under way may be shown as that, but only as long as it is.
    assert view.mismatches(shown, TRUTH, ["carol"]) == []
    assert view.mismatches(shown, TRUTH, []) == ["carol on h2 is shut off and shown as 'starting…'"]
    assert view.mismatches(shown, TRUTH | {("h1", "alpha"): "paused"}, ["carol", "alpha"]) == [
        "alpha on h1 is paused and shown as 'running'"
    ]
    assert view.mismatches(shown[:2], TRUTH, []) == ["carol on h2 is shut off and not shown"]
    assert view.mismatches(shown, {("h1", "bravo"): "paused"}, []) == [
        "alpha on h1 is shown as 'running' and not there",
        "carol on h2 is shown as 'starting…' and not there",
    ]


def test_lost_and_doubled_vms_are_told() -> None:
    assert view.misplaced(TRUTH, ["alpha", "bravo", "carol"]) == []
    assert view.misplaced(TRUTH | {("h2", "alpha"): "shut off"}, ["alpha"]) == []
    assert view.misplaced(TRUTH, ["delta"]) == ["delta is nowhere"]
    twice = TRUTH | {("h2", "alpha"): "paused"}
    assert len(view.misplaced(twice, ["alpha"])) == 1
    assert view.misplaced(twice, ["alpha"], told=["alpha"]) == []


def test_the_slope_is_that_of_most_points() -> None:
    steady = [(60.0 * number, 50.0 + 0.1 * number + (0.02 if number % 2 else -0.02)) for number in range(12)]
    # 0.1 MB a minute are 6 MB an hour, whatever one reading says.
    steady[5] = (steady[5][0], 90.0)
    found = slope(steady)
    assert found is not None
    assert found.per_h == pytest.approx(6.0, abs=0.5)
    assert found.least < found.per_h < found.most
    flat = slope([(60.0 * number, 50.0 + 0.3 * (number % 3)) for number in range(12)])
    assert flat is not None
    assert flat.least <= 0 <= flat.most
    assert slope(steady[:4]) is None


def test_the_history_of_more_vms_fills_faster() -> None:
    assert 0 < history_mb_per_h([10]) < history_mb_per_h([10, 10]) < 20


def wrong(calls: dict[tuple[str, str], int], pressed: dict[tuple[str, str], int], *written: Written) -> list[str]:
    numbered = {str(number): one for number, one in enumerate(written)}
    return judge_actions(numbered, Counter(calls), Counter(pressed))


def test_an_action_done_as_often_as_asked_for_is_right() -> None:
    done, refused = Written("u1", "start", "alpha", ["done"]), Written("u1", "start", "alpha", ["failed"])
    late = Written("u1", "start", "alpha", ["unknown", "done"])
    assert wrong({("u1", "virDomainCreate"): 1}, {("u1", "start"): 2}, done, refused) == []
    assert wrong({("u1", "virDomainCreate"): 2}, {("u1", "start"): 2}, done, late) == []


@pytest.mark.parametrize(
    ("calls", "pressed", "outcomes", "told"),
    [
        (2, 1, ["done"], "the daemons were called 2 times, 1 intents"),
        (0, 1, ["done"], "1 times said to be done, the daemons were called 0 times"),
        (1, 0, ["done"], "1 intents, asked for 0 times"),
        (1, 1, ["done", "done"], "2 outcomes of success"),
        (1, 1, [], "has no outcome"),
    ],
)
def test_every_way_to_act_wrongly_is_told(calls: int, pressed: int, outcomes: list[str], told: str) -> None:
    one = Written("u1", "start", "alpha", outcomes)
    found = wrong({("u1", "virDomainCreate"): calls}, {("u1", "start"): pressed}, one)
    assert len(found) == 1
    assert told in found[0]


def test_a_call_that_nobody_meant_is_told() -> None:
    assert len(wrong({("u2", "virDomainDestroyFlags"): 1}, {})) == 1


def test_calls_are_counted_in_a_daemons_log(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    vm = "dom=0x7f, (VM: name=alpha, uuid=u1)"
    (tmp_path / "log/libvirtd.log").write_text(
        f"2026-01-01 10:00:00.000+0000: 1: debug : virDomainSuspend:675 : {vm}\n"
        f"2026-01-01 10:00:00.000+0000: 1: debug : virDomainMigratePerform3Params:5378 : {vm}, dconnuri=x\n"
        '2026-01-01 10:00:00.000+0000: 1: debug : virDomainMigratePerform3Params:5382 : params["bandwidth"]=1\n'
        "2026-01-01 10:00:00.000+0000: 1: info : libvirt version: 9.0.0\n"
    )
    host = SimpleNamespace(folder=tmp_path)
    assert called(host) == {  # type: ignore[arg-type]
        ("u1", "virDomainSuspend"): 1,
        ("u1", "virDomainMigratePerform3Params"): 1,
    }


def test_the_audit_is_read(tmp_path: Path) -> None:
    assert read_audit(tmp_path / "none") == {}
    file = tmp_path / "audit.jsonl"
    file.write_text(
        '{"id": "a-1", "event": "intent", "vm_uuid": "u1", "verb": "start", "vm": "alpha", "result": ""}\n'
        '{"id": "a-1", "event": "outcome", "vm_uuid": "u1", "verb": "start", "vm": "alpha", "result": "done"}\n'
    )
    assert read_audit(file) == {"a-1": Written("u1", "start", "alpha", ["done"])}
