"""The Helm chart in `charts/ecr-secret-operator`, made from `config`, the flags and a model of its values.

Invariant: with the values' defaults the chart renders what `config/default` builds. Written by hand are only
_helpers.tpl and NOTES.txt.
"""
