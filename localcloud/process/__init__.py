"""The processes behind the local cloud: what starts, watches, records and ends them."""
