"""Toggle counts: from Verilator's SAIF file to the toggles of the flip-flops."""

import re


__all__ = ["flip_flop_toggles", "flip_flops", "toggles"]


MODULE = re.compile(r"^module (\S+?) ?\(", re.MULTILINE)
MEMORY = re.compile(r"^ +reg (?:signed )?(?:\[\S+\] )?(\S+) (?:\[\S+\]);", re.MULTILINE)
KEPT = re.compile(r"^ +\.Q\((\\\S+ |\w+)", re.MULTILINE)
ASSIGNMENT = re.compile(r"^ +(\\\S+ |\w+)(?:\[[^\]]*\])? ?<= ([^;]*);", re.MULTILINE)

SAIF_ITEM = re.compile(r"\(INSTANCE (?P<instance>\S+)|\((?P<net>\S+) (?:\(T[01ZXB] \d+\) ?)+"
                       r"\(TC (?P<count>\d+)\)\)|\(NET|(?P<end>^\s*\)$)", re.MULTILINE)


def flip_flops(verilog):
    """Return the registers of each module of ``verilog``, text as Amaranth generates it.

    Those that are cells of the vendor count, too. Memories and the output registers of their read
    ports, which are part of a block RAM, are none.

    Returns
    -------
    dict of str to set of str
        Names of registers by module.
    """
    found = {}
    for module, body in zip(MODULE.findall(verilog), MODULE.split(verilog)[2::2], strict=True):
        memories = {name.strip("\\ ") for name in MEMORY.findall(body)}
        found[module.removeprefix("\\")] = {
            target.strip("\\ ") for target, value in ASSIGNMENT.findall(body)
            if target.strip("\\ ") not in memories
            and value.partition("[")[0].strip("\\ ") not in memories}
        found[module.removeprefix("\\")] |= {name.strip("\\ ") for name in KEPT.findall(body)}
    return found


def toggles(saif):
    """Return how often each net toggled.

    Returns
    -------
    dict of (str, str) to int
        Toggles of all bits, by instance (its path, with dots) and net.
    """
    counts = {}
    scopes = []
    for item in SAIF_ITEM.finditer(saif):
        if item["end"] is not None:
            if scopes:
                scopes.pop()
        elif item["net"]:
            path = ".".join(scope for scope in scopes if scope)
            net = re.sub(r"(\\\[\d+\\\])+$", "", item["net"])
            counts[path, net] = counts.get((path, net), 0) + int(item["count"])
        else:
            scopes.append(item["instance"])
    return counts


def flip_flop_toggles(saif, verilog, *, top):
    """Return how often the flip-flops of module ``top`` and below toggled, all together.

    Amaranth names each module by the path of its one instance, which is how both files meet.

    Raises
    ------
    ValueError
        If the SAIF file doesn't hold module ``top``.
    """
    registers = flip_flops(verilog)
    total = 0
    seen = False
    for (path, net), count in toggles(saif).items():
        _, found, below = f".{path}.".partition(f".{top}.")
        if found:
            seen = True
            module = f"{top}.{below}".rstrip(".")
            if net in registers.get(module, ()):
                total += count
    if not seen:
        raise ValueError(f"SAIF file must hold instance {top}; it has none")
    return total
