"""What is true whatever the screen says: virsh's word, the daemons' own log of calls, and the audit."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.lab import Host
from tests.lab.tools import LabError
from tests.soak.view import Place

#: What a verb of the audit is called in a daemon's log. The harness itself never uses these calls.
CALLS = {
    "start": "virDomainCreate",
    "suspend": "virDomainSuspend",
    "resume": "virDomainResume",
    "destroy": "virDomainDestroyFlags",
    "migrate": "virDomainMigratePerform3Params",
}
#: The same without a destination for the daemon: peer to peer could not begin, and kvmtui drives the move itself.
_MANAGED = "virDomainMigratePerform3Params, managed"
_CALL = re.compile(r" debug : (virDomain\w+):\d+ : dom=\S+ \(VM: name=([^,]*), uuid=([^)]*)\)")
#: Every call to a domain by a client, at the level of debugging.
_LOG_FILTER = 'log_filters = "1:libvirt.domain"\n'


def log_calls(host: Host) -> None:
    """Have a host's daemon write down every call that a client makes, from its next start on."""
    file = host.folder / "etc/libvirtd.conf"
    file.write_text(file.read_text().replace('log_outputs = "3:', 'log_outputs = "1:') + _LOG_FILTER)
    host.restart_libvirtd()


def called(host: Host) -> Counter[tuple[str, str]]:
    """Return how often each call was made to each VM, by (uuid, call)."""
    found: Counter[tuple[str, str]] = Counter()
    with (host.folder / "log/libvirtd.log").open(errors="replace") as log:
        for line in log:
            call = _CALL.search(line)
            if call is not None:
                found[call[3], _MANAGED if "dconnuri=(null)" in line else call[1]] += 1
    return found


@dataclass(frozen=True, slots=True)
class Asked:
    """What virsh said of both hosts."""

    states: dict[Place, str]
    at_s: float
    took_s: float


def ask(hosts: Iterable[Host], timeout_s: float) -> Asked:
    """Return the state of every VM by virsh; raises `LabError` where a daemon does not answer in time."""
    began_s = time.monotonic()
    states = {}
    for host in hosts:
        for line in host.virsh("list", "--all", timeout_s=timeout_s).splitlines():
            if line.strip():
                _, name, state = line.split(None, 2)
                states[host.name, name] = state.strip()
    now_s = time.monotonic()
    return Asked(states, now_s, now_s - began_s)


def has_job(host: Host, name: str) -> bool:
    """Tell whether a job, such as a migration, is under way with a VM."""
    try:
        return "None" not in host.virsh("domjobinfo", name, timeout_s=10)
    except LabError:
        return False


@dataclass(slots=True)
class Written:
    """What the audit has of one intent."""

    uuid: str
    verb: str
    vm: str
    outcomes: list[str]


def read_audit(file: Path) -> dict[str, Written]:
    """Return the intents by their number, each with its outcomes in order."""
    found: dict[str, Written] = {}
    if not file.exists():
        return found
    for line in file.read_text().splitlines():
        record: dict[str, Any] = json.loads(line)
        if record["event"] == "intent":
            found[record["id"]] = Written(record["vm_uuid"], record["verb"], record["vm"], [])
        else:
            found[record["id"]].outcomes.append(record["result"])
    return found


def judge_actions(
    written: dict[str, Written], calls: Counter[tuple[str, str]], pressed: Counter[tuple[str, str]]
) -> list[str]:
    """Return what was done without being asked for, done twice, or never answered, one line each.

    `calls` are the daemons' own counts by (uuid, call), `pressed` how often the keys asked for it by (uuid, verb).
    """
    wrong = [f"{one.verb} of {one.vm} ({number}) has no outcome" for number, one in written.items() if not one.outcomes]
    wrong += [
        f"{one.verb} of {one.vm} ({number}) has {one.outcomes.count('done')} outcomes of success"
        for number, one in written.items()
        if one.outcomes.count("done") > 1
    ]
    intents = Counter((one.uuid, one.verb) for one in written.values() if one.verb in CALLS)
    done = Counter((one.uuid, one.verb) for one in written.values() if one.outcomes[-1:] == ["done"])
    names = {one.uuid: one.vm for one in written.values()}
    for key in intents.keys() | {
        (uuid, verb) for (uuid, call) in calls for verb, known in CALLS.items() if call == known
    }:
        uuid, verb = key
        made = calls[uuid, CALLS[verb]]
        name = names.get(uuid, uuid)
        made_otherwise = calls[uuid, _MANAGED] if verb == "migrate" else 0
        if intents[key] > pressed[key]:
            wrong.append(f"{verb} of {name}: {intents[key]} intents, asked for {pressed[key]} times")
        if max(made, made_otherwise) > intents[key]:
            count = max(made, made_otherwise)
            wrong.append(f"{verb} of {name}: the daemons were called {count} times, {intents[key]} intents")
        if done[key] > made:
            wrong.append(f"{verb} of {name}: {done[key]} times said to be done, the daemons were called {made} times")
    return wrong
