"""A Git repository as a source: fetched shallowly into a bare mirror, read without a checkout.

`source.py` is what the round sees. It looks up refs and fetches through `mirror.py`, lists and reads objects through
`objects.py`, and resolves Git LFS pointers through `lfs.py`; all of them run git through `command.py`.
"""
