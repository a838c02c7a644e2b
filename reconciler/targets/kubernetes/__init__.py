"""The Kubernetes target: the protocol of `targets/protocol.py` over server-side apply, Helm and the Gateway API."""
