"""THE RELEASER: how a build travels. The small CLI `release ...`, used by people and workflows alike."""
