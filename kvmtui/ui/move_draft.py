"""Which VMs are to be moved and how, as far as it has been chosen, and what that means for each of them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kvmtui.model.migration import MigrationRequest
from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.migration_repairs import migrate_command
from kvmtui.model.vm import Vm, VmKey
from kvmtui.ui import move_options
from kvmtui.ui.outlook import Judged, Look

Looks = Mapping[tuple[str, VmKey], Look]
"""What was found out by destination and VM; what is missing is still being looked at."""


class MoveDraft:
    """What the move dialog asks for."""

    def __init__(self, vms: Sequence[Vm], looks: Callable[[], Looks]) -> None:
        """`looks` returns what has been found out so far."""
        # The options are for those that run: of one that is off only the definition moves.
        self.vms = sorted(vms, key=lambda vm: not vm.state.active)
        self.wanted = MigrationOptions()
        self._looks = looks
        self._disks: DiskMove | None = None
        """What the user chose; None: what the checks complain of least."""

    @property
    def actives(self) -> tuple[bool, ...]:
        """Whether some run, and whether some are off: those that run first."""
        return tuple(sorted({vm.state.active for vm in self.vms}, reverse=True))

    def turn(self, choice: move_options.Choice, host: str) -> str:
        """Give an option its next value; return why it has none, or ""."""
        return self._take(choice, move_options.turned(choice, self.options(host), self.actives))

    def change(self, choice: move_options.Choice, value: int | None, host: str) -> str:
        """Give an option that is a number this value; return why it cannot have it, or ""."""
        return self._take(choice, move_options.changed(choice, self.options(host), value, self.actives))

    def _take(self, choice: move_options.Choice, result: MigrationOptions | str) -> str:
        if isinstance(result, str):
            return result
        if choice.field == "disks":
            self._disks = result.disks
        self.wanted = replace(result, disks=self.wanted.disks)
        return ""

    def options(self, host: str, vm: Vm | None = None) -> MigrationOptions:
        """Return the options for a destination and a VM, by default the first; of several that is one that runs."""
        vm = vm or self.vms[0]
        options = move_options.for_vm(self.wanted, active=vm.state.active)
        if not vm.state.active:
            return options
        look = self._looks().get((host, vm.key)) or Look(disks=options.disks)
        disks = self._disks or look.disks
        return replace(options, disks=disks, partly=None if disks is DiskMove.SHARED else look.partly)

    def disks_words(self, host: str) -> str:
        """Return what becomes of the disks of those that run: each goes its own way, unless one was chosen."""
        words = Counter[str]()
        for vm in self.vms:
            look = self._looks().get((host, vm.key))
            if vm.state.active:
                words[move_options.disks_words(None if look and look.diskless else self.options(host, vm))] += 1
        several = len(words) > 1
        return ", ".join(f"{each} ({count})" if several else each for each, count in words.items())

    def judged(self, host: str) -> list[Judged]:
        """Return each VM with what the checks say of it."""
        judged = []
        for vm in self.vms:
            look, options = self._looks().get((host, vm.key)), self.options(host, vm)
            judged.append(Judged(vm.name, options, None if look is None else look.checks(options)))
        return judged

    def commands(self, host: str) -> list[str]:
        """Return the virsh lines."""
        lines = []
        for vm in self.vms:
            options = self.options(host, vm)
            request = MigrationRequest(vm.key, vm.name, vm.id, host, options)
            persistent, peer_to_peer = vm.persistent is not False, options.peer_to_peer is not False
            lines.append(migrate_command(request, persistent=persistent, peer_to_peer=peer_to_peer))
        return lines
