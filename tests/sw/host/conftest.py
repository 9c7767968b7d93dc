import pytest

from sw.compression import compress


@pytest.fixture(scope="session")
def digits():
    return compress("digits", codec="huffman")
