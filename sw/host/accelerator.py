"""Python API of an accelerator: images in, inputs in, outputs out."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich import get_console
from rich.progress import track

from sw.format.layers import InputDescription, LayerDescriptor, Operation
from sw.format.link import BAUD
from sw.format.sections import (HEADER_WORDS, FormatError, Section, crc32, unpack_header,
                                unpack_network)
from sw.format.status import Counter, State
from sw.format.target import Target, find_targets
from sw.golden import apply
from sw.image import read_image, retarget
from sw.network import Layer, Quantisation, quantise_input
from sw.schedule import ScheduleError, place_activations

from .client import (FailedError, Link, LinkError, MalformedError, NoResponseError, open_port)
from .ports import find_port


__all__ = ["Accelerator", "Description", "Inferences"]


Int8Array = NDArray[np.int8]

#: Seconds that a run may take: a virtual board is slow.
PATIENCE = 60

#: Addresses of words have 16 bits on the line.
MAX_IMAGE_BYTES = 4 << 16


@dataclass(frozen=True)
class Description:
    """What a network takes and gives.

    Parameters
    ----------
    input : InputDescription
        How a user's input becomes int8.
    layers : tuple of LayerDescriptor
        The layers, without their arrays.
    """

    input: InputDescription
    layers: tuple[LayerDescriptor, ...]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width, channels of an input."""
        return self.layers[0].input_shape

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return prod(self.layers[-1].output_shape)

    def prepare(self, x: ArrayLike) -> Int8Array:
        """Return inputs as the accelerator takes them, shape (n, H, W, C).

        Parameters
        ----------
        x : array
            One input or several, axes of one element left out or not. int8 is taken as it is, other
            numbers are quantised as the network says.

        Raises
        ------
        ValueError
            If it has another shape, isn't of real numbers, or holds NaN or infinity.
        """
        values = np.asarray(x)
        if values.dtype.kind not in "iuf":
            raise ValueError(f"Input must be of real numbers, not {values.dtype}")
        shapes = (self.input_shape, tuple(size for size in self.input_shape if size != 1))
        if values.shape not in shapes and values.shape[1:] not in shapes:
            raise ValueError(f"Input must have shape {self.input_shape}, or (n, ...) for several, "
                             f"not {values.shape}")
        if not values.size:
            raise ValueError("Input must not be empty")
        if not np.isfinite(values).all():
            raise ValueError("Input must be finite, not NaN or infinity")
        values = values.reshape(-1, *self.input_shape)
        return values if values.dtype == np.int8 else quantise_input(self.input, values)


@dataclass(frozen=True, eq=False)
class Inferences:
    """What an accelerator made of n inputs.

    Parameters
    ----------
    outputs : array of int8, shape (n, outputs)
        What it computed; a softmax at the end is computed here.
    scores : array of float64, shape (n, outputs)
        What that stands for.
    cycles : array of int64, shape (n,)
        Clock cycles of each inference.
    clock_hz : int
        The clock.
    seconds : array of float64, shape (n,)
        From sending an input until its outputs are here.
    """

    outputs: Int8Array
    scores: NDArray[np.float64]
    cycles: NDArray[np.int64]
    clock_hz: int
    seconds: NDArray[np.float64]

    @property
    def classes(self) -> NDArray[np.intp]:
        """The first of each input's greatest outputs."""
        classes: NDArray[np.intp] = self.outputs.argmax(axis=1)
        return classes


class Accelerator:
    """An accelerator at a serial port, on a board or virtual.

    ``with Accelerator("/dev/ttyUSB0") as accelerator: y = accelerator(x)``. After an error the next
    call works, if its reason is gone.

    Parameters
    ----------
    port : str, optional
        Serial port, by name or as a pySerial URL. By default that of the only board.
    baud : int
        Rate that the accelerator was built for.

    Raises
    ------
    LinkError
        If it can't be reached. The message says how that is mended.
    """

    def __init__(self, port: str | None = None, *, baud: int = BAUD) -> None:
        self.port = find_port() if port is None else port
        self.stream = open_port(self.port, baud)
        self.link = Link(self.stream)
        try:
            self.identification = self.link.identify()
        except NoResponseError as error:
            self.close()
            raise NoResponseError(
                f"nothing answers at {self.port}: is the board programmed (python -m hw.load), and "
                f"are {baud} baud what it was built for?") from error
        except LinkError:
            self.close()
            raise

    def __enter__(self) -> "Accelerator":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let others use the port."""
        self.stream.close()

    def __call__(self, x: ArrayLike, *, progress: bool = True) -> Int8Array:
        """Return the outputs for one or more inputs, as `infer` does."""
        return self.infer(x, progress=progress).outputs

    def infer(self, x: ArrayLike, *, progress: bool = False) -> Inferences:
        """Run the network on one or more inputs.

        Parameters
        ----------
        x : array
            As `Description.prepare` takes it.
        progress : bool
            Whether to show a progress bar on a terminal if there are several inputs.

        Raises
        ------
        ValueError
            If ``x`` is no input of the network.
        LinkError
            If there is no image, or the accelerator fails or falls silent.
        """
        description = self.describe()
        inputs = description.prepare(x)
        # Where things lie depends on nothing else of the target.
        target = Target(activation_bytes=self.identification.activation_bytes)
        input_address, *_, output_address = place_activations(description.layers, target)
        outputs, cycles, seconds = [], [], []
        for values in track(inputs, "inferring", transient=True,
                            disable=len(inputs) == 1 or not (
                                progress and get_console().is_terminal)):
            start = time.perf_counter()
            self.link.write_input(input_address, values.tobytes())
            self.link.run()
            self.link.wait(PATIENCE)
            data = self.link.read_output(output_address, description.outputs)
            seconds.append(time.perf_counter() - start)
            outputs.append(np.frombuffer(data, np.int8))
            cycles += self.link.counters(Counter.CYCLES, 1)

        last = description.layers[-1]
        stacked = np.array(outputs)
        if last.operation is Operation.SOFTMAX:
            stacked = apply(Layer.without_arrays("softmax", last), stacked).reshape(len(inputs), -1)
        return Inferences(
            stacked, Quantisation(last.output_scale, last.output_zero_point).restore(stacked),
            np.array(cycles), self.identification.clock_hz, np.array(seconds))

    def describe(self) -> Description:
        """Return what the network that is loaded takes and gives, from the accelerator itself.

        Raises
        ------
        LinkError
            If none is loaded, or its description makes no sense.
        """
        self.link.wait()
        try:
            _, words = unpack_header(self.link.read_image(0, HEADER_WORDS), whole=False)
            section = self.link.read_image(HEADER_WORDS, words[Section.NETWORK] + 1)
            if crc32(section[:-4]) != int.from_bytes(section[-4:], "little"):
                raise FormatError("network: CRC is wrong")
            return Description(*unpack_network(section[:-4]))
        except FormatError as error:
            raise MalformedError(f"the accelerator's image makes no sense, write it again: "
                                 f"{error}") from error

    def write_image(self, image: bytes | Path, *,
                    progress: Callable[[int], None] | None = None) -> bytes:
        """Write an image into the weight memory and load it.

        If its schedule is for another target than this accelerator's, it is made anew.

        Parameters
        ----------
        image : bytes or Path
            The image, or a file with it.
        progress : callable, optional
            Called with the number of bytes written so far.

        Returns
        -------
        bytes
            The image as it was written.

        Raises
        ------
        ValueError
            If it isn't a good image (`FormatError`), or can't run here (`ScheduleError`); nothing
            is written then.
        OSError
            If the file can't be read.
        LinkError
            If the accelerator refuses it or falls silent.
        """
        data = image.read_bytes() if isinstance(image, Path) else image
        target_hash, _ = unpack_header(data)
        wanted = self.identification.target_hash
        target = next(iter(find_targets(wanted).values()), None)
        if target_hash != wanted:
            if target is None:
                raise ScheduleError(
                    f"image is for target {target_hash:08x}; the accelerator is {wanted:08x}, of "
                    f"unknown sizes: compress the network for it")
            data = retarget(data, target)
        read_image(data, target=target)
        if len(data) > 4 * self.identification.memory_words:
            raise ScheduleError(f"image must have at most {4 * self.identification.memory_words} "
                                f"bytes, as the weight memory, not {len(data)}")
        if len(data) > MAX_IMAGE_BYTES:
            raise ScheduleError(f"image has {len(data)} bytes, more than the {MAX_IMAGE_BYTES} "
                                f"that the link reaches: python -m hw.load --image FILE writes it "
                                "into the board's flash")
        if self.link.status()[0] is State.RUNNING:
            # It may be one that never ends; a load ends it.
            self.link.load()
        with contextlib.suppress(FailedError):
            self.link.wait()
        self.link.write_image(data, progress=progress)
        self.link.load()
        self.link.wait()
        return data
