"""Writes the user's own files: a first spec, and edits of one that keep its comments."""
