"""Accuracy against bits per weight, as a page that needs nothing from the network."""

from collections.abc import Sequence

from .compression import Compression
from .score import metric


__all__ = ["render"]


LABELS = {"accuracy": "accuracy", "auc": "area under the ROC curve"}


def render(rows: Sequence[Compression]) -> str:
    """Return a page of HTML with one plot.

    Parameters
    ----------
    rows : sequence of Compression
        Of one network, one or more, judged by labelled inputs; the last one is the chosen one.
    """
    # Importing Plotly takes longer than all else that a command imports.
    from plotly import graph_objects

    chosen = rows[-1]
    label = LABELS[metric(chosen.network)]
    figure = graph_objects.Figure()
    ordered = sorted(rows, key=lambda row: row.size.bits_per_weight)
    for name, points in (("tried", ordered), ("chosen", [chosen])):
        figure.add_scatter(
            x=[row.size.bits_per_weight for row in points], y=[row.accuracy_int for row in points],
            text=[row.plan.describe() if row.plan else "" for row in points], name=name,
            mode="lines+markers" if name == "tried" else "markers",
            marker={"size": 8 if name == "tried" else 14},
            hovertemplate="%{text}<br>%{x:.3f} b/w<br>%{y:.4f}<extra></extra>")
    figure.add_hline(y=chosen.accuracy_float, line_dash="dot",
                     annotation_text=f"before: {chosen.accuracy_float:.4f}, n = {chosen.n}")
    figure.update_layout(title=f"{chosen.name}: {label} against bits per weight",
                         xaxis_title="bits per weight, all that exists because of the weights",
                         yaxis_title=label, template="plotly_white")
    page: str = figure.to_html(include_plotlyjs=True, div_id="curve")
    return page
