"""The store: what was answered, what came of it and what was found out, in a SQL database.

Nothing is imported here: a web process has no database, unless somebody asks for a stored answer.
"""
