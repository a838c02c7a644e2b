"""Kubernetes objects as values: identity, ownership, comparison, and how a plan shows them. Asks no cluster."""
