"""Floorplan: where the hard blocks of a large accelerator lie."""

__all__ = ["floorplan"]


#: Of the LFE5U-85F as Project Trellis numbers its tiles: columns at which groups of four
#: multipliers or four block RAMs begin, rows of multipliers, and the two rows of block RAM
#: that lie between these.
GROUPS = (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)
LOW, MIDDLE, HIGH = 10, 34, 58
LOWER, UPPER = 22, 46

#: Columns of the four multipliers, and of the four block RAMs, within a group.
MULTIPLIERS = (0, 1, 4, 5)
BLOCK_RAMS = (0, 2, 4, 6)

DATAPATH = "accelerator.engine.datapath"

#: What a requantiser needs: its multipliers and block RAMs.
PRODUCTS = ("high", "high_low", "low_high", "low")
RECORDS = ("bias0", "bias1", "multiplier0", "multiplier1", "shift0", "shift1")


def floorplan(target, device):
    """Return where the array's multipliers and the block RAMs beside them go.

    nextpnr's placer begins with everything in one spot and spreads 144 of 156 multipliers with
    little regard to what they are connected to: the large target's wires are twice as long then,
    and too many to route. So each requantiser has a fourth of the device: the rows that it takes
    sums from, their tiles, and its channel records.

    Parameters
    ----------
    target : Target
        Sizes of the accelerator.
    device : str
        Its device.

    Returns
    -------
    dict of str to str
        Name of the place, as nextpnr calls it, by the cell's name after synthesis. Empty for
        targets that are placed well without.
    """
    if (device != "LFE5U-85F" or (target.rows, target.columns, target.requantisers) != (16, 8, 4)
            or target.channels != 4096):
        return {}
    places = {}
    for requantiser in range(target.requantisers):
        # Three groups wide; the middle one of the device is nobody's.
        first = 3 * requantiser + (requantiser >= 2)
        left, centre, right = GROUPS[first:first + 3]
        rams = {(x, y): [f"X{x + offset}/Y{y}/EBR{number}"
                         for number, offset in enumerate(BLOCK_RAMS)]
                for x in (left, centre, right) for y in (LOWER, UPPER)}
        # Sums go from one row's register to that of the fourth below, and so to the requantiser.
        rows = (((left, HIGH), (centre, HIGH)), ((right, HIGH), (right, MIDDLE)),
                ((left, MIDDLE), (left, LOW)), ((centre, LOW), (right, LOW)))
        for turn, halves in enumerate(rows):
            row = requantiser + target.requantisers * turn
            for half, (x, y) in enumerate(halves):
                for column, place in enumerate(multipliers(x, y)):
                    places[f"{DATAPATH}.array.row{row}_column{4 * half + column}"] = place
                near = rams[x, UPPER if turn < 2 else LOWER]
                places[f"{DATAPATH}.tiles.row{row}_half{half}"] = near.pop(0)
        for product, place in zip(PRODUCTS, multipliers(centre, MIDDLE), strict=True):
            places[f"{DATAPATH}.outputs.requantiser{requantiser}.{product}"] = place
        spare = [ram for place in ((centre, UPPER), (centre, LOWER), (left, UPPER), (left, LOWER))
                 for ram in rams[place]]
        cells = [f"channels{requantiser}.{record}" for record in RECORDS]
        cells += [f"table{requantiser}.{half}" for half in ("low", "high")]
        places |= zip((f"{DATAPATH}.outputs.{cell}" for cell in cells), spare, strict=False)
    return places


def multipliers(x, y):
    """Return the places of a group's multipliers."""
    return [f"X{x + offset}/Y{y}/MULT18_{offset}" for offset in MULTIPLIERS]
