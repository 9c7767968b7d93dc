"""The report of a build: checked against its schema, and as people read it."""

import io
import json
from pathlib import Path

import jsonschema
from rich.console import Console
from rich.table import Table


__all__ = ["SCHEMA", "summary", "validate", "write"]


#: Resources of which a device has so many.
TOTALS = ("lut4", "ff", "ebr", "spram", "dsp")

SCHEMA = Path(__file__).parents[2] / "docs" / "report.schema.json"


def validate(report):
    """Check ``report`` against the schema in docs/.

    Raises
    ------
    ValueError
        If it doesn't conform; the message names the place.
    """
    schema = json.loads(SCHEMA.read_text())
    errors = jsonschema.Draft202012Validator(schema).iter_errors(report)
    if error := jsonschema.exceptions.best_match(errors):
        raise ValueError(f"report{error.json_path.removeprefix('$')}: {error.message}")


def summary(report):
    """Return the table of figures that a build ends with."""
    model, compression = report["model"], report["compression"]
    timing, throughput, power = report["timing"], report["throughput"], report["power"]
    resources, baseline = report["resources"], report["baseline_raw"]

    table = Table(title=f"{model['name']} on {report['board']} {report['device']}",
                  show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("network", f"{model['weights']:,} weights, {model['macs']:,} MACs")
    table.add_row("accuracy", f"{percent(model['accuracy_float'])} float, "
                              f"{percent(model['accuracy_int'])} in integers, n = {model['n']}")
    table.add_row("compression", f"{compression['quantiser']}, {compression['codec']}: "
                  f"{compression['bits_per_weight']:.3f} b/w, entropy "
                  f"{compression['entropy_bits_per_weight']:.3f} b/w")
    table.add_row("image", f"{compression['bytes_image']:,} bytes "
                  f"({compression['bytes_network']:,} for the network), factor "
                  f"{compression['factor']:.2f} to float32, {compression['factor_int8']:.2f} "
                  f"to int8")
    table.add_row("distortion", f"MSE {compression['mse']:.3g}, maximum "
                  f"{compression['max_abs_error']:.3g}, SQNR {decibels(compression['sqnr_db'])}")
    table.add_row("resources", ", ".join(
        f"{usage['used']:,} of {usage['available']:,} {name}"
        for name in TOTALS if (usage := resources[name])["available"]))
    table.add_row("decoder", f"{resources['decoder_lut4']:,} lut4, "
                  f"{percent(resources['decoder_lut4_share'])} of all (synthesised block by block; "
                  f"{resources['decoder_lut4_estimate']:,} estimated), "
                  f"{resources['decoder_ebr']:,} ebr")
    table.add_row("clock", f"{timing['clock_mhz']:g} MHz {'met' if timing['met'] else 'MISSED'}: "
                  f"Fmax {timing['fmax_mhz']:.1f} MHz ({timing['fmax_limit']})")
    table.add_row("inference", f"{throughput['cycles_per_inference']:,} cycles "
                  f"({throughput['predicted_cycles']:,} predicted), "
                  f"{throughput['inferences_per_s']:,.0f} a second")
    table.add_row("engine", f"{throughput['weights_per_cycle']:.2f} weights a cycle, "
                  f"{throughput['decoder_stall_cycles']:,} stall cycles "
                  f"({throughput['predicted_stall_cycles']:,} predicted), MAC utilisation "
                  f"{percent(throughput['mac_utilisation'])}")
    memory = throughput["memory"]
    table.add_row("memory", f"{memory['kind']}: at its peak for {memory['roofline_cycles']:,} "
                  f"cycles, {percent(memory['busy_share'])} of an inference")
    table.add_row("power (estimate)", f"{power['total_mw']:.1f} mW, of which "
                  f"{power['static_mw']:.0f} mW static; "
                  f"{power['energy_uj_per_inference']:.1f} uJ an inference")
    if baseline:
        table.add_row("raw int8 instead", f"{baseline['bytes_image']:,} bytes, "
                      f"{baseline['memory_bits']:,} bits of memory, "
                      f"{baseline['cycles_per_inference']:,} cycles, {baseline['lut4']:,} lut4")
    else:
        table.add_row("raw int8 instead", f"none: {report['baseline_raw_reason']}")
    return table


def details(report):
    """Return the tables that only the report's file holds: layers and blocks."""
    layers = Table("layer", "cycles", "predicted", "stalls", "predicted", "bound by",
                   "MAC utilisation", title="Layers")
    for layer in report["throughput"]["layers"]:
        utilisation = layer["mac_utilisation"]
        layers.add_row(layer["name"], f"{layer['cycles']:,}", f"{layer['predicted']:,}",
                       f"{layer['stall_cycles']:,}", f"{layer['predicted_stall_cycles']:,}",
                       layer["binds"], "" if utilisation is None else percent(utilisation))
    by_block = report["resources"]["by_block"]
    blocks = Table("block", "lut4", "ff", "ebr", "dsp", title="Blocks", caption=by_block["method"])
    for name, used in by_block["blocks"].items():
        blocks.add_row(name, *(f"{used[resource]:,}" for resource in ("lut4", "ff", "ebr", "dsp")))
    return layers, blocks


def write(report, directory):
    """Write report.json, and report.txt for people, into ``directory``.

    Raises
    ------
    ValueError
        If the report doesn't conform to its schema; nothing is written then.
    """
    validate(report)
    for name, text in (("report.txt", render(report)),
                       ("report.json", json.dumps(report, indent=2) + "\n")):
        partial = directory / f"{name}.partial"
        partial.write_text(text)
        partial.replace(directory / name)


def render(report):
    """Return the whole report as people read it."""
    console = Console(file=io.StringIO(), width=120)
    console.print(summary(report), *details(report))
    path = report["timing"]["critical_path"]
    console.print(f"Critical path: {path['from']} to {path['to']}, {path['delay_ns']:.2f} ns, "
                  f"{path['routing_ns']:.2f} ns of it routing, {path['logic_levels']} LUTs")
    console.print(f"Power: {report['power']['uncertainty']}. Not counted: "
                  f"{'; '.join(report['power']['not_counted'])}.")
    console.print("Made with", ", ".join(f"{tool} {version}"
                                         for tool, version in report["tools"].items()))
    return console.file.getvalue()


def percent(fraction):
    return "unknown" if fraction is None else f"{fraction:.2%}"


def decibels(value):
    return "infinite" if value is None else f"{value:.2f} dB"
