"""What happened between two looks at a host, in words."""

from collections.abc import Iterator

from kvmtui.model.host import Host, Link


def differences(old: Host | None, new: Host) -> Iterator[tuple[str, str]]:
    """Return a text and a tone ("", "warning", "critical", "fine") of each thing that happened."""
    if old is None:
        return
    if old.link is not new.link:
        if new.link is Link.DOWN and old.link is Link.UP:
            yield f"{new.name}: the link is lost: {new.problem}", "critical"
        elif new.link is Link.UP:
            yield f"{new.name}: connected", "fine"
    before, now = old.vms, new.vms
    if before is now or not before.index:
        return
    same_vms = before.index is now.index or before.index == now.index
    if not same_vms:
        for uuid in now.index.keys() - before.index.keys():
            yield f"{now.names[now.index[uuid]]} on {new.name}: new, {now.states[now.index[uuid]]}", ""
        for uuid in before.index.keys() - now.index.keys():
            yield f"{before.names[before.index[uuid]]} on {new.name}: is not there any more", ""
    if before.states is not now.states or before.ids is not now.ids:
        for uuid, at in now.index.items():
            was = before.index.get(uuid)
            if was is not None and (before.states[was], before.ids[was]) != (now.states[at], now.ids[at]):
                yield from _vm_changed(new, at, before.states[was].active, before.states[was] is now.states[at])
    for uuid in now.silent.keys() - before.silent.keys():
        yield f"{now.names[now.index[uuid]]} on {new.name}: its monitor is silent", "critical"
    for uuid in (before.silent.keys() - now.silent.keys()) & now.index.keys():
        yield f"{now.names[now.index[uuid]]} on {new.name}: its monitor answers again", "fine"


def _vm_changed(host: Host, at: int, ran: bool, same_state: bool) -> Iterator[tuple[str, str]]:
    vms = host.vms
    state, reason = vms.states[at], vms.reasons[at]
    where = f"{vms.names[at]} on {host.name}"
    if same_state:
        if state.active and ran:
            yield f"{where}: started anew", ""
        return
    yield f"{where}: {state}{f', {reason}' if reason else ''}", "" if state.executing else "warning"
