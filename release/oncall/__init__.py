"""Pages the person on call: one module for each channel, and the advice in a page."""
