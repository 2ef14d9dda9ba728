"""Asking a host how far a long job is, without ever waiting for the answer."""

import logging
import time
from dataclasses import replace

from kvmtui.engine.poller import HostPoller
from kvmtui.hypervisor.errors import CallTimedOut, HypervisorError, InvalidState, VmGone
from kvmtui.hypervisor.lanes import Call, settle
from kvmtui.model.vm import ARRIVING, Job

_log = logging.getLogger(__name__)
_DEADLINE_S = 10.0
UNNAMED = "job"
"""What libvirt before 3.3 tells of any kind of job."""


class JobProbe:
    """Follows the job of one VM; its figures go into the host's samples."""

    def __init__(self, poller: HostPoller, uuid: str, operation: str, *, destination: HostPoller | None = None) -> None:
        """Until the host tells more, the VM is shown with a job of this name.

        At the `destination` of a migration its other half is shown as arriving, that nobody takes it for the VM.
        """
        self.over = False
        """Whether the host has answered that there is no job."""
        self._poller = poller
        self._uuid = uuid
        self._destination = destination
        self._operation = operation
        self._call: Call | None = None
        self.show(Job(operation))

    def poll(self) -> Job | None:
        """Return the job as it was told last, if that is new, and ask again."""
        job: Job | None = None
        if self._call is not None and self._call.done:
            try:
                job = self._own(settle(self._call))
                self.over = job is None
            except (VmGone, InvalidState):
                self.over = True
            except HypervisorError:
                # Nothing is known; where a call runs the job, that one says what happened.
                job = None
            self._call = None
        elif self._call is not None:
            if time.monotonic() - self._call.submitted_at_s > _DEADLINE_S:
                self._poller.lanes.abandon(self._call)
                self._call = None
            return None
        try:
            self._call = self._poller.lanes.start("jobs", lambda connection: connection.job(self._uuid))
        except CallTimedOut as error:
            _log.warning("%s: no job figures: %s", self._poller.uri, error)
        if job is not None:
            self.show(job)
        return job

    def show(self, job: Job) -> None:
        """Show the VM with this job."""
        self._poller.sampler.jobs[self._uuid] = job
        if self._destination is not None:
            self._destination.sampler.jobs[self._uuid] = replace(job, operation=ARRIVING)

    def _own(self, job: Job | None) -> Job | None:
        """Return a job that is the one followed, as far as its host tells; another may have come after it."""
        return job if job is not None and job.operation in (self._operation, UNNAMED) else None

    def end(self) -> None:
        """Show no job any more."""
        for poller in filter(None, (self._poller, self._destination)):
            poller.sampler.jobs.pop(self._uuid, None)
