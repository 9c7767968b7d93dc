"""Files that are written whole or not at all."""

import os
import tempfile
from pathlib import Path


__all__ = ["write_file"]


def write_file(path: Path, contents: bytes) -> None:
    """Write ``contents``, whole or not at all, in a folder that is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.",
                                     delete=False) as file:
        try:
            file.write(contents)
            file.close()
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
