"""Simulates an accelerator's Verilog on real inputs and compares it with the golden model."""

import contextlib
import hashlib
import json
import select
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.benches.job import run_parts
from sim.chips import flash_options, with_chips
from sim.verilator import (SimulationError, compile_board, compile_for_cocotb, run_cocotb)
from sw import golden
from sw.format.status import Counter
from sw.format.target import Target
from sw.host.client import Link, LinkError
from sw.image import Image, read_image
from sw.schedule import computed, place_activations


__all__ = ["Part", "Simulation", "count_toggles", "simulate", "simulate_resident"]


#: Seconds that a simulated board may take, and may be silent: only a hung one is so long.
PATIENCE = 3600
QUIET = 60

@dataclass(frozen=True, eq=False)
class Part:
    """An image, and inputs for its network.

    Parameters
    ----------
    image : bytes
        The ROM image.
    x : array of int8, shape (n, ...)
        Inputs of its network.
    resident : bool
        Whether it is the image in the weight memory at power-on, which needn't be written.
    """

    image: bytes
    x: np.ndarray
    resident: bool = False


@dataclass(frozen=True, eq=False)
class Simulation:
    """What the simulated accelerator made of a part's inputs.

    Parameters
    ----------
    image : Image
        The image that it ran.
    target : Target
        The accelerator's sizes.
    outputs, expected : array of int8, shape (n, outputs)
        Its outputs and the golden model's.
    counters : array of int, shape (n, counters)
        `Counter` after each inference.
    layer_ends : array of int, shape (n, layers)
        Cycles from the start to the end of each layer.
    layer_waiting : array of int, shape (n, layers)
        Of these, cycles in which the array waited for weights.
    rtl_sha256 : str
        Of the Verilog.
    """

    image: Image
    target: Target
    outputs: np.ndarray
    expected: np.ndarray
    counters: np.ndarray
    layer_ends: np.ndarray
    layer_waiting: np.ndarray
    rtl_sha256: str

    @property
    def n(self):
        return len(self.outputs)

    @property
    def exact(self):
        """Number of inferences whose outputs are all the golden model's."""
        return int((self.outputs == self.expected).all(axis=1).sum())

    def counter(self, counter):
        """Return the counter's value, the greatest if inferences differ."""
        return int(self.counters[:, counter].max())

    @property
    def cycles(self):
        """Cycles of an inference."""
        return self.counter(Counter.CYCLES)

    @property
    def waiting(self):
        """Cycles in which the array waited for weights."""
        return self.counter(Counter.WAITING)

    @property
    def layer_cycles(self):
        """Cycles of each layer."""
        return np.diff(self.layer_ends.max(axis=0), prepend=0).tolist()

    @property
    def layer_stalls(self):
        """Cycles in which the array waited for weights, in each layer."""
        return np.diff(self.layer_waiting.max(axis=0), prepend=0).tolist()

    @property
    def weights_per_cycle(self):
        """Weights that the decoder delivers in a cycle in which they are wanted."""
        return self.image.network.weights / self.counter(Counter.FILLING)

    @property
    def mac_utilisation(self):
        """Share of the array's multiplications, over an inference, that are the network's."""
        return self.image.network.macs / (self.cycles * self.target.rows * self.target.columns)

    @property
    def layer_utilisation(self):
        """The same for each layer that the accelerator computes; None without weights."""
        return [
            layer.macs / (cycles * self.target.rows * self.target.columns)
            if layer.operation.has_weights else None
            for layer, cycles in zip(scheduled_layers(self.image), self.layer_cycles, strict=True)]


def scheduled_layers(image: Image):
    """Return the descriptors of the layers that an accelerator computes."""
    layers = [layer.descriptor for layer in image.network.layers]
    return [layers[number] for number in computed(layers)]


def expected_outputs(image: Image, x: np.ndarray):
    """Return what an accelerator makes of int8 inputs, by the golden model: shape (n, outputs)."""
    last = computed([layer.descriptor for layer in image.network.layers])[-1]
    return golden.run(image.network, x)[last].reshape(len(x), -1)


def simulate(parts, *, target: Target, verilog: str, top: str, bench: str, clock_hz: int,
             baud: int, directory: Path):
    """Run ``parts`` one after the other on one simulated accelerator, with Verilator and cocotb.

    Parameters
    ----------
    parts : sequence of Part
        Images and inputs.
    target : Target
        Sizes of the accelerator.
    verilog : str
        The design; its module ``top`` is simulated.
    bench : str
        ``"sim.benches.accelerator"``, at the serial pins, or ``"sim.benches.engine"``.
    clock_hz, baud : int
        Clock and rate of the serial line.
    directory : Path
        Where the log goes, ``simulation.log``.

    Returns
    -------
    list of Simulation
        One for each part.

    Raises
    ------
    SimulationError
        If it doesn't compile, refuses an image, or hangs.
    """
    digest = hashlib.sha256(verilog.encode()).hexdigest()
    verilog, top = with_chips(verilog, top=top, target=target)
    folder = compile_for_cocotb(verilog, top=top)
    directory.mkdir(parents=True, exist_ok=True)
    images = [read_image(part.image, target=target) for part in parts]
    with tempfile.TemporaryDirectory(dir=directory) as name:
        work = Path(name).resolve()
        job = {"clock_hz": clock_hz, "baud": baud, "results": str(work / "results.npz")}
        job["parts"] = [write_part(part, image, target, work / str(number))
                        for number, (part, image) in enumerate(zip(parts, images, strict=True))]
        job_file = work / "job.json"
        job_file.write_text(json.dumps(job))
        plusargs = []
        if target.memory.has_flash:
            plusargs = flash_options(parts[0].image, work / "flash.bin")
        run_cocotb(folder, top=top, bench=bench, testcase="run_job",
                   environment={"HEADRACE_JOB": str(job_file)}, plusargs=plusargs,
                   log=directory / "simulation.log")
        results = dict(np.load(work / "results.npz"))
    return [simulation_of(number, part, image, target, results, digest)
            for number, (part, image) in enumerate(zip(parts, images, strict=True))]


def write_part(part, image, target, path):
    """Write a part's files, ``path`` with suffixes; return it as a job has it."""
    image_file, input_file = path.with_suffix(".hri"), path.with_suffix(".npy")
    image_file.write_bytes(part.image)
    np.save(input_file, part.x.reshape(len(part.x), -1))
    layers = [layer.descriptor for layer in image.network.layers]
    addresses = place_activations(layers, target)
    return {
        "image": None if part.resident else str(image_file),
        "inputs": str(input_file),
        "input_address": addresses[0],
        "output_address": addresses[-1],
        "output_bytes": int(np.prod(layers[-1].output_shape)),
        "layers": len(computed(layers)),
    }


def simulation_of(number, part, image, target, results, digest):
    return Simulation(
        image=image, target=target, outputs=results[f"outputs{number}"],
        expected=expected_outputs(image, part.x),
        counters=results[f"counters{number}"], layer_ends=results[f"layer_ends{number}"],
        layer_waiting=results[f"layer_waiting{number}"], rtl_sha256=digest)


def simulate_resident(part, *, target: Target, verilog: str, top: str, clock_hz: int, baud: int,
                      directory: Path):
    """Run a part whose image is there at power-on, as `simulate` does, but without cocotb.

    For long runs. Arguments are as those of `simulate`.

    Raises
    ------
    SimulationError
        If it doesn't compile, refuses the image, or hangs.
    """
    digest = hashlib.sha256(verilog.encode()).hexdigest()
    verilog, top = with_chips(verilog, top=top, target=target)
    folder = compile_board(verilog, top=top)
    image = read_image(part.image, target=target)
    with tempfile.TemporaryDirectory(dir=directory) as name:
        work = Path(name).resolve()
        described = write_part(part, image, target, work / "0")
        options = flash_options(part.image, work / "flash.bin") if target.memory.has_flash else []
        with board_process(folder, clock_hz, baud, *options) as (_, link):
            results = run_parts(link, [described])
    return simulation_of(0, part, image, target, results, digest)


@contextlib.contextmanager
def board_process(folder, clock_hz, baud, *options):
    """Run the board that is compiled in ``folder``; give its process and a link to it.

    Raises
    ------
    SimulationError
        If it doesn't answer.
    """
    with subprocess.Popen(
            [folder / "board", str(round(clock_hz / baud)), str(clock_hz), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            yield process, Link(ProgramLine(process))
        except (LinkError, OSError, subprocess.TimeoutExpired) as error:
            raise SimulationError(f"{folder / 'board'}: {error}") from error
        finally:
            process.kill()


class ProgramLine:
    """Standard input and output of a simulated board as a `sw.host.client.ByteStream`."""

    def __init__(self, process):
        self.process = process

    def read(self, size):
        ready, _, _ = select.select([self.process.stdout], [], [], QUIET)
        return self.process.stdout.read(size) if ready else b""

    def write(self, data):
        self.process.stdin.write(data)


def count_toggles(verilog: str, *, top: str, image: Image, target: Target, x: np.ndarray,
                  clock_hz: int, baud: int, saif: Path, contents: bytes | None = None,
                  flash: bytes = b""):
    """Count the toggles of every net during one inference.

    Parameters
    ----------
    x : array of int8
        One input.
    contents : bytes, optional
        The image, to be written first; none if it is resident.
    saif : Path
        The file to write, in SAIF.
    flash : bytes
        The image in the flash of a target that has it there.

    Raises
    ------
    SimulationError
        If it doesn't compile, doesn't answer, or ends without an inference.
    """
    verilog, top = with_chips(verilog, top=top, target=target)
    folder = compile_board(verilog, top=top, trace=True)
    saif.parent.mkdir(parents=True, exist_ok=True)
    partial = saif.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    addresses = place_activations([layer.descriptor for layer in image.network.layers], target)
    options = []
    if target.memory.has_flash:
        options = flash_options(flash, saif.with_suffix(".flash"))
    with board_process(folder, clock_hz, baud, partial, *options) as (process, link):
        if contents is not None:
            link.write_image(contents)
            link.load()
        link.wait(PATIENCE)
        link.write_input(addresses[0], x.tobytes())
        link.run()
        process.stdin.close()
        status = process.wait(PATIENCE)
    if status or not partial.exists():
        raise SimulationError(f"{folder / 'board'} ended with status {status}, no toggles counted")
    partial.replace(saif)
    saif.with_suffix(".flash").unlink(missing_ok=True)
