"""What KubeServe needs, checked: this machine, the store, the state, and what the target needs."""
