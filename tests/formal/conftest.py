from itertools import count

import pytest

from .harness import Failure, altered, install_tools, run


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    """Return the folder of SymbiYosys' programs."""
    folder = tmp_path_factory.mktemp("tools")
    install_tools(folder)
    return folder


@pytest.fixture
def prove(tools, tmp_path, record_property):
    """Prove a component, show that the proof is of something, and that it finds a bug.

    ``bench`` makes the bench of a component class. ``small`` is a change of the source that makes
    the component smaller, ``bug`` one that makes it wrong, in itself or ``within`` a part.
    """
    numbers = count()

    def prove(bench, cls, *, depth, bug, small=None, within=None, bug_depth=None, what=""):
        def attempt(cls, mode, depth):
            made = bench(cls)
            if made.bound + 2 > depth:
                raise ValueError(f"Depth must be {made.bound + 2} or more, or a wait of "
                                 f"{made.bound} cycles can't be too long, not {depth}")
            run(made, tools=tools, folder=tmp_path / f"{next(numbers)}", mode=mode, depth=depth)
            return made

        sound = altered(cls, small) if small else cls
        made = attempt(sound, "bmc", depth)
        attempt(sound, "cover", depth)
        wrong = altered(cls, *([small] if small else []), bug, within=within)
        with pytest.raises(Failure, match="Assert failed"):
            attempt(wrong, "bmc", bug_depth or depth)
        line = f"{cls.__name__}{what}: holds in the first {depth} cycles"
        record_property("proof", line + " after any history" * made.any_history)
    return prove
