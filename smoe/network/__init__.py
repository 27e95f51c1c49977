"""The network as the source draws it: its shape, layers, experts, router and cost."""
