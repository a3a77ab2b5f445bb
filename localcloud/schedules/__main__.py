"""Entry point of `python -m localcloud.schedules --port N`."""

from localcloud.schedules.service import main

main()
