"""The digests stage: for each version of the healthy specs, what it is made of and the digest that pins it.

In: specs, an open source and its revision. Out: desired versions, and problems at their place in the spec.
Called by `reconcile.py`. Reads artifacts only where their digest is not known yet; opens no model.
"""

from __future__ import annotations

