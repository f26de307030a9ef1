"""Public tables that training is judged on, and the contract files that describe them.

No row of them is ever kept in the repository.
"""
