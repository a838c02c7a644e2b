"""What a tenant has on the cluster: its namespace, quota, policies and copied Secrets, and the rights we need."""
