"""Where specs and artifacts are read from: a directory as it is, or a Git repository at a ref."""
