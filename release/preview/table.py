"""Stand-in."""


def picture(d):
    return d.model_dump_json(indent=1)
