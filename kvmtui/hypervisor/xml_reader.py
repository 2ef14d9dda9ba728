"""The one door by which XML of daemons enters."""

import xml.etree.ElementTree as ET

from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.model.clean import clean


def read_xml(text: str, what: str) -> ET.Element:
    """Return the root; raises `HypervisorError`, which says that `what` cannot be read."""
    # Entities are defined in a document type: libvirt writes none, and some that are short grow without end.
    if "<!DOCTYPE" in text:
        raise HypervisorError(f"{what} cannot be read: it has a document type")
    try:
        return ET.fromstring(text)  # noqa: S314 - see above
    except (ET.ParseError, ValueError) as error:
        raise HypervisorError(f"{what} cannot be read: {clean(str(error))}") from error
