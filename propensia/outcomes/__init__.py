"""Outcomes: who paid after a score, how much and when, checked and written into the journal.

A file and a request go through the same check; what becomes of them, the store decides.
"""
