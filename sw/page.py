"""The profile of a network's parameters as one page that needs nothing from the network."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from .analyse import QUALITY_DB, CodecRate, Coding, Curve, LayerProfile, Point, Profile, Values
from .recommend import WORTH, Recommendation


__all__ = ["render"]


TEMPLATE = Path(__file__).with_name("page.html")

#: Part of a plot as plotly.js takes it; a colour is the name of a variable of the style sheet.
Figure = dict[str, Any]

#: Layers that are named along an axis.
NAMES = 12


def render(profile: Profile, recommendations: Iterable[Recommendation]) -> str:
    """Return the page: HTML with its style, its scripts and its figures in it."""
    # Reading Plotly's script takes longer than the other imports of a command together.
    from plotly.offline import get_plotlyjs

    views = [view("network", profile.values, profile.curve, relative=True),
             *(view(layer.name, layer.values, layer.curve, relative=False)
               for layer in profile.layers)]
    names = ["the network", *(layer.name for layer in profile.layers)]
    integers = ("integers of the model as they are" if profile.lossless
                else f"integers of one step at {QUALITY_DB:g} dB")
    notes = [*(f"Estimated from a sample: {note}." for note in profile.sampled),
             "What each column and plot means: docs/profile.md of Headrace."]
    return Template(TEMPLATE.read_text()).substitute(
        title=escape(f"Profile of {profile.name}"),
        subtitle=escape(f"{profile.kind}, {len(profile.layers)} layers with weights, "
                        f"{profile.biases:,} biases"),
        figures="".join(f'<div class="card"><b>{escape(figure)}</b><span>{escape(label)}</span>'
                        f"</div>" for figure, label in headline(profile)),
        recommendations="".join(map(card, recommendations)), integers=escape(integers),
        options="".join(f'<option value="{number}">{escape(name)}</option>'
                        for number, name in enumerate(names)),
        table=layer_table(profile), footer=escape(" ".join(notes)),
        plotly=get_plotlyjs(),
        plots=script({"codecs": codec_plot(profile), "entropy": entropy_plot(profile),
                      "gains": gain_plot(profile.layers), "zeros": zero_plot(profile.layers)}),
        views=script(views))


def script(value: Any) -> str:
    """Return ``value`` as JSON that no script element's end can hide in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def headline(profile: Profile) -> list[tuple[str, str]]:
    figures = [(f"{profile.weights:,}", "weights"), (f"{profile.values.zeros:.1%}", "zeros"),
               (f"{profile.values.kurtosis:.1f}", "excess kurtosis, layers scaled alike")]
    if profile.lossless is not None:
        figures.append((f"{profile.lossless.layer_entropy:.2f} b/w",
                        "entropy of the integers, layer by layer"))
    figures.append((f"{profile.lossy.entropy:.2f} b/w",
                    f"entropy of one step at {profile.lossy_sqnr_db:.1f} dB"))
    if profile.codebook is not None:
        figures.append((str(profile.codebook.centroids),
                        f"centroids reach {profile.codebook.sqnr_db:.1f} dB"))
    return figures


def card(choice: Recommendation) -> str:
    title = {"lossless": "Lossless: the integers as they are",
             "lossy": f"Lossy: about {QUALITY_DB:g} dB"}[choice.use]
    parts = [part for part in (choice.quantiser, choice.codec) if part != "none"]
    advice = f'<li class="head"><span>Pays?</span><span>worth it from {WORTH:g} b/w on</span></li>'
    advice += "".join(
        f'<li class="{"pays" if item.pays else "idle"}"><i>{"yes" if item.pays else "no"}</i>'
        f"<div><b>{escape(item.topic)}</b> <span>{escape(item.reason)}</span></div></li>"
        for item in choice.advice)
    return (f'<div class="card"><h2>{escape(title)}</h2><p class="choice">'
            f'{escape(" + ".join(parts))} <em>{choice.bits_per_weight:.2f} b/w</em></p>'
            f'<p class="note">{escape(choice.summary)}.</p><ul>{advice}</ul></div>')


def layer_table(profile: Profile) -> str:
    headings = ("layer", "operation", "shape", "weights", "least", "greatest", "std", "zeros",
                "kurtosis", "4 bits", "integers", "previous", "filter before", "zero filters",
                "zero inputs", "spread")
    rows = []
    for layer in profile.layers:
        coding = layer.lossless or layer.lossy
        rows.append([
            layer.name, layer.operation, " x ".join(map(str, layer.shape)),
            *value_cells(layer.weights, layer.values),
            *coding_cells(layer, coding, coding.layer_entropy)])
    coding = profile.lossless or profile.lossy
    cells = value_cells(profile.weights, profile.values)
    rows.append(["network", "", "", cells[0], "", "", "", *cells[4:],
                 *coding_cells(profile, coding, coding.entropy)])
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
                   for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def value_cells(weights: int, found: Values) -> list[str]:
    return [f"{weights:,}", *(f"{figure:.3g}" for figure in (found.minimum, found.maximum,
                                                            found.std)),
            f"{found.zeros:.1%}", f"{found.kurtosis:.1f}"]


def coding_cells(found: LayerProfile | Profile, coding: Coding, entropy: float) -> list[str]:
    four, = (row.per_layer_entropy for row in found.uniform if row.bits == 4)
    return [*(f"{figure:.2f}" for figure in (four, entropy, coding.previous.entropy,
                                             coding.filter_before.entropy)),
            str(found.structure.zero_filters), str(found.structure.zero_inputs),
            f"{found.structure.spread:.1f}"]


def codec_plot(profile: Profile) -> Figure:
    """Return bars: each codec on each kind of integers, and the entropy of these."""
    groups: list[tuple[str, Sequence[CodecRate], float]] = []
    if profile.lossless is not None:
        groups.append(("integers as they are", profile.lossless.codecs, profile.lossless.entropy))
    groups.append((f"step, {profile.lossy_sqnr_db:.1f} dB", profile.lossy.codecs,
                   profile.lossy.entropy))
    if profile.codebook is not None:
        name = f"{profile.codebook.centroids} centroids, {profile.codebook.sqnr_db:.1f} dB"
        groups.append((name, profile.codebook.codecs, profile.codebook.entropy))
    data: list[Figure] = []
    for number, (name, rates, entropy) in enumerate(groups):
        figures = [rate.bits_per_weight for rate in rates] + [entropy]
        data.append({
            "type": "bar", "orientation": "h", "name": name,
            "y": [*(rate.codec for rate in rates), "entropy"],
            "x": [figure or 0 for figure in figures],
            "text": ["can't carry them" if figure is None else f"{figure:.2f}"
                     for figure in figures],
            "hovertext": [rate.refused or "" for rate in rates] + [""],
            "textposition": "outside", "cliponaxis": False, "marker": {"color": f"--c{number}"}})
    greatest = max(figure for trace in data for figure in trace["x"])
    return {"data": data, "x": "bits per weight",
            "layout": {"xaxis": {"range": [0, 1.1 * greatest]},
                       "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False}}}


def entropy_plot(profile: Profile) -> Figure:
    layers = profile.layers
    places = list(range(len(layers)))
    data: list[Figure] = []
    for number, row in enumerate(profile.uniform):
        data.append(marks([layer.uniform[number].per_layer_entropy for layer in layers],
                          f"{row.bits} bits", f"--s{number}", "circle"))
    data.append(marks([(layer.lossless or layer.lossy).layer_entropy for layer in layers],
                      "integers", "--c1", "diamond"))
    for trace in data:
        trace["x"] = places
    return {"data": data, "layout": {"xaxis": layer_axis(layers), "yaxis": {"rangemode": "tozero"}},
            "y": "bits per weight"}


def marks(figures: list[float], name: str, colour: str, symbol: str) -> Figure:
    return {"type": "scatter", "mode": "markers", "name": name, "y": figures,
            "marker": {"color": colour, "size": 7, "symbol": symbol}}


def layer_axis(layers: Sequence[LayerProfile]) -> Figure:
    """Return an axis with one place a layer, some of which are named."""
    stride = -(-len(layers) // NAMES)
    shown = range(0, len(layers), stride)
    return {"tickvals": list(shown), "ticktext": [shorten(layers[number].name) for number in shown],
            "tickangle": -40, "ticklabeloverflow": "allow", "range": [-0.6, len(layers) - 0.4],
            "showgrid": False, "zeroline": False}


def shorten(name: str) -> str:
    """Return ``name``, shortened in the middle, as Plotly's mark-up."""
    return escape(name if len(name) <= 13 else f"{name[:6]}…{name[-6:]}", quote=False)


def gain_plot(layers: Sequence[LayerProfile]) -> Figure:
    codings = [layer.lossless or layer.lossy for layer in layers]
    return bars(layers, {
        "classes of filters": [part.layer_entropy - part.classes for part in codings],
        "previous weight": [part.previous.gain for part in codings],
        "filter before": [part.filter_before.gain for part in codings],
        "zero runs": [part.layer_entropy - part.runs for part in codings]},
        "bits per weight", {})


def zero_plot(layers: Sequence[LayerProfile]) -> Figure:
    return bars(layers, {
        "weights": [layer.values.zeros for layer in layers],
        "filters": [layer.structure.zero_filters / layer.structure.filters for layer in layers],
        "input channels": [layer.structure.zero_inputs / layer.structure.inputs
                           for layer in layers]},
        "share", {"tickformat": ".0%", "rangemode": "tozero"})


def bars(layers: Sequence[LayerProfile], groups: dict[str, list[float]], label: str,
         axis: Figure) -> Figure:
    data = [{"type": "bar", "name": name, "x": list(range(len(layers))), "y": figures,
             "marker": {"color": f"--c{number}"},
             "hovertext": [escape(layer.name, quote=False) for layer in layers]}
            for number, (name, figures) in enumerate(groups.items())]
    return {"data": data, "layout": {"xaxis": layer_axis(layers), "yaxis": axis}, "y": label}


def view(name: str, found: Values, curve: Curve, *, relative: bool) -> Figure:
    """Return the plots of a layer, or of the network, whose weights are relative."""
    width = found.edges[1] - found.edges[0]
    centres = [(low + high) / 2 for low, high in zip(found.edges, found.edges[1:], strict=False)]
    return {
        "moments": f"mean {found.mean:.3g}, standard deviation {found.std:.3g}, excess kurtosis "
                   f"{found.kurtosis:.1f}, zeros {found.zeros:.1%}"
                   + ("; in units of each layer's root mean square" if relative else ""),
        "histogram": {
            "data": [{"type": "bar", "x": centres, "y": list(found.counts), "width": width,
                      "marker": {"color": "--c0"}}],
            "layout": {"bargap": 0, "yaxis": {"type": "log", "dtick": 1}},
            "x": "weight" + (" / root mean square" if relative else ""),
            "y": "weights in a bin"},
        "distortion": {
            "data": [
                line(curve.step, "step, entropy", "--c0", "entropy", "solid"),
                line(curve.centroids, "centroids, entropy", "--c1", "entropy", "solid"),
                line(curve.centroids, "centroids, fixed width", "--c1", "fixed_bits", "dot"),
                line(curve.fixed, "scale a filter, entropy", "--c2", "entropy", "solid"),
                line(curve.fixed, "scale a filter, fixed width", "--c2", "fixed_bits", "dot")],
            "layout": {"xaxis": {"range": [0, 8.3]}},
            "x": "bits per weight", "y": "SQNR, dB"},
    }


def line(points: Sequence[Point], name: str, colour: str, rate: str, dash: str) -> Figure:
    # Exact points have an infinite SQNR, which the analysis caps far above all others.
    shown = [point for point in points if point.sqnr_db < 100]
    return {"type": "scatter", "mode": "lines+markers", "name": name,
            "x": [getattr(point, rate) for point in shown], "y": [point.sqnr_db for point in shown],
            "text": [f"{point.parameter:.3g}" for point in shown],
            "line": {"color": colour, "dash": dash, "width": 1.8},
            "marker": {"color": colour, "size": 5}}
