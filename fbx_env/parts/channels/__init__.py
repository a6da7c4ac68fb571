"""Channels: what happens to a signal on its way from the agent to the plant, and back."""
