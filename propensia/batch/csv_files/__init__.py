"""CSV as both ends of a run: its dialect, its rows whatever is wrong with them, its lines kept."""
