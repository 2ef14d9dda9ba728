"""Connection URIs as they may be shown and logged: without what they keep secret."""

import re
from urllib.parse import urlsplit, urlunsplit

_HIDDEN = "***"
# Parameters that say where keys are kept: libvirt's "Remote support" page, "Extra parameters".
_KEY_PATHS = re.compile(r"(^|[&;])((?:keyfile|pkipath|authfile|privkey|password)=)[^&;]*", re.IGNORECASE)
_IN_TEXT = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")


def shown_uri(uri: str) -> str:
    """Return the URI without a password and without the paths of keys."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return _HIDDEN
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    return urlunsplit(
        parts._replace(
            netloc=f"{name}{colon and ':' + _HIDDEN}{at}{host}",
            query=_KEY_PATHS.sub(rf"\1\2{_HIDDEN}", parts.query),
        )
    )


def without_secrets(text: str) -> str:
    """Return a text, such as an error of libvirt, in which all URIs are as `shown_uri` has them."""
    return _IN_TEXT.sub(lambda found: shown_uri(found.group()), text) if "://" in text else text
