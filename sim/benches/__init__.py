"""Benches that run inside a simulation, as cocotb's tests."""
