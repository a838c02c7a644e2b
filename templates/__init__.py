"""Files that KubeServe writes or renders for its users: scaffolds."""
