"""What every stage leans on: configuration, files, progress, the device, splits, networks."""
