"""Every domain definition that libvirt's own tests hold can be read."""

from pathlib import Path

import pytest

from kvmtui.hypervisor.definition import parse_definition
from kvmtui.hypervisor.errors import HypervisorError
from tests.lab.image import cache_folder
from tests.lab.libvirt_sources import get_definitions, source_lists
from tests.lab.tools import LabError
from tests.unit.test_fuzz_definition import assert_drawable


@pytest.fixture(scope="session")
def definitions() -> Path:
    """The folder of definitions; without a mirror there is none."""
    try:
        return get_definitions(cache_folder())
    except (LabError, OSError) as error:
        pytest.skip(f"libvirt's source package cannot be had: {error}")


def test_every_definition_in_libvirts_own_tests(definitions: Path) -> None:
    read, refused = 0, []
    for file in sorted(definitions.iterdir()):
        try:
            config = parse_definition(file.read_text(encoding="utf-8", errors="surrogateescape"), (), 1.0)
        except HypervisorError as error:
            refused.append(f"{file.name}: {error}")
        else:
            assert_drawable(config)
            read += 1
    # Some hold what libvirt itself must refuse.
    assert read > 1000
    assert len(refused) < 20, refused


def test_the_distributions_mirrors_and_no_others_are_asked(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://x/debian a main\ndeb-src http://y/debian b\n"
        "deb [arch=amd64] http://deb.debian.org/debian bookworm main\n"
    )
    (parts / "else.list").write_text("deb https://packages.example.com/apt cloud main\n")
    (parts / "debian.sources").write_text(
        "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm\n\n"
        "Types: deb deb-src\nURIs: http://mirror/debian-security/\nSuites: s\n"
    )
    (parts / "node.sources").write_text("Types: deb\nURIs: https://deb.example.com/node_20.x\nSuites: nodistro\n")
    lines, stanzas = source_lists(tmp_path)
    assert lines == "deb-src [arch=amd64] http://deb.debian.org/debian bookworm main\n"
    assert stanzas == (
        "Types: deb-src\nURIs: http://deb.debian.org/debian\nSuites: bookworm\n\n"
        "Types: deb-src\nURIs: http://mirror/debian-security/\nSuites: s\n"
    )
