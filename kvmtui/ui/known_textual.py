"""Whether what is private in Textual is as it was when it was relied on.

A few modules do in place of Textual's own methods what these do, because it is measured to be far cheaper. Each asks
here first whether those methods still go by the same names, and leaves all to Textual where they do not.
"""

import logging
from collections.abc import Collection

_log = logging.getLogger(__name__)

Relied = tuple[type, str, Collection[str]]
"""A class, one of its methods, and names that the method uses."""


def strange(*relied: Relied) -> str:
    """Return what is not as expected, or nothing."""
    for owner, method, names in relied:
        code = getattr(getattr(owner, method, None), "__code__", None)
        if missing := set(names).difference(code.co_names if code is not None else ()):
            return f"{owner.__name__}.{method} does not use {', '.join(sorted(missing))}"
    return ""


def known(*relied: Relied) -> bool:
    """Return whether all is as expected; where it is not, that is logged."""
    reason = strange(*relied)
    if reason:
        _log.warning("left to Textual: %s", reason)
    return not reason
