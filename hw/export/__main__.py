# amaranth: UnusedElaboratable=no
# Components say by themselves what can be built.
"""Command: a decoder core as Verilog, with a testbench."""

import argparse
import re
import sys
from pathlib import Path

import numpy as np
from amaranth.hdl import Value
from amaranth.lib import data
from amaranth.lib.wiring import In

from boards import find_board
from hw.decode.tans import TansDecoder
from hw.primitives.dp16kd import GENERIC
from hw.rtl import generate
from sw.files import write_file
from sw.format.lanes import TansLanes
from sw.format.sections import FormatError
from sw.format.tables import (AutomatonShape, PrefixTable, RawTable, RiceCode, RunLengthCode,
                              TansCode, TansShape)
from sw.image import load_image

from .cores import Huffman, Raw, Rice, RunLength, Tans
from .testbench import ports_of, write_testbench


__all__ = ["main"]


CODECS = {"huffman": PrefixTable, "tans": TansCode, "rice": RiceCode, "runlength": RunLengthCode,
          "raw": RawTable}

# Options that say what a core is like, and for which codec.
SHAPES = {"lanes": "tans", "table_bits": "tans", "states": "tans", "tables": "tans",
          "tuple_size": "tans", "raw_bits": "tans",
          "symbol_bits": "huffman", "step_bits": "huffman", "substreams": "huffman"}

NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")


class Generic:
    """Stands for a platform without blocks of a vendor."""

    device = GENERIC


def main(argv=None):
    arguments = parse(argv)
    try:
        export(arguments)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="python -m hw.export", description="Writes a decoder core as plain Verilog with "
        "ready/valid ports, and a testbench that checks it on coded weights.")
    parser.add_argument("what", choices=("decoder",), help="what to export")
    parser.add_argument("--codec", choices=tuple(CODECS), required=True, help="what it decodes")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/decoder.v"),
                        metavar="FILE.v", help="Verilog, whose module is called like the file "
                        "(default: %(default)s); beside it come FILE_tb.v and FILE_tb_*.hex")
    parser.add_argument("--memory", choices=("generic", "ecp5"), default="generic",
                        help="memories as Verilog arrays, or blocks of the ECP5 with their output "
                             "registers (default: %(default)s)")
    parser.add_argument("--image", type=Path, metavar="FILE.hri",
                        help="image whose coded data the testbench takes (default: seeded weights)")
    parser.add_argument("--weights", type=int, default=4096, metavar="N",
                        help="how many seeded weights (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="their seed (default: %(default)s)")
    shapes = parser.add_argument_group(
        "shape", "by default the image's, or what the name in brackets has")
    shapes.add_argument("--lanes", type=int, metavar="N",
                        help="tans: symbols a cycle [4, or what the states allow]")
    shapes.add_argument("--table-bits", type=int, metavar="N",
                        help="tans: bits of a state, 8 or 10 [8]")
    shapes.add_argument("--states", type=int, metavar="N", help="tans: states in turn [64]")
    shapes.add_argument("--tables", type=int, metavar="N", help="tans: tables at once [4]")
    shapes.add_argument("--tuple-size", type=int, metavar="N", help="tans: weights of a symbol [1]")
    shapes.add_argument("--raw-bits", type=int, metavar="N",
                        help="tans: most raw bits behind a symbol [0]")
    shapes.add_argument("--symbol-bits", type=int, metavar="N",
                        help="huffman: bits of an index [5]")
    shapes.add_argument("--step-bits", type=int, metavar="N",
                        help="huffman: bits that a substream takes in a step [4]")
    shapes.add_argument("--substreams", type=int, metavar="N",
                        help="huffman: substreams, 2 or 4 [4]")
    return parser.parse_args(argv)


def export(arguments):
    """Write the files that were asked for.

    Raises
    ------
    ValueError
        If they can't be made.
    OSError
        If they can't be written, or the image can't be read.
    """
    output, name = arguments.output, arguments.output.stem
    if output.suffix != ".v" or not NAME.fullmatch(name):
        raise ValueError(f"Output must be called like a module of Verilog, as decoder.v, "
                         f"not {output.name}")
    for option, codec in SHAPES.items():
        if getattr(arguments, option) is not None and codec != arguments.codec:
            raise ValueError(f"--{option.replace('_', '-')} is for codec {codec}, "
                             f"not {arguments.codec}")
    if arguments.image:
        try:
            image = load_image(arguments.image)
        except FormatError as error:
            raise ValueError(f"{arguments.image}: {error}") from None
        if not isinstance(image.table, CODECS[arguments.codec]):
            raise ValueError(f"{arguments.image} must have codec {arguments.codec}")
        core = core_of(arguments, image.table)
        sample, source = core.sample(image.symbols, image.table), arguments.image.name
    else:
        core = core_of(arguments, None)
        sample = core.sample(core.symbols(seeded(arguments)))
        source = f"{arguments.weights} weights of seed {arguments.seed}"
    platform = Generic() if arguments.memory == "generic" else ecp5()
    component = core.component()
    verilog = heading(core, component, name) + generate(component, name=name, platform=platform)
    bench = write_testbench(core, sample, component=component, name=name,
                            about=f"{arguments.codec}, {source}.")
    files = {output.with_name(file): text for file, text in bench.files.items()}
    files[output.with_name(f"{name}_tb.v")] = bench.verilog
    files[output] = verilog
    for path, text in files.items():
        write_file(path, text.encode())
    print(f"{output}: {arguments.codec}, {core.places} symbols a transfer at most, memory "
          f"{arguments.memory}; {name}_tb.v checks {len(sample.symbols)} symbols, "
          f"{sample.bits / len(sample.symbols):.3f} bits each, {source}")


def ecp5():
    board = find_board("ulx3s")
    return board.platform(board.default_device)


def seeded(arguments):
    """Return weights of two layers, such as the codec is made for."""
    if not 2 <= arguments.weights <= 1 << 20:
        raise ValueError(f"Weights must be 2 to {1 << 20}, not {arguments.weights}")
    rng = np.random.default_rng(arguments.seed)
    half = arguments.weights // 2
    tuples = {2: (-5, 5), 3: (-2, 1), 4: (-1, 1)}
    least, most = tuples.get(arguments.tuple_size, (-14, 14))
    if arguments.raw_bits:
        least, most = -128, 127
    spread = most / 10
    return [np.rint(rng.laplace(0, spread * scale, (size, 1))).clip(least, most).astype(np.int8)
            for scale, size in ((1, half), (2, arguments.weights - half))]


def core_of(arguments, table):
    """Return the core that was asked for, or that an image's ``table`` needs.

    Raises
    ------
    ValueError
        If it can't be built, or doesn't suit the table.
    """
    def chosen(option, default, fixed=None):
        value = getattr(arguments, option)
        if fixed is not None and value not in (None, fixed):
            raise ValueError(f"--{option.replace('_', '-')} must be the image's {fixed}, "
                             f"not {value}")
        return default if value is None else value

    if arguments.codec == "tans":
        own = table.shape if table else TansShape(8, 64)
        tables = table.tables if table else ()
        code = TansShape(chosen("table_bits", own.table_bits, table and own.table_bits),
                         chosen("states", own.states, table and own.states))
        held = 1 << (len(tables) - 1).bit_length() if table else 4
        return Tans(TansLanes(
            code, lanes=chosen("lanes", most_lanes(code)), tables=chosen("tables", held),
            tuple_size=chosen("tuple_size", max((one.tuple_size for one in tables), default=1)),
            raw_bits=chosen("raw_bits", max((max(one.raw_widths) for one in tables), default=0))))
    if arguments.codec == "huffman":
        own = table.shape if table else AutomatonShape()
        return Huffman(AutomatonShape(*(
            chosen(option, getattr(own, option), table and getattr(own, option))
            for option in ("symbol_bits", "step_bits", "substreams"))))
    return {"raw": Raw, "rice": Rice, "runlength": RunLength}[arguments.codec]()


def most_lanes(code):
    """Return how many lanes, up to 4, the states of ``code`` allow; 1 where they allow none."""
    for lanes in (4, 2):
        try:
            TansDecoder(TansLanes(code, lanes=lanes))
        except ValueError:
            continue
        return lanes
    return 1


def heading(core, component, name):
    """Return what stands above the Verilog: its ports, and the fields of each."""
    ports = ports_of(component)
    lines = [f"// {name}: {core}",
             "// Generated by Headrace; docs/decoders.md explains ports and timing.",
             "// Ports, and fields by their bits:"]
    for path, member, value in component.signature.flatten(component):
        port = "__".join(map(str, path))
        if port not in ports:
            continue
        direction = "input" if member.flow == In else "output"
        lines.append(f"//   {direction:6} {port}: {len(Value.cast(value))}")
        if isinstance(value, data.View):
            lines += [f"//            {field}" for field in fields_of(value.shape(), "", 0)]
    return "\n".join([*lines, "", ""])


def fields_of(layout, prefix, start):
    """Yield a line for each field of a layout that begins at bit ``start``."""
    for key, field in layout:
        at = start + field.offset
        label = f"{prefix}.{key}" if isinstance(key, str) else f"{prefix}[{key}]"
        if isinstance(field.shape, data.Layout):
            yield from fields_of(field.shape, label, at)
        elif field.width:
            yield f"{at + field.width - 1}:{at} {label.lstrip('.')}"


if __name__ == "__main__":
    sys.exit(main())
