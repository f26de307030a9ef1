"""Models with trees, compiled for the processor that they run on."""
