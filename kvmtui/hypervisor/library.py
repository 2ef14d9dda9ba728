"""The one door to the libvirt binding: import, event loop, and translation of its errors."""

import importlib
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from kvmtui.hypervisor import errors
from kvmtui.model.clean import clean, clean_message
from kvmtui.model.uris import hide_secrets_of, with_parameter, without_secrets

_log = logging.getLogger(__name__)
# Dead after interval x (count + 1) = 20 s without an answer.
_KEEPALIVE_INTERVAL_S, _KEEPALIVE_COUNT = 5, 3
_ECHO_PROMPT = 6


@cache
def libvirt() -> Any:
    """Return the libvirt module, its error printing silenced and its event loop running.

    Raises `LibraryMissing` when the binding or the C library is not there.
    """
    try:
        module = importlib.import_module("libvirt")
    except ImportError as error:
        raise errors.LibraryMissing(
            f"the libvirt binding is missing ({clean_message(str(error))}): install it with "
            '"apt install libvirt-dev gcc python3-dev pkg-config" and "pip install \'kvmtui[libvirt]\'", '
            'or look around with "kvmtui --demo"'
        ) from error
    # libvirt prints every error to stderr besides raising it, which would tear the screen.
    module.registerErrorHandler(lambda *_: None, None)
    # Before the first open, or connections get no events and no keepalive.
    module.virEventRegisterDefaultImpl()
    threading.Thread(target=_run_events, args=(module,), name="libvirt events", daemon=True).start()
    return module


def _run_events(module: Any) -> None:
    while True:
        try:
            module.virEventRunDefaultImpl()
        except module.libvirtError:
            _log.exception("the libvirt event loop failed")


# By number (virErrorNumber in libvirt/virterror.h), so that this table needs no libvirt to be read or tested.
_BY_CODE: dict[int, type[errors.HypervisorError]] = {
    3: errors.NotSupported,  # NO_SUPPORT
    29: errors.NotPermitted,  # OPERATION_DENIED
    42: errors.VmGone,  # NO_DOMAIN
    45: errors.NotPermitted,  # AUTH_FAILED
    55: errors.InvalidState,  # OPERATION_INVALID
    67: errors.NotSupported,  # CONFIG_UNSUPPORTED
    68: errors.VmBusy,  # OPERATION_TIMEOUT: another job holds the domain
    74: errors.NotSupported,  # ARGUMENT_UNSUPPORTED
    78: errors.JobCancelled,  # OPERATION_ABORTED
    79: errors.NotPermitted,  # AUTH_CANCELLED
    81: errors.MigrationUnsafe,  # MIGRATE_UNSAFE
    84: errors.NotSupported,  # OPERATION_UNSUPPORTED
    88: errors.NotPermitted,  # ACCESS_DENIED
    94: errors.NotPermitted,  # AUTH_UNAVAILABLE
}
# A lost link shows as one of these codes from the RPC or remote driver; isAlive() confirms it.
_LINK_CODES = {1, 5, 6, 38, 39}
_LINK_DOMAINS = {7, 13}


def translate(error: Any, connection: Any = None) -> errors.HypervisorError:
    """Return our error for a `libvirtError`; called in the thread that failed, where its details are kept."""
    code, domain = error.get_error_code(), error.get_error_domain()
    text = without_secrets(clean_message(error.get_error_message() or str(error)))
    if code in _LINK_CODES and domain in _LINK_DOMAINS and (connection is None or not _alive(connection)):
        return errors.LinkLost(text)
    return _BY_CODE.get(code, errors.HypervisorError)(text)


def _alive(connection: Any) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt().libvirtError:
        return False


@contextmanager
def translated(connection: Any = None) -> Iterator[None]:
    """Raise our errors instead of `libvirtError`."""
    try:
        yield
    except libvirt().libvirtError as error:
        raise translate(error, connection) from error
    except UnicodeDecodeError as error:
        raise errors.HypervisorError("the host's answer is not UTF-8") from error


def open_uri(uri: str, *, read_only: bool) -> Any:
    """Return a new virConnect to `uri`; blocks without limit, never prompts on the terminal."""
    module = libvirt()
    questions: list[str] = []
    answers = [list(_QUESTIONS), lambda asked, _: _answer_nothing(asked, questions), None]
    try:
        connection = module.openAuth(_quiet_ssh(uri), answers, module.VIR_CONNECT_RO if read_only else 0)
    except module.libvirtError as error:
        failure = translate(error)
        text = hide_secrets_of(uri, str(failure))
        if questions:
            raise errors.NotPermitted(f"{questions[0]} ({text})") from error
        # Who may not is not let in by trying again.
        if isinstance(failure, errors.NotPermitted):
            raise errors.NotPermitted(text) from error
        raise errors.ConnectFailed(_of_ssh(text) + _advice(text, uri)) from error
    # Some drivers have no keepalive.
    with suppress(module.libvirtError):
        connection.setKeepAlive(_KEEPALIVE_INTERVAL_S, _KEEPALIVE_COUNT)
    return connection


# What libvirt puts around ssh's own words, which are what matters in a line that may be cut.
_AROUND_SSH = re.compile(r"^Cannot recv data: (.+?)\.?: Connection reset by peer$")


def _of_ssh(text: str) -> str:
    said = _AROUND_SSH.match(text)
    # ssh says of some errors itself who says so.
    return f"ssh: {said[1].removeprefix('ssh: ')}" if said else text


def _advice(text: str, uri: str) -> str:
    """Return what to do where ssh, which must not ask, gives up, or where TLS was hardly meant."""
    if "Cannot read CA certificate" in text:
        scheme = clean(urlsplit(uri).scheme, 20)
        return (
            f"; {scheme}:// with a host stands for TLS; over ssh it is {scheme}+ssh://, if there is a driver {scheme}"
        )
    if "Host key verification failed" in text:
        return "; log in there once with ssh, and compare its key"
    return "; kvmtui gives no password: use an ssh key with ssh-agent" if "Permission denied (" in text else ""


# virConnectCredentialType in libvirt-host.h.
_QUESTIONS = {
    1: "asks for a user name: put one into the URI, or into libvirt's auth.conf",
    2: "asks for a user name: put one into libvirt's auth.conf",
    5: "asks for a password: use an ssh key with ssh-agent, or libvirt's auth.conf",
    6: "asks something that kvmtui does not answer",
    7: "asks for a password: use an ssh key with ssh-agent, or libvirt's auth.conf",
    8: "asks for a realm: put one into libvirt's auth.conf",
}


def _answer_nothing(asked: list[list[Any]], questions: list[str]) -> int:
    """Take note of what libvirt asks, and refuse: a lane has nobody to ask, and must not wait for one."""
    for kind, prompt, *_ in asked:
        what = _QUESTIONS.get(kind, _QUESTIONS[6])
        questions.append(f"the host {what}{f': {clean_message(str(prompt), 120)}' if kind == _ECHO_PROMPT else ''}")
    return -1


def _quiet_ssh(uri: str) -> str:
    """Return the URI with `no_tty=1` where ssh is used, or its prompts would tear the screen."""
    transport = urlsplit(uri).scheme.partition("+")[2]
    return with_parameter(uri, "no_tty", "1") if transport in ("ssh", "libssh", "libssh2") else uri
