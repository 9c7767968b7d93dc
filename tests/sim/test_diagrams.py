import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from sim.diagrams import DIAGRAMS, FIGURES, draw, trace


DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("diagram", DIAGRAMS, ids=lambda diagram: diagram.name)
def test_figures_are_what_the_cores_do(diagram):
    source, picture = draw(diagram)
    figure = DOCS.parent / FIGURES / diagram.name
    assert figure.with_suffix(".json").read_text() == source
    assert figure.with_suffix(".svg").read_text() == picture
    assert {row["wave"][:1] for row in json.loads(source)["signal"]} <= set("p01x=")


def test_the_page_shows_every_figure():
    shown = re.findall(r"figures/([\w-]+)\.svg", (DOCS / "decoders.md").read_text())
    assert sorted(shown) == sorted(diagram.name for diagram in DIAGRAMS)
    assert {path.stem for path in (DOCS / "figures").iterdir()} == set(shown)


def test_another_stall_makes_another_figure():
    stalled = next(diagram for diagram in DIAGRAMS if diagram.name == "tans-stall")
    assert draw(replace(stalled, ready={}))[0] != draw(stalled)[0]
    assert trace(stalled)["o.ready"].count(0) == 4
