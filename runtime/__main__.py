"""`python -m runtime ARTIFACT`, the same as `kubeserve-runtime ARTIFACT`."""

from runtime.cli import main

if __name__ == "__main__":
    main()
