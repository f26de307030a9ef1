"""Measures Propensia against plain services of the same machine.

It must never be imported by the product.
"""
