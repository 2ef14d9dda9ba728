import pytest

from kvmtui.hypervisor.definition import PLACEMENT, parse_definition
from kvmtui.hypervisor.errors import HypervisorError

XML = """
<domain type='qemu' id='3'>
  <name>db1</name>
  <devices>
    <disk type='file' device='disk'><source file='/images/db1.qcow2'/><target dev='vda'/></disk>
    <disk type='block' device='disk'><source dev='/dev/vg/data'/><target dev='vdb'/></disk>
    <disk type='file' device='cdrom'><target dev='sda'/><readonly/></disk>
    <disk type='file' device='disk'><source file='/images/ro.img'/><target dev='vdc'/><readonly/></disk>
    <disk type='file' device='disk'><source file='/images/both.img'/><target dev='vdd'/><shareable/></disk>
    <disk type='network' device='disk'><source protocol='rbd' name='pool/x'/><target dev='vde'/></disk>
    <interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/></interface>
    <interface type='user'/>
    <serial type='pty'><alias name='serial0'/></serial>
    <memballoon model='virtio'><stats period='5'/></memballoon>
  </devices>
</domain>
"""


def test_definition() -> None:
    config = parse_definition(XML, ("192.168.122.7",), 1.0)
    assert [(disk.target, disk.path, disk.writable) for disk in config.disks] == [
        ("vda", "/images/db1.qcow2", True),
        ("vdb", "/dev/vg/data", True),
        ("sda", None, False),
        ("vdc", "/images/ro.img", False),
        ("vdd", "/images/both.img", False),
        ("vde", None, True),
    ]
    assert [interface.source for interface in config.interfaces] == ["default", "user"]
    assert config.consoles == ("serial0",)
    assert (config.balloon_period_s, config.emulated) == (5, True)
    assert config.addresses == ("192.168.122.7",)


@pytest.mark.parametrize("xml", ["", "<domain", "\x00", "<a></b>", "not xml"])
def test_what_cannot_be_read_is_said(xml: str) -> None:
    with pytest.raises(HypervisorError, match="cannot be read"):
        parse_definition(xml, (), 1.0)


@pytest.mark.parametrize(
    ("attributes", "pinned", "apart"),
    [
        ("", False, ()),
        ("pinned='yes'", True, ()),
        ("pinned='no' apart='db'", False, ("db",)),
        # Who wrote something there meant something by it.
        ("pinned='always'", True, ()),
        ("pinned=' '", False, ()),
        ("apart=' db, web\tdb '", False, ("db", "web")),
        ("apart='d&#x9b;b'", False, ("d\ufffdb",)),
    ],
)
def test_placement_tags(attributes: str, pinned: bool, apart: tuple[str, ...]) -> None:
    tag = f"<k:placement xmlns:k='{PLACEMENT}' {attributes}/>"
    config = parse_definition(f"<domain><metadata>{tag}</metadata></domain>", (), 1.0)
    assert (config.pinned, config.apart) == (pinned, apart)


def test_a_tag_of_somebody_else_is_none() -> None:
    tag = "<k:placement xmlns:k='https://example.org/' pinned='yes' apart='db'/>"
    config = parse_definition(f"<domain><metadata>{tag}</metadata></domain>", (), 1.0)
    assert (config.pinned, config.apart) == (False, ())


_FIRST = "<serial type='pty'><alias name='serial0'/></serial>"
_SAME = "<console type='pty'><target type='serial'/><alias name='serial0'/></console>"
_VIRTIO = "<console type='pty'><target type='virtio'/><alias name='console1'/></console>"


@pytest.mark.parametrize(
    ("devices", "consoles"),
    [
        ("", ()),
        (_FIRST + _SAME, ("serial0",)),
        (_FIRST + "<serial type='pty'><alias name='ua-log'/></serial>" + _SAME, ("serial0", "ua-log")),
        (_FIRST + _SAME + _VIRTIO, ("serial0", "console1")),
        # What is not a pseudo-terminal cannot be opened.
        ("<serial type='tcp'><alias name='serial0'/></serial>", ()),
        ("<serial type='file'><alias name='serial0'/></serial><serial type='pty'/>", ("serial1",)),
        # A VM that is off has no aliases yet.
        ("<serial type='pty'/><serial type='pty'/><console type='pty'><target type='serial'/></console>",
         ("serial0", "serial1")),
        ("<serial type='pty'><alias name='a&#x9b;b'/></serial>", ("a\ufffdb",)),
    ],
)  # fmt: skip
def test_consoles(devices: str, consoles: tuple[str, ...]) -> None:
    assert parse_definition(f"<domain><devices>{devices}</devices></domain>", (), 1.0).consoles == consoles


def test_strange_values_are_unknown() -> None:
    xml = "<domain><devices><memballoon><stats period='-5e99'/></memballoon><disk/></devices></domain>"
    config = parse_definition(xml, (), 1.0)
    assert config.balloon_period_s is None
    assert config.disks[0].target == ""


def test_a_hostile_path_is_kept_for_looking_up_and_cleaned_for_drawing() -> None:
    xml = "<domain><devices><disk><source file='/a&#x9b;2J&#x202e;b'/></disk></devices></domain>"
    (disk,) = parse_definition(xml, (), 1.0).disks
    assert (disk.path, disk.shown_path) == ("/a\x9b2J\u202eb", "/a\ufffd2J\ufffdb")


def test_hostile_attributes_are_cleaned() -> None:
    xml = "<domain><devices><interface><source network='a&#x202e;b&#x9b;c'/></interface></devices></domain>"
    assert parse_definition(xml, (), 1.0).interfaces[0].source == "a\ufffdb\ufffdc"
