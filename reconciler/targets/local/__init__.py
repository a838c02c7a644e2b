"""The target of a laptop: deployments are processes of this machine, behind one gateway process."""
