"""Excel workbooks as both ends of a run."""
