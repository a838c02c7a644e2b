"""Observes the cluster and prepares what a plan shows and an apply writes. Changes nothing."""
