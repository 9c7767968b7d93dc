"""The host's end of the link to an accelerator."""

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


__all__ = ["FailedError", "Link", "LinkError", "MalformedError", "NoResponseError",
           "ProtocolVersionError", "RefusedError", "open_port"]
