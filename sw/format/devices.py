"""What FPGA devices have of each resource."""


__all__ = ["DEVICES"]


#: What nextpnr finds in a device. It takes a 12F for the 25F that it is made as.
DEVICES = {
    "LFE5U-12F": {"lut4": 24288, "ff": 24288, "ebr": 56, "spram": 0, "dsp": 28},
    "LFE5U-25F": {"lut4": 24288, "ff": 24288, "ebr": 56, "spram": 0, "dsp": 28},
    "LFE5U-45F": {"lut4": 43848, "ff": 43848, "ebr": 108, "spram": 0, "dsp": 72},
    "LFE5U-85F": {"lut4": 83640, "ff": 83640, "ebr": 208, "spram": 0, "dsp": 156},
    "iCE40UP5K": {"lut4": 5280, "ff": 5280, "ebr": 30, "spram": 4, "dsp": 8},
}
