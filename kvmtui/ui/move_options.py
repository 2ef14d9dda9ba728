"""The options of a move as a table: keys, values and their words; what libvirt refuses cannot be chosen. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kvmtui.model.clean import clean
from kvmtui.model.migration_options import Conflict, DiskMove, MigrationOptions, conflicts

Value = DiskMove | bool | int | None


@dataclass(frozen=True, slots=True)
class Choice:
    """One option."""

    key: str
    field: str
    """Of `MigrationOptions`."""
    label: str
    values: tuple[tuple[Value, str], ...]
    """What it can be, in the order of the key, and the words for it; of a number, what it is unless asked for."""
    unit: str = ""
    """Of a number that is asked for."""
    off: bool = False
    """Whether it means something for a VM that is off."""
    needs: str = ""
    """What the destination must have for it that nobody can see from here."""

    def value(self, options: MigrationOptions) -> Value:
        """Return what it is now."""
        return getattr(options, self.field)  # type: ignore[no-any-return]

    def words(self, options: MigrationOptions) -> str:
        """Return what it is now in words."""
        value = self.value(options)
        return next((words for known, words in self.values if known == value), f"{value} {self.unit}".strip())


CHOICES: tuple[Choice, ...] = (
    Choice(
        "d",
        "disks",
        "disks",
        (
            (DiskMove.SHARED, "shared: both hosts see them, nothing is copied"),
            (DiskMove.COPY, "copied whole"),
            (DiskMove.COPY_CHANGES, "only the changes over the backing file are copied"),
        ),
    ),
    Choice(
        "p",
        "peer_to_peer",
        "carried by",
        (
            (None, "the source's daemon; kvmtui where that fails"),
            (True, "the source's daemon (peer to peer): outlives kvmtui"),
            (False, "kvmtui (managed): it has to stay open"),
        ),
        off=True,
    ),
    Choice("t", "tls", "encryption", ((False, "none"), (True, "TLS, by the hosts' certificates"))),
    Choice(
        "a",
        "auto_converge",
        "auto-converge",
        ((True, "slows the guest down where it writes too fast"), (False, "no: the guest keeps its speed")),
    ),
    Choice(
        "c",
        "post_copy",
        "post-copy",
        ((False, "no"), (True, "can be switched to on the way; the guest is lost if the link then breaks")),
        # Where it is 0, QEMU refuses once the move has begun, unless it runs as root; libvirt tells of no such figure.
        needs="vm.unprivileged_userfaultfd=1",
    ),
    Choice(
        "n",
        "connections",
        "connections",
        ((None, "one"), (2, "2 side by side"), (4, "4 side by side"), (8, "8 side by side")),
    ),
    Choice("b", "bandwidth_mib_per_s", "bandwidth", ((None, "as much as there is"),), unit="MiB/s"),
    Choice("s", "downtime_ms", "stands still", ((None, "300 ms at the end, QEMU's default"),), unit="ms"),
    Choice(
        "e",
        "persist",
        "at the destination",
        ((True, "defined: outlives its run"), (False, "transient: gone when it is shut off")),
        off=True,
    ),
    Choice("u", "undefine_source", "at the source", ((True, "undefined"), (False, "stays defined")), off=True),
    Choice(
        "x",
        "unsafe",
        "unsafe",
        (
            (False, "no: libvirt refuses what may lose data"),
            (True, "migrated even where libvirt sees data at risk"),
        ),
    ),
)
BY_KEY = {choice.key: choice for choice in CHOICES}


def for_vm(options: MigrationOptions, *, active: bool) -> MigrationOptions:
    """Return what of `options` means something for a VM that runs, or does not: of one, only its definition moves."""
    if active:
        return replace(options, offline=False)
    kept = {choice.field: choice.value(options) for choice in CHOICES if choice.off}
    return replace(MigrationOptions(auto_converge=False, offline=True), **kept)  # type: ignore[arg-type]


def refusals(options: MigrationOptions, actives: Sequence[bool]) -> tuple[Conflict, ...]:
    """Return what libvirt would refuse of these options for VMs of which some run."""
    found = [conflicts(for_vm(options, active=active), active=active) for active in actives]
    return tuple(dict.fromkeys(conflict for each in found for conflict in each))


def why(conflict: Conflict, choice: Choice | None = None) -> str:
    """Return why something is refused, said of `choice` or of nothing yet; another option is named."""
    if choice is not None and conflict.option == choice.field:
        return conflict.why
    label = next((each.label for each in CHOICES if each.field == conflict.option), conflict.option)
    return f"{label}: {conflict.why}"


def changed(choice: Choice, options: MigrationOptions, value: Value, actives: Sequence[bool]) -> MigrationOptions | str:
    """Return the options with another value, or why libvirt refuses that."""
    candidate = replace(options, **{choice.field: value})  # type: ignore[arg-type]
    standing = refusals(options, actives)
    new = [conflict for conflict in refusals(candidate, actives) if conflict not in standing]
    return why(new[0], choice) if new else candidate


def turned(choice: Choice, options: MigrationOptions, actives: Sequence[bool]) -> MigrationOptions | str:
    """Return the options with the next value that libvirt takes, or why there is none."""
    results = [changed(choice, options, value, actives) for value in _others(choice, options)]
    taken = next((result for result in results if isinstance(result, MigrationOptions)), None)
    return taken or next((result for result in results if isinstance(result, str)), "")


def barred(choice: Choice, options: MigrationOptions, actives: Sequence[bool]) -> str:
    """Return why it cannot be changed to some other value, or nothing."""
    results = (changed(choice, options, value, actives) for value in _others(choice, options))
    return next((result for result in results if isinstance(result, str)), "")


def shown(actives: Sequence[bool]) -> tuple[Choice, ...]:
    """Return the options that mean something for these VMs."""
    return tuple(choice for choice in CHOICES if choice.off or any(actives))


_DISKS = {
    DiskMove.SHARED: "disks shared",
    DiskMove.COPY: "disks copied",
    DiskMove.COPY_CHANGES: "changes of disks copied",
}


def disks_words(options: MigrationOptions | None) -> str:
    """Return what becomes of a VM's disks; None: it has none."""
    if options is None:
        return "no disks"
    some = ", ".join(clean(target) for target in options.copied_disks)
    if not some:
        return _DISKS[options.disks]
    return f"only {_DISKS[options.disks].replace('disks', some)}; the others shared"


def off_words(names: Sequence[str], *, alone: bool = False) -> str:
    """Return what becomes of the VMs that are off; `alone`: there is one VM and no doubt which."""
    if alone:
        return "it is off: its definition is migrated, no disk is copied"
    if len(names) == 1:
        return f"{names[0]} is off: only its definition is migrated"
    few = " and ".join(names) if len(names) == 2 else f"{names[0]} and {len(names) - 1} more"
    return f"{few} are off: only their definitions are migrated"


def in_a_line(options: MigrationOptions, first: str = "") -> str:
    """Return the options in a few words: the disks, or what is to be said first, and what is not as it is by itself."""
    words = [first or (off_words((), alone=True) if options.offline else disks_words(options))]
    words += ["" if options.peer_to_peer is None else "peer to peer" if options.peer_to_peer else "managed"]
    words += ["TLS" if options.tls else "", "auto-converge" if options.auto_converge else ""]
    words += ["post-copy" if options.post_copy else ""]
    words += [f"{options.connections} connections" if options.connections else ""]
    words += [f"{options.bandwidth_mib_per_s} MiB/s" if options.bandwidth_mib_per_s else ""]
    words += [f"{options.downtime_ms} ms" if options.downtime_ms else ""]
    words += ["" if options.persist else "transient there", "" if options.undefine_source else "stays defined here"]
    words += ["UNSAFE" if options.unsafe else ""]
    return " · ".join(filter(None, words))


def _others(choice: Choice, options: MigrationOptions) -> Iterator[Value]:
    """Return the other values, beginning with the one that follows the present."""
    values = [value for value, _ in choice.values]
    now = choice.value(options)
    at = values.index(now) if now in values else -1
    yield from (value for value in (*values[at + 1 :], *values[: max(at, 0)]) if value != now)
