"""Moves and checks as the hosts would tell of them, for the tests and pictures of the screens that show them."""

from dataclasses import replace

from kvmtui.model.migration import Migration, MigrationRequest, Phase, Repair, RepairKind, Steer
from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.migration_progress import Progress, Verdict
from kvmtui.model.preflight import Check, Grade
from kvmtui.model.vm import Job, VmKey
from kvmtui.ui.outlook import Look
from kvmtui.ui.screens.destination import DestinationScreen
from tests.ui.stage import H1, H2, Stage

MIB, GIB = 1024**2, 1024**3
UNDER_WAY = frozenset({Steer.DOWNTIME, Steer.BANDWIDTH, Steer.PAUSE_GUEST, Steer.ABORT})

PASSED = tuple(
    Check(title.replace(" ", "-"), title, Grade.PASS, evidence)
    for title, evidence in (
        ("other host", "the hosts have different UUIDs"),
        ("name and UUID", "both are free there"),
        ("machine type", "pc-q35-8.2 is known there"),
        ("CPU", "the host can give host-model"),
        ("networks", "default is active there"),
        ("memory", "needs 16 GiB and 0.5 more, 38 GiB are free"),
        ("snapshots", "there are none"),
        ("host devices", "there are none"),
        ("other jobs", "none is running"),
    )
)
PORT = Check(
    "port", "migration port", Grade.UNKNOWN, "whether h1 reaches ports 49152-49215 of h2 cannot be seen from here"
)
VERSIONS = Check(
    "versions", "versions", Grade.WARN, "QEMU 8.2.2 here, 8.1.0 there", "the way back works; this way it may be refused"
)
MEMORY = Check(
    "memory",
    "memory",
    Grade.WARN,
    "needs 16.5 GiB, 12 GiB are free without what could be swapped out",
    "migrate another VM away first, or shrink this one: virsh setmem db1 8G --live",
)
MACHINE = Check(
    "machine-type",
    "machine type",
    Grade.FAIL,
    "pc-q35-9.2 is not known there: the newest is pc-q35-8.2",
    "bring QEMU there to 9.2, or give the VM an older machine type while it is off",
)
SHARED = Check("disks", "disks", Grade.FAIL, "vda db1.qcow2 is not at the destination", "copy the disks (d)")
COPIED = Check("disks", "disks", Grade.PASS, "22 GiB to copy, 410 GiB are free in the pool images")


def local_disks(*checks: Check) -> Look:
    """Return a destination that does not have the disks, and the checks it fails besides."""

    def judge(options: MigrationOptions) -> tuple[Check, ...]:
        disks = COPIED if options.disks is DiskMove.COPY else SHARED
        return tuple(sorted((*checks, disks, *PASSED), key=lambda check: -check.grade))

    return Look(judge, DiskMove.COPY)


def shared_disks(*checks: Check) -> Look:
    """Return a destination that has the disks, and the checks it fails."""
    return Look(lambda options: tuple(sorted((*checks, *PASSED), key=lambda check: -check.grade)))


async def open_dialog(stage: Stage, *names: str, **looks: Look) -> DestinationScreen:
    """Ask for the destination of VMs; hosts by name have been looked at as given."""
    stage.engine.hosts_look = False
    await stage.press("m")
    question = stage.app.screen
    assert isinstance(question, DestinationScreen)
    keys = [stage.key(name) for name in names]
    question.looks = {(f"demo://{host}", key): look for host, look in looks.items() for key in keys}
    assert stage.pilot is not None
    await stage.pilot.pause()
    return question


def request(
    name: str, uuid: str = "", options: MigrationOptions | None = None, source: str = H1, destination: str = H2
) -> MigrationRequest:
    """Return a request to move a VM."""
    return MigrationRequest(
        VmKey(source, uuid or f"uuid-of-{name}"), name, 7, destination, options or MigrationOptions()
    )


def running(name: str, started_at_s: float, *, share: float = 0.6, **more: object) -> Migration:
    """Return a move that converges, that share of it done."""
    job = Job(
        "migration",
        elapsed_s=42.0,
        total_bytes=4 * GIB,
        remaining_bytes=int(4 * GIB * (1 - share)),
        bytes_per_s=112.0 * MIB,
        iteration=2,
        memory_total_bytes=4 * GIB,
        memory_remaining_bytes=int(4 * GIB * (1 - share)),
        dirty_bytes_per_s=21.0 * MIB,
        expected_downtime_s=0.21,
    )
    progress = Progress(Verdict.CONVERGING, share, None, 18.0, "sends 112 MiB/s, dirties 21")
    command = f"virsh -c {H1} migrate {name} {H2} --live --persistent --undefinesource --p2p --auto-converge"
    move = Migration(
        request(name), Phase.RUNNING, started_at_s, job=job, progress=progress, command=command, steers=UNDER_WAY
    )
    return replace(move, **more)  # type: ignore[arg-type]


def not_converging(name: str, started_at_s: float) -> Migration:
    """Return a move whose guest writes faster than can be sent."""
    move = running(name, started_at_s, share=0.62)
    assert move.job is not None
    job = replace(
        move.job,
        elapsed_s=190.0,
        remaining_bytes=int(4 * GIB * 0.59),
        memory_remaining_bytes=int(4 * GIB * 0.59),
        bytes_per_s=80.0 * MIB,
        dirty_bytes_per_s=121.0 * MIB,
        iteration=7,
        expected_downtime_s=29.6,
        throttle_fraction=0.4,
    )
    progress = Progress(Verdict.NOT_CONVERGING, 0.62, 0.41, None, "dirties 121 MiB/s, sends 80")
    options = MigrationOptions(post_copy=True)
    steers = UNDER_WAY | {Steer.POST_COPY}
    move = replace(move, request=request(name, options=options), command=f"{move.command} --postcopy")
    return replace(move, job=job, progress=progress, steers=steers)


def ended_with_repair(name: str, started_at_s: float) -> Migration:
    """Return a move that failed and left copies of disks at the destination."""
    command = f"virsh -c {H1} migrate {name} {H2} --live --persistent --undefinesource --p2p --copy-storage-all"
    repair = Repair(
        RepairKind.DELETE_COPIES,
        f"{name}.qcow2 in the pool images of h2 was not there before the migration, and no VM there uses it.",
        f"virsh -c {H2} vol-delete /var/lib/libvirt/images/{name}.qcow2",
    )
    options = MigrationOptions(disks=DiskMove.COPY)
    return Migration(
        request(name, options=options),
        Phase.FAILED,
        started_at_s,
        started_at_s + 64,
        message="the daemon of h2 went away; the guest runs at h1 and is not at h2",
        command=command,
        repairs=(repair,),
    )


def waiting(name: str, started_at_s: float) -> Migration:
    """Return a move that waits its turn."""
    return running(name, started_at_s, phase=Phase.QUEUED, job=None, progress=None, steers=frozenset({Steer.ABORT}))


def at_second(move: Migration, second: int) -> Migration:
    """Return a move that does not converge as it was so long after its start."""
    assert move.job is not None
    sent, dirtied = 70 + second * 7 % 17, 60 + min(60, second) + second * 11 % 29
    job = replace(
        move.job,
        elapsed_s=float(second),
        bytes_per_s=float(sent * MIB),
        dirty_bytes_per_s=float(dirtied * MIB),
    )
    return replace(move, job=job)
