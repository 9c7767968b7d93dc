"""Command: the timing diagrams of the decoder cores, drawn from simulations.

``docs/decoders.md`` shows them. WaveDrom draws what Amaranth's simulator traced.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yowasp_wavedrom
from amaranth.hdl import Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Out
from amaranth.sim import Simulator

from hw.decode.codebook import CodebookLookup
from hw.decode.expander import RowSplitter, RunExpander
from hw.decode.table_builder import TableBuilder
from hw.export.cores import Huffman, Raw, Rice, RunLength, Tans
from sw.files import write_file
from sw.format.lanes import TansLanes
from sw.format.sections import pack_code
from sw.format.tables import AutomatonShape, PrefixTable, TansShape


__all__ = ["DIAGRAMS", "Diagram", "draw", "main", "trace"]


FIGURES = Path("docs/figures")

@dataclass(frozen=True)
class Diagram:
    """A simulation, and what is shown of it.

    Parameters
    ----------
    name : str
        Of the figure.
    make : callable
        Returns the component.
    shown : tuple of str
        Ports, from top to bottom; a stream is shown as its payload, valid and ready.
    cycles : int
        How many are shown, from the one before the first payload of ``feeds`` on.
    tables : dict of str to list
        Payloads that streams take before that.
    constants : dict of str to int
        What other ports are set to, from the first cycle shown on.
    feeds : dict of str to list
        Payloads that streams are offered; None is a cycle without.
    ready : dict of str to str
        1 or 0 for each cycle, for streams that come out; 1 behind the last one.
    skipped : int
        Cycles that are left out in front of those that are shown.
    texts : dict of str to callable
        How payloads are written.
    scale : int
        Width of a cycle.
    """

    name: str
    make: Callable
    shown: tuple[str, ...]
    cycles: int
    feeds: dict[str, list]
    tables: dict[str, list] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    ready: dict[str, str] = field(default_factory=dict)
    skipped: int = 0
    texts: dict[str, Callable] = field(default_factory=dict)
    scale: int = 2


def trace(diagram):
    """Return what each port shown did, cycle by cycle: a dict of lists, by the ports' names."""
    dut = diagram.make()
    traced = {}
    outputs = [(port, getattr(dut, port)) for port, member in dut.signature.members.items()
               if member.is_signature and member.flow == Out
               and isinstance(getattr(dut, port).ready, Signal)]

    def record(ctx):
        for port in diagram.shown:
            member = getattr(dut, port)
            if not hasattr(member, "payload"):
                traced.setdefault(port, []).append(int(ctx.get(Value.cast(member))))
                continue
            valid = ctx.get(member.valid)
            traced.setdefault(f"{port}.payload", []).append(
                ctx.get(member.payload) if valid else None)
            traced.setdefault(f"{port}.valid", []).append(valid)
            if isinstance(member.ready, Signal):
                traced.setdefault(f"{port}.ready", []).append(ctx.get(member.ready))

    async def bench(ctx):
        for port, payloads in diagram.tables.items():
            for payload in payloads:
                await offer(ctx, getattr(dut, port), payload)
            ctx.set(getattr(dut, port).valid, 0)
        if diagram.tables and "busy" in dut.signature.members:
            await ctx.tick().until(~dut.busy)
        waiting = {port: list(payloads) for port, payloads in diagram.feeds.items()}
        for cycle in range(diagram.skipped + diagram.cycles):
            if cycle == 1:
                for port, value in diagram.constants.items():
                    set_port(ctx, getattr(dut, port), value)
            for port, stream in outputs:
                ctx.set(stream.ready, diagram.ready.get(port, "")[cycle:cycle + 1] != "0")
            if cycle:
                for port, payloads in waiting.items():
                    stream = getattr(dut, port)
                    ctx.set(stream.valid, bool(payloads) and payloads[0] is not None)
                    if payloads and payloads[0] is not None:
                        set_port(ctx, stream.payload, payloads[0])
            if cycle >= diagram.skipped:
                record(ctx)
            taken = [port for port, payloads in waiting.items() if cycle and payloads and (
                payloads[0] is None or ctx.get(getattr(dut, port).ready))]
            await ctx.tick()
            for port in taken:
                waiting[port].pop(0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return traced


async def offer(ctx, stream, payload):
    ctx.set(stream.valid, 1)
    set_port(ctx, stream.payload, payload)
    ready = False
    while not ready:
        *_, ready = await ctx.tick().sample(stream.ready)


def set_port(ctx, port, value):
    ctx.set(Value.cast(port) if isinstance(value, int) else port, value)


def draw(diagram):
    """Return the diagram's source for WaveDrom, as text, and its picture, as SVG."""
    traced = trace(diagram)
    rows = [{"name": "clk", "wave": "p" + "." * (diagram.cycles - 1)}]
    for name, values in traced.items():
        port = name.removesuffix(".payload")
        if name == port:
            rows.append({"name": name, "wave": levels_of(values)} if max(values) < 2 else
                        boxes_of(name, values, str, [False] * len(values)))
        else:
            stalled = [valid and not ready for valid, ready in zip(
                traced[f"{port}.valid"], traced.get(f"{port}.ready", traced[f"{port}.valid"]),
                strict=True)]
            rows.append(boxes_of(name, values, diagram.texts.get(port, text_of), stalled))
    source = {"signal": rows, "config": {"hscale": diagram.scale},
              "foot": {"tick": diagram.skipped}}
    text = "{" + ",\n".join([
        ' "signal": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]",
        f' "config": {json.dumps(source["config"])}',
        f' "foot": {json.dumps(source["foot"])}']) + "\n}\n"
    return text, yowasp_wavedrom.render(source) + "\n"


def levels_of(values):
    return "".join("." if at and value == values[at - 1] else str(value)
                   for at, value in enumerate(values))


def boxes_of(name, values, text, stalled):
    """Return a row of boxes, one for each transfer, which its stalls lengthen."""
    wave, texts = "", []
    for at, value in enumerate(values):
        if value is None:
            wave += "." if at and values[at - 1] is None else "x"
        elif at and stalled[at - 1]:
            wave += "."
        else:
            wave += "="
            texts.append(text(value))
    return {"name": name, "wave": wave, "data": texts}


def text_of(payload):
    """Return how a payload is written: words in hexadecimal, lists as numbers."""
    if isinstance(payload, int):
        return f"{payload:x}" if payload > 255 else str(payload)
    if isinstance(payload, data.Const) and isinstance(payload.shape(), data.ArrayLayout):
        return " ".join(map(str, payload))
    return " ".join(text_of(payload[key]) for key, _ in payload.shape())


LANES = TansLanes(TansShape(8, 32), lanes=4)
AUTOMATON = AutomatonShape(5, 4, 4)


def weights(count, spread, seed=0):
    """Return one layer of seeded weights."""
    random_weights = np.random.default_rng(seed).laplace(0, spread, (count, 1))
    return [np.rint(random_weights).clip(-14, 14).astype(np.int8)]


def of_core(core, layers, name, shown, cycles, *, damage=None, **others):
    """Return the diagram of a core that decodes ``layers``; bit ``damage`` is flipped before."""
    sample = core.sample(core.symbols(layers))
    words = list(sample.words)
    if damage is not None:
        width = getattr(core, "shape", AUTOMATON)
        width = width.word_bits if isinstance(width, TansLanes) else 32
        words[damage // width] ^= 1 << damage % width
    feeds = {"i": [*words, *[0] * 60], **sample.streams}
    return Diagram(name, core.component, shown, cycles, feeds, sample.tables, sample.constants,
                   **others)


def signed_bytes(payload):
    """Return how weights are written, one or several, that a port holds as bytes."""
    values = [payload] if isinstance(payload, int) else list(payload)
    return " ".join(str((value + 128) % 256 - 128) for value in values)


def chunk_text(payload):
    return " ".join(map(str, list(payload.indices)[:payload.count])) or "none"


def run_text(payload):
    return f"{payload.count} of table {payload.table}"


def word_text(payload):
    return f"{payload.data:08x}" + (" last" if payload.last else "")


def row_text(payload):
    return f"row {payload.address}"


def loader(name, cycles, skipped):
    """Return a diagram of the loader of tables."""
    section = np.frombuffer(pack_code(CODE), "<u4").tolist()
    return Diagram(name, lambda: TableBuilder(AUTOMATON), ("i", "busy", "error", "o"), cycles,
                   {"i": [word | (at == len(section) - 1) << 32
                          for at, word in enumerate(section)]},
                   skipped=skipped, texts={"i": word_text, "o": row_text}, scale=3)


CODE = PrefixTable(AUTOMATON, (2, 2, 3, 3, 3, 4, 4) + (0,) * 25, (3, 9), 5)

#: All figures.
DIAGRAMS = (
    of_core(Tans(LANES), weights(64, 1.5), "tans", ("run", "runs", "i", "o"), 24,
            texts={"o": signed_bytes, "runs": run_text}, scale=3),
    of_core(Tans(LANES), weights(200, 1.5), "tans-stall", ("i", "o"), 16, skipped=16,
            ready={"o": "1" * 20 + "0001110"}, texts={"o": signed_bytes}, scale=3),
    of_core(Tans(LANES), weights(24, 1.5), "tans-end", ("o", "done", "error"), 20, skipped=12,
            damage=300, texts={"o": signed_bytes}, scale=3),
    of_core(Huffman(AUTOMATON), weights(120, 1.2), "automaton", ("run", "i", "o"), 24,
            texts={"o": chunk_text}, scale=3),
    Diagram("runs", lambda: RunExpander(5), ("i", "o"), 12,
            {"i": [[1, 3, 2, 1], [4, 6, 2, 1], [2, 5, 1, 5], [1, 1, 2, 3]]},
            constants={"runs": {"first": 5, "zeros": [3, 9, 0]}}, texts={"o": chunk_text}, scale=3),
    of_core(Rice(), [np.array([[0, 1, -1, 0, 1, -1, 40, -60, 35, 38, -50, 43, -31, 44]], np.int8)],
            "rice", ("i", "o"), 24, texts={"o": signed_bytes}),
    of_core(RunLength(), [np.array([[0] * 5 + [3, -2] + [0] * 6 + [1] + [0] * 114], np.int8)],
            "runlength", ("i", "o"), 24, texts={"o": signed_bytes}),
    of_core(Raw(), weights(24, 30), "raw", ("run", "i", "o", "direct"), 10,
            texts={"o": lambda payload: signed_bytes(payload.indices)}, scale=3),
    Diagram("codebook", lambda: CodebookLookup(4, index_bits=4, codebooks=1), ("i", "o"), 9,
            {"i": [{"indices": [1, 2, 3, 4], "count": 4}, {"indices": [7, 7, 0, 0], "count": 2,
                                                           "last": 1},
                   None, {"indices": [5, 6, 1, 0], "count": 3, "last": 1}]},
            {"codebook": [{"address": at, "data": int.from_bytes(bytes(
                value & 255 for value in range(4 * at * 7 - 50, 4 * at * 7 - 50 + 28, 7)),
                "little")} for at in range(4)]},
            ready={"o": "11101"}, scale=3,
            texts={"i": chunk_text, "o": lambda payload: " ".join(map(str, payload.weights))
                   + (" last" if payload.last else "")}),
    Diagram("repacker", lambda: RowSplitter(5), ("jobs", "i", "o"), 16,
            {"jobs": [{"kernel_rows": 2, "length": 6}, {"kernel_rows": 1, "length": 5}],
             "i": [{"indices": list(range(at, at + 4)), "count": 4} for at in range(1, 21, 4)]},
            texts={"i": chunk_text, "jobs": lambda payload:
                   f"{payload.kernel_rows} of {payload.length}",
                   "o": lambda payload: chunk_text(payload) + (" last" if payload.last else "")},
            scale=3),
    loader("loader", 12, 0), loader("loader-rows", 26, 785),
)


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m sim.diagrams", description="Simulates the decoder cores and draws their "
        "timing diagrams: WaveDrom's JSON, and SVG.")
    parser.add_argument("-o", "--output", type=Path, default=FIGURES, metavar="FOLDER",
                        help="where they go (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        for diagram in DIAGRAMS:
            source, picture = draw(diagram)
            write_file(arguments.output / f"{diagram.name}.json", source.encode())
            write_file(arguments.output / f"{diagram.name}.svg", picture.encode())
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.output}: {len(DIAGRAMS)} diagrams, as JSON and SVG")
    return 0


if __name__ == "__main__":
    sys.exit(main())
