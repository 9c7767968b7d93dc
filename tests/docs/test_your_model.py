import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt


pytest.importorskip("torch")

PAGE = Path(__file__).parents[2] / "docs" / "your-model.md"

#: How a block of each language becomes part of the script.
SCRIPT = {"python": "python - <<'END_OF_BLOCK'\n{}END_OF_BLOCK\n", "sh": "{}"}


def blocks(page):
    """Return language and text of a page's code blocks; blocks of Python build on one another."""
    found = [(token.info, token.content) for token in MarkdownIt().parse(page.read_text())
             if token.type == "fence"]
    return [(language, f"{found[0][1]}\n{text}" if number == 1 else text)
            for number, (language, text) in enumerate(found)]


def test_page_runs_as_it_stands(tmp_path):
    script = "set -e\n" + "".join(SCRIPT[language].format(text) for language, text in blocks(PAGE))
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(PAGE.parents[1]), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, text=True,
                          capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr
    digit, = re.findall(r"^a digit (\d)$", done.stdout, re.MULTILINE)[-1:]
    assert f"golden model: {digit}\n" in done.stdout
    assert f"\nclass {digit}\n" in done.stdout
    before, after = map(float, re.search(r"accuracy ([\d.]+)% before and ([\d.]+)% after, n = 397",
                                         done.stdout).groups())
    assert before > 90
    assert after > before - 2
    refusal = re.search(r"^prints `(error: .*)`", PAGE.read_text(), re.MULTILINE)[1]
    assert refusal in done.stderr.splitlines()
