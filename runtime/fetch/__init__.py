"""`kubeserve-fetch`: one version, named by its digest, out of an S3 store into a folder, every byte verified.

The init container of a model's pod runs it. `command` reads the environment and reports; `version` brings the
folder up to the digest; `transfer` continues one file; `store` speaks with S3.
"""
