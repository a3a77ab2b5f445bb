"""What the account or the repository has only once; made by the one stack whose setting `ownsShared` is true.

With two accounts each foundation makes what its account has once.
"""
