"""The reconciler: makes what runs equal to what the specs in Git ask for."""

import os

# Looking for plugins of pydantic's, of which none is wanted here, reads the metadata of every installed package: a
# fifth of the time that `kubeserve validate` takes.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
