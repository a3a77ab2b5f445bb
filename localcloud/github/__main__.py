"""Entry point of `python -m localcloud.github --port N`."""

from localcloud.faults.asgi import github_call, serve
from localcloud.github.app import make_app

serve("github", make_app(), github_call)
