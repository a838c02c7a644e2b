"""The desired state: sources are read, specs loaded, versions digested, and the desired graph compiled."""
