"""Options that commands have in common."""

from argparse import ArgumentParser, Namespace
from dataclasses import replace

from .codecs import CODECS
from .format.target import Target
from .plan import AUTO, QUANTISERS


__all__ = ["add_compression_options", "add_size_options", "resize"]


def add_compression_options(parser: ArgumentParser) -> None:
    """Add what says how a network is compressed: ``quantiser``, ``codec`` and ``lanes``."""
    parser.add_argument("--quantiser", choices=QUANTISERS, default=QUANTISERS[0],
                        help="how weights become symbols (default: %(default)s)")
    parser.add_argument("--codec", choices=(AUTO, *CODECS), default=AUTO,
                        help="how symbols are coded (default: %(default)s, for a target huffman or "
                             "raw, whichever makes a small image that is decoded fast; else what "
                             "makes the smallest)")
    parser.add_argument("--lanes", type=int, metavar="N",
                        help="with --codec tans: symbols that the target's decoder looks up in a "
                             "cycle, 1, 2, 4 or 8 (default: as many as the network needs)")


def add_size_options(parser: ArgumentParser) -> None:
    """Add what `resize` takes: ``rows`` and ``columns``."""
    parser.add_argument("--rows", type=int, metavar="R",
                        help="rows of the MAC array (default: what suits the device)")
    parser.add_argument("--columns", type=int, metavar="C",
                        help="columns of the MAC array, 4 or 8 (default: what suits the device)")


def resize(target: Target, arguments: Namespace) -> Target:
    """Return ``target`` with the rows and columns that were asked for.

    Raises
    ------
    ValueError
        If they can't be built.
    """
    sizes = {name: getattr(arguments, name) for name in ("rows", "columns")}
    return replace(target, **{name: size for name, size in sizes.items() if size is not None})
