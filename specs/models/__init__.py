"""The pydantic models of kubeserve.yaml and platform.yaml, and the rules for names, paths and quantities."""
