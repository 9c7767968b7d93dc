"""Model files: each importer reads one format into a `sw.network.FloatNetwork`."""
