"""What a scrape costs: `kvmtui export` of 150 demo VMs whose figures are all known, asked as Prometheus asks."""

import gzip
import subprocess
import time
import urllib.request
from collections.abc import Mapping

from tests.bench.clocks import Calibration, cpu_s
from tests.bench.figures import Figure, NotMeasured, median
from tests.bench.program import environment
from tests.bench.startup import KVMTUI

_VMS = 150
_SCRAPES = 20
"""For each round."""
_PATIENCE_S = 60.0
_HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
    "Accept-Encoding": "gzip",
}


def measure_scrape(rounds: int) -> Mapping[str, float]:
    """Scrape 150 demo VMs again and again."""
    command = [KVMTUI, "export", "--prometheus", f"--demo={_VMS}", "--listen", "127.0.0.1:0"]
    costs_s: list[float] = []
    speed = Calibration()
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            url = process.stderr.readline().rpartition(" ")[2].strip()
            if not url.startswith("http"):
                raise NotMeasured("it does not say where the metrics are")
            size = _wait_for_figures(url)
            for _ in range(rounds):
                speed.sample()
                before_s = cpu_s(process.pid)
                for _ in range(_SCRAPES):
                    _scrape(url)
                costs_s.append((cpu_s(process.pid) - before_s) / _SCRAPES)
        finally:
            process.kill()
    speed.sample()
    return {"scrape/cpu": 1000 * median(costs_s) / speed.correction, "scrape/size": size / 1e3}


def _wait_for_figures(url: str) -> int:
    """Wait until each VM that runs has been looked at deeply; return how long a scrape then is."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline_s:
        text = _scrape(url)
        running = text.count(b"\nlibvirt_domain_info_memory_usage_bytes{")
        if running and text.count(b"\nlibvirt_domain_stats_age_seconds{") >= running:
            return len(text)
        time.sleep(1.0)
    raise NotMeasured(f"not all VMs were looked at within {_PATIENCE_S:.0f} s")


def _scrape(url: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=_HEADERS)) as answer:  # noqa: S310 - our own
        return gzip.decompress(answer.read())


FIGURES = (
    Figure("scrape/cpu", "ms", 30.0, f"CPU of `kvmtui export` for one scrape of {_VMS} VMs", measure_scrape),
    Figure("scrape/size", "kB", None, "what a scrape tells, before it is compressed", measure_scrape),
)
