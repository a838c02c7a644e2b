"""Changes the cluster: applies objects, moves traffic, removes what is no longer desired."""
