"""What can be asked of a VM: one table from which bindings, footer, help and palette are made."""

import re
import shlex
from dataclasses import dataclass
from enum import Enum, StrEnum

from kvmtui.model.uris import without_secrets
from kvmtui.model.vm import Vm, VmKey, VmState


class Danger(Enum):
    """How much an action can hurt, and so how it asks."""

    NONE = 0
    """Reversible or only looking: done at once."""
    DISRUPTIVE = 1
    """The guest's users notice: asks."""
    DESTRUCTIVE = 2
    """The guest may lose data: asks in red."""


class Verb(StrEnum):
    """What a connection can be told to do with a VM."""

    START = "start"
    SHUTDOWN = "shutdown"
    REBOOT = "reboot"
    RESET = "reset"
    PAUSE = "suspend"
    RESUME = "resume"
    WAKE = "dompmwakeup"
    FORCE_OFF = "destroy"
    SAVE = "managedsave"
    AUTOSTART_ON = "autostart"
    AUTOSTART_OFF = "autostart --disable"
    CANCEL_JOB = "domjobabort"


_EXECUTING = frozenset({VmState.RUNNING, VmState.BLOCKED, VmState.SHUTTING_DOWN})
_OFF = frozenset({VmState.SHUT_OFF, VmState.CRASHED})
_ACTIVE = frozenset(VmState) - _OFF
_ANY = frozenset(VmState)


@dataclass(frozen=True, slots=True)
class Action:
    """One row of the table."""

    id: str
    label: str
    """As in footer and help: an infinitive."""
    key: str
    states: frozenset[VmState]
    """The states in which it makes sense."""
    description: str
    """One sentence for help and palette."""
    verb: Verb | None = None
    """What the connection is told; None: a screen of its own (console, migration)."""
    pending: str = ""
    """What the row shows while it is under way."""
    danger: Danger = Danger.NONE
    consequence: str = ""
    """What the confirmation says will happen."""
    needs_persistent: bool = False
    autostart: bool | None = None
    """The autostart setting the VM must have for this to make sense."""
    during_job: bool = False
    """Whether it is allowed while a migration or save runs."""
    only_during_job: bool = False
    own_lane: bool = False
    """Whether it may take long, or must get through whatever else is under way on the host."""
    interrupts: bool = False
    """Whether it may be asked for while another action on the VM has not been answered."""
    has_job: bool = False
    """Whether libvirt tells how far it is."""
    ends_in: VmState | None = None
    """The state that is waited for after libvirt took the request."""
    writes: bool = True
    """Whether it needs a connection that may write."""

    def refusal(self, vm: Vm) -> str | None:
        """Return why this cannot be done to `vm` as it is now, or None."""
        if self.only_during_job and vm.job is None:
            return "no job is running"
        if vm.job is not None and not self.during_job:
            return f"{vm.job.operation} is under way"
        if vm.state not in self.states:
            return f"it is {vm.state}"
        if self.needs_persistent and vm.persistent is False:
            return "it is transient: it has no stored definition"
        if self.autostart is not None and vm.autostart is not None and vm.autostart is not self.autostart:
            return f"autostart is already {'on' if vm.autostart else 'off'}"
        return None


ACTIONS: tuple[Action, ...] = (
    Action(
        "start",
        "start",
        "s",
        _OFF,
        "Start the VM; a managed save image is resumed.",
        Verb.START,
        "starting",
        own_lane=True,
    ),
    Action(
        "shutdown",
        "shut down",
        "S",
        _EXECUTING,
        "Ask the guest to shut down and follow it until it is off.",
        Verb.SHUTDOWN,
        "shutting down",
        Danger.DISRUPTIVE,
        "The guest is asked to shut down.",
        ends_in=VmState.SHUT_OFF,
    ),
    Action(
        "pause",
        "pause",
        "p",
        frozenset({VmState.RUNNING, VmState.BLOCKED}),
        "Stop the guest's CPUs; its memory stays.",
        Verb.PAUSE,
        "pausing",
        during_job=True,
    ),
    Action("resume", "resume", "p", frozenset({VmState.PAUSED}), "Let a paused guest go on.", Verb.RESUME, "resuming"),
    Action("wake", "wake", "p", frozenset({VmState.SUSPENDED}), "Wake a suspended guest.", Verb.WAKE, "waking"),
    Action(
        "migrate",
        "migrate",
        "m",
        frozenset({VmState.RUNNING, VmState.BLOCKED, VmState.PAUSED, VmState.SHUT_OFF}),
        "Migrate the VM to another host, running or off.",
        pending="migrating",
    ),
    # Also of a VM that is off: so its boot is seen from the first byte.
    Action("console", "console", "c", _ANY, "Open the VM's serial console.", during_job=True),
    Action(
        "abort_job",
        "abort job",
        "X",
        _ACTIVE,
        "Abort the running migration or save; the VM goes on.",
        Verb.CANCEL_JOB,
        "aborting",
        Danger.DISRUPTIVE,
        "The job is aborted; the VM goes on where it is.",
        during_job=True,
        only_during_job=True,
        own_lane=True,
        interrupts=True,
    ),
    Action(
        "reboot",
        "reboot",
        "r",
        _EXECUTING,
        "Ask the guest to reboot.",
        Verb.REBOOT,
        "rebooting",
        Danger.DISRUPTIVE,
        "The guest is asked to reboot.",
    ),
    Action(
        "save",
        "managed save",
        "z",
        frozenset({VmState.RUNNING, VmState.BLOCKED, VmState.PAUSED}),
        "Write its memory to disk and stop it; start resumes it.",
        Verb.SAVE,
        "saving",
        Danger.DISRUPTIVE,
        "The guest's memory is written to disk and it stops; start resumes it.",
        needs_persistent=True,
        own_lane=True,
        has_job=True,
    ),
    Action(
        "autostart_on",
        "autostart on",
        "a",
        _ANY,
        "Start the VM with its host from now on.",
        Verb.AUTOSTART_ON,
        "setting autostart",
        needs_persistent=True,
        autostart=False,
    ),
    Action(
        "autostart_off",
        "autostart off",
        "a",
        _ANY,
        "Do not start the VM with its host any more.",
        Verb.AUTOSTART_OFF,
        "clearing autostart",
        needs_persistent=True,
        autostart=True,
    ),
    Action(
        "reset",
        "reset",
        "R",
        _ACTIVE,
        "Reset the guest at once, without shutting it down.",
        Verb.RESET,
        "resetting",
        Danger.DESTRUCTIVE,
        "The guest restarts at once, without shutting down: unwritten data is lost.",
    ),
    Action(
        "force_off",
        "force off",
        "K",
        _ACTIVE,
        "Pull the plug: end the QEMU process.",
        Verb.FORCE_OFF,
        "forcing off",
        Danger.DESTRUCTIVE,
        "The plug is pulled, without shutting down: unwritten data is lost.",
        during_job=True,
        own_lane=True,
        interrupts=True,
    ),
)

BY_ID = {action.id: action for action in ACTIONS}


def for_key(key: str) -> tuple[Action, ...]:
    """Return the actions a key can mean; the VM's state decides which."""
    return tuple(action for action in ACTIONS if action.key == key)


def choose(key: str, vm: Vm) -> Action | str:
    """Return the action that `key` means for `vm`, or why it means none."""
    candidates = for_key(key)
    refusals = [(action, action.refusal(vm)) for action in candidates]
    for action, refusal in refusals:
        if refusal is None:
            return action
    # Where one key has several meanings, the refusal of the first is the one a reader expects.
    action, refusal = refusals[0]
    return f"cannot {action.label} {vm.name}: {refusal}"


class Outcome(Enum):
    """How an action ended."""

    DONE = "done"
    REFUSED = "refused"
    """Nothing was tried: the VM was no longer as it was when the key was pressed."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """No answer in time: it may still happen."""


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """What a key press asked for, bound to the VM as it was at that moment."""

    action: Action
    key: VmKey
    vm_name: str
    vm_id: int
    """The domain id at the key press; another id later means another run."""


@dataclass(frozen=True, slots=True)
class ActionResult:
    """How a request ended."""

    request: ActionRequest
    outcome: Outcome
    message: str
    """One cleaned line for the user."""
    command: str = ""
    """The virsh line that does the same."""


_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")


def virsh_line(uri: str, verb: str, vm_name: str, uuid: str, *arguments: str) -> str:
    """Return the virsh command that does the same, without secrets of the URI.

    The UUID stands for a name that a shell could misread.
    """
    who = vm_name if _PLAIN_NAME.fullmatch(vm_name) else uuid
    words = [*verb.split(" ", 1)[:1], who, *verb.split(" ")[1:], *arguments]
    return " ".join(["virsh", "-c", shlex.quote(without_secrets(uri)), *map(shlex.quote, words)])
