"""The client of an agent runtime: one request after another over a WebSocket, from outside."""
