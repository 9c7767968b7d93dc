import io

import pytest
from rich.console import Console

from hw.stages import Stages


def run(*, terminal):
    file = io.StringIO()
    with Stages(Console(file=file, force_terminal=terminal, width=80)) as stages:
        with stages.stage("synthesise"), stages.stage("simulate"):
            pass
    return file.getvalue()


def test_lines_where_there_is_no_terminal():
    lines = run(terminal=False).splitlines()
    assert lines[:2] == ["synthesise ...", "simulate ..."]
    assert lines[2].startswith("simulate: ")
    assert lines[3].startswith("synthesise: ")
    assert len(lines) == 4


def test_terminal_shows_each_as_done():
    text = run(terminal=True)
    assert text.count("synthesise") >= 1
    assert "✓" in text


def test_failure_passes_through_and_leaves_the_stage_undone():
    file = io.StringIO()
    with pytest.raises(KeyError), Stages(Console(file=file)) as stages, stages.stage("simulate"):
        raise KeyError
    assert file.getvalue() == "simulate ...\n"
