"""The domain definitions in the tests of libvirt's own source package, fetched with apt and kept in a cache.

The machine's apt is left as it is: the package's sources are looked up through lists and settings of our own, made from
the mirrors that /etc/apt has for Debian or Ubuntu already.
"""

import fcntl
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.lab.tools import LabError, run

ETC_APT = Path("/etc/apt")
_DISTRIBUTION = re.compile(r"https?://\S+/(debian|debian-security|ubuntu|ubuntu-ports)/?(\s|$)")


def get_definitions(cache: Path) -> Path:
    """Return a folder of XML files, named by their path in the package with + for /; raises `LabError`."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = sorted(cache.glob("libvirt-definitions-*"))
        return known[-1] if known else _download(cache)


def source_lists(etc_apt: Path) -> tuple[str, str]:
    """Return the distribution's entries as ones for source packages: one-line style, and deb822 style."""
    lines: list[str] = []
    stanzas: list[str] = []
    parts = etc_apt / "sources.list.d"
    for file in [etc_apt / "sources.list", *sorted(parts.glob("*.list"))]:
        for line in file.read_text().splitlines() if file.exists() else ():
            if line.startswith("deb ") and _DISTRIBUTION.search(line):
                lines.append(re.sub("^deb ", "deb-src ", line))
    for file in sorted(parts.glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", file.read_text()):
            if re.search(r"^Types:.*\bdeb\b", stanza, re.MULTILINE) and _DISTRIBUTION.search(stanza):
                stanzas.append(re.sub(r"^Types:.*$", "Types: deb-src", stanza, flags=re.MULTILINE).strip())
    return "".join(f"{line}\n" for line in lines), "\n\n".join(stanzas) + "\n"


def _download(cache: Path) -> Path:
    with tempfile.TemporaryDirectory(prefix=".sources-", dir=cache) as scratch:
        folder = Path(scratch)
        (folder / "parts").mkdir()
        (folder / "lists/partial").mkdir(parents=True)
        (folder / "cache").mkdir()
        lines, stanzas = source_lists(ETC_APT)
        if not lines and not stanzas.strip():
            raise LabError("/etc/apt names no mirror of Debian or Ubuntu")
        (folder / "sources.list").write_text(lines)
        (folder / "parts/distribution.sources").write_text(stanzas)
        apt = [
            *("apt-get", "-q"),
            *("-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", f"Dir::Etc::sourceparts={folder}/parts"),
            *("-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"),
            # The sandbox user may not enter a private cache folder; root may.
            *("-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=10"),
        ]
        run(*apt, "update", timeout_s=60)
        run(*apt, "source", "--download-only", "libvirt", folder=folder, timeout_s=60)
        archives = sorted(folder.glob("libvirt_*.orig.tar.*z"))
        if not archives:
            raise LabError("the source package of libvirt has no archive: report this as a bug of the lab")
        version = archives[0].name.removeprefix("libvirt_").partition(".orig")[0]
        (folder / "xml").mkdir()
        for name, data in _definitions(archives[0]):
            (folder / "xml" / name).write_bytes(data)
        target = cache / f"libvirt-definitions-{version}"
        shutil.move(folder / "xml", target)
        return target


def _definitions(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Return names and contents of all files in tests/ whose root element is a domain."""
    with tarfile.open(archive) as tar:
        for member in tar:
            _, _, path = member.name.partition("/")
            if not member.isfile() or not path.startswith("tests/") or not path.endswith(".xml"):
                continue
            stream = tar.extractfile(member)
            data = stream.read() if stream is not None else b""
            if re.search(rb"<domain[\s>]", data):
                # A name of our own making, without any slash.
                yield path.replace("/", "+"), data
