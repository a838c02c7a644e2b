"""`kubeserve-fetch`: fetches one version, named by its digest, from an S3 store into a folder, and verifies every byte.

The init container of a model's pod runs it. `command` reads the environment and reports; `version` fills the folder;
`transfer` fetches or continues one file; `store` talks to S3.
"""
