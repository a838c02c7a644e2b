"""The inference server that a variant runs, and the one place that knows what a version's manifest is.

Imports nothing of ours: it runs alone. `errors`, `formats`, `manifest` and `packing` are light and used by the
reconciler too; everything that needs NumPy, Starlette or a model library is below `loaders` and `server`.
"""
