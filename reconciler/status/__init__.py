"""What runs, set beside what the specs ask for and what the record says."""
