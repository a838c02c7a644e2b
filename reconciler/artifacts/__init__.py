"""Where artifacts are kept: one protocol, a filesystem store and an S3 store."""
