"""What an administrator does once per environment, before and after the first `up` of its foundation.

Each step looks first and does only what is missing, so a run that was interrupted is finished by the next one.
"""
