import html
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from sw.analyse import analyse
from sw.importers.npz import WeightsAlone
from sw.page import render
from sw.recommend import recommend
from sw.zoo import load_model

from ..shared_data import shared_file


#: Traces of each plot, of an int8 model.
TRACES = {"codecs": 3, "entropy": 7, "distortion": 5, "histogram": 1, "gains": 4, "zeros": 3}


def browse(page, folder, *options):
    """Return what Debian's chromium prints, and what scripts complained of."""
    browser = shutil.which("chromium")
    assert browser, "chromium is missing: apt-get install chromium"
    run = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--hide-scrollbars", "--enable-logging=stderr", "--virtual-time-budget=10000",
         f"--user-data-dir={folder / 'browser'}", *options, page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True)
    return run.stdout, [line for line in run.stderr.splitlines() if "CONSOLE" in line]


def written(profile, folder):
    page = folder / "page.html"
    page.write_text(render(profile, recommend(profile)))
    return page


@pytest.fixture(scope="module")
def profile():
    return analyse(load_model(shared_file("models/kws_ref_model.tflite")))


def drawn(document):
    """Return the number of traces that each plot of a document shows."""
    parts = re.split(r'<div class="plot[^"]*" id="(\w+)"', document)[1:]
    return {name: len(re.findall(r'<g class="trace[ "]', part))
            for name, part in zip(parts[::2], parts[1::2], strict=True)}


def test_browser_draws_every_plot(profile, tmp_path):
    document, complaints = browse(written(profile, tmp_path), tmp_path, "--dump-dom")
    assert not complaints
    body, = re.findall(r"<body[^>]*>", document)
    assert f'data-drawn="{len(TRACES)}"' in body
    assert "data-error" not in body
    assert drawn(document) == TRACES
    assert document.count("<svg") >= len(TRACES)
    visible = html.unescape(document[:document.index("<script")])
    for choice in recommend(profile):
        assert choice.summary in visible
    for layer in profile.layers:
        assert f">{layer.name}<" in visible


def test_choice_of_a_layer_draws_its_plots(profile, tmp_path):
    page = written(profile, tmp_path)
    chosen = page.read_text().replace("</body>", """<script>
        const select = document.getElementById("view");
        select.value = "3"; select.dispatchEvent(new Event("change"));</script></body>""")
    page.write_text(chosen)
    document, complaints = browse(page, tmp_path, "--dump-dom")
    assert not complaints
    moments, = re.findall(r'id="moments">([^<]*)<', document)
    assert moments.startswith(f"mean {profile.layers[2].values.mean:.3g}, ")
    assert drawn(document) == TRACES


def test_complaints_of_a_broken_page_are_seen(profile, tmp_path):
    page = written(profile, tmp_path)
    page.write_text(page.read_text().replace("const plots = {", "const plots = none || {"))
    document, complaints = browse(page, tmp_path, "--dump-dom")
    assert any("none is not defined" in line for line in complaints)
    assert "data-drawn" not in document[:document.index("<main")]


def test_page_needs_no_network(profile, tmp_path):
    text = written(profile, tmp_path).read_text()
    assert not re.search(r'<(link|img|iframe)\b|<script [^>]*src', text[:text.index("<script")])
    assert "default-src 'none'" in text


@pytest.mark.parametrize("dark, width", [(False, 1280), (True, 420)])
def test_screenshot_shows_the_plots(profile, tmp_path, dark, width):
    shot = tmp_path / "shot.png"
    # Blink's settings: 0 is dark.
    browse(written(profile, tmp_path), tmp_path, f"--screenshot={shot}",
           f"--window-size={max(width, 500)},4000",
           f"--blink-settings=preferredColorScheme={int(not dark)}")
    pixels = np.asarray(Image.open(shot).convert("RGB")).reshape(-1, 3)
    colours = {"page": ("#0f141a" if dark else "#f5f6f8", 20_000),
               "bars": ("#5aa2ff" if dark else "#1f6feb", 3_000)}
    for name, (colour, least) in colours.items():
        wanted = np.array([int(colour[place:place + 2], 16) for place in (1, 3, 5)])
        assert (pixels == wanted).all(axis=1).sum() > least, name


def test_names_cannot_leave_their_place(tmp_path):
    name = "</script><script>document.body.dataset.error='in'</script>"
    model = WeightsAlone("<i>x", {name: np.random.default_rng(0).normal(
        size=(8, 20)).astype(np.float32)})
    document, complaints = browse(written(analyse(model), tmp_path), tmp_path, "--dump-dom")
    assert not complaints
    body, = re.findall(r"<body[^>]*>", document)
    assert "data-error" not in body
    assert f'data-drawn="{len(TRACES)}"' in body
    assert "<h1>Profile of &lt;i&gt;x</h1>" in document
