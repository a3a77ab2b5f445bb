"""Entry point of `python -m localcloud.news --port N`."""

from localcloud.news.app import main

main()
