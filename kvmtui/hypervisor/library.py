"""The one door to the libvirt binding: import, event loop, and translation of its errors."""

import importlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from kvmtui.hypervisor import errors
from kvmtui.model.clean import clean_message

_log = logging.getLogger(__name__)
# Dead after interval x (count + 1) = 20 s without an answer.
_KEEPALIVE_INTERVAL_S, _KEEPALIVE_COUNT = 5, 3


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
    text = clean_message(error.get_error_message() or str(error))
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


def open_uri(uri: str, *, read_only: bool) -> Any:
    """Return a new virConnect to `uri`; blocks without limit, never prompts on the terminal."""
    module = libvirt()
    opener = module.openReadOnly if read_only else module.open
    try:
        connection = opener(_quiet_ssh(uri))
    except module.libvirtError as error:
        failure = translate(error)
        # Who may not is not let in by trying again.
        if isinstance(failure, errors.NotPermitted):
            raise failure from error
        raise errors.ConnectFailed(str(failure)) from error
    # Some drivers have no keepalive.
    with suppress(module.libvirtError):
        connection.setKeepAlive(_KEEPALIVE_INTERVAL_S, _KEEPALIVE_COUNT)
    return connection


def _quiet_ssh(uri: str) -> str:
    """Return the URI with `no_tty=1` where ssh is used, or its prompts would tear the screen."""
    parts = urlsplit(uri)
    if not parts.scheme.endswith(("+ssh", "+libssh", "+libssh2")):
        return uri
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit(parts._replace(query=urlencode({"no_tty": "1"} | query)))
