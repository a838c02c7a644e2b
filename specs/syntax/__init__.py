"""YAML text to nodes with their places: parsing, scalars, limits."""
