"""Runs a plan: many walks at once, of which those that wait hold no worker."""
