"""The guests' kernel and initramfs, made from the distribution's own packages and kept in a cache."""

import fcntl
import gzip
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.tools import LabError, run

#: Packages that always lead to the newest kernel made for virtual machines: Debian's, then Ubuntu's.
KERNEL_PACKAGES = ("linux-image-cloud-amd64", "linux-image-virtual")

#: In the order they are loaded. What a kernel has built in is simply not there as a file.
MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
    "virtio_blk",
    "virtio_balloon",
    "button",
    "evdev",
)

#: Images that no lab has asked for in this long are deleted; a running lab may still need a newer one.
UNUSED_S = 30 * 86400

INIT = Path(__file__).with_name("init.sh")
DHCP_SCRIPT = Path(__file__).with_name("dhcp.sh")
BUSYBOX = Path("/bin/busybox")


@dataclass(frozen=True, slots=True)
class Image:
    """What a guest boots: a folder that holds `vmlinuz` and `initramfs`."""

    folder: Path


def cache_folder() -> Path:
    """Return where kernels and images are kept: the user's cache, or the machine's when that is not set."""
    chosen = os.environ.get("XDG_CACHE_HOME")
    return Path(chosen) / "kvmtui-lab" if chosen else Path("/var/cache/kvmtui-lab")


def get_image(cache: Path, tell: Callable[[str], None]) -> Image:
    """Return the image for the newest kernel in the cache; download and build only what is missing."""
    cache.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(cache):
        kernel = _cached_kernel(cache) or _download_kernel(cache, tell)
        content = b"".join(path.read_bytes() for path in (INIT, DHCP_SCRIPT, BUSYBOX, Path(__file__)))
        folder = cache / f"image-{kernel.name.removeprefix('kernel-')}-{hashlib.sha256(content).hexdigest()[:12]}"
        if not folder.is_dir():
            tell("building the guests' image")
            with _new_folder(folder) as build:
                _build(kernel, build)
        os.utime(folder)
        for old in cache.glob("image-*"):
            if old.stat().st_mtime < time.time() - UNUSED_S:
                shutil.rmtree(old, ignore_errors=True)
        return Image(folder)


@contextmanager
def _one_at_a_time(cache: Path) -> Iterator[None]:
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """Give a folder to fill that takes its name only when it is complete."""
    build = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    try:
        build.chmod(0o755)
        yield build
        build.rename(target)
    finally:
        shutil.rmtree(build, ignore_errors=True)


def _modules_key() -> str:
    return hashlib.sha256(" ".join(MODULES).encode()).hexdigest()[:6]


def _cached_kernel(cache: Path) -> Path | None:
    kernels = sorted(cache.glob(f"kernel-*-{_modules_key()}"), key=lambda path: path.stat().st_mtime)
    return kernels[-1] if kernels else None


def _download_kernel(cache: Path, tell: Callable[[str], None]) -> Path:
    if platform.machine() != "x86_64":
        raise LabError(
            f"the lab's guests are x86_64 machines; this is {platform.machine()}: run it on an x86_64 machine"
        )
    tell("fetching the guests' kernel package")
    with tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as scratch:
        packages = _fetch(Path(scratch), tell)
        tree = Path(scratch) / "tree"
        for package in packages:
            run("dpkg", "-x", package, tree)
        images = list(tree.glob("boot/vmlinuz-*"))
        if len(images) != 1:
            raise LabError(f"no kernel in {', '.join(path.name for path in packages)}: report this as a bug of the lab")
        version = images[0].name.removeprefix("vmlinuz-")
        target = cache / f"kernel-{version}-{_modules_key()}"
        with _new_folder(target) as build:
            shutil.copyfile(images[0], build / "vmlinuz")
            for module in MODULES:
                found = list(tree.glob(f"**/modules/{version}/kernel/**/{module}.ko*"))
                if found:
                    (build / f"{module}.ko").write_bytes(_unpack(found[0]))
        return target


def _fetch(folder: Path, tell: Callable[[str], None]) -> list[Path]:
    """Download the newest kernel's packages into `folder`, updating apt's lists if they are old or missing."""
    try:
        return _try_fetch(folder)
    except LabError:
        tell("updating apt's lists")
        run("apt-get", "update", "-q", timeout_s=600)
        return _try_fetch(folder)


def _try_fetch(folder: Path) -> list[Path]:
    for meta in KERNEL_PACKAGES:
        try:
            depends = run("apt-cache", "depends", meta)
        except LabError:
            continue
        names = re.findall(r"^ +Depends: (linux-image-\d\S+)", depends, re.MULTILINE)
        if names:
            names += _modules_package(names[0])
            # The sandbox user may not enter a private cache folder; root may.
            run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *names, folder=folder, timeout_s=600)
            return sorted(folder.glob("*.deb"))
    raise LabError(f"apt knows neither {' nor '.join(KERNEL_PACKAGES)}: run 'apt-get update' on Debian or Ubuntu")


def _modules_package(image_package: str) -> list[str]:
    """Return Ubuntu's separate package of modules; Debian's kernel package holds them itself."""
    depends = run("apt-cache", "depends", image_package)
    return re.findall(r"^ +Depends: (linux-modules-\d\S+)", depends, re.MULTILINE)


def _unpack(module: Path) -> bytes:
    """Return a module as plain ELF: busybox's insmod cannot decompress."""
    tool = {".xz": "xz", ".zst": "zstd", ".gz": "gzip"}.get(module.suffix)
    if tool is None:
        return module.read_bytes()
    plain = module.with_name(module.name + ".plain")
    packed = module.read_bytes()
    run("sh", "-c", f'{tool} -dc >"$1"', "unpack", plain, feed=packed)
    return plain.read_bytes()


def _build(kernel: Path, build: Path) -> None:
    os.link(kernel / "vmlinuz", build / "vmlinuz")
    root = build / "root"
    for name in ("bin", "dev", "etc", "modules", "proc", "sys", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copyfile(BUSYBOX, root / "bin/busybox")
    shutil.copyfile(INIT, root / "init")
    shutil.copyfile(DHCP_SCRIPT, root / "bin/dhcp-script")
    for program in ("bin/busybox", "init", "bin/dhcp-script"):
        (root / program).chmod(0o755)
    present = [module for module in MODULES if (kernel / f"{module}.ko").exists()]
    for module in present:
        shutil.copyfile(kernel / f"{module}.ko", root / f"modules/{module}.ko")
    (root / "modules/order").write_text("".join(f"{module}.ko\n" for module in present))
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    archive = build / "initramfs.cpio"
    run("cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", "-F", archive, feed="\n".join(names).encode(), folder=root)
    # A fixed time and no name, so that equal content makes equal bytes.
    (build / "initramfs").write_bytes(gzip.compress(archive.read_bytes(), compresslevel=6, mtime=0))
    archive.unlink()
    shutil.rmtree(root)
