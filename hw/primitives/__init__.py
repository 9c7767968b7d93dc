"""Vendor blocks, one a file, each with its behavioural twin for simulation."""
