import pytest

from boards import BOARDS, find_board


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_device_has_a_platform_with_pins_and_clock(board):
    assert find_board(board.name) is board
    assert board.default_device in board.platforms
    for device in board.platforms:
        platform = board.platform(device)
        assert platform.device.endswith(device)
        assert platform.default_clk_frequency > 0
        assert platform.request("uart", 0, dir="-").rx
        assert platform.request("led", 1, dir="-")


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match=r"one of ulx3s, icebreaker, .*, not ulx4s"):
        find_board("ulx4s")
    with pytest.raises(ValueError, match="must be one of 12F, 25F, 45F, 85F, not 85"):
        find_board("ulx3s").platform("85")
