"""Watches variants until they are ready, and explains why one is not."""
