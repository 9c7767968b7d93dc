"""The host's end of the link to an accelerator."""

from .accelerator import Accelerator, Description, Inferences
from .client import (
    FailedError,
    Link,
    LinkError,
    MalformedError,
    NoResponseError,
    ProtocolVersionError,
    RefusedError,
    open_port,
)
from .ports import find_port, list_boards, offer


__all__ = ["Accelerator", "Description", "FailedError", "Inferences", "Link", "LinkError",
           "MalformedError", "NoResponseError", "ProtocolVersionError", "RefusedError", "find_port",
           "list_boards", "offer", "open_port"]
