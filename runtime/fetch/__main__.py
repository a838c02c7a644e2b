"""`python -m runtime.fetch`, the same as `kubeserve-fetch`."""

from runtime.fetch.command import main

if __name__ == "__main__":
    main()
