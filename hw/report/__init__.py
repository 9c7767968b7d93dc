"""What a build measured: resources, timing, power, and the report that joins them."""
