"""`kvmtui check`: what is wrong with the hosts now, for people, scripts and monitoring."""

import json
import sys
from typing import Any, TextIO

from kvmtui.config import CheckSettings
from kvmtui.engine.checkup import Checked, check_up
from kvmtui.hypervisor.protocol import Backend
from kvmtui.model.clean import clean
from kvmtui.model.findings import Finding, Limits, Severity, summary
from kvmtui.model.host import Host, Link
from kvmtui.model.uris import without_secrets

FINE, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
"""Exit codes, as monitoring plugins have them; UNKNOWN also for wrong arguments and output that cannot be written."""
_WORDS = {FINE: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL", UNKNOWN: "UNKNOWN"}
_LONGEST_LINE = 900
"""Of what a monitoring system reads, some take 1 KiB of the first line."""


def report_check(
    backend: Backend,
    wanted: CheckSettings,
    limits: Limits,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Look once, print what was found, and return the exit code; raises `BrokenPipeError` when nobody reads."""
    out = out or sys.stdout
    checked = check_up(backend, [*wanted.hosts], limits, wanted.timeout_s, wanted.hosts)
    code = exit_code(checked.findings)
    if wanted.as_json:
        said = json.dumps(_json(checked, code), indent=2) + "\n"
    else:
        said = _nagios(checked, code) if wanted.nagios else _text(checked, code, everything=wanted.everything)
    try:
        out.write(said)
        out.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"kvmtui: the output cannot be written: {error.strerror}", file=err or sys.stderr)
        return UNKNOWN
    return code


def exit_code(findings: tuple[Finding, ...]) -> int:
    """Return the exit code for these: what a host of its kind never tells is no reason to complain."""
    worst = max((finding.severity for finding in findings), default=Severity.UNKNOWN)
    return {Severity.CRITICAL: CRITICAL, Severity.WARNING: WARNING, Severity.UNKNOWN: UNKNOWN}.get(worst, FINE)


def _headline(checked: Checked, code: int) -> str:
    up = sum(host.link is Link.UP for host in checked.hosts)
    vms = sum(len(host.vms) for host in checked.hosts)
    running = sum(host.running for host in checked.hosts)
    counts = summary(checked.findings)
    hosts = f"{up} of {len(checked.hosts)} hosts" if up < len(checked.hosts) else f"{up} host{'' if up == 1 else 's'}"
    answered = f"{hosts}, {vms} VM{'' if vms == 1 else 's'}, {running} running"
    never = sum(finding.severity is Severity.UNTOLD for finding in checked.findings)
    return f"{_WORDS[code]}: {counts or 'nothing is wrong'} ({answered}; {never} not told)"


# For people


def _text(checked: Checked, code: int, *, everything: bool) -> str:
    lines = [_headline(checked, code)]
    several = len(checked.hosts) > 1 or any(finding.vm for finding in checked.findings)
    least = Severity.FINE if everything else Severity.NOTE
    for finding in checked.findings:
        if finding.severity >= least:
            where = f"{finding.where}: " if several else f"{finding.subject}: " if finding.subject else ""
            lines.append(f"{finding.severity.word:<9} {finding.title}: {where}{finding.evidence or 'fine'}")
            if finding.advice and finding.severity > Severity.UNTOLD:
                lines.append(f"{'':<9}   -> {finding.advice}")
    if not everything:
        lines.append("--all also shows what is fine and what such hosts do not tell.")
    return "\n".join(lines) + "\n"


# For scripts


def _json(checked: Checked, code: int) -> dict[str, Any]:
    """Return what `json.dump` takes; unknown is null."""
    return {
        "exit_code": code,
        "status": _WORDS[code].lower(),
        "took_s": round(checked.took_s, 3),
        "hosts": [
            {
                "name": host.name,
                "uri": without_secrets(host.key),
                "answered": host.link is Link.UP,
                "problem": host.problem or None,
                "vms": len(host.vms) if host.link is Link.UP else None,
                "running": host.running if host.link is Link.UP else None,
                "looked_at": host.key in checked.healths and host.link is Link.UP,
            }
            for host in checked.hosts
        ],
        "findings": [
            {
                "severity": finding.severity.word,
                "told": finding.severity is not Severity.UNTOLD,
                "rule": finding.rule,
                "title": finding.title,
                "host": finding.host_name,
                "host_uri": without_secrets(finding.host),
                "vm": finding.vm_name or None,
                "vm_uuid": finding.vm.uuid if finding.vm is not None else None,
                "subject": finding.subject or None,
                "evidence": finding.evidence or None,
                "advice": finding.advice or None,
                "for_s": None if finding.since_s is None else round(max(0.0, checked.at_s - finding.since_s), 1),
            }
            for finding in checked.findings
        ],
    }


# For monitoring


def _nagios(checked: Checked, code: int) -> str:
    """Return one line, figures behind a bar, and the findings below (Monitoring Plugins' development guidelines)."""
    wrong = [finding for finding in checked.findings if finding.severity >= Severity.UNKNOWN]
    first = _headline(checked, code)
    if wrong:
        first += f" - {wrong[0].title}: {wrong[0].where}: {wrong[0].evidence}"
    # A bar would end the text.
    lines = [clean(first, _LONGEST_LINE).replace("|", "/") + " | " + " ".join(_figures(checked))]
    lines += [
        f"{finding.severity.word}: {finding.title}: {finding.where}: {finding.evidence}".replace("|", "/")
        for finding in wrong
    ]
    return "\n".join(lines) + "\n"


def _figures(checked: Checked) -> list[str]:
    counts = dict.fromkeys(Severity, 0)
    for finding in checked.findings:
        counts[finding.severity] += 1
    figures = [
        f"critical={counts[Severity.CRITICAL]}",
        f"warning={counts[Severity.WARNING]}",
        f"unknown={counts[Severity.UNKNOWN]}",
        f"time={checked.took_s:.3f}s",
    ]
    for host in checked.hosts:
        figures += _figures_of(host, checked)
    return figures


def _figures_of(host: Host, checked: Checked) -> list[str]:
    if host.link is not Link.UP:
        return []
    figures = [_figure(f"{host.name} running", host.running)]
    memory = host.figures
    if memory.memory_used_bytes is not None and memory.memory_total_bytes is not None:
        figures.append(_figure(f"{host.name} memory", memory.memory_used_bytes, "B", memory.memory_total_bytes))
    health = checked.healths.get(host.key)
    for pool in health.pools if health is not None else ():
        if pool.capacity_bytes and pool.free_bytes is not None:
            used = pool.capacity_bytes - pool.free_bytes
            figures.append(_figure(f"{host.name} pool {pool.name}", used, "B", pool.capacity_bytes))
    return figures


def _figure(label: str, value: int, unit: str = "", most: int | None = None) -> str:
    # Quotes and equal signs are not for labels.
    label = clean(label, 80).replace("'", "").replace("=", "").replace("|", "/")
    return f"'{label}'={value}{unit}" + ("" if most is None else f";;;0;{most}")
