"""Model files of other tools, written from a `sw.network.Network`."""
