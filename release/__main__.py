"""`python -m release`: the command where the project itself is not installed, as in the workflows."""

from release.cli.main import main

main()
