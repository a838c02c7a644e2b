"""One round, in the order in which it happens: resolve, load, digest, compile, observe, prepare, plan, apply.

Called by the commands that plan and apply. Each stage is a module of its own; this one only connects them.
"""
