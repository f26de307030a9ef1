"""The command line in parts: its words, and the commands about data and training."""
