"""The journal: what was answered, kept before the answer goes out.

A process appends to files of its own; whoever reads them never disturbs it, and takes nothing for
a record that is not whole.
"""
