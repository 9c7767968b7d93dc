"""Decoder cores as plain Verilog, for designs of others."""
