"""The record of what was done and how it went; never the authority on what is live."""
