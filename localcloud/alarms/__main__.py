"""Entry point of `python -m localcloud.alarms --port N`."""

from localcloud.alarms.service import main

main()
