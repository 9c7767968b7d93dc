from contextlib import ExitStack

import pytest

from boards import find_board
from hw.rtl import generate
from sim.virtual import VirtualBoard
from sw.host import Accelerator


@pytest.fixture(scope="session")
def platform():
    """Return a platform whose vendor blocks the simulations have models of."""
    return find_board("ulx3s").platform("85F")


@pytest.fixture(scope="session")
def verilog_of(platform):
    """Return a function that generates a component's Verilog, as it is built for a board."""
    def verilog_of(component, name):
        return generate(component, name=name, platform=platform)
    return verilog_of


@pytest.fixture
def enter():
    """Return a function that runs a build on a virtual board with a flash and faults of memories.

    It returns the accelerator, until the test ends.
    """
    with ExitStack() as stack:
        def enter(build, flash, *faults):
            board = stack.enter_context(VirtualBoard(build, flash=flash, faults=faults))
            return stack.enter_context(Accelerator(board.port, baud=build.site.baud))
        yield enter
