"""The daemon: listeners, one module a channel, start-up and shut-down order."""
