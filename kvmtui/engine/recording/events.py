"""What happened between two looks at a host, in words."""

from collections.abc import Iterator
from typing import NamedTuple

from kvmtui.model.host import Host, Link


class Event(NamedTuple):
    """One thing that happened."""

    text: str
    tone: str = ""
    """"critical", "warning", "fine", or nothing of these."""
    uuid: str = ""
    """Of the VM it happened to."""


def differences(old: Host | None, new: Host) -> Iterator[Event]:
    """Return what happened to a host and its VMs."""
    if old is None:
        return
    if old.link is not new.link:
        if new.link is Link.DOWN and old.link is Link.UP:
            yield Event(f"{new.name}: the link is lost: {new.problem}", "critical")
        elif new.link is Link.UP:
            yield Event(f"{new.name}: connected", "fine")
    before, now = old.vms, new.vms
    if before is now or not before.index:
        return
    if before.index is not now.index:
        for uuid in now.index.keys() - before.index.keys():
            yield Event(f"{_where(new, uuid)}: new, {now.states[now.index[uuid]]}", "", uuid)
        for uuid in before.index.keys() - now.index.keys():
            yield Event(f"{_where(old, uuid)}: is not there any more", "warning", uuid)
    if before.states is not now.states or before.ids is not now.ids:
        for uuid in now.index.keys() & before.index.keys():
            yield from _changed(old, new, uuid)
    for uuid in (now.silent.keys() - before.silent.keys()) & now.index.keys():
        yield Event(f"{_where(new, uuid)}: its monitor is silent", "critical", uuid)
    for uuid in (before.silent.keys() - now.silent.keys()) & now.index.keys():
        yield Event(f"{_where(new, uuid)}: its monitor answers again", "fine", uuid)


def _changed(old: Host, new: Host, uuid: str) -> Iterator[Event]:
    was, at = old.vms.index[uuid], new.vms.index[uuid]
    state, reason = new.vms.states[at], new.vms.reasons[at]
    if state is not old.vms.states[was]:
        words = f"{state}, {reason}" if reason else state
        yield Event(f"{_where(new, uuid)}: {words}", "" if state.executing else "warning", uuid)
    elif new.vms.ids[at] != old.vms.ids[was] and state.active:
        yield Event(f"{_where(new, uuid)}: started anew", "warning", uuid)


def _where(host: Host, uuid: str) -> str:
    return f"{host.vms.names[host.vms.index[uuid]]} on {host.name}"
