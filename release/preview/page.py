"""Stand-in."""


def page(d):
    return ""
