"""The S3 store: its client, one bucket, uploads, and the errors that S3 answers."""
