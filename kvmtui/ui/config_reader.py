"""Definitions of the VMs that were looked at, read in the background and kept for a while."""

from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass

from kvmtui.engine.engine import Engine
from kvmtui.model.host import Link
from kvmtui.model.vm import Vm, VmConfig, VmKey

_FRESH_S = 10.0
_KEPT = 64


@dataclass(slots=True)
class _Reading:
    """One VM's definition: the last that came, and the question that is out."""

    vm_id: int
    asked_at_s: float
    answer: "Future[VmConfig]"
    last: VmConfig | None = None


class ConfigReader:
    """Answers from what has come, and asks again when it is old; never waits."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._readings: OrderedDict[VmKey, _Reading] = OrderedDict()

    def get(self, vm: Vm | None, now_s: float, *, ask: bool = True) -> VmConfig | None:
        """Return what is known of the definition of `vm`, None: nothing yet; unless `ask`, no host is asked."""
        if vm is None:
            return None
        reading = self._readings.get(vm.key)
        if reading is not None and reading.answer.done() and reading.answer.exception() is None:
            reading.last = reading.answer.result()
        waiting = reading is not None and not reading.answer.done()
        fresh = reading is not None and reading.vm_id == vm.id and now_s - reading.asked_at_s < _FRESH_S
        host = self._engine.fleet.hosts.get(vm.key.host)
        reachable = host is not None and host.link is Link.UP
        if ask and not waiting and not fresh and reachable:
            last = None if reading is None else reading.last
            reading = _Reading(vm.id, now_s, self._engine.read_config(vm.key), last)
            self._readings[vm.key] = reading
            self._readings.move_to_end(vm.key)
            if len(self._readings) > _KEPT:
                self._readings.popitem(last=False)
        return None if reading is None else reading.last

    def forget(self, key: VmKey) -> None:
        """Ask anew: the VM was changed."""
        reading = self._readings.get(key)
        if reading is not None:
            reading.asked_at_s = float("-inf")
