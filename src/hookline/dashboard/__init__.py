"""Pages for people, at ``/dashboard`` of nodes and proxies. They know of the service what the SDK's calls say."""
