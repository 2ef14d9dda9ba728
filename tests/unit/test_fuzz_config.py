"""Whatever stands in a configuration file or after -c, it is taken or refused with one line."""

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from kvmtui.config import ConfigError, check_uri
from kvmtui.config_file import parse_config, read_config
from kvmtui.model.uris import hide_secrets_of, risks, with_parameter, without_secrets
from tests.unit.fuzzing import FUZZ

REAL = """
interval = 2
low_bandwidth = false

[[hosts]]
uri = "qemu+ssh://root@h1/system"
name = "rack 1"
read_only = true

[[hosts]]
uri = "qemu:///system"
"""
PIECES = [
    *("=", "[", "]", "{", "}", '"', "'", '"""', "\n", "#", "\\", "1e999", "nan", "true", "\x00", "\r", "1979-05-27"),
    *("uri", "name", "hosts", "[[hosts]]", "[hosts]", "hosts = []", "uri = 1", "colour = 1", '"\\u202e" = 1'),
]
URI_PARTS = st.sampled_from([*"/?&;=:@[]#%", "//", "qemu", "+ssh", "+ext", "://", "no_tty=1", "command=", "host", "22"])


@FUZZ
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(REAL)), st.integers(0, 20), st.one_of(st.sampled_from(PIECES), st.text(max_size=8))
        ),
        max_size=5,
    )
)
def test_a_file_with_pieces_cut_out_and_put_in(changes: list[tuple[int, int, str]]) -> None:
    text = REAL
    for at, length, piece in changes:
        text = text[:at] + piece + text[at + length :]
    try:
        parse_config(text, "f")
    except ConfigError as error:
        assert str(error).startswith("f")
        assert str(error).isprintable()


@FUZZ
@given(st.binary(max_size=60))
def test_a_file_of_any_bytes(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_bytes(data)
        with contextlib.suppress(ConfigError):
            read_config(file, required=True)


@FUZZ
@given(st.one_of(st.text(max_size=30), st.lists(URI_PARTS, max_size=14).map("".join)))
def test_any_uri(text: str) -> None:
    without_secrets(text)
    try:
        uri = check_uri(text)
    except ConfigError as error:
        assert str(error).isprintable()
        return
    risks(uri)
    hide_secrets_of(uri, "said")
    assert check_uri(with_parameter(uri, "no_tty", "1"))
