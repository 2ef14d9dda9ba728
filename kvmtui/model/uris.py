"""Connection URIs: what of them is secret, and which of them do more than connect.

Parameters: libvirt's "Connection URIs" and "Remote support" pages.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

_HIDDEN = "***"
_PASSWORD = re.compile(r"(//[^/?#:\s]*):[^/?#\s]*@")
_KEY_PATH = re.compile(r"([?&;](?:keyfile|pkipath|authfile)=)[^&;#\s'\"]*", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """Return a URI, or a text with URIs in it, without passwords and without the paths of keys."""
    if "//" not in text:
        return text
    return _KEY_PATH.sub(rf"\1{_HIDDEN}", _PASSWORD.sub(rf"\1:{_HIDDEN}@", text))


def hide_secrets_of(uri: str, text: str) -> str:
    """Return a text without the secrets of a URI, wherever they stand in it, and without those of other URIs."""
    secrets = [value for name, value in parameters(uri) if name in ("keyfile", "pkipath", "authfile")]
    password = urlsplit(uri).password or ""
    for secret in (*secrets, password, unquote(password)):
        # A single letter would be found in every word.
        if len(secret) > 2:
            text = text.replace(secret, _HIDDEN)
    return without_secrets(text)


def parameters(uri: str) -> Iterator[tuple[str, str]]:
    """Return the parameters as libvirt reads them: separated by & or ;, names in lower case."""
    for part in re.split("[&;]", urlsplit(uri).query):
        name, _, value = part.partition("=")
        yield unquote(name).lower(), unquote(value)


def with_parameter(uri: str, name: str, value: str) -> str:
    """Return the URI with a parameter set, whatever it was before, and everything else as it is written."""
    start, mark, fragment = uri.partition("#")
    address, _, query = start.partition("?")
    others = [part for part in re.split("[&;]", query) if part and unquote(part.partition("=")[0]).lower() != name]
    return f"{address}?{'&'.join([*others, f'{name}={value}'])}{mark}{fragment}"


def is_near(uri: str) -> bool:
    """Tell whether connecting takes no more than opening a socket of this machine."""
    parts = urlsplit(uri)
    return not parts.netloc and parts.scheme.partition("+")[2] in ("", "unix")


def risks(uri: str) -> tuple[str, ...]:
    """Return what connecting does besides connecting, each as the end of a sentence that begins with "it"."""
    found: list[str] = []
    transport = urlsplit(uri).scheme.partition("+")[2]
    host = urlsplit(uri).hostname or "the host"
    given = dict(parameters(uri))
    if transport == "ext" or "command" in given:
        found.append(f"runs the program {given.get('command') or '(none is named)'} on this machine")
    if "netcat" in given:
        found.append(f"runs the program {given['netcat']} on {host}")
    # libssh and libssh2 have a parameter of their own for it.
    lax = given.get("known_hosts_verify", "normal") not in ("normal", "")
    if given.get("no_verify", "0") not in ("0", "") or lax:
        found.append("accepts any host key: who sits in between can read and change everything")
    return tuple(found)
