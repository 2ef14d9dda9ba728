"""Whether a path is one volume on both hosts or two, for all that their pools tell of it."""

import pytest

from kvmtui.hypervisor.volume_marks import parse_times
from kvmtui.model.sharing import Mark, Sharing, compare

S = 10**9
NOW_S = 1_790_000_000


def mark(written_s: float = 0, changed_s: float | None = None, store: str = "") -> Mark:
    """Return a mark of a file that was written to so many seconds before or after now."""
    changed = written_s if changed_s is None else changed_s
    return Mark(1, store, int((NOW_S + written_s) * S), int((NOW_S + changed) * S))


@pytest.mark.parametrize(
    ("ours", "theirs", "running", "off"),
    [
        (mark(), mark(), Sharing.ONE, Sharing.ONE),
        (mark(store="netfs nas:/a"), mark(-9999, store="netfs nas:/a"), Sharing.ONE, Sharing.ONE),
        (mark(store="netfs nas:/a"), mark(-9999, store="netfs nas:/b"), Sharing.TWO, Sharing.TWO),
        # Written to between the looks: only a VM that runs does that, and only libvirt's own look may follow.
        (mark(), mark(2), Sharing.ONE, Sharing.UNSURE),
        (mark(), mark(-2), Sharing.UNSURE, Sharing.UNSURE),
        (mark(), mark(60), Sharing.UNSURE, Sharing.UNSURE),
        (mark(), mark(-121), Sharing.TWO, Sharing.TWO),
        (mark(), mark(121), Sharing.TWO, Sharing.TWO),
        # A copy with the times of the original was changed at another moment than that.
        (mark(), mark(0, 5000), Sharing.UNSURE, Sharing.UNSURE),
        (mark(), Mark(1), Sharing.UNSURE, Sharing.UNSURE),
        (Mark(1), Mark(1), Sharing.UNSURE, Sharing.UNSURE),
        (None, mark(), Sharing.UNSURE, Sharing.UNSURE),
        (mark(), None, Sharing.UNSURE, Sharing.UNSURE),
    ],
)
def test_one_or_two(ours: Mark | None, theirs: Mark | None, running: Sharing, off: Sharing) -> None:
    assert (compare(ours, theirs, running=True), compare(ours, theirs, running=False)) == (running, off)


def volume(mtime: str, ctime: str, kind: str = "file") -> str:
    times = f"<timestamps><mtime>{mtime}</mtime><ctime>{ctime}</ctime></timestamps>"
    return f"<volume type='{kind}'><target>{times}</target></volume>"


@pytest.mark.parametrize(
    ("xml", "times"),
    [
        (volume("1341930622.047245868", "1341930623"), (1341930622047245868, 1341930623000000000)),
        (volume("1341930622.04", "x", kind="block"), (None, None)),
        (volume("nan", "-5"), (None, None)),
        (volume("1e99999999", ""), (None, None)),
        ("<volume type='file'/>", (None, None)),
    ],
)
def test_times_as_libvirt_tells_them(xml: str, times: tuple[int | None, int | None]) -> None:
    assert parse_times(xml) == times
