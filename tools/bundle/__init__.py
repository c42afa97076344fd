"""The OLM bundle and its catalog, made from `config`, `samples` and the models.

Invariant: the same sources make the same bytes; nothing is read from the clock or a network.
"""
