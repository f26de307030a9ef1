"""Databases as both ends of a run: rows by their keys, scores by run, and who to call first."""
