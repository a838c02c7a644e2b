"""The reconciler: makes what runs equal to what the specs in Git ask for."""
