"""Clock of a build: what place-and-route reached and what the data sheet allows."""

__all__ = ["report_timing"]


# FPGA-DS-02012 gives the limit of the primary clock for speed grade 6; those of the hard blocks,
# for grade 8 only (block RAM with output register 272 MHz, multiplier 225 MHz), are scaled to grade
# 6 by the ratio of the clocks' limits. nextpnr enforces none of them.
ECP5 = {
    "TRELLIS_COMB": ("primary clock, data sheet", 257.0),
    "DP16KD": ("block RAM, data sheet scaled to speed grade 6", 189.0),
    "MULT18X18D": ("DSP multiplier, data sheet scaled to speed grade 6", 156.0),
}

# FPGA-DS-02008: the global clock, and 256 x 16 block RAM from register to register.
ICE40UP = {
    "ICESTORM_LC": ("global clock, data sheet", 185.0),
    "ICESTORM_RAM": ("block RAM, data sheet", 150.0),
}


def report_timing(nextpnr, *, clock_hz):
    """Return the report's section ``timing``.

    Parameters
    ----------
    nextpnr : dict
        The JSON report of nextpnr, whose design has one clock.
    clock_hz : int
        The clock that was asked for.
    """
    reached = min(clock["achieved"] for clock in nextpnr["fmax"].values())
    used = nextpnr["utilization"]
    limits = [("nextpnr", reached)]
    limits += [limit for block, limit in (ECP5 if "TRELLIS_COMB" in used else ICE40UP).items()
               if used[block]["used"]]
    name, fmax = min(limits, key=lambda limit: limit[1])
    return {
        "clock_mhz": clock_hz / 1e6,
        "fmax_mhz": fmax,
        "fmax_nextpnr_mhz": reached,
        "fmax_limit": name,
        "met": fmax * 1e6 >= clock_hz,
        "critical_path": critical_path(nextpnr),
    }


def critical_path(nextpnr):
    """Return the slowest path from register to register: where it begins, its steps, its delay."""
    paths = [path for path in nextpnr["critical_paths"]
             if path["from"] != "<async>" and path["to"] != "<async>"]
    path = max(paths, key=lambda path: sum(step["delay"] for step in path["path"]))["path"]
    return {
        "from": path[0]["from"]["cell"],
        "to": path[-1]["to"]["cell"],
        "delay_ns": sum(step["delay"] for step in path),
        "logic_levels": sum(step["type"] == "logic" for step in path),
        "routing_ns": sum(step["delay"] for step in path if step["type"] == "routing"),
    }
