"""Whatever a daemon calls a VM's definition, reading it ends in values that can be drawn or in a typed error."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmtui.hypervisor.definition import parse_definition
from kvmtui.hypervisor.errors import HypervisorError
from tests.unit.fuzzing import FUZZ
from tests.unit.test_definition import XML

TAGS = [
    "domain",
    "devices",
    "disk",
    "source",
    "target",
    "readonly",
    "shareable",
    "interface",
    "mac",
    "model",
    "serial",
    "console",
    "alias",
    "memballoon",
    "stats",
    "metadata",
    "name",
]
ATTRIBUTES = "type id device file dev network bridge address period name protocol".split()  # noqa: SIM905
VALUES = st.one_of(st.sampled_from(["pty", "qemu", "disk", "serial", "file", "5"]), st.text(max_size=60))
PIECES = [
    *(f"<{tag}>" for tag in TAGS),
    *(f"</{tag}>" for tag in TAGS),
    "<!DOCTYPE a>",
    "&#0;",
    "&x;",
    "]]>",
    "\x00",
    "<",
]


def assert_drawable(config: Any) -> None:
    texts = [disk.target for disk in config.disks]
    texts += [disk.shown_path for disk in config.disks if disk.path is not None]
    texts += [word for each in config.interfaces for word in (each.mac, each.source, each.model)]
    texts += config.consoles
    for text in texts:
        assert text.isprintable(), text
        assert len(text) <= 200
    assert config.balloon_period_s is None or config.balloon_period_s >= 0


def read(xml: str) -> None:
    try:
        config = parse_definition(xml, (), 1.0)
    except HypervisorError as error:
        assert str(error).isprintable()
    else:
        assert_drawable(config)


@st.composite
def trees(draw: st.DrawFn, depth: int = 2) -> ET.Element:
    """Return an element as a definition has them, with what it must not have."""
    element = ET.Element(draw(st.sampled_from(TAGS)), draw(st.dictionaries(st.sampled_from(ATTRIBUTES), VALUES)))
    element.text = draw(st.none() | st.text(max_size=20))
    if depth:
        element.extend(draw(st.lists(trees(depth=depth - 1), max_size=3)))
    return element


@FUZZ
@given(st.lists(trees(depth=1), max_size=8), VALUES)
def test_any_devices(children: list[ET.Element], kind: str) -> None:
    root = ET.Element("domain", {"type": kind})
    ET.SubElement(root, "devices").extend(children)
    # Characters that XML does not have are written all the same, as a hostile daemon would.
    read(ET.tostring(root, encoding="unicode"))


@FUZZ
@given(trees())
def test_any_tree(root: ET.Element) -> None:
    read(ET.tostring(root, encoding="unicode"))


@FUZZ
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(XML)), st.integers(0, 40), st.one_of(st.sampled_from(PIECES), st.text(max_size=20))
        ),
        max_size=6,
    )
)
def test_a_real_definition_with_pieces_cut_out_and_put_in(changes: list[tuple[int, int, str]]) -> None:
    xml = XML
    for at, length, piece in changes:
        xml = xml[:at] + piece + xml[at + length :]
    read(xml)


@pytest.mark.parametrize(
    "xml",
    [
        "\ud800",
        "<domain>\ud800</domain>",
        "<domain>" * 100_000,
        "<domain>" + "<devices>" * 50_000 + "</devices>" * 50_000 + "</domain>",
        '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">]><domain><name>&a;</name></domain>',
        '<!DOCTYPE d SYSTEM "file:///etc/passwd"><domain/>',
    ],
    ids=["a surrogate", "a surrogate inside", "open for ever", "deep", "an entity", "a file"],
)
def test_the_worst(xml: str) -> None:
    read(xml)


def test_a_document_type_is_refused() -> None:
    with pytest.raises(HypervisorError, match="document type"):
        parse_definition('<!DOCTYPE d [<!ENTITY a "b">]><domain>&a;</domain>', (), 1.0)
