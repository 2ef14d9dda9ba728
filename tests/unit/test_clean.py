import pytest

from kvmtui.model.clean import clean, clean_message


@pytest.mark.parametrize(
    ("hostile", "safe"),
    [
        ("web1", "web1"),
        ("a\x1b]52;c;Zm9v\x07b", "a\ufffd]52;c;Zm9v\ufffdb"),
        ("a\x9b31mb", "a\ufffd31mb"),
        ("a\u202eb\u2066c", "a\ufffdb\ufffdc"),
        ("a\nb\tc", "a\ufffdb\ufffdc"),
        ("a\u200bb\ufeff", "a\ufffdb\ufffd"),
        ("a\ud800b", "a\ufffdb"),
        ("[b]x[/b]", "[b]x[/b]"),
        ("e\u0301", "é"),
        ("x" * 300, "x" * 199 + "…"),
        ("数据库", "数据库"),
    ],
)
def test_clean(hostile: str, safe: str) -> None:
    assert clean(hostile) == safe


def test_combining_marks_are_capped() -> None:
    assert len(clean("z" + "\u0335" * 16000)) <= 5


def test_message_is_one_line() -> None:
    assert clean_message("internal error:\n  qemu said\x1b[2J no") == "internal error: qemu said\ufffd[2J no"
