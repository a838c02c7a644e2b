"""The one process that gives every local deployment its stable URL.

The target writes routes.json, starts this process once and then steers it by `client.GatewayClient`. Only
`routes` and `client` are imported by the target; the rest runs in the gateway's own process.
"""
