import numpy as np
import pytest
from PIL import Image

from sw.host.inputs import read_input


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_reach_from_least_to_greatest(tmp_path, mode, channels):
    picture = Image.fromarray(np.array([[0, 255, 0], [255, 255, 0]], np.uint8))
    if mode == "I;16":
        picture = Image.fromarray(np.array([[0, 65535, 0], [65535, 65535, 0]], np.uint16))
    picture.convert(mode).save(tmp_path / "x.png")
    x, y = read_input(tmp_path / "x.png", channels=channels)
    expected = np.array([[-128, 127, -128], [127, 127, -128]], np.int8)
    assert x.dtype == np.int8
    assert np.array_equal(x if channels == 1 else x[..., 0], expected)
    assert y is None


def test_picture_for_other_channels_refused(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match="a picture is for networks with 1 or 3 channels, not 2"):
        read_input(tmp_path / "x.png", channels=2)
