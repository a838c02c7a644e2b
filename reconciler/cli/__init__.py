"""The `kubeserve` command: one small file a command, loaded only when it is called."""

from reconciler.cli.root import main

__all__ = ["main"]
