"""Entry point of `python -m localcloud.github --port N`."""

from localcloud.github.app import main

main()
