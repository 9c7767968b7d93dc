"""Command that shows which accelerator is at a port: ``python -m sw.host.info``."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from sw.format.status import State
from sw.format.target import find_targets

from .accelerator import Accelerator
from .client import LinkError
from .ports import add_port_options, list_boards


__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m sw.host.info", description="Show which accelerator is at a port, its state "
        "and its network.")
    add_port_options(parser)
    parser.add_argument("--list", action="store_true", help="list the ports of boards instead")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    arguments = parser.parse_args(argv)
    try:
        if arguments.list:
            found: dict[str, Any] = dict(list_boards())
        else:
            with Accelerator(arguments.port, baud=arguments.baud) as accelerator:
                found = look(accelerator)
    except LinkError as error:
        sys.exit(f"error: {error}")

    if arguments.json:
        json.dump(found, sys.stdout, indent=2)
        print()
        return
    table = Table(box=None, show_header=False)
    for name, value in found.items():
        table.add_row(name, str(value))
    Console(highlight=False).print(table if found else "no board found")


def look(accelerator: Accelerator) -> dict[str, Any]:
    """Return what there is to say of an accelerator."""
    identification = accelerator.identification
    found = {"port": accelerator.port} | asdict(identification)
    found["version"] = ".".join(map(str, identification.version))
    found["target_hash"] = f"{identification.target_hash:08x}"
    found["target"] = ", ".join(find_targets(identification.target_hash)) or "unknown"
    state, error = accelerator.link.status()
    found |= {"state": state.name, "error": error.name}
    if state is State.READY:
        description = accelerator.describe()
        found |= {"input_shape": description.input_shape, "outputs": description.outputs,
                  "layers": len(description.layers)}
    return found


if __name__ == "__main__":
    main()
