"""Protocol buffers: how much there is in a message, before it is parsed."""

from typing import Any

from .npz import ModelError


__all__ = ["check_fields"]


#: Kinds of fields, by the last three bits of their key.
VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5

#: Bytes that the longest integer has.
LONGEST_VARINT = 10


def check_fields(data: bytes, descriptor: Any, most: int) -> None:
    """Refuse ``data`` with more than ``most`` fields, in messages inside messages, too.

    An empty message is two bytes, but a hundred once parsed. Nothing is copied. This follows the
    wire format of https://protobuf.dev/programming-guides/encoding/.

    Parameters
    ----------
    descriptor : google.protobuf.descriptor.Descriptor
        What kind of message ``data`` is.

    Raises
    ------
    ModelError
        If there are more, or the bytes aren't fields.
    """
    count = 0
    remaining = [(0, len(data), descriptor)]
    while remaining:
        position, end, kind = remaining.pop()
        while position < end:
            count += 1
            if count > most:
                raise ModelError(f"must have at most {most} fields")
            key, position = varint(data, position, end)
            number, wire = key >> 3, key & 7
            if wire == VARINT:
                _, position = varint(data, position, end)
                continue
            if wire == DELIMITED:
                size, position = varint(data, position, end)
            elif wire in (FIXED32, FIXED64):
                size = 8 if wire == FIXED64 else 4
            else:
                raise ModelError(f"a field must be of type 0, 1, 2 or 5, not {wire}")
            if size > end - position:
                raise ModelError(f"a field of {size} bytes must fit the {end - position} bytes "
                                 f"that are left")
            field = kind.fields_by_number.get(number)
            if wire == DELIMITED and field is not None and field.message_type is not None:
                remaining.append((position, position + size, field.message_type))
            position += size


def varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return the integer at ``position``, and where it ends."""
    if position < end and data[position] < 0x80:
        return data[position], position + 1
    value = 0
    for number, byte in enumerate(data[position:min(end, position + LONGEST_VARINT)]):
        value |= (byte & 0x7f) << 7 * number
        if byte < 0x80:
            return value, position + number + 1
    raise ModelError("an integer must end")
