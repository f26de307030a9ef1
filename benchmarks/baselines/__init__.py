"""The services that Propensia is compared with.

None of them may use any code of Propensia's request path.
"""
