"""Databases of other people: found by their URL, and asked by a query that only reads.

It keeps no connection, and tells neither a password nor a value of a row.
"""
