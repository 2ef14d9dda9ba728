"""From a key and the VMs it is meant for to requests; and from results to words. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvmtui.engine.whereabouts import AWAY
from kvmtui.model.actions import ACTIONS, BY_ID, Action, ActionRequest, ActionResult, Danger, Outcome, for_key
from kvmtui.model.clean import clean
from kvmtui.model.fleet import Fleet
from kvmtui.model.host import Host, Link
from kvmtui.model.migration import Migration, Phase
from kvmtui.model.uris import without_secrets
from kvmtui.model.vm import ARRIVING, Vm, VmState

_NAME_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action would be done to, and what not, with why."""

    action: Action | None
    requests: tuple[ActionRequest, ...]
    refusals: tuple[tuple[Vm, str], ...]

    @property
    def asks(self) -> bool:
        """Whether the user has to agree first."""
        return self.action is not None and (self.action.danger is not Danger.NONE or len(self.requests) > 1)


def refusal(action: Action, vm: Vm, fleet: Fleet, *, read_only: bool) -> str | None:
    """Return why `action` cannot be done to `vm`, or None."""
    host = fleet.hosts.get(vm.key.host)
    if host is None or host.link is not Link.UP:
        return "its host is not connected"
    # A console only shows; but libvirt opens it on a writing connection alone.
    if read_only:
        return "kvmtui was started with --read-only"
    if host.read_only:
        return f"the configuration has {host.name} read-only"
    if action is BY_ID["abort_job"] and fleet.pending.get(vm.key) == Phase.VERIFYING.value:
        return "its migration has ended, and both hosts are asked how: w shows it"
    return _on_its_way(action, vm, fleet) or action.refusal(vm)


def _on_its_way(action: Action, vm: Vm, fleet: Fleet) -> str:
    """Return why a VM is no more than a half of one that is on its way to this host, or ""."""
    arrives = vm.job is not None and vm.job.operation == ARRIVING
    stands = vm.job is None and vm.state is VmState.PAUSED and vm.reason in AWAY
    if not arrives and not stands:
        return ""
    others = [host.key for host in fleet.hosts.values() if host.key != vm.key.host and _runs(host, vm.key.uuid)]
    if arrives:
        return f"it is arriving from {host_name(others[0], fleet) if others else 'another host'}: w shows how"
    # Of a move that is not known here, or has ended: resuming a half ruins the VM, but one that was left can be ended.
    if not others or action is BY_ID["force_off"]:
        return ""
    return f"it is on its way, and {host_name(others[0], fleet)} has the other half: w shows the migrations"


def _runs(host: Host, uuid: str) -> bool:
    vm = host.vms.get(uuid)
    return vm is not None and vm.state.active


def plan(actions: Sequence[Action], vms: Sequence[Vm], fleet: Fleet, *, read_only: bool) -> Plan:
    """Bind one of `actions` to the VMs as they are now.

    Where a key has several meanings (pause, resume), the first VM that allows one decides for all of them: a key
    never does opposite things to the marked VMs.
    """
    chosen: Action | None = None
    requests: list[ActionRequest] = []
    refusals: list[tuple[Vm, str]] = []
    for vm in vms:
        candidates = actions if chosen is None else [chosen]
        reasons = [refusal(action, vm, fleet, read_only=read_only) for action in candidates]
        allowed = [action for action, reason in zip(candidates, reasons, strict=True) if reason is None]
        if allowed:
            chosen = allowed[0]
            requests.append(ActionRequest(chosen, vm.key, vm.name, vm.id))
        else:
            refusals.append((vm, reasons[0] or ""))
    return Plan(chosen or (actions[0] if actions else None), tuple(requests), tuple(refusals))


def applicable(vm: Vm | None, fleet: Fleet, *, read_only: bool) -> list[Action]:
    """Return the actions that make sense for a VM now, in the order of the table."""
    if vm is None:
        return []
    return [action for action in ACTIONS if refusal(action, vm, fleet, read_only=read_only) is None]


def actions_for(key: str) -> tuple[Action, ...]:
    """Return what a key can mean."""
    return for_key(key)


def where(vm_name: str, host: str, fleet: Fleet) -> str:
    """Return "web1 on h1"; a name too long for a line is cut."""
    if len(vm_name) > _NAME_CHARACTERS:
        # In the middle: it is mostly the ends in which names differ.
        vm_name = f"{vm_name[: _NAME_CHARACTERS - 20]}…{vm_name[-19:]}"
    return f"{vm_name} on {host_name(host, fleet)}"


def host_name(host: str, fleet: Fleet) -> str:
    """Return what a host is called; hosts of one name are told apart by their URI."""
    known = fleet.hosts.get(host)
    if known is None:
        return without_secrets(host)
    twins = [other for other in fleet.hosts.values() if other.name == known.name]
    return known.name if len(twins) == 1 else f"{known.name} ({without_secrets(host)})"


_TONES = {Outcome.DONE: "$text-success", Outcome.REFUSED: "$text-warning", Outcome.FAILED: "$text-error"}
_ENDINGS = {
    Phase.DONE: ("done", "$text-success"),
    Phase.CANCELLED: ("aborted", "$text-warning"),
    Phase.FAILED: ("failed", "$text-error"),
    Phase.UNKNOWN: ("the end is not known", "$text-error"),
}


def result_words(result: ActionResult, fleet: Fleet) -> tuple[str, str]:
    """Return one line about an action's end, and its tone."""
    request = result.request
    text = f"{request.action.label} {where(request.vm_name, request.key.host, fleet)}: {result.outcome.value}"
    if result.message:
        text = f"{text}: {result.message}"
    return text, _TONES.get(result.outcome, "$text-warning")


def migration_words(migration: Migration, fleet: Fleet) -> tuple[str, str]:
    """Return one line about a migration, and its tone."""
    request = migration.request
    to = host_name(request.destination, fleet)
    subject = f"migrate {where(request.vm_name, request.key.host, fleet)} to {to}"
    if migration.phase in _ENDINGS:
        words, tone = _ENDINGS[migration.phase]
        told = migration.message or proven(migration, lambda host: host_name(host, fleet))
        told = "; ".join(filter(None, (told, left_words(migration, lambda host: host_name(host, fleet)))))
        told = f": {told}" if told else ""
        repairs = "; w shows what can be done" if migration.repairs else ""
        return f"{subject}: {words}{told}{repairs}", tone
    return f"{subject}: {migration.message or migration.phase.value}", ""


def proven(migration: Migration, name: Callable[[str], str]) -> str:
    """Return what both hosts told of a VM whose move ended with nothing to complain of; `name` is of a host's key."""
    request = migration.request
    ways = {
        Phase.DONE: (request.destination, request.key.host),
        Phase.CANCELLED: (request.key.host, request.destination),
    }
    if migration.message or migration.phase not in ways:
        return ""
    has, has_not = map(name, ways[migration.phase])
    return f"{has} has it, {has_not} does not run it"


def left_words(migration: Migration, name: Callable[[str], str]) -> str:
    """Return what a move of disks has left at its source, or ""; `name` is of a host's key."""
    paths = migration.left_behind
    if not paths:
        return ""
    copies = "the old copy of its disk was left" if len(paths) == 1 else "the old copies of its disks were left"
    return f"{copies} at {name(migration.request.key.host)}: {', '.join(map(clean, paths))}"


def moves_words(under_way: int, calling: int) -> tuple[str, str]:
    """Return what the title says of moves, with the key that shows them, and its tone."""
    going = f"{under_way} migrating" if under_way else ""
    if not calling:
        return (f"{going}: w", "$text-accent") if going else ("", "")
    which = "" if going else f" migration{'' if calling == 1 else 's'}"
    needs = f"{calling}{which} need{'s' if calling == 1 else ''} you: w"
    return " · ".join(filter(None, (going, needs))), "$error"
