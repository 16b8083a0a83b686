"""The outside world: each module implements one port with one provider, `port_provider.py`."""
