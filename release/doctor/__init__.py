"""`release doctor`: every line of the readiness checklist, checked. `table.py` lists the lines, one module per area.

A check looks (I/O, in the cloud or on GitHub) and judges (pure, over what was seen). What could not be seen is
`unknown` and never `ok`.
"""
