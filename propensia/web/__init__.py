"""The web face: pages and routes, the hot route ahead of them, and the servers that run them.

Nothing is imported here: the process that only supervises workers must stay small, and must not
load what is not safe to fork.
"""
