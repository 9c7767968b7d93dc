import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from markdown_it import MarkdownIt


pytest.importorskip("torch")

PAGE = Path(__file__).parents[2] / "docs" / "your-model.md"

#: How a block of each language becomes part of the script.
SCRIPT = {"python": "python - <<'END_OF_BLOCK'\n{}END_OF_BLOCK\n", "sh": "{}"}


def blocks(page):
    """Return language and text of a page's code blocks; Python after Python is one block."""
    found = []
    for token in MarkdownIt().parse(page.read_text()):
        if token.type != "fence":
            continue
        if found and token.info == found[-1][0] == "python":
            found[-1] = "python", f"{found[-1][1]}\n{token.content}"
        else:
            found.append((token.info, token.content))
    return found


def run(script, **options):
    """Return status, output and errors of a script; nothing that it started goes on."""
    # The virtual board has the pipes, too: they are closed when it ends.
    script = f"set -e\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{script}"
    with subprocess.Popen(["bash", "-c", script], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, start_new_session=True, **options) as process:
        try:
            output, errors = process.communicate(timeout=600)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output, errors


def test_nothing_goes_on_after_a_failure(tmp_path):
    status, output, errors = run("(sleep 1; echo late) &\nfalse", cwd=tmp_path)
    assert (status, output, errors) == (1, "", "")


@pytest.mark.slow
def test_page_runs_as_it_stands(tmp_path):
    script = "".join(SCRIPT[language].format(text) for language, text in blocks(PAGE))
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(PAGE.parents[1]), "PYTHONWARNINGS": "ignore"}
    status, output, errors = run(script, cwd=tmp_path, env=environment)
    assert status == 0, errors
    digit, = re.findall(r"^a digit (\d)$", output, re.MULTILINE)[-1:]
    assert f"golden model: {digit}\n" in output
    assert f"\nclass {digit}\n" in output
    before, after = map(float, re.search(r"accuracy ([\d.]+)% before and ([\d.]+)% after, n = 397",
                                         output).groups())
    assert before > 90
    assert after > before - 2
    refusal = re.search(r"^prints `(error: .*)`", PAGE.read_text(), re.MULTILINE)[1]
    assert refusal in errors.splitlines()
    assert "\nas in PyTorch: True\n" in output
