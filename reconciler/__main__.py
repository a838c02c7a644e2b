"""`python -m reconciler` is `kubeserve`, where the installed script is not on PATH."""

from reconciler.cli import main

if __name__ == "__main__":
    main()
