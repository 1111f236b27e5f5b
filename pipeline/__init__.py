"""The pipeline: configuration, stages, reports. The only package that reads and writes files."""
