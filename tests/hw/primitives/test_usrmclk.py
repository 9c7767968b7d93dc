from types import SimpleNamespace

import pytest

from hw.primitives.usrmclk import USRMCLK
from hw.rtl import generate


def test_is_the_block_on_an_ecp5():
    verilog = generate(USRMCLK(), name="top", platform=SimpleNamespace(device="LFE5U-85F"))
    assert ".USRMCLKI(clk)" in verilog
    assert ".USRMCLKTS(1'h0)" in verilog


@pytest.mark.parametrize("platform", [None, SimpleNamespace(device="iCE40UP5K")])
def test_other_devices_refused(platform):
    with pytest.raises(NotImplementedError, match="USRMCLK must be built for an ECP5, not"):
        generate(USRMCLK(), name="top", platform=platform)
