"""The HTTP server around one model: start-up, inference, checks, metrics, drain."""
