"""Signing in at a provider by OpenID Connect."""
