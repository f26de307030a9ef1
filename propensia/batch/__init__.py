"""Whole portfolios: rows of a file or a table in, the same rows with their scores out.

A block of rows goes one way: ``Source`` cuts it, a worker reads, scores and renders it, ``Sink``
keeps it. Nothing here scores a row in another way than the service does, and nothing holds more
than a few blocks.
"""
