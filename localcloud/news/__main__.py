"""Entry point of `python -m localcloud.news --port N`."""

from localcloud.faults.asgi import news_call, serve
from localcloud.news.app import make_app

serve("news", make_app(), news_call)
