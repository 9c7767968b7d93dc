"""Decoders: from coded data to weights."""
