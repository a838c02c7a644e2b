"""Where deployments run, behind one small protocol."""
