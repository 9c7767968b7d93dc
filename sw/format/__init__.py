"""What software and gateware share: the ROM image, its tables, layers, target and link frames."""
