"""Rooms: an open notebook and all that is attached to it. One task a room."""
