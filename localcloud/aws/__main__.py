"""Entry point of `python -m localcloud.aws --port N`."""

from localcloud.aws.server import main

main()
