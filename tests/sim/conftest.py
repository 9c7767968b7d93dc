import pytest

from boards import find_board
from hw.rtl import generate


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
