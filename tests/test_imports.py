from pathlib import Path

import grimp
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_arrows_between_packages(capsys):
    status = lint_imports(config_filename=str(PYPROJECT), no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_format_imports_nothing_else_of_the_software():
    graph = grimp.build_graph("sw", cache_dir=None)
    for module in {"sw.format"} | graph.find_descendants("sw.format"):
        for imported in graph.find_modules_directly_imported_by(module):
            assert imported.startswith("sw.format"), f"{module} imports {imported}"
