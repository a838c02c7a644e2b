"""Loads specs and platform.yaml, and explains every problem at its place in the file."""
